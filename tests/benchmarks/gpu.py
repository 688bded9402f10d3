"""Every method on a CUDA device: the CPU's accuracy, the speed of a bare loop, several trials on one device.

    python -m tests.benchmarks.gpu --mnist DIR --images DIR [--epochs 5] [--only parity,speed,sharing]

--mnist     the root of torchvision's MNIST, for LeNet-5
--images    CIFAR-10 as folders of JPEG files, for ResNet-20

parity     each method's trial (one seed, own cut and descent) on the device and on the CPU: accuracy of the own cut and
           of the descent's median, side by side
speed      images a second of a trial's training beside a bare training loop of the same network, batch and optimizer
sharing    the same sweep of four trials with a whole device a trial, a half and a quarter: trials a minute

Without a CUDA device it says that it did not run, and ends with exit code 0. `--device cpu` runs the same code there
with whatever amounts are given, to see that it works.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn import functional as F

from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.groups import add_masks
from sparsweep.trainables.methods import METHODS
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.training import optimizer_of, train_epoch
from sparsweep.trainables.trial import TrialPlan
from tests.benchmarks.machine import machine, quiet_environment
from tests.benchmarks.verdict import as_markdown, lines_as_text
from tests.benchmarks.watched_sweep import sparsweep

RESULTS = Path(__file__).with_name("results") / "gpu.md"
PARTS = ("parity", "speed", "sharing")
BATCH = 128
ROUNDS = 5
SPEED_IMAGES = 8192

SWEEP = """
name: shared
task: {network: lenet-5, data: mnist}
space: {granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.1"]
budget: {trials: 4, epochs: EPOCHS}
trial: {cuts: 4, finetune_epochs: 1}
resources: {cpu: 1, gpu: SHARE}
registry: {model: shared, keep: 1}
"""


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def parity(tasks: Sequence[Task], epochs: int, device: str, folder: Path) -> list[tuple[str, ...]]:
    """Lines of network, method, and accuracies on both devices."""
    lines = []
    for task in tasks:
        for method in METHODS:
            own = Task(network="gss-lenet", data="mnist", data_root=task.data_root) if method == "gss" else task
            if method == "gss" and task.network != "lenet-5":
                continue
            say(f"{method} on {own.network}")
            found = [_trial(own, method, epochs, each, folder / f"{own.network}-{method}-{at}-{each}")
                     for at, each in enumerate((device, "cpu"))]  # fmt: skip
            if failed := [record.reason for record in found if record.state == "failed"]:
                lines.append((own.network, method, str(failed[0])[:60], "", "", ""))
                continue
            cuts = [_accuracies(record) for record in found]
            lines.append((own.network, method, *(f"{value:.4f}" for pair in zip(*cuts, strict=True) for value in pair)))
    return lines


def _trial(task: Task, method: str, epochs: int, device: str, folder: Path) -> TrialRecord:
    fixed = {"epochs": epochs, "batch_size": BATCH, "learning_rate": 1e-3, "cuts": 4, "finetune_epochs": 1}
    plan = TrialPlan(number=0, setting={"method": method}, seed=0, task=task, fixed=fixed)
    return run_trial(plan, TrialFolder(folder), device=device)


def _accuracies(record: TrialRecord) -> tuple[float, float]:
    own = next(p.accuracy for p in record.points if p.cut in ("own", "dense"))
    return own, median(p.accuracy for p in record.points)


def speed(tasks: Sequence[Task], device: str) -> list[tuple[str, ...]]:
    """Lines of network, images a second of ours, of a bare loop, their ratio."""
    lines = []
    for task in tasks:
        say(f"speed on {task.network}")
        split = task.load().train.part(slice(0, SPEED_IMAGES)).to(device)
        torch.manual_seed(0)
        nets = [task.build().to(device=device, memory_format=torch.channels_last) for _ in range(2)]  # type: ignore[call-overload]
        add_masks(nets[0])
        kinds = (_our_epoch, _bare_epoch)
        epochs = [partial(kind, net, optimizer_of(net, 1e-3)) for kind, net in zip(kinds, nets, strict=True)]
        pairs = [[_seconds(epoch, split, device) for epoch in epochs] for _ in range(ROUNDS + 1)][1:]
        own, bare = (median(times) for times in zip(*pairs, strict=True))
        ratio = median(b / o for o, b in pairs)
        lines.append((task.network, f"{len(split) / own:,.0f}", f"{len(split) / bare:,.0f}", f"{ratio:.2f}"))
    return lines


def _our_epoch(net: nn.Module, optimizer: torch.optim.Optimizer, split: Split) -> None:
    train_epoch(
        net, None, optimizer, split, batch_size=BATCH, learning_rate=1e-3, schedule="constant", span=(0.0, 1.0),
        order=torch.Generator().manual_seed(0),
    )  # fmt: skip


def _bare_epoch(net: nn.Module, optimizer: torch.optim.Optimizer, split: Split) -> None:
    """What a script without masks, checks and random order does."""
    net.train()
    for inputs, labels in zip(split.inputs.split(BATCH), split.labels.split(BATCH), strict=True):
        loss = F.cross_entropy(net(inputs), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _seconds(epoch: Callable[[Split], None], split: Split, device: str) -> float:
    began = time.perf_counter()
    epoch(split)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def sharing(mnist: Path, epochs: int, device: str, folder: Path) -> list[tuple[str, ...]]:
    """Lines of the share of a device that a trial takes, slots, trials a minute."""
    lines = []
    for share in (1.0, 0.5, 0.25) if device != "cpu" else (0.0,):
        say(f"a sweep with {share:g} GPU a trial")
        place = folder / f"share-{share:g}"
        place.mkdir(parents=True)
        (place / "shared.yaml").write_text(SWEEP.replace("EPOCHS", str(epochs)).replace("SHARE", str(share)))
        subprocess.run(
            [sparsweep(), "run", "shared.yaml", "--data-root", str(mnist)], cwd=place, check=True,
            env=quiet_environment(SPARSWEEP_HOME=str(place / "home")), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found = [json.loads(p.read_text()) for p in place.glob("home/sweeps/shared/trials/*/result.json")]
        span_min = (max(r["ended_ms"] for r in found) - min(r["started_ms"] for r in found)) / 60e3
        lines.append((f"{share:g}", str(len(found)), f"{len(found) / span_min:.1f}"))
    return lines


def main() -> int:
    """Measures, prints, keeps the page of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    o = parser.parse_args()
    if o.device == "cuda" and not torch.cuda.is_available():
        print("tests.benchmarks.gpu did not run: torch finds no CUDA device here")
        return 0
    name = torch.cuda.get_device_name() if o.device == "cuda" else "cpu"
    tasks = [
        Task(network="lenet-5", data="mnist", data_root=o.mnist),
        Task(network="resnet20", data="imagefolder", data_root=o.images, given_shape=(3, 32, 32)),
    ]
    both = (f"own cut, {name}", "own cut, CPU", f"median of cuts, {name}", "median of cuts, CPU")
    headers = {
        "parity": ("network", "method", *both),
        "speed": ("network", "images a second", "of a bare loop", "ours by bare"),
        "sharing": ("GPUs a trial", "trials", "trials a minute"),
    }
    pages = []
    with tempfile.TemporaryDirectory(prefix="gpu-") as space:
        for part in o.only.split(","):
            if part == "parity":
                lines = parity(tasks, o.epochs, o.device, Path(space))
            else:
                lines = speed(tasks, o.device) if part == "speed" else sharing(o.mnist, o.epochs, o.device, Path(space))
            print(f"\n{part}\n{lines_as_text(headers[part], lines, left=2)}")
            remark = f"Device: {name}; {o.epochs} epochs, batch {BATCH}, one seed."
            pages.append(as_markdown(f"On a GPU: {part}", "python -m tests.benchmarks.gpu", machine(), headers[part],
                                     lines, (remark,)))  # fmt: skip
    if o.only == ",".join(PARTS) and o.device == "cuda":
        RESULTS.write_text("\n".join(pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
