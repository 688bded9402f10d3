"""Registered models in the page: versions, a pick with its reason, aliases, exports."""

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

from sparsweep.search.devices import measured_on, peers_of, records_by_device
from sparsweep.search.pick import KNEE_OBJECTIVES, NothingFits, pick
from sparsweep.search.standing import candidate
from sparsweep.search.ui.reading import NotThereError
from sparsweep.search.ui.schemas import Model, Picked, Version, Wish
from sparsweep.spaces.constraint import Constraint

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry

SNIPPET = """import mlflow

mlflow.set_tracking_uri({uri!r})
net = mlflow.pytorch.load_model("models:/{model}/{version}")"""


@dataclass
class Models:
    """The registry behind one tracking address."""

    tracking_uri: str

    def _registry(self) -> "Registry":
        from sparsweep.search import with_mlflow

        with_mlflow.settle()
        with_mlflow.reachable(self.tracking_uri)
        return with_mlflow.Registry.open(tracking_uri=self.tracking_uri)

    def names(self) -> list[str]:
        """Models that sparsweep has registered. Raises ValueError where the store cannot be reached."""
        return self._registry().models()

    def model(self, name: str, device: str | None = None) -> Model:
        """A model with the figures of its versions, on a device if one is named.

        Raises:
            NotThereError: there is no such model.
            ValueError: no version was measured on the device, or the store cannot be reached.
        """
        registry = self._registry()
        versions = self._versions(registry, name)
        devices = sorted({known for info in versions for known in records_by_device(info.tags)})
        if device is not None:
            versions = measured_on(device, name, versions)
        aliases = {alias: info.version for info in versions for alias in info.aliases}
        served = self.tracking_uri.startswith("http")
        page = f"{self.tracking_uri.rstrip('/')}/#/models/{name}" if served else None
        return Model(
            model=name, versions=[version_of(info) for info in versions], aliases=aliases, devices=devices,
            history=registry.alias_history(name), mlflow=page,
            look="" if served else join(["mlflow", "ui", "--backend-store-uri", _told(self.tracking_uri)]),
        )  # fmt: skip

    def _versions(self, registry: "Registry", name: str) -> "list[ModelVersionInfo]":
        try:
            return registry.versions(name)
        except ValueError as fault:
            raise NotThereError(str(fault)) from fault

    def pick(self, name: str, wish: Wish) -> Picked:
        """Raises NotThereError; ValueError where a wish cannot be read or nobody has the figure."""
        wishes = [Constraint.parse(text, allow_test_accuracy=True) for text in wish.where]
        registry = self._registry()
        peers = peers_of(name, self._versions(registry, name), wish.device)
        axes = registry.objectives(name) or KNEE_OBJECTIVES
        found = pick([candidate(info) for info in peers], wishes, best=wish.best or "knee", objectives=axes)
        command = command_of(name, wish)
        if isinstance(found, NothingFits):
            misses = [{"version": str(miss.candidate.version), "text": miss.text} for miss in found.misses]
            return Picked(version=None, reason=found.reason, misses=misses, command=command)
        info = next(info for info in peers if info.version == str(found.chosen.version))
        return Picked(
            version=version_of(info), reason=found.reason, next_best=found.next_best, command=command,
            snippet=SNIPPET.format(uri=_told(self.tracking_uri), model=name, version=info.version),
        )  # fmt: skip

    def name_version(self, name: str, alias: str, version: str) -> Model:
        """Lets an alias name a version. Raises NotThereError, and ValueError for a name that cannot be an alias."""
        registry = self._registry()
        if version not in {info.version for info in self._versions(registry, name)}:
            raise NotThereError(f"model {name} has no version {version}")
        registry.set_aliases(name, {alias: version})
        return self.model(name)

    def export(self, name: str, version: str, form: str) -> Path:
        """The version's files as a zip, in a new temporary folder that is the caller's to remove.

        Raises:
            NotThereError: there is no such version.
            ValueError: it cannot be exported so.
            DifferentError: a file gives other outputs than the network.
        """
        from sparsweep.search.export import Wish as ExportWish
        from sparsweep.search.export import export

        registry = self._registry()
        info = next((info for info in self._versions(registry, name) if info.version == version), None)
        if info is None:
            raise NotThereError(f"model {name} has no version {version}")
        space = Path(tempfile.mkdtemp(prefix="sparsweep-export-"))
        export(registry, info, ExportWish.checked(str(space / "files"), form))
        packed = space / f"{name}-{version}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((space / "files").iterdir()):
                archive.write(path, path.name)
        return packed


def version_of(info: "ModelVersionInfo") -> Version:
    """As the API tells it."""
    return Version(
        model=info.model, version=info.version, figures=dict(info.figures), frontier=info.frontier,
        aliases=list(info.aliases), point=info.point, run_id=info.run_id, device=info.tags.get("device"),
        fingerprint=info.fingerprint,
        latency=[vars(record) for records in records_by_device(info.tags).values() for record in records],
    )  # fmt: skip


def command_of(name: str, wish: Wish) -> str:
    """What to type for the same pick."""
    words: Sequence[str] = [word for rule in wish.where for word in ("--where", rule)]
    best = ["--best", wish.best] if wish.best else []
    device = ["--device", wish.device] if wish.device else []
    return join(["sparsweep", "pick", name, *words, *best, *device])


def _told(uri: str) -> str:
    from sparsweep.search.with_mlflow import without_password

    return without_password(uri)
