"""Durations as users write them: `30m`, `90s`, `2h`, `1h30m`, or a number of seconds."""

import math
import re
from typing import Final

from sparsweep.spaces.faults import shown

LONGEST_S: Final = 366 * 24 * 3600
_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_PARTS: Final = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?")
_SECONDS: Final = re.compile(_NUMBER)


def duration_s(given: object) -> float:
    """Seconds, more than 0 and at most 366 days.

    Raises:
        ValueError: it cannot be read or is out of that range.
    """
    seconds = _seconds(given)
    if seconds is None:
        raise ValueError(f"{shown(given)} is not a duration: write 30m, 90s, 2h, 1h30m or a number of seconds")
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"{shown(given)} must be more than 0 seconds and at most 366 days")
    return seconds


def _seconds(given: object) -> float | None:
    if isinstance(given, bool):
        return None
    if isinstance(given, int):
        return float(given) if abs(given) < 2**53 else math.inf
    if isinstance(given, float):
        return None if math.isnan(given) else given
    if not isinstance(given, str) or len(given) > 40:
        return None
    if _SECONDS.fullmatch(given):
        return float(given)
    match = _PARTS.fullmatch(given)
    if not given or match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
