"""The story of one trial: train, then descend (cut, fine-tune, measure, again); resumable at every epoch and cut.

    train      `epochs` epochs with the method
    own        the method's gates folded into the weights; its own cut, measured untouched, then fine-tuned
    descend    back to the trained network, or to the fine-tuned own cut where `descent_from` says so; cuts from all
               that is not yet zero down, each fine-tuned; every one within the one before, unless `regrowth` lets
               something come back

Every cut is compacted, checked exact and measured on the compact network: that is a point. Its network is kept while
no other point of this trial dominates it.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Row
from sparsweep.trainables.compact.architecture import describe, save_network
from sparsweep.trainables.compact.attention import split_attention
from sparsweep.trainables.compact.coupling import Couplings, couplings_of
from sparsweep.trainables.compact.inner import inner_of
from sparsweep.trainables.compact.removal import Compacted, InexactCompactionError, check_exact, compact
from sparsweep.trainables.cut import living, weight_masks
from sparsweep.trainables.descent import Dense, Descent, Ground
from sparsweep.trainables.groups import add_masks, drop_masks, set_masks
from sparsweep.trainables.judgement import Judge
from sparsweep.trainables.look import options_for_a_look
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.measures.layer_times import LayerTimes
from sparsweep.trainables.measures.macs import Macs, count_macs, ideal_macs
from sparsweep.trainables.measures.size import layer_sparsity, nonzero_counts, size_bytes, sparsity, weight_counts
from sparsweep.trainables.methods import Method, method_of
from sparsweep.trainables.options import TrialOptions, patterns
from sparsweep.trainables.outline import lay_outline, outline_of
from sparsweep.trainables.point import LOOK, Point, cut_name
from sparsweep.trainables.record import Epoch, Rung, now_ms
from sparsweep.trainables.rehearsal import random_state_kept
from sparsweep.trainables.tasks import Data, Task
from sparsweep.trainables.tasks.data import even_sample
from sparsweep.trainables.teacher import Teacher, answers_in_advance
from sparsweep.trainables.training import compiled, optimizer_of, train_epoch
from sparsweep.trainables.ways import Way, ways_of

SMALLER = 0.9
"""Of the network's parameters: with so few a compact network is fine-tuned in its place."""
CHECK_EXAMPLES = 256
PROBES = 4
"""Cuts by which a trial is judged in the middle of its training, beside its own."""

_known: dict[str, tuple[Couplings, Macs]] = {}
"""Couplings and MACs by network: its architecture decides them, and this process may run many trials of it."""


def _couplings_and_macs(task: Task, net: nn.Module) -> tuple[Couplings, Macs]:
    name = task.identity()
    if name not in _known:
        _known[name] = couplings_of(net, task.example_shape), count_macs(net, task.example_shape)
    return _known[name]


def parameter_count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Everything that decides a trial's outcome, and where it works."""

    number: int
    setting: Row
    seed: int
    task: Task
    fixed: Mapping[str, Any]
    """Options fixed by the sweep file."""
    code_root: Path | None = None
    """The folder in which a user's own method is found."""
    layer_times: LayerTimes | None = None
    """From which the time of a cut is looked up; None where the search does not go by it."""
    slot: Mapping[str, float] = field(default_factory=dict)
    """What the trial holds while it runs: shares of `cpu` and `gpu`."""
    rungs: tuple[int, ...] = ()
    """After how many epochs of training the trial is judged."""
    judged_on_the_way: bool = False
    """Whether its descent is judged after each cut."""
    seeds: int = 1
    """With how many seeds the setting is trained if it is worth it; see `trainables.repeats`."""
    training: int = 0
    """Which of these trainings it is."""
    look: float = 0.0
    """With what share of the epochs the trial looks ahead before its first training; 0: it does not."""
    look_batch: int | None = None
    """Images in a batch of that look; None: as many as in training."""

    def options(self) -> TrialOptions:
        options = TrialOptions.from_row(self.fixed, self.setting)
        return options_for_a_look(options, self.look, self.look_batch) if self.training == LOOK else options

    def longest_s(self) -> float:
        """Seconds that all of its trainings and its look may take together; 0: for ever."""
        return (self.seeds + (self.look > 0)) * self.options().time_limit

    def method(self) -> Method:
        """The method with the knobs that the setting gives it."""
        chosen = method_of(str(self.setting["method"]), self.code_root)
        return chosen(**{name: value for name, value in self.setting.items() if name in chosen.allowed})

    def as_json(self) -> dict[str, Any]:
        """Plain data, as it travels to the process that runs the trial."""
        return {
            "number": self.number, "setting": dict(self.setting), "seed": self.seed, "fixed": dict(self.fixed),
            "code_root": str(self.code_root) if self.code_root else None,
            "task": self.task.as_json(),
            "layer_times": self.layer_times.as_json() if self.layer_times else None, "rungs": list(self.rungs),
            "judged_on_the_way": self.judged_on_the_way, "slot": dict(self.slot), "seeds": self.seeds,
            "training": self.training, "look": self.look, "look_batch": self.look_batch,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TrialPlan":
        """The plan that `as_json` made."""
        code, times = data["code_root"], data["layer_times"]
        return cls(
            number=data["number"], setting=data["setting"], seed=data["seed"], fixed=data["fixed"],
            task=Task.from_json(data["task"]), code_root=Path(code) if code else None,
            layer_times=LayerTimes.from_json(times) if times else None, slot=data["slot"], rungs=tuple(data["rungs"]),
            judged_on_the_way=data["judged_on_the_way"], seeds=data["seeds"], training=data["training"],
            look=data["look"], look_batch=data["look_batch"],
        )  # fmt: skip


@dataclass(kw_only=True)
class Trial:
    """One trial at work. `advance` does one epoch or one cut; `state`/`load_state` are its checkpoint."""

    plan: TrialPlan
    folder: Path
    """Of the attempt: networks are written here."""
    data: Data
    net: nn.Module
    method: Method
    options: TrialOptions
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    couplings: Couplings
    dense: Dense
    passes: Callable[[Tensor], Tensor]
    """The network, or a compiled form of it that shares its weights: what training calls."""
    descent: Descent
    phase: str = "train"
    done: int = 0
    """Epochs or cuts done in this phase."""
    trained: dict[str, Tensor] = field(default_factory=dict)
    own_cut: dict[str, Tensor] = field(default_factory=dict)
    """The network of the own cut, fine-tuned, if the descent sets out from there."""
    teacher: Teacher | None = None
    """The network with these weights, once somebody learns from it."""
    points: list[Point] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    rungs: list[Rung] = field(default_factory=list)
    ended_early: str | None = None
    """Why, where a judge has ended it."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ways(self) -> tuple[Way, ...]:
        """All ways down of this trial."""
        return ways_of(self.options.further_descents)

    @classmethod
    def start(cls, plan: TrialPlan, folder: Path, device: str = "cpu") -> "Trial":
        """A fresh trial; the same plan gives the same trial to the bit on one machine."""
        began = time.perf_counter()
        torch.manual_seed(plan.seed)
        data = plan.task.load().near(device)
        # Convolutions train up to 1.6 times faster in this layout, on CPU and GPU alike.
        net = split_attention(plan.task.initial())
        net = net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        couplings, macs = _couplings_and_macs(plan.task, net)
        dense = Dense(weights=weight_counts(net), macs=macs, size_bytes=size_bytes(net))
        method, options = plan.method(), plan.options()
        lay_outline(net, couplings.outline.limited(patterns(options.include), patterns(options.exclude)))
        method.check(net, plan.task.example_shape)
        order = torch.Generator().manual_seed(plan.seed)
        add_masks(net)
        method.prepare(net, even_sample(data.train, method.sample_size, order).to(device))
        optimizer = optimizer_of(net, options.learning_rate, name=options.optimizer, rates=method.learning_rates(net))
        ground = Ground(
            options=options, method=method, couplings=couplings, dense=dense, train=data.train,
            loss_of=plan.task.loss_function(),
        )  # fmt: skip
        trial = cls(
            plan=plan, folder=folder, data=data, net=net, method=method, options=options, couplings=couplings,
            optimizer=optimizer, dense=dense, order=order, passes=compiled(net, options.compile),
            descent=Descent(ground=ground),
        )  # fmt: skip
        trial.seconds["prepare"] = time.perf_counter() - began
        return trial

    def advance(self) -> bool:
        """Does the next epoch or cut; false once nothing is left to do."""
        steps: dict[str, Callable[[], str]] = {"train": self._train, "own": self._own, "descend": self._descend}
        if self.phase == "done":
            return False
        began = time.perf_counter()
        phase = self.phase
        following = steps[phase]()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - began
        if following != phase:
            self.phase, self.done = following, 0
        return self.phase != "done"

    def be_judged(self, judge: Judge) -> None:
        """Asks the judge, where it is time to: to be called after every `advance`."""
        began = time.perf_counter()
        if self.phase == "train" and self.done in self.plan.rungs and all(r.epoch != self.done for r in self.rungs):
            verdict = judge.at_rung(self.plan.number, self.done, self.probe())
            if verdict.values:
                self.rungs.append(Rung(epoch=self.done, values=verdict.values))
        elif self.phase == "descend" and self.done > 0 and self.plan.judged_on_the_way:
            verdict = judge.at_cut(self.plan.number, self.points)
        else:
            return
        self.seconds["judged"] = self.seconds.get("judged", 0.0) + time.perf_counter() - began
        if verdict.reason is not None:
            self.ended_early = verdict.reason
            self.phase = "done" if self.phase == "train" else self._set_out(self._next_way())

    def _train(self) -> str:
        o = self.options
        span = (self.done / o.epochs, (self.done + 1) / o.epochs)
        loss = train_epoch(
            self.net, self.method, self.optimizer, self.data.train, batch_size=o.batch_size,
            learning_rate=o.learning_rate, schedule=o.schedule, span=span, order=self.order, passes=self.passes,
            **self._how(),
        )  # fmt: skip
        self.done += 1
        self._note("train", loss, self.net)
        return "train" if self.done < o.epochs else "own"

    def _own(self) -> str:
        self.method.fold(self.net)
        scores = self.method.scores(self.net)
        self.trained = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        set_masks(self.net, weight_masks(self.net, scores, scores.own))
        self._measure("own" if self.method.descends else "dense", scores.threshold)
        if self.method.descends and self.options.finetune_epochs > 0:
            self._finetune_and_measure("own-tuned", scores.threshold, self.options.finetune_epochs)
        if not self.method.descends or self.options.descent == "none" or not scores.values:
            return "done"
        if self.options.descent_from == "own":
            self.own_cut = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        return self._set_out(self.ways[0])

    def _set_out(self, way: Way | None) -> str:
        """Back to where descents begin, and on the way down, or on the next one if there is nothing to cut on it."""
        while way is not None:
            self.net.load_state_dict(self.own_cut or self.trained)
            self.descent, self.done = Descent.begin(self.descent.ground, self.net, way), 0
            if self.descent.keeps:
                return "descend"
            way = self._next_way()
        return "done"

    def _next_way(self) -> Way | None:
        later = self.ways[self.ways.index(self.descent.way) + 1 :]
        return later[0] if later else None

    def _descend(self) -> str:
        at, cuts = self.descent.place(self.done)
        epochs = 0 if self._is_dead() else self.options.tuned_after(at, cuts)
        threshold = self.descent.cut(self.net, self.done)
        self._finetune_and_measure(self.descent.way.cut(at), threshold, epochs)
        before = self.points[-2].accuracy if self.done > 0 else self._accuracy_at_outset()
        self.done += 1
        self.descent.adapt(self.done, fall=before - self.points[-1].accuracy)
        return "descend" if self.done < len(self.descent.keeps) else self._set_out(self._next_way())

    def _is_dead(self) -> bool:
        """Whether the outputs are the same for every input, as behind a layer of which no unit fires any more.

        Fine-tuning does not mend that, and cuts lie within each other, so none is spent on what is cut out of it; only
        where something may grow back is it worth trying.
        """
        examples = self._examples()
        if self.options.regrowth > 0 or len(examples) < 2:
            return False
        self.net.eval()
        with torch.no_grad():
            outputs = self.net(examples.to(next(self.net.parameters()).device))
        return bool((outputs == outputs[:1]).all())

    def _accuracy_at_outset(self) -> float:
        """Where descents begin."""
        if self.own_cut:  # its points come first: untouched, then fine-tuned
            return self.points[1 if self.options.finetune_epochs > 0 else 0].accuracy
        return next(epoch.accuracy for epoch in reversed(self.epochs) if epoch.phase == "train")

    def _finetune_and_measure(self, name: str, threshold: float, epochs: int) -> None:
        """One point of a network that has just been cut; what is fine-tuned is the compact one, where it is smaller."""
        compacted = None
        if epochs > 0:
            compacted = compact(self.net, self.couplings)
            if self._pays(compacted):
                inner = inner_of(self.net, compacted, self.couplings)
                self._finetune(inner.net, inner.net, epochs)
                inner.write_back(self.net)
                drop_masks(inner.net).eval()
            else:
                self._finetune(self.net, self.passes, epochs)
                compacted = None
        self._measure(name, threshold, compacted)

    def _pays(self, compacted: Compacted) -> bool:
        """Whether fine-tuning goes by the compact network: not where training passes are compiled, or need layers that
        evaluation does not."""
        outline = outline_of(self.net)
        if self.options.compile != "none" or outline is None or outline.idle:
            return False
        return parameter_count(compacted.net) <= SMALLER * parameter_count(self.net)

    def _finetune(self, net: nn.Module, passes: Callable[[Tensor], Tensor], epochs: int) -> None:
        o = self.options
        optimizer, teacher = optimizer_of(net, o.finetune_learning_rate), self._teacher()
        for epoch in range(epochs):
            loss = train_epoch(
                net, None, optimizer, self.data.train, batch_size=o.batch_size, schedule=o.schedule,
                learning_rate=o.finetune_learning_rate, order=self.order, passes=passes,
                span=(epoch / epochs, (epoch + 1) / epochs), teacher=teacher, **self._how(),
            )  # fmt: skip
            self._note("finetune", loss, net)

    def _teacher(self) -> Teacher | None:
        """The network as it was when its training ended, if fine-tuning is to learn from it."""
        o = self.options
        if self.teacher is None and o.distillation > 0:
            uncut = copy.deepcopy(self.net).eval().requires_grad_(False)
            uncut.load_state_dict(self.trained)
            tuned = sum(o.tuned_after(at, o.most_cuts()) for at in range(o.most_cuts()))
            epochs = o.finetune_epochs + tuned * len(self.ways)
            self.teacher = Teacher(
                net=uncut, share=o.distillation, temperature=o.temperature,
                of_classes=self.plan.task.loss == "cross_entropy",
                memory=answers_in_advance(uncut, self.data.train, o.augment, epochs=epochs),
            )  # fmt: skip
        return self.teacher

    def _how(self) -> dict[str, Any]:
        """How every epoch goes, in training and fine-tuning alike."""
        o = self.options
        return {
            "loss_of": self.plan.task.loss_function(), "augment": o.augment, "workers": o.workers,
            "precision": o.precision,
        }  # fmt: skip

    def _accuracy(self, net: nn.Module) -> float:
        score = self.plan.task.score_function()
        return accuracy(net, self.data.validation, score=score, workers=self.options.workers)

    def _examples(self) -> Tensor:
        return self.data.validation.part(slice(0, CHECK_EXAMPLES)).inputs

    def _note(self, phase: Any, loss: float, net: nn.Module) -> None:
        score = self._accuracy(net)
        step = len(self.epochs) + 1
        self.epochs.append(Epoch(step=step, phase=phase, loss=loss, accuracy=score, ended_ms=now_ms()))

    def _measure(self, name: str, threshold: float, compacted: Compacted | None = None) -> None:
        """Compacts where it has not been done, checks, measures, keeps the network: one point."""
        name = cut_name(name, self.plan.training)
        compacted = compacted or compact(self.net, self.couplings)
        device = next(self.net.parameters()).device
        check_exact(self.net, compacted.net, self._examples().to(device), compacted.kept)
        point = self._point(name, threshold, compacted)
        shape = self.plan.task.example_shape
        save_network(self.folder / name, describe(self.plan.task.network, compacted, shape), compacted.net)
        self.points.append(point.with_(network=f"{self.folder.name}/{name}"))

    def probe(self) -> tuple[Point, ...]:
        """What the trial would give if it were cut now: its own cut and PROBES more, not fine-tuned and not kept.

        Of a network as it is in the middle of its training; nothing of the trial changes. Probes are geometric and let
        nothing grow back whatever the options say, so that trials are compared alike.
        """
        found = []
        with random_state_kept():
            net = copy.deepcopy(self.net)
            self.method.fold(net)
            scores = self.method.scores(net)
            whole = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            set_masks(net, weight_masks(net, scores, scores.own))
            found.append(self._point("own", scores.threshold, compact(net, self.couplings)))
            if self.method.descends and self.options.descent != "none" and scores.values:
                net.load_state_dict(whole)
                descent = Descent(ground=self.descent.ground)
                alive = living(net, scores)
                for at, keep in enumerate(descent.down(scores, alive, PROBES)):
                    alive, threshold = descent.survivors(scores, keep, alive)
                    set_masks(net, weight_masks(net, scores, alive))
                    found.append(self._point(f"{at:02d}", threshold, compact(net, self.couplings)))
        return tuple(found)

    def _point(self, name: str, threshold: float, compacted: Compacted) -> Point:
        """Measures a compact network."""
        left = nonzero_counts(compacted.net)
        shape = self.plan.task.example_shape
        macs = count_macs(compacted.net, shape)
        if macs.total > self.dense.macs.total:
            raise InexactCompactionError(f"the compact network executes more than the dense one: {macs.total:,} MACs")
        ideal = ideal_macs(self.dense.macs, self.dense.weights, left, macs)
        times = self.plan.layer_times
        return Point(
            trial=self.plan.number, cut=name, method=str(self.plan.setting["method"]), threshold=threshold,
            accuracy=self._accuracy(compacted.net),
            sparsity=sparsity(left, self.dense.weights), layer_sparsity=layer_sparsity(left, self.dense.weights),
            weights_left=sum(left.values()), macs=macs.total, macs_ideal=ideal, dense_macs=self.dense.macs.total,
            size_bytes=size_bytes(compacted.net), dense_size_bytes=self.dense.size_bytes,
            expected_time_removed=None if times is None else times.removed(compacted.net),
            widths=tuple(len(units) for units in compacted.kept.values()), setting=self.plan.setting,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and text only: what `torch.load(weights_only=True)` reads."""
        return {
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "trained": self.trained,
            "own_cut": self.own_cut, "training": self.plan.training, "phase": self.phase, "done": self.done,
            "seconds": self.seconds, **self.descent.state(),
            "order": self.order.get_state(), "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            "points": json.dumps([point.as_json() for point in self.points]),
            "epochs": json.dumps([vars(epoch) for epoch in self.epochs]),
            "rungs": json.dumps([vars(rung) for rung in self.rungs]), "ended_early": self.ended_early,
        }  # fmt: skip

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken, to the same bits."""
        self.points = [Point.from_json(point) for point in json.loads(state["points"])]
        if self.points:  # the method's gates were folded before the first was measured
            self.method.fold(self.net)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["rng"])
        if state["device_rng"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["device_rng"])
        device = next(self.net.parameters()).device
        self.trained, self.own_cut = (
            {name: tensor.to(device) for name, tensor in state.get(part, {}).items()} for part in ("trained", "own_cut")
        )
        self.descent = Descent.resume(self.descent.ground, self.ways, state, device)
        self.phase, self.done, self.seconds = state["phase"], state["done"], dict(state["seconds"])
        self.epochs = [Epoch(**epoch) for epoch in json.loads(state["epochs"])]
        self.rungs = [Rung(epoch=r["epoch"], values=tuple(r["values"])) for r in json.loads(state["rungs"])]
        self.ended_early = state["ended_early"]
