"""Test errors of networks, each measured once and kept; and of twins: the same widths, trained from scratch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.groups import add_masks, prunable_layers, set_masks
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.record import read_whole, write_atomically
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.training import optimizer_of, train_epoch


@dataclass(kw_only=True)
class Tests:
    """Kept in a file, by network and by twin."""

    file: Path
    data_root: Path
    known: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path, data_root: Path) -> "Tests":
        """Raises ValueError where the file is damaged."""
        known = read_whole(file, "delete it, and the networks are tested again") if file.exists() else {}
        return cls(file=file, data_root=data_root, known=known)

    def task(self, network: str) -> Task:
        return Task(network=network, data="mnist", data_root=self.data_root)

    def error_pct(self, network: str, path: Path) -> float:
        """Test error of a kept network in percent."""
        name = "/".join(path.parts[-5:])
        if name not in self.known:
            task = self.task(network)
            self._keep(name, _error(load_network(path, task.build), task))
        return self.known[name]

    def twin_error_pct(self, network: str, path: Path, seed: int, how: Mapping[str, Any]) -> float:
        """Test error in percent of a network of the same shape, trained from fresh weights as `how` says."""
        name = json.dumps(["twin", "/".join(path.parts[-5:]), seed, dict(how)])
        if name not in self.known:
            self._keep(name, trained_from_scratch(self.task(network), path, seed, how))
        return self.known[name]

    def _keep(self, name: str, error: float) -> None:
        self.known[name] = error
        write_atomically(self.file, json.dumps(self.known, indent=1))


def _error(net: Any, task: Task) -> float:
    return 100 * (1 - accuracy(net, task.load().test, score=task.score_function()))


def trained_from_scratch(task: Task, path: Path, seed: int, how: Mapping[str, Any]) -> float:
    """Trains a network of a compact one's shape and zeros from fresh weights; its test error after the last epoch.

    Args:
        how: `epochs`, `learning_rate`, `batch_size`, `augment`.
    """
    torch.manual_seed(seed)
    net = load_network(path, task.build)
    add_masks(net)
    layers = prunable_layers(net)
    masks = {name: layer.weight.detach() != 0 for name, layer in layers.items()}
    for layer in layers.values():
        layer.reset_parameters()
    set_masks(net, masks)
    rate, epochs = how["learning_rate"], how["epochs"]
    optimizer, order, data = optimizer_of(net, rate), torch.Generator().manual_seed(seed), task.load()
    for epoch in range(epochs):
        train_epoch(
            net, None, optimizer, data.train, batch_size=how["batch_size"], learning_rate=rate, schedule="cosine",
            span=(epoch / epochs, (epoch + 1) / epochs), order=order, augment=how["augment"],
            loss_of=task.loss_function(),
        )  # fmt: skip
    return _error(net, task)
