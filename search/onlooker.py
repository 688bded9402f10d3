"""What trials at work have found so far, as the driver sees it: by looking at their folders now and then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialStore

EVERY_S = 3.0
"""A driver looks so often; what its trials hold is read only where it has changed."""


@dataclass
class Onlooker:
    """Remembers what it has read."""

    store: TrialStore
    _seen: dict[int, tuple[tuple[int, int], Sequence[Point]]] = field(default_factory=dict)

    def look(self, numbers: Iterable[int]) -> list[Point]:
        """All points that trials of these numbers have shown; nothing of those that have ended by now."""
        now: dict[int, tuple[tuple[int, int], Sequence[Point]]] = {}
        for number in numbers:
            folder = self.store.folder(number)
            if (stamp := folder.stamp_so_far()) is None:
                continue
            if (known := self._seen.get(number)) is not None and known[0] == stamp:
                now[number] = known
            elif (record := folder.so_far()) is not None:
                now[number] = stamp, record.points
        self._seen = now
        return [point for _, points in now.values() for point in points]
