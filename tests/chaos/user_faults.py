"""Faults of the user's own code, which runs in the trials' processes."""

import os
from pathlib import Path

from sparsweep.trainables.death import HANG_GRACE_S
from tests.chaos.agreement import agree
from tests.chaos.drivers import sweep_in
from tests.chaos.outcome import Findings, Outcome

LIMIT_S = 20
STEPS = 8
FAULTY = '''"""A method that goes wrong as its knob says, after some steps of training."""

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from sparsweep.spaces.space import Choice, Knob, Space
from sparsweep.trainables.groups import scored_layers
from sparsweep.trainables.methods import Method, Scores

FAULTS = ("none", "memory", "gpu memory", "nan", "hang", "segfault", "exit", "raise")


def go_wrong(fault):
    if fault == "none":
        return 0.0
    Path(__file__).with_name("began").joinpath(fault).write_text(str(time.time()))
    if fault == "memory":
        torch.empty(2**60, dtype=torch.uint8)
    if fault == "gpu memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if fault == "hang":
        while True:
            time.sleep(1)
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "exit":
        os._exit(3)
    if fault == "raise":
        raise KeyError("no such layer")
    return float("nan")


@dataclass(frozen=True, kw_only=True)
class Faulty(Method):
    fault: str = "none"

    paper = "none (a fault)"
    allowed = {"fault": Choice(choices=FAULTS)}
    default_space = Space((Knob(name="fault", range=Choice(choices=FAULTS)),))
    known_good = tuple({"fault": fault} for fault in FAULTS)

    def penalty(self, net):
        step = self.__dict__["step"] = self.__dict__.get("step", 0) + 1
        if step == STEPS - 1:
            with Path(__file__).with_name("starts").open("a") as file:
                print(time.time(), file=file)
        return net.fc1.weight.sum() * 0.0 + (go_wrong(self.fault) if step == STEPS else 0.0)

    def scores(self, net):
        layers = scored_layers(net, "filter")
        values = {name: layer.weight.detach().abs().flatten(1).mean(1) for name, layer in layers.items()}
        own = {name: torch.ones_like(each, dtype=torch.bool) for name, each in values.items()}
        return Scores(granularity="filter", values=values, own=own, threshold=0.0)
'''.replace("STEPS", str(STEPS))
SWEEP = f"""
name: faulty
task: {{network: lenet-digits, data: digits}}
methods: [faulty:Faulty]
objectives: {{accuracy: max, sparsity: max, macs: min}}
constraints: ["accuracy >= 0.1"]
budget: {{trials: 9, epochs: 1}}
trial: {{cuts: 2, finetune_epochs: 1, time_limit: {LIMIT_S}}}
resources: {{cpu: {0.75 * (os.cpu_count() or 1):g}}}
sampler: {{name: random, seed: 0}}
registry: {{model: faulty, keep: 1}}
"""
REASONS = {
    "memory": "out of memory: ", "gpu memory": "out of memory: CUDA out of memory",
    "nan": "diverged: the loss is nan", "hang": "time limit: it hung and was killed",
    "segfault": "crashed: Segmentation fault",
    "exit": "the trial's process was killed from outside", "raise": "error: KeyError: ",
}  # fmt: skip


def user_code_fails(folder: Path) -> Outcome:
    """One slot, so that the next trial's start is the moment when the slot is back."""
    findings = Findings(
        "user code: out of memory (host; GPU's error raised), NaN, a hang, a segmentation fault, os._exit, raise",
        "each one failed trial with its reason; the rest goes on; the slot is back within seconds",
    )
    with sweep_in(folder, text=SWEEP, name="faulty") as sweep:
        (folder / "faulty.py").write_text(FAULTY)
        (folder / "began").mkdir()
        code, text = sweep.begin().end(), sweep.drivers[0].text
        findings.must("the sweep ends well", code == 0, text)
        findings.no_traceback(text)
        records = sweep.records()
        by_fault = {r["setting"]["fault"]: r for r in reversed(records)}
        starts = [float(line) for line in (folder / "starts").read_text().split()]
        back = {}
        for fault, reason in REASONS.items():
            record = by_fault.get(fault)
            findings.must(f"a trial with {fault}", record is not None)
            if record is None:
                continue
            findings.must(f"{fault} is a failed trial", record["state"] == "failed" and not record["points"], record)
            findings.must(f"{fault} has its reason", record["reason"].startswith(reason), record["reason"])
            began = float((folder / "began" / fault).read_text())
            later = [start for start in starts if start > began]
            if later:
                back[fault] = min(later) - began - ((LIMIT_S + HANG_GRACE_S) if fault == "hang" else 0)
        others = [record for record in records if record["setting"]["fault"] == "none"]
        failed = [record["reason"] for record in others if record["state"] == "failed"]
        findings.must("the others are done", bool(others) and not failed, failed)
        findings.recover_s = max(back.values(), default=None)
        findings.note("slot back after " + ", ".join(f"{fault} {s:.1f} s" for fault, s in back.items()))
        agree(findings, sweep, len(records), states=("COMPLETE", "FAIL"), least_accuracy=0.1)
        status = sweep.answer("status", "faulty")
        findings.must(
            "status counts the failures", status["failed"] == sum(r["state"] == "failed" for r in records), status
        )
    return findings.outcome()
