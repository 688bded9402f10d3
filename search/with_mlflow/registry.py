"""The registry: points of the frontier as versions of a registered MLflow model. Nothing is ever deleted."""

import difflib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sparsweep.search.figures import Direction, Objectives
from sparsweep.search.with_mlflow import model_folder
from sparsweep.search.with_mlflow.model_folder import Publication
from sparsweep.search.with_mlflow.store import client_of, exclusively, is_server, prepare_store
from sparsweep.search.with_mlflow.trial_entries import TEXT_LIMIT
from sparsweep.spaces.faults import shown
from sparsweep.trainables.point import FIRST_FIGURES, Point, made_of
from sparsweep.trainables.record import now_ms

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

__all__ = ["ModelVersionInfo", "Publication", "Registry"]

HISTORY = "sparsweep.aliases"
"""Tag of a registered model: which alias came to name which version, and when."""
OBJECTIVES = "sparsweep.objectives"
"""Tag of a registered model: the axes of its frontier, as the sweep that last registered in it has them."""
MADE_OF = "sparsweep.made_of"
"""Tag of a logged model: `made_of` its point."""
_ALIAS = re.compile(r"(?!latest$|v[0-9]+$)[A-Za-z0-9][A-Za-z0-9_-]{0,254}", re.IGNORECASE)
FIGURES = {f.name for f in fields(Point) if f.type in (int, float, float | None)} | {
    "latency_ms", "dense_latency_ms", "speedup", "macs_removed", "size_removed",
}  # fmt: skip
"""Names that `Point.figures` may give: tags under these names are read as numbers."""


@dataclass(frozen=True, kw_only=True)
class ModelVersionInfo:
    """A registered version as its tags describe it."""

    model: str
    version: str
    figures: Mapping[str, float]
    """By name, as in `Point.figures`."""
    fingerprint: str | None
    """None for a version that sparsweep did not publish."""
    point: str | None
    """Sweep, trial and cut: `digits/00007/12`."""
    frontier: bool
    aliases: tuple[str, ...]
    run_id: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Registry:
    """Registered models of one MLflow. Every call is idempotent."""

    client: "MlflowClient"
    tracking_uri: str
    registry_uri: str

    @classmethod
    def open(cls, *, tracking_uri: str, registry_uri: str | None = None) -> Self:
        """The registry beside the tracking store, or at a URI of its own."""
        prepare_store(tracking_uri)
        return cls(client_of(tracking_uri, registry_uri), tracking_uri, registry_uri or tracking_uri)

    def publish(self, publication: Publication) -> str:
        """The number of the point's version; made only if no version carries the point's tag and figures yet.

        Other figures under the same tag are of another network: of a cut that was made again otherwise.

        Two callers on one machine, or on one SQLite file, take turns. Machines that share a server are kept apart by
        the rule that one driver holds a sweep's name: another sweep's points have other tags.

        Raises:
            ValueError: MLflow cannot register a model of this name.
        """
        model, tags = publication.model, publication.all_tags()
        _check_name(model)
        with exclusively(self.registry_uri, f"model-{model}"):
            wanted = f"name = '{model}' and tags.`sparsweep.point` = '{publication.point_id}'"
            same = (found for found in self._search(wanted) if all(found.tags.get(n) == tags[n] for n in FIRST_FIGURES))
            if (found := next(same, None)) is not None:
                self._retag(found, tags)
                return str(found.version)
            self._register(model)
            logged = self._logged_model(publication)
            # A database resolves models:/<id> through MLflow's global tracking URI, which is not ours to set.
            source = f"models:/{logged.model_id}" if is_server(self.registry_uri) else logged.artifact_location
            made = self.client.create_model_version(
                model, source, publication.run_id, tags, description=publication.description(),
                await_creation_for=None, model_id=logged.model_id,
            )  # fmt: skip
            return str(made.version)

    def versions(self, model: str) -> list[ModelVersionInfo]:
        """All versions of a model, ascending.

        Raises:
            ValueError: there is no such model; the near names are given.
        """
        aliases: dict[str, list[str]] = {}
        for alias, version in self._aliases(model).items():
            aliases.setdefault(str(version), []).append(alias)
        found = [_info(v, aliases.get(str(v.version), [])) for v in self._search(f"name = '{model}'")]
        return sorted(found, key=lambda info: int(info.version))

    def set_aliases(self, model: str, aliases: Mapping[str, str]) -> None:
        """Points each alias at its version, and notes when; aliases under other names are left alone.

        Raises:
            ValueError: a name that cannot be an alias.
        """
        if unfit := [alias for alias in aliases if not _ALIAS.fullmatch(alias)]:
            raise ValueError(
                f"{shown(unfit[0])} cannot be an alias: use letters, digits, - and _, and neither latest nor v1, v2, "
                "and so on, which are MLflow's own"
            )
        present = self._aliases(model)
        moved = {alias: version for alias, version in aliases.items() if str(present.get(alias)) != version}
        for alias, version in moved.items():
            self.client.set_registered_model_alias(model, alias, version)
        if moved:
            news = [{"alias": alias, "version": version, "at_ms": now_ms()} for alias, version in moved.items()]
            entries = [*news, *self.alias_history(model)]
            while len(text := json.dumps(entries)) > TEXT_LIMIT:
                entries.pop()
            self.client.set_registered_model_tag(model, HISTORY, text)

    def objectives(self, model: str) -> dict[str, Direction] | None:
        """The axes of a model's frontier; None where no sweep has said them."""
        try:
            told = json.loads(self.tags_of(model).get(OBJECTIVES, "null"))
        except ValueError:  # somebody else's hand
            return None
        sound = isinstance(told, dict) and set(told) <= FIGURES and set(told.values()) <= {"max", "min"}
        return told if sound and told else None

    def note_objectives(self, model: str, objectives: Objectives) -> None:
        """Tags the model with the axes of its frontier."""
        if self.objectives(model) != dict(objectives):
            self.client.set_registered_model_tag(model, OBJECTIVES, json.dumps(dict(objectives)))

    def alias_history(self, model: str) -> list[dict[str, Any]]:
        """Alias, version and when it came to name it, the newest first; as far back as a tag's length reaches."""
        try:
            entries = json.loads(self.tags_of(model).get(HISTORY, "[]"))
        except ValueError:  # somebody else's hand
            return []
        wanted = {"alias", "version", "at_ms"}
        return [e for e in entries if isinstance(e, dict) and set(e) == wanted] if isinstance(entries, list) else []

    def models(self) -> list[str]:
        """Names of all registered models, by name."""
        names: list[str] = []
        token: str | None = ""
        while token is not None:
            page = self.client.search_registered_models(max_results=1000, page_token=token or None)
            names += [model.name for model in page]
            token = page.token or None
        return sorted(names)

    def mark_frontier(self, model: str, on: Set[str], *, fingerprint: str) -> int:
        """Tags every version of the fingerprint `frontier: yes` or `no`; tells how many tags changed."""
        changed = 0
        for info in self.versions(model):
            mark = "yes" if info.version in on else "no"
            if info.fingerprint == fingerprint and info.tags.get("frontier") != mark:
                self.client.set_model_version_tag(model, info.version, "frontier", mark)
                changed += 1
        return changed

    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Sets these tags of a version; the others stay."""
        for name, value in tags.items():
            self.client.set_model_version_tag(model, version, name, value)

    def tags_of(self, model: str) -> dict[str, str]:
        """The tags of the registered model itself; none where it does not exist."""
        found = self._registered(model)
        return dict(found.tags) if found is not None else {}

    def download(self, model: str, version: str, folder: Path, *, part: str = "") -> Path:
        """Copies all files of a version, or of one folder in it, into `folder`, which appears whole or not at all.

        Raises:
            ValueError: the folder holds something; there is no such model or version; the version holds a link.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is not an empty folder: name another one")
        known = [info.version for info in self.versions(model)]
        if version not in known:
            raise ValueError(f"model {model} has no version {version}; it has {', '.join(known) or 'none'}")
        settled = folder.absolute()
        settled.parent.mkdir(parents=True, exist_ok=True)
        import mlflow.artifacts
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(dir=settled.parent, prefix=f".{settled.name}.") as beside:
            # Resolved here, as mlflow.artifacts would ask the registry of the global tracking URI.
            source = self.client.get_model_version_download_uri(model, version)
            try:
                copied = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{source.rstrip('/')}/{part}" if part else source,
                    dst_path=beside,
                    tracking_uri=self.tracking_uri,
                    registry_uri=self.registry_uri,
                )
            except MlflowException as error:
                said = " ".join(str(error.message).split())
                raise ValueError(f"version {version} of model {model} cannot be copied ({said})") from error
            for path in (Path(copied), *Path(copied).rglob("*")):
                if path.is_symlink():
                    raise ValueError(f"{path.name} in version {version} of {model} is a link: only files are copied")
            Path(copied).replace(settled)
        return folder

    def _search(self, wanted: str) -> "Iterator[ModelVersion]":
        token: str | None = ""
        while token is not None:
            page = self.client.search_model_versions(wanted, max_results=1000, page_token=token or None)
            yield from page
            token = page.token or None

    def _aliases(self, model: str) -> dict[str, str]:
        _check_name(model)
        if (found := self._registered(model)) is None:
            known = [other.name for other in self.client.search_registered_models(max_results=1000)]
            near = difflib.get_close_matches(model, known, n=3) or sorted(known)[:10]
            raise ValueError(
                f"no registered model {model}; there is {', '.join(near) or 'none yet: run a sweep first'}"
            )
        return dict(found.aliases)

    def _registered(self, model: str) -> "RegisteredModel | None":
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _register(self, model: str) -> None:
        """Makes the model where it is missing; another machine may do so at the same time."""
        from mlflow.exceptions import MlflowException

        if self._registered(model) is None:
            try:
                self.client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

    def _retag(self, version: "ModelVersion", tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            if version.tags.get(name) != value:
                self.client.set_model_version_tag(version.name, version.version, name, value)

    def _logged_model(self, publication: Publication) -> "LoggedModel":
        """The point's files at the experiment; one that a killed process left half-written is written again."""
        run = self.client.get_run(publication.run_id)
        wanted = f"tags.`sparsweep.point` = '{publication.point_id}'"
        left = self.client.search_logged_models([run.info.experiment_id], wanted)
        mine = made_of(publication.point)
        known = next((each for each in left if each.tags.get(MADE_OF, mine) == mine), None)
        logged = known or self._new_logged_model(publication, run)
        if str(logged.status) != "READY":
            with tempfile.TemporaryDirectory() as space:
                folder = Path(space) / "version"
                model_folder.write(
                    publication, folder, artifact_path=logged.artifact_location, run_id=publication.run_id,
                    model_uuid=logged.model_id, model_id=logged.model_id,
                )  # fmt: skip
                self.client.log_model_artifacts(logged.model_id, str(folder))
            self.client.finalize_logged_model(logged.model_id, "READY")
        return logged

    def _new_logged_model(self, publication: Publication, run: "Run") -> "LoggedModel":
        from mlflow.entities import LoggedModelOutput

        logged = self.client.create_logged_model(
            run.info.experiment_id,
            name=re.sub(r"[^\w-]", "-", publication.point_id),
            source_run_id=publication.run_id,
            tags={"sparsweep.point": publication.point_id, MADE_OF: made_of(publication.point)},
            params={name: str(value) for name, value in publication.point.setting.items()},
        )
        self.client.log_outputs(publication.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged


def warm_up() -> None:
    """Imports what the first publication needs (3 s), so that it can be done while trials run."""
    import mlflow.pyfunc  # noqa: F401
    import torch._dynamo
    import torch.export  # noqa: F401


def _info(version: "ModelVersion", aliases: list[str]) -> ModelVersionInfo:
    tags = dict(version.tags)
    return ModelVersionInfo(
        model=version.name,
        version=str(version.version),
        figures={name: float(text) for name, text in tags.items() if name in FIGURES},
        fingerprint=tags.get("sparsweep.fingerprint"),
        point=tags.get("sparsweep.point"),
        frontier=tags.get("frontier") == "yes",
        aliases=tuple(sorted(aliases)),
        run_id=version.run_id,
        tags=tags,
    )


def _check_name(model: str) -> None:
    if not re.fullmatch(r"[\w. -]+", model):
        raise ValueError(f"registered model {model!r}: a name has letters, digits, spaces and . - _ only")
