"""Tasks: a network and the data it is trained on."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.own_code import is_own, own_function
from sparsweep.trainables.tasks.cifar_networks import IMAGE_NETWORKS
from sparsweep.trainables.tasks.data import DATA, SPLIT_SEED, Data, load_data
from sparsweep.trainables.tasks.identity import architecture_digest
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.tasks.own_network import own_network
from sparsweep.trainables.tasks.torchvision_networks import is_zoo, zoo_network
from sparsweep.trainables.tasks.weights import take_weights

PATHS = ("data_root", "code_root", "start_from")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network on data. Only points of equal fingerprint are ever compared."""

    network: str
    data: str
    data_root: Path | None = None
    code_root: Path | None = None
    """The folder in which `module:function` names are found."""
    given_shape: tuple[int, ...] | None = None
    """Of one example; the network's or the data's own unless given."""
    given_classes: int | None = None
    """Outputs of the network; as many as the data have classes unless given."""
    stem: str = "imagenet"
    start_from: Path | None = None
    """Weights that a trial starts from."""
    loss: str = "cross_entropy"
    score: str = "accuracy"
    corrupt: str = "refuse"

    def build(self) -> nn.Module:
        """A fresh network, initialised from torch's global generator. Raises ValueError where it cannot be had."""
        if self.network in NETWORKS:
            return NETWORKS[self.network].build()
        if is_own(self.network):
            return own_network(
                self.network, self.code_root, {"num_classes": self.classes, "example_shape": lambda: self.shape}
            )
        if len(self.shape) != 3:
            raise ValueError(f"network {self.network} takes images [channels, height, width], not {list(self.shape)}")
        if self.classes() < 1:
            raise ValueError(f"network {self.network} needs a number of outputs: give num_classes under task")
        if is_zoo(self.network):
            return zoo_network(self.network, self.classes(), self.shape[0], self.stem)
        return IMAGE_NETWORKS[self.network].build(self.shape[0], self.classes())

    def initial(self) -> nn.Module:
        """What a trial starts from: a fresh network, with the weights of `start_from` where they are given."""
        net = self.build()
        if self.start_from is not None:
            take_weights(net, self.start_from)
        return net

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of one example, without the batch."""
        return self.shape

    @property
    def shape(self) -> tuple[int, ...]:
        if self.network in NETWORKS:
            return NETWORKS[self.network].example_shape
        if self.given_shape is not None:
            return self.given_shape
        return DATA[self.data].example_shape if self.data in DATA else self.load().train.example_shape

    def classes(self) -> int:
        """Outputs that the network is to have; 0 where nothing says it."""
        return self.given_classes or self.load().class_count

    def resolved(self) -> Self:
        """The same task, which needs no data to build its network."""
        if self.network in NETWORKS:
            return self
        return replace(self, given_shape=self.shape, given_classes=self.classes() or None)

    def load(self) -> Data:
        """The task's data, loaded once a process. Raises ValueError where it cannot be had."""
        if is_own(self.data):
            from sparsweep.trainables.tasks.own_data import own_data

            return own_data(self.data, self.data_root, self.code_root)
        if self.data == "imagefolder":
            from sparsweep.trainables.tasks.image_folder import load_folder

            return load_folder(self.data_root, self.given_shape, skip_corrupt=self.corrupt == "skip")
        return load_data(self.data, self.data_root)

    def identity(self) -> str:
        """The network's name; of one that is not built in also which, as the same name may stand for another."""
        if self.network in NETWORKS:
            return self.network
        shape = "x".join(map(str, self.shape))
        return f"{self.network}|{shape}|{architecture_digest(self.build())}"

    def loss_function(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Of outputs and labels: what training makes small."""
        return own_function(self.loss, self.code_root, "mine:loss") if is_own(self.loss) else F.cross_entropy

    def score_function(self) -> Callable[[Tensor, Tensor], float | Tensor] | None:
        """Of outputs and labels, in [0, 1]; None is the share of right classes."""
        return own_function(self.score, self.code_root, "mine:score") if is_own(self.score) else None

    def fingerprint(self) -> str:
        """16 hex digits over network, data, split and example shape, and over loss and score where they are given."""
        held = DATA[self.data].validation if self.data in DATA else None
        what: list[Any] = [self.network, self.load().digest(), SPLIT_SEED, held, self.example_shape]
        if self.network not in NETWORKS:
            what.append(architecture_digest(self.build()))
        if is_own(self.loss) or is_own(self.score):
            what += [self.loss, self.score]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """Plain data, as it travels to a worker."""
        paths = {name: str(path) if (path := getattr(self, name)) else None for name in PATHS}
        return {**asdict(self), **paths}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `as_json` made."""
        paths = {name: Path(data[name]) if data.get(name) else None for name in PATHS}
        shape = data.get("given_shape")
        return cls(**{**data, **paths, "given_shape": None if shape is None else tuple(shape)})


__all__ = ["DATA", "IMAGE_NETWORKS", "NETWORKS", "Data", "Task", "load_data"]
