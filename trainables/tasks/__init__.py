"""Tasks: a network and the data it is trained on."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparsweep.trainables.tasks.data import DATA, SPLIT_SEED, Data, load_data
from sparsweep.trainables.tasks.networks import NETWORKS


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network on data. Only points of equal fingerprint are ever compared."""

    network: str
    data: str
    data_root: Path | None = None

    def build(self) -> nn.Module:
        """A fresh network, initialised from torch's global generator."""
        return NETWORKS[self.network].build()

    @property
    def example_shape(self) -> tuple[int, ...]:
        return NETWORKS[self.network].example_shape

    def load(self) -> Data:
        """The task's data, loaded once a process. Raises ValueError where it cannot be had."""
        return load_data(self.data, self.data_root)

    def fingerprint(self) -> str:
        """16 hex digits over network, data, split and example shape."""
        what = [self.network, self.load().digest(), SPLIT_SEED, DATA[self.data].validation, self.example_shape]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


__all__ = ["DATA", "NETWORKS", "Data", "Task", "load_data"]
