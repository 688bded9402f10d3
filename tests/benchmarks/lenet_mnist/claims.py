"""Which of our settings stands against a published row, chosen by validation data alone, and what its test error is.

A setting counts once it was trained with all seeds. Of each training the cut is taken that is most accurate on the
validation images among those within the row's weights and MACs; of the settings, the one with the best mean of these.
Only then the chosen networks are tested, and their mean error is held against the row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from tests.benchmarks.lenet_mnist.published import Published

ROUNDING_PCT = 1e-9
"""Less than one image of any test set: what adding percentages may lose."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One measured network of ours."""

    name: str
    accuracy: float
    """On validation images, in [0, 1]."""
    weights_left: int
    macs: int
    macs_ideal: int
    network: Path = Path()
    """Of its files, without ending; empty where only the figures are at hand."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting with the cuts of each of its trainings."""

    sweep: str
    trial: int
    network: str
    method: str
    granularity: str
    help: str
    """`none`, or what the training had beside the plain images and labels, such as `shifts`."""
    attention: float = 0.0
    """GASL's λ_a; without the term it is group lasso."""
    trainings: tuple[tuple[Cut, ...], ...]
    hours: float = 0.0
    """Of one core, of all its trainings and descents."""

    @property
    def name(self) -> str:
        return f"{self.sweep} {self.trial}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A setting against a row, with the cut chosen of each training and its test error."""

    row: Published
    setting: Setting
    cuts: tuple[Cut, ...]
    errors_pct: tuple[float, ...]
    most_pct: float
    """What the row allows."""

    @property
    def error_pct(self) -> float:
        return mean(self.errors_pct)

    @property
    def spread_pct(self) -> float:
        """Standard deviation over the trainings."""
        return stdev(self.errors_pct)

    @property
    def dominates(self) -> bool:
        """Whether the mean error is no higher; in weights and MACs no cut exceeds the row."""
        return self.error_pct <= self.most_pct + ROUNDING_PCT


@dataclass(frozen=True, kw_only=True)
class Control:
    """What else came to a network within the row's limits, so that a claim can be told from luck and from its shape."""

    what: str
    help: str
    errors_pct: tuple[float, ...]
    """Test errors, by training."""
    weights_left: float
    """Mean over the trainings."""
    macs: float
    """As the row counts them; mean over the trainings."""


def control(what: str, of: Claim, errors_pct: tuple[float, ...], *, helped_by: str) -> Control:
    """Networks of the shapes of a claim's."""
    return Control(
        what=what, help=helped_by, errors_pct=errors_pct, weights_left=mean(c.weights_left for c in of.cuts),
        macs=mean(of.row.counted(c.macs, c.macs_ideal) for c in of.cuts),
    )  # fmt: skip


def chosen(row: Published, settings: Iterable[Setting]) -> tuple[Setting, tuple[Cut, ...]] | None:
    """The setting that stands against a row, with the cut of each training; None where none is small enough."""
    best: tuple[float, Setting, tuple[Cut, ...]] | None = None
    for setting in settings:
        cuts = [_best_within(row, training) for training in setting.trainings]
        whole = tuple(cut for cut in cuts if cut is not None)
        if setting.network != row.network or len(whole) < len(cuts):
            continue
        worth = mean(cut.accuracy for cut in whole)
        if best is None or worth > best[0]:
            best = (worth, setting, whole)
    return None if best is None else best[1:]


def _best_within(row: Published, training: Sequence[Cut]) -> Cut | None:
    """Of equally accurate ones the smallest."""
    within = [cut for cut in training if row.is_met_by(cut.weights_left, cut.macs, cut.macs_ideal)]
    return min(within, key=lambda cut: (-cut.accuracy, cut.weights_left, cut.macs), default=None)


def claim(
    row: Published, settings: Sequence[Setting], dense_pct: float, error_of: Callable[[Setting, Cut], float]
) -> Claim | None:
    """Chooses, then tests.

    Args:
        dense_pct: test error of our own dense network, for rows that give a difference only.
        error_of: test error of a cut's network in percent.
    """
    if (found := chosen(row, settings)) is None:
        return None
    setting, cuts = found
    errors = tuple(error_of(setting, cut) for cut in cuts)
    return Claim(row=row, setting=setting, cuts=cuts, errors_pct=errors, most_pct=row.most_error_pct(dense_pct))
