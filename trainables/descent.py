"""One way down: which of a network's groups or weights each cut of a descent leaves."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import Couplings
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.cut import cut, living, weight_masks
from sparsweep.trainables.groups import masks_of, set_masks
from sparsweep.trainables.measures.macs import Macs, count_macs, ideal_macs
from sparsweep.trainables.measures.size import nonzero_counts
from sparsweep.trainables.methods import Method
from sparsweep.trainables.options import TrialOptions
from sparsweep.trainables.regrowth import Earlier, Regrowth, set_masks_and_restore
from sparsweep.trainables.schedules import (
    adapted_keeps,
    descent_keeps,
    macs_keeps,
    macs_shares,
    most_within,
    score_keeps,
)
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.silent import heard_of
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.ways import Way

LAST_SHARE = {"filter": 0.04, "input": 0.04, "weight": 0.005}
HARDLY_LESS = 0.7
"""Of the own cut's multiply-adds: a cut that leaves more than this shows what the own cut has shown."""
NEAR = 0.99
"""Of a limit: with more than this left nothing is looked for that would fit beside it."""
OWN_WAY = Way()
"""The method's own."""


@dataclass(kw_only=True)
class Dense:
    """The unpruned network's figures."""

    weights: dict[str, int]
    macs: Macs
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every descent of a trial goes by."""

    options: TrialOptions
    method: Method
    couplings: Couplings
    dense: Dense
    train: Split
    loss_of: Callable[[Tensor, Tensor], Tensor]


@dataclass(kw_only=True)
class Descent:
    """Where a descent stands. It cuts networks; training and measuring them is its trial's."""

    ground: Ground
    way: Way = OWN_WAY
    within: dict[str, Tensor] = field(default_factory=dict)
    """By layer the mask of the cut that it set out from, bool of the weight's shape; empty where that was none."""
    alive: dict[str, Tensor] = field(default_factory=dict)
    """Of the last cut, in the scores' shapes."""
    keeps: list[int] = field(default_factory=list)
    """How many groups or weights each cut leaves, or is planned to."""
    limits: list[int] = field(default_factory=list)
    """Multiply-adds within which each cut is to come, where that was asked for."""
    steps: list[int] = field(default_factory=list)
    """Which of the named shares each of these is."""
    earlier: Earlier | None = None
    """The network before the last cut, where anything of it may come back."""

    @classmethod
    def begin(cls, ground: Ground, net: nn.Module, way: Way) -> "Descent":
        """From a network as it is; without cuts in `keeps` where there is nothing to cut on this way."""
        masks = masks_of(net)
        within = masks if any(not bool(mask.all()) for mask in masks.values()) else {}
        descent = cls(ground=ground, way=way, within=within)
        scores = way.scores(net, ground.method)
        descent.alive = descent._heard(net, scores, living(net, scores))
        even = descent.down(scores, descent.alive, ground.options.cuts)
        if ground.options.macs_shares:
            descent._plan_within_shares(net, scores)
        else:
            descent.keeps = descent._scheduled(net, scores, even)
        if ground.options.descent_from == "below_own" and way == OWN_WAY:
            descent._leave_out_above_own(net, scores)
        return descent

    def down(self, scores: Scores, alive: Mapping[str, Tensor], cuts: int) -> list[int]:
        """How many groups or weights each of so many cuts leaves of those that are alive."""
        share = self.ground.options.last_share or LAST_SHARE[scores.granularity]
        last = max(round(share * sum(values.numel() for values in scores.values.values())), len(scores.values))
        return descent_keeps(_count(alive), cuts=cuts, last=last)

    def survivors(self, scores: Scores, keep: int, alive: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """What of a network is left by a cut down to so many groups or weights, and the threshold."""
        o = self.ground.options
        return cut(
            scores, keep, balance=o.layer_balance, alive=alive, multiple=self.way.multiple or o.channel_multiple,
            minimum=1 if scores.granularity == "weight" else o.minimum_width, ties=self._ties(scores),
        )  # fmt: skip

    def place(self, at: int) -> tuple[int, int]:
        """The number of a cut, and of how many: of the named shares where there are some, so that a share's cut has the
        same number in every training."""
        if self.limits:
            return self.steps[at], len(macs_shares(self.ground.options.macs_shares))
        return at, len(self.keeps)

    def cut(self, net: nn.Module, at: int) -> float:
        """Makes a cut of the plan, in place; its threshold."""
        scores = self.way.scores(net, self.ground.method)
        self.alive = self._heard(net, scores, self.alive)
        self.keeps[at] = self._most_within(net, scores, at) if self.limits else min(self.keeps[at], _count(self.alive))
        left, threshold = self.survivors(scores, self.keeps[at], self.alive)
        if self.limits:
            left = self._filled(net, scores, left, self.keeps[at], self.limits[at])
            self.keeps[at] = _count(left)
        if self.ground.options.regrowth > 0:
            self.alive = self._exchange(net, scores, left)
        else:
            set_masks(net, self._masks(net, scores, left))
            self.alive = left
        return threshold

    def adapt(self, done: int, fall: float) -> None:
        """Plans the cuts that are still to come anew if that is asked for, by the accuracy that the last one cost."""
        if self.ground.options.cut_schedule == "adaptive" and not self.limits:
            self.keeps[done:] = adapted_keeps(self.keeps[done - 1], self.keeps[done:], fall=fall)

    def _heard(self, net: nn.Module, scores: Scores, alive: dict[str, Tensor]) -> dict[str, Tensor]:
        """What of those that are alive is left without the silent ones, if these go first; a layer in which too few
        would be left stays as it is."""
        o = self.ground.options
        if not o.silent_first or not alive:
            return alive
        heard = heard_of(net, scores, self.ground.train, self.ground.loss_of, self._ties(scores))
        left = {name: there & heard[name] for name, there in alive.items()}
        least = 1 if scores.granularity == "weight" else o.minimum_width
        return {name: each if int(each.sum()) >= least else alive[name] for name, each in left.items()}

    def _scheduled(self, net: nn.Module, scores: Scores, even: list[int]) -> list[int]:
        """The counts of the descent by its schedule, given the geometric ones."""
        o, total = self.ground.options, _count(self.alive)
        if not even or o.cut_schedule == "geometric":
            return even
        if o.cut_schedule == "adaptive":
            return adapted_keeps(total, even, fall=0.0)
        if o.cut_schedule == "scores":
            return score_keeps(scores, self.alive, cuts=o.cuts, last=even[-1], balance=o.layer_balance)
        return macs_keeps(total, lambda keep: self._foretold(net, scores, keep), cuts=o.cuts, last=even[-1])

    def _plan_within_shares(self, net: nn.Module, scores: Scores) -> None:
        """Plans a cut for every share that one can come down to; scores change on the way, so each is counted again
        when it is made."""
        total, last = _count(self.alive), len(scores.values)
        if total <= last:
            return
        whole = self.ground.dense.macs.total
        now, least = self._executed(net, scores, living(net, scores)), self._foretold(net, scores, last)
        shares = macs_shares(self.ground.options.macs_shares)
        for step, limit in enumerate(int(share * whole) for share in shares):
            if least <= limit < now and (not self.keeps or self.keeps[-1] > last):
                self.limits.append(limit)
                self.steps.append(step)
                self.keeps.append(self._most_within(net, scores, len(self.keeps)))

    def _leave_out_above_own(self, net: nn.Module, scores: Scores) -> None:
        """Takes cuts out of the plan that would leave more multiply-adds than the own cut, or hardly less: its
        beginning, but not all."""
        most = HARDLY_LESS * self._executed(net, scores, dict(scores.own))
        plan = self.limits or (self._foretold(net, scores, keep) for keep in self.keeps)
        first = next((at for at, macs in enumerate(plan) if macs <= most), 0)
        for plan_of in (self.keeps, self.limits, self.steps):
            del plan_of[:first]

    def _most_within(self, net: nn.Module, scores: Scores, at: int) -> int:
        """Fewer than the last cut left, though all of these that are alive may fit where others fell silent."""
        below = min([_count(self.alive) + 1, *self.keeps[at - 1 : at]])
        return most_within(
            lambda keep: self._foretold(net, scores, keep), self.limits[at], below=below, last=len(scores.values)
        )

    def _filled(
        self, net: nn.Module, scores: Scores, left: dict[str, Tensor], keep: int, limit: int
    ) -> dict[str, Tensor]:  # fmt: skip
        """The `keep` survivors, and of the rest the best that fit within the limit beside them.

        Where the next best, a filter of an early layer, is too dear, cheaper ones of other layers come after it: the
        layers that it would have grown stay as they are. Otherwise the first that is too dear would leave much unused.
        What has been kept stays, though with a layer left out sets of tied filters may come in another order.
        """
        alive, base = self.alive, left

        def kept(count: int) -> dict[str, Tensor]:
            there, _ = self.survivors(scores, count, alive)
            return {name: base[name] | more for name, more in there.items()}

        def macs(count: int) -> int:
            return self._executed(net, scores, kept(count))

        while keep < _count(alive) and self._executed(net, scores, left) < NEAR * limit:
            if macs(keep + 1) <= limit:
                keep = most_within(macs, limit, below=_count(alive) + 1, last=keep + 1)
                left = kept(keep)
                continue
            dear = {name: left[name] for name, more in kept(keep + 1).items() if not more.equal(left[name])}
            alive, base = alive | dear, left
        return left

    def _foretold(self, net: nn.Module, scores: Scores, keep: int) -> int:
        """Multiply-adds of the survivors that so many groups or weights would be."""
        left, _ = self.survivors(scores, keep, self.alive)
        return self._executed(net, scores, left)

    def _executed(self, net: nn.Module, scores: Scores, left: dict[str, Tensor]) -> int:
        """Multiply-adds that survivors would execute if the network were cut to them now; ideal ones of weights."""
        net = copy.deepcopy(net)
        set_masks(net, self._masks(net, scores, left))
        smaller = compact(net, self.ground.couplings).net
        macs = count_macs(smaller, self.ground.couplings.example_shape)
        if scores.granularity == "weight":
            return ideal_macs(self.ground.dense.macs, self.ground.dense.weights, nonzero_counts(smaller), macs)
        return macs.total

    def _ties(self, scores: Scores) -> dict[str, Tensor]:
        tied = self.ground.options.coupling == "mean" and scores.granularity == "filter"
        return self.ground.couplings.ties() if tied else {}

    def _masks(self, net: nn.Module, scores: Scores, left: dict[str, Tensor]) -> dict[str, Tensor]:
        """The masks of a cut: its survivors, within the cut that the descent set out from."""
        masks = weight_masks(net, scores, left)
        return masks | {name: masks[name] & own if name in masks else own for name, own in self.within.items()}

    def _exchange(self, net: nn.Module, scores: Scores, left: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cuts as `left` says, but for what comes back of the last cut; the survivors."""
        before = Earlier(state={n: t.clone() for n, t in net.state_dict().items()}, alive=self.alive)
        if self.earlier is None:
            set_masks(net, self._masks(net, scores, left))
        else:
            regrowth = Regrowth(
                share=self.ground.options.regrowth, train=self.ground.train, loss_of=self.ground.loss_of,
                ties=self._ties(scores),
            )  # fmt: skip
            left = regrowth.survivors(net, scores, left, self.alive, self.earlier)
            set_masks_and_restore(net, self._masks(net, scores, left), self.earlier.state)
        self.earlier = before
        return left

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and text only: what `torch.load(weights_only=True)` reads."""
        return {
            "way": self.way.name, "within": self.within, "alive": self.alive, "keeps": self.keeps,
            "limits": self.limits, "steps": self.steps,
            "earlier": None if self.earlier is None else vars(self.earlier),
        }  # fmt: skip

    @classmethod
    def resume(cls, ground: Ground, ways: tuple[Way, ...], state: Mapping[str, Any], device: torch.device) -> "Descent":
        """Where `state` was taken."""

        def here(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in tensors.items()}

        keeps, earlier = list(state["keeps"]), state.get("earlier")
        return cls(  # checkpoints of earlier versions have no `earlier`, no `limits`, no `within`
            ground=ground, way=next(way for way in ways if way.name == state["way"]), keeps=keeps,
            limits=list(state.get("limits", ())), steps=list(state.get("steps", range(len(keeps)))),
            within=here(state.get("within", {})), alive=here(state["alive"]),
            earlier=None if earlier is None else Earlier(**{part: here(those) for part, those in earlier.items()}),
        )  # fmt: skip


def _count(alive: Mapping[str, Tensor]) -> int:
    return sum(int(each.sum()) for each in alive.values())
