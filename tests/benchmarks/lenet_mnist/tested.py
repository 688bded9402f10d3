"""Test errors of networks, each measured once and kept."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.record import read_whole, write_atomically
from sparsweep.trainables.tasks import Task


def network_name(path: Path) -> str:
    """sweeps/NAME/trials/NUMBER/attempt/CUT without the first: the same wherever the folder lies."""
    return "/".join(path.parts[-5:])


@dataclass(kw_only=True)
class Tests:
    """Kept in a file, by network."""

    file: Path
    data_root: Path
    known: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path, data_root: Path) -> "Tests":
        """Raises ValueError where the file is damaged."""
        known = read_whole(file, "delete it, and the networks are tested again") if file.exists() else {}
        return cls(file=file, data_root=data_root, known=known)

    def error_pct(self, network: str, path: Path) -> float:
        """Test error of a kept network in percent."""
        name = network_name(path)
        if name not in self.known:
            task = Task(network=network, data="mnist", data_root=self.data_root)
            self.known[name] = measured_error_pct(load_network(path, task.build), task)
            write_atomically(self.file, json.dumps(self.known, indent=1))
        return self.known[name]


def measured_error_pct(net: nn.Module, task: Task) -> float:
    """In percent, on all test images."""
    return 100 * (1 - accuracy(net, task.load().test, score=task.score_function()))
