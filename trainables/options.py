"""How a trial trains and descends: every option that is not a method's own knob."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from sparsweep.spaces.space import Choice, Float, Int, Value
from sparsweep.trainables.cut import LAYER_BALANCES
from sparsweep.trainables.rates import SCHEDULES
from sparsweep.trainables.schedules import CUT_SCHEDULES, MacsShares, finetune_epochs_of, macs_shares
from sparsweep.trainables.tasks.augment import AUGMENTS
from sparsweep.trainables.ways import Ways

DESCENTS_FROM = ("trained", "below_own", "own")


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """Options of one trial; each is either fixed by the sweep file's `trial:` or searched."""

    epochs: int = 20
    """Epochs of training, >= 1."""
    batch_size: int = 64
    learning_rate: float = 5e-3
    """The optimizer's, > 0."""
    optimizer: str = "adam"
    """`adam`, or `sgd` with momentum 0.9, for training; fine-tuning is Adam's."""
    schedule: str = "constant"
    """`constant`; `cosine`, down to 1 % of the rate over the training, and over each fine-tuning; or `warmup_cosine`,
    which rises over a tenth of either first, so that no unit is lost to the first steps."""
    descent: str = "nested"
    """`nested` walks from dense to sparse; `none` measures the method's own cut alone (the control)."""
    descent_from: str = "trained"
    """Where the descent sets out: from the `trained` network, or from the method's `own` cut, fine-tuned, so that all
    cuts lie within it. `own` serves methods that make weights small as they train: fine-tuning without their penalty
    lets those grow again that a cut from the trained network has left. `below_own` sets out from the trained network
    too, but leaves out those of the method's own way down that would leave more multiply-adds than the own cut, or
    hardly less."""
    cuts: int = 16
    cut_schedule: str = "geometric"
    """How much each cut takes: one of `schedules.CUT_SCHEDULES`."""
    macs_shares: str = ""
    """Shares of the dense network's multiply-adds, falling, separated by commas: each cut leaves as much as it can
    within one of them, executed of groups, ideal of single weights, but for what `regrowth` exchanges; where the next
    best group is too dear, the best of those that still fit is kept. They take the
    place of `cuts`, `cut_schedule` and `last_share`; those that the network is within already, or that no cut comes
    down to, are left out: a cut has the number of its share, from 0."""
    regrowth: float = 0.0
    """Of what the last cut took, the share in [0, 1) that may come back in exchange for less important survivors at the
    next; see `regrowth`."""
    silent_first: bool = False
    """Whether groups and weights that no example of a sample of the training data depends on, such as units that never
    fire any more, are cut before all others: the next cut goes on from what is left without them; see `silent`."""
    further_descents: str = ""
    """Ways down from the same trained network after the first, separated by commas: `weight`, `filter` or `input` cut
    that instead, by the norms of weights; `x8` keeps widths multiples of 8 (or 1, 4, 16), and `filter-x8` both."""
    finetune_epochs: int = 1
    """Epochs of fine-tuning after each cut, >= 0."""
    last_finetune_epochs: int = 0
    """Epochs of fine-tuning after the last cut, to which they grow from `finetune_epochs` in even ratios, cut by cut;
    0 is as many everywhere. It counts only where there is fine-tuning at all."""
    finetune_learning_rate: float = 5e-3
    """Adam's while fine-tuning, > 0."""
    distillation: float = 0.0
    """Share of the fine-tuning loss, in [0, 1], by which the outputs of the trial's own network are learnt, as it was
    before anything was cut; 0 learns from the labels alone. A penalty that makes that network err more holds down what
    learns from it."""
    temperature: float = 4.0
    """By which logits are divided for that, > 0."""
    layer_balance: str = "auto"
    last_share: float = 0.0
    """Share of groups or weights that the last cut keeps; 0 is automatic: .04 of the groups, .005 of the weights."""

    coupling: str = "mean"
    """Filters that can only be removed together (residual additions, heads): `mean` cuts them together, by the mean of
    their scores; `all` cuts each by its own, and a channel goes when all of them agree."""
    channel_multiple: int = 1
    """A cut of groups in the descent leaves every layer a multiple of so many: 1, 4, 8 or 16. The method's own cut is
    measured as the method makes it."""
    minimum_width: int = 1
    """A cut of groups in the descent leaves every layer at least so many."""
    include: str = "*"
    """Glob patterns of the paths of layers that may be pruned, separated by commas."""
    exclude: str = ""
    """Glob patterns of the paths of layers that may not, separated by commas; stronger than `include`."""

    augment: str = "none"
    """What is done to training images: `none`, `shift1`, `crop_flip` or `affine`; see `tasks.augment`."""
    precision: str = "fp32"
    """`bf16` computes training passes in bfloat16, which GPUs are fast at; what is measured is float32 either way."""
    compile: str = "none"
    """The mode of `torch.compile` for training passes: `none` leaves them eager, `default`, `reduce-overhead` or
    `max-autotune`. What is measured is eager either way."""
    workers: int = 0
    """Processes of a trial that read examples which do not lie in memory."""

    time_limit: float = 0.0
    """Seconds of work after which the trial counts as failed; 0 is none."""

    def most_cuts(self) -> int:
        """Of one way down."""
        return len(macs_shares(self.macs_shares)) or self.cuts

    def tuned_after(self, at: int, cuts: int) -> int:
        """Epochs of fine-tuning after cut `at` of so many."""
        if self.finetune_epochs == 0 or self.last_finetune_epochs == 0:
            return self.finetune_epochs
        return finetune_epochs_of(at, cuts, first=self.finetune_epochs, last=self.last_finetune_epochs)

    @classmethod
    def from_row(cls, fixed: Mapping[str, Any], row: Mapping[str, Value]) -> Self:
        """The sweep's fixed options and, over them, those that the row chose."""
        names = {f.name for f in fields(cls)}
        return cls(**{**fixed, **{name: value for name, value in row.items() if name in names}})


class Patterns(Choice):
    """Any text of glob patterns; `choices` are examples."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str)


def patterns(text: str) -> tuple[str, ...]:
    """The patterns of a comma-separated text.

    >>> patterns("layer1.*, head")
    ('layer1.*', 'head')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


ALLOWED: Mapping[str, Float | Int | Choice] = {
    "epochs": Int(low=1, high=1_000_000),
    "batch_size": Int(low=1, high=1_000_000),
    "learning_rate": Float(low=1e-7, high=10),
    "optimizer": Choice(choices=("adam", "sgd")),
    "schedule": Choice(choices=SCHEDULES),
    "descent": Choice(choices=("nested", "none")),
    "descent_from": Choice(choices=DESCENTS_FROM),
    "cuts": Int(low=1, high=256),
    "cut_schedule": Choice(choices=CUT_SCHEDULES),
    "macs_shares": MacsShares(choices=("", "0.5, 0.25, 0.1")),
    "regrowth": Float(low=0, high=0.99),
    "silent_first": Choice(choices=(False, True)),
    "further_descents": Ways(choices=("", "weight", "x8, weight")),
    "finetune_epochs": Int(low=0, high=1_000_000),
    "last_finetune_epochs": Int(low=0, high=1_000_000),
    "finetune_learning_rate": Float(low=1e-7, high=10),
    "distillation": Float(low=0, high=1),
    "temperature": Float(low=0.1, high=100),
    "layer_balance": Choice(choices=LAYER_BALANCES),
    "last_share": Float(low=0, high=1),
    "coupling": Choice(choices=("all", "mean")),
    "channel_multiple": Choice(choices=(1, 4, 8, 16)),
    "minimum_width": Int(low=1, high=1_000_000),
    "augment": Choice(choices=AUGMENTS),
    "precision": Choice(choices=("fp32", "bf16")),
    "compile": Choice(choices=("none", "default", "reduce-overhead", "max-autotune")),
    "workers": Int(low=0, high=256),
    "include": Patterns(choices=("*", "features.*,classifier.0")),
    "exclude": Patterns(choices=("", "head*")),
}
"""The widest legal range of every option."""
