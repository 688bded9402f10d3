"""What is uploaded to the artifact store, as functions of plain data.

They run in the driver, or, where nodes of the cluster say that they can reach the store, as tasks there (see
`with_ray.near_store`): a driver outside then needs the tracking server only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.trainables.point import Point

if TYPE_CHECKING:
    from torch import Tensor

    from sparsweep.search.with_mlflow import Registry


@dataclass(frozen=True, kw_only=True)
class Order:
    """One version to be published."""

    model: str
    sweep: str
    point: Mapping[str, Any]
    """As `Point.as_json` gives it."""
    task: Mapping[str, Any]
    """As `Task.as_json` gives it, resolved: no data are needed to build the network."""
    fingerprint: str
    path: str
    """Of the network's files, without ending, where all nodes see it."""
    example: "Tensor"
    """Input, shape (batch >= 2, …)."""
    run_id: str
    tags: Mapping[str, str]


def publish(tracking_uri: str, order: Order) -> str:
    """The number of the order's version, made only if it is not there yet; one at a time per model and machine."""
    from sparsweep.search.with_mlflow import Publication
    from sparsweep.trainables.compact.architecture import load_network
    from sparsweep.trainables.tasks import PATHS, Task

    task = Task.from_json(order.task)
    return _registry(tracking_uri).publish(
        Publication(
            model=order.model, sweep=order.sweep, point=Point.from_json(order.point), fingerprint=order.fingerprint,
            example=order.example, network=load_network(Path(order.path), task.build), run_id=order.run_id,
            files={
                "network.safetensors": Path(f"{order.path}.safetensors"),
                "architecture.json": Path(f"{order.path}.json"),
            },
            task={**order.task, **dict.fromkeys(PATHS)}, tags=order.tags,
        )
    )  # fmt: skip


def put_files(tracking_uri: str, run_id: str, files: Mapping[str, bytes]) -> None:
    """Artifacts of a run by name, replacing older ones."""
    from sparsweep.search.with_mlflow import tracking
    from sparsweep.search.with_mlflow.store import client_of

    tracking.put_files(client_of(tracking_uri), run_id, files)


@cache
def _registry(tracking_uri: str) -> "Registry":
    from sparsweep.search.with_mlflow import Registry

    return Registry.open(tracking_uri=tracking_uri)
