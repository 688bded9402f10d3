"""Twins of claimed networks: the same widths and zeros, trained from fresh weights (Liu et al. 2019, arXiv:1810.05270).

What pruning found beyond a shape is the difference between a network and its twin. A twin is trained on the images, and
with the shifts, that its network had; it has no teacher. Each is kept in a file of its own.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.groups import add_masks, prunable_layers, set_masks
from sparsweep.trainables.record import read_whole, write_atomically
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.training import optimizer_of, train_epoch
from tests.benchmarks.lenet_mnist.claims import Claim
from tests.benchmarks.lenet_mnist.side_by_side import side_by_side
from tests.benchmarks.lenet_mnist.tested import measured_error_pct, network_name
from tests.benchmarks.search.kept import fingerprint

HOW: Mapping[str, Any] = {"epochs": 40, "learning_rate": 2e-3, "batch_size": 64, "schedule": "cosine"}


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One training."""

    network: str
    path: Path
    """Of the network whose shape it has; without ending."""
    seed: int
    augment: str

    @property
    def how(self) -> dict[str, Any]:
        return {**HOW, "augment": self.augment}

    @property
    def key(self) -> str:
        return fingerprint({"of": network_name(self.path), "seed": self.seed, "how": self.how})


def help_of(claim: Claim) -> str:
    """What a claim's twins have of what helped it: never a teacher."""
    return "shifts" if "shifts" in claim.setting.help else "none"


def twins_of(claim: Claim) -> list[Twin]:
    """One of each training's cut."""
    augment = "shift1" if help_of(claim) == "shifts" else "none"
    return [
        Twin(network=claim.row.network, path=cut.network, seed=at, augment=augment) for at, cut in enumerate(claim.cuts)
    ]


@dataclass(frozen=True, kw_only=True)
class Twins:
    """What was trained of them."""

    folder: Path
    data_root: Path

    def error_pct(self, twin: Twin) -> float | None:
        """Test error in percent; None where it has not been trained. Raises ValueError where its file is damaged."""
        file = self.folder / f"{twin.key}.json"
        if not file.exists():
            return None
        return float(read_whole(file, "delete it, and the twin is trained again")["error_pct"])

    def errors_of(self, claim: Claim) -> tuple[float, ...] | None:
        """By training; None unless all were trained."""
        errors = [self.error_pct(twin) for twin in twins_of(claim)]
        known = tuple(error for error in errors if error is not None)
        return known if len(known) == len(errors) else None

    def missing(self, claims: Sequence[Claim]) -> list[Twin]:
        """What has to be trained for these claims, each once."""
        wanted = {twin.key: twin for claim in claims for twin in twins_of(claim)}
        return [twin for twin in wanted.values() if self.error_pct(twin) is None]

    def train(self, todo: Sequence[Twin], processes: int) -> Generator[Twin, None, None]:
        """Trains them, several at once; tells each as it ends. Closing it begins no further one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return side_by_side(todo, partial(train_one, folder=self.folder, data_root=self.data_root), processes)


def train_one(twin: Twin, folder: Path, data_root: Path) -> None:
    """Trains a twin on one thread and keeps its test error after the last epoch."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    error = trained_from_scratch(Task(network=twin.network, data="mnist", data_root=data_root), twin)
    of = {"of": network_name(twin.path), "seed": twin.seed, "how": twin.how}
    write_atomically(folder / f"{twin.key}.json", json.dumps({**of, "error_pct": error}))


def trained_from_scratch(task: Task, twin: Twin) -> float:
    """Trains a network of a compact one's shape and zeros from fresh weights; its test error after the last epoch."""
    torch.manual_seed(twin.seed)
    net, how = load_network(twin.path, task.build), twin.how
    add_masks(net)
    layers = prunable_layers(net)
    masks = {name: layer.weight.detach() != 0 for name, layer in layers.items()}
    for layer in layers.values():
        layer.reset_parameters()
    set_masks(net, masks)
    rate, epochs = how["learning_rate"], how["epochs"]
    optimizer, order, data = optimizer_of(net, rate), torch.Generator().manual_seed(twin.seed), task.load()
    for epoch in range(epochs):
        train_epoch(
            net, None, optimizer, data.train, batch_size=how["batch_size"], learning_rate=rate,
            schedule=how["schedule"], span=(epoch / epochs, (epoch + 1) / epochs), order=order, augment=how["augment"],
            loss_of=task.loss_function(),
        )  # fmt: skip
    return measured_error_pct(net, task)
