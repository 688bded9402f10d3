"""What a fault did to a sweep, held against what must happen."""

import re
from dataclasses import dataclass, field

HEADERS = ("fault", "must happen", "happened", "lost", "doubled", "work repeated (s)", "back after (s)", "")

MOST_SHOWN = 600
"""Characters of what was found instead: the end says most."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One row of the table."""

    fault: str
    expected: str
    happened: str
    trials_lost: int
    trials_doubled: int
    work_repeated_s: float | None
    """The most that one trial had to do again; None where the fault repeats none."""
    recover_s: float | None
    """From the end of the fault until work went on; None where it never stopped."""
    held: bool

    def cells(self) -> tuple[str, ...]:
        """As they stand under HEADERS."""
        times = ["" if s is None else f"{s:.1f}" for s in (self.work_repeated_s, self.recover_s)]
        counts = (str(self.trials_lost), str(self.trials_doubled))
        return (self.fault, self.expected, self.happened, *counts, *times, "holds" if self.held else "DOES NOT HOLD")


@dataclass
class Findings:
    """Collects what held and what did not; nothing that is asked is skipped because something before it failed."""

    fault: str
    expected: str
    said: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    work_repeated_s: float | None = None
    recover_s: float | None = None

    def note(self, text: str) -> None:
        """A figure for the table."""
        self.said.append(text)

    def must(self, what: str, holds: bool, found: object = "") -> None:
        """Asks for something; where it does not hold, `found` tells what was there."""
        if not holds:
            shown = str(found).strip()[-MOST_SHOWN:]
            self.missed.append(f"NOT: {what}" + (f" ({shown})" if shown else ""))

    def no_traceback(self, text: str, what: str = "") -> None:
        """Asks that a command's output has none; the first one is what is shown."""
        _, sign, after = text.partition("Traceback")
        until_told = re.split(r"\n(?=\S)", after, maxsplit=2)[:2]
        self.must(f"{what}: no traceback" if what else "no traceback", not sign, "\n".join(until_told))

    def outcome(self) -> Outcome:
        happened = "; ".join([*self.said, *self.missed]).replace("|", "/").replace("\n", " ")
        return Outcome(
            fault=self.fault, expected=self.expected, happened=happened, trials_lost=self.lost,
            trials_doubled=self.doubled, work_repeated_s=self.work_repeated_s, recover_s=self.recover_s,
            held=not self.missed and self.lost == 0 and self.doubled == 0,
        )  # fmt: skip
