"""Does GASL's attention term help over plain group lasso at equal sparsity?

Every form of the term at several strengths, and the same setting without it (λ_a = 0, group lasso), on the same seeds,
for whole filters and for single weights. A trial trains, then descends from the method's own cut; its curve is read at
three sparsities, as the best validation accuracy among the cuts that are at least so sparse. What is told is the mean
of the paired differences with its 95 % confidence interval (Student's t), and whether it is one, corrected for how many
comparisons are looked at (Holm). The strength of a form is chosen on seeds
that are not compared.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from sparsweep.spaces.space import Row
from tests.benchmarks.lenet_mnist.side_by_side import side_by_side
from tests.benchmarks.lenet_mnist.sweeps import FailedSweepError
from tests.benchmarks.search.kept import fingerprint

SEEDS: Mapping[str, int] = {"lenet-300-100": 10, "lenet-5": 5}
"""By network how many seeds are compared."""
CHOOSING = 2
"""Further seeds, on which strengths are chosen."""
SURE = 0.05
"""Probability, over all comparisons that are told, to see a difference where there is none."""
SPARSITIES: Mapping[str, tuple[float, ...]] = {"filter": (0.7, 0.85, 0.95), "weight": (0.96, 0.98, 0.99)}
FORMS = ("scale_free", "log_variance", "inverse_variance")
WIDE = (1e-4, 1e-3, 1e-2)
STRENGTHS: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("inverse_variance", "filter"): (1e-6, 1e-5, 1e-4), ("inverse_variance", "weight"): (1e-9, 1e-8, 1e-7),
}  # fmt: skip
"""λ_a that are tried; WIDE for what is not named."""
LASSO: Mapping[str, float] = {"filter": 5e-4, "weight": 5e-5}
"""λ_s by granularity."""
BALANCE: Mapping[str, str] = {"filter": "auto", "weight": "none"}
"""`layer_balance` by granularity: a lasso of single weights has balanced the layers itself."""
FIXED: Mapping[str, Any] = {
    "epochs": 10, "descent_from": "own", "cuts": 12, "finetune_epochs": 1, "batch_size": 64, "schedule": "cosine",
    "learning_rate": 2e-3, "finetune_learning_rate": 1e-3,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial of the question."""

    network: str
    granularity: str
    form: str
    strength: float
    seed: int

    @property
    def row(self) -> Row:
        return {
            "method": "gasl", "granularity": self.granularity, "sparsity_strength": LASSO[self.granularity],
            "attention_form": self.form, "attention_strength": self.strength,
            "layer_balance": BALANCE[self.granularity],
        }  # fmt: skip

    @property
    def key(self) -> str:
        return fingerprint({**vars(self), "row": dict(self.row), "fixed": dict(FIXED)})


def trials_of(network: str, granularity: str, form: str, strength: float, seeds: Sequence[int]) -> list[Trial]:
    return [Trial(network=network, granularity=granularity, form=form, strength=strength, seed=seed) for seed in seeds]


CHOOSING_SEEDS = tuple(range(100, 100 + CHOOSING))


def compared(network: str) -> tuple[int, ...]:
    """The seeds that are compared."""
    return tuple(range(SEEDS[network]))


CASES = (("lenet-300-100", "weight"), ("lenet-300-100", "filter"), ("lenet-5", "filter"))


def first_trials(networks: Sequence[str]) -> Iterator[Trial]:
    """Those by which strengths are chosen."""
    for network, granularity in CASES:
        if network in networks:
            for form in FORMS:
                for strength in STRENGTHS.get((form, granularity), WIDE):
                    yield from trials_of(network, granularity, form, strength, CHOOSING_SEEDS)


def level(curve: Sequence[tuple[float, float]], least: float) -> float:
    """The best accuracy among the points (sparsity, accuracy) that are at least so sparse; 0 where none is."""
    return max((accuracy for sparsity, accuracy in curve if sparsity >= least), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A form against group lasso at one sparsity."""

    network: str
    granularity: str
    form: str
    strength: float
    sparsity: float
    differences: tuple[float, ...]
    """Accuracy with the term minus accuracy without it, by seed, in percentage points."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean difference, of this comparison alone."""
        from scipy.stats import ttest_1samp

        low, high = ttest_1samp(self.differences, 0).confidence_interval(0.95)
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Of a two-sided t-test that the mean difference is none, of this comparison alone."""
        from scipy.stats import ttest_1samp

        return float(ttest_1samp(self.differences, 0).pvalue)


def adjusted(answers: Sequence[Answer]) -> list[float]:
    """Their p values for being looked at together (Holm 1979): among twenty comparisons of nothing one shows something.

    >>> of = lambda *differences: Answer(network="", granularity="", form="", strength=0, sparsity=0,
    ...                                  differences=differences)
    >>> [round(p, 4) for p in (of(1, 1.2, 1.1).p, of(1, 1.5, 1.2).p, of(-1, 1, 0.1).p)]
    [0.0027, 0.0136, 0.9593]
    >>> [round(p, 4) for p in adjusted([of(1, 1.2, 1.1), of(1, 1.5, 1.2), of(-1, 1, 0.1)])]
    [0.0082, 0.0272, 0.9593]
    """
    found, least = [1.0] * len(answers), 0.0
    for rank, (p, at) in enumerate(sorted((answer.p, at) for at, answer in enumerate(answers))):
        least = max(least, min(1.0, (len(answers) - rank) * p))
        found[at] = least
    return found


def verdict(answer: Answer, adjusted_p: float) -> str:
    """What a comparison shows among all that are told."""
    if adjusted_p >= SURE:
        return "no difference shown"
    return "helps" if mean(answer.differences) > 0 else "harms"


@dataclass(kw_only=True)
class Question:
    """The trials of the question, kept one file each, so that it goes on where it was."""

    folder: Path
    data_root: Path
    processes: int

    def curve(self, trial: Trial) -> list[tuple[float, float]] | None:
        """(sparsity, accuracy) of its points; None where it has not been run."""
        path = self.folder / f"{trial.key}.json"
        if not path.exists():
            return None
        return [(sparsity, accuracy) for sparsity, accuracy in json.loads(path.read_text())["curve"]]

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        return [trial for trial in trials if self.curve(trial) is None]

    def run(self, trials: Sequence[Trial]) -> Generator[Trial, None, None]:
        """Runs what is missing, several at once; tells each as it ends. Closing it begins no further one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        do = partial(run_one, folder=self.folder, data_root=self.data_root)
        return side_by_side(self.missing(trials), do, self.processes)

    def best_strength(self, network: str, granularity: str, form: str) -> float | None:
        """By the mean level over the sparsities on the choosing seeds; None where trials are missing."""
        worth: dict[float, float] = {}
        for strength in STRENGTHS.get((form, granularity), WIDE):
            found = [self.curve(t) for t in trials_of(network, granularity, form, strength, CHOOSING_SEEDS)]
            curves = [curve for curve in found if curve is not None]
            if len(curves) < len(found):
                return None
            worth[strength] = mean(level(curve, at) for curve in curves for at in SPARSITIES[granularity])
        return max(worth, key=lambda strength: worth[strength])

    def second_trials(self, networks: Sequence[str]) -> Iterator[Trial]:
        """Those that are compared, of the forms whose strength is chosen."""
        for network, granularity in CASES:
            if network in networks:
                yield from trials_of(network, granularity, "scale_free", 0.0, compared(network))
                for form in FORMS:
                    if (strength := self.best_strength(network, granularity, form)) is not None:
                        yield from trials_of(network, granularity, form, strength, compared(network))

    def answers(self, networks: Sequence[str]) -> Iterator[Answer]:
        """What can be told by now."""
        for network, granularity in CASES:
            for form in FORMS if network in networks else ():
                if (strength := self.best_strength(network, granularity, form)) is None:
                    continue
                seeds = compared(network)
                with_term = [self.curve(t) for t in trials_of(network, granularity, form, strength, seeds)]
                without = [self.curve(t) for t in trials_of(network, granularity, "scale_free", 0.0, seeds)]
                pairs = [(a, b) for a, b in zip(with_term, without, strict=True) if a is not None and b is not None]
                if len(pairs) == len(seeds):
                    for at in SPARSITIES[granularity]:
                        gaps = tuple(100 * (level(a, at) - level(b, at)) for a, b in pairs)
                        yield Answer(network=network, granularity=granularity, form=form, strength=strength,
                                     sparsity=at, differences=gaps)  # fmt: skip


def run_one(trial: Trial, folder: Path, data_root: Path) -> None:
    """Runs a trial on one thread and keeps its curve."""
    import tempfile

    import torch

    from sparsweep.trainables.attempt import run_trial
    from sparsweep.trainables.record import TrialFolder, write_atomically
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    task = Task(network=trial.network, data="mnist", data_root=data_root)
    plan = TrialPlan(number=0, setting=trial.row, seed=trial.seed, task=task, fixed=FIXED)
    with tempfile.TemporaryDirectory() as space:
        record = run_trial(plan, TrialFolder(Path(space) / "00000"), debug=True)
    if record.state != "done":
        raise FailedSweepError(f"{trial} failed: {record.reason}")
    curve = [(point.sparsity, point.accuracy) for point in record.points]
    kept = {"trial": vars(trial), "row": dict(trial.row), "fixed": dict(FIXED), "curve": curve}
    write_atomically(folder / f"{trial.key}.json", json.dumps(kept))
