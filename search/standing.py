"""How a model's versions stand to each other: which are on the frontier, and which the aliases name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sparsweep.search.dominance import non_dominated, oriented
from sparsweep.search.figures import Objectives
from sparsweep.search.pick import Candidate, Pick, pick

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry

ALIASES = {"most-accurate": "accuracy", "sparsest": "sparsity", "fastest": "speedup", "knee": "knee"}


def restand(registry: "Registry", model: str, fingerprint: str, objectives: Objectives) -> dict[str, str]:
    """Tags every version of the task `frontier: yes` or `no` and moves the aliases; by alias its version.

    Versions timed on different devices do not compete with each other: each device has its own frontier, and one that
    was not timed competes everywhere, as no faster than dense. The aliases name versions of the device timed last.

    Several sweeps may do this at once, on any machines: whoever finds afterwards that a version has come while it was
    writing judges anew, so the last one to write has seen them all.
    """
    versions = _versions_of(registry, model, fingerprint)
    registry.note_objectives(model, objectives)
    while True:
        fronts = frontiers_by_device(versions, objectives)
        registry.mark_frontier(model, set().union(*fronts.values()), fingerprint=fingerprint)
        timed = [device for info in versions if (device := info.tags.get("device"))]
        newest = timed[-1] if timed else None
        peers = [candidate(info, on=True) for info in versions if info.version in fronts.get(newest, set())]
        chosen = alias_versions(peers, objectives)
        registry.set_aliases(model, chosen)
        judged, versions = versions, _versions_of(registry, model, fingerprint)
        if [_judged_by(info) for info in judged] == [_judged_by(info) for info in versions]:
            return chosen


def _versions_of(registry: "Registry", model: str, fingerprint: str) -> list["ModelVersionInfo"]:
    return [info for info in registry.versions(model) if info.fingerprint == fingerprint]


def _judged_by(info: "ModelVersionInfo") -> tuple[str, Mapping[str, float], str | None]:
    return info.version, info.figures, info.tags.get("device")


def frontiers_by_device(versions: Sequence["ModelVersionInfo"], objectives: Objectives) -> dict[str | None, set[str]]:
    """Per device the versions that no other one timed there, or not timed at all, dominates; of equals the earlier.

    Where nothing was timed there is one frontier, under None.
    """
    named = {device for info in versions if (device := info.tags.get("device"))}
    devices: set[str | None] = {*named} or {None}
    fronts: dict[str | None, set[str]] = {}
    for device in devices:
        peers = [info for info in versions if info.tags.get("device") in (device, None)]
        figures = [info.figures for info in peers]
        rows = oriented(figures, objectives, _absent(figures))
        fronts[device] = {info.version for info, on in zip(peers, non_dominated(rows), strict=True) if on}
    return fronts


def alias_versions(candidates: Sequence[Candidate], objectives: Objectives) -> dict[str, str]:
    """By alias the version it should name; an alias whose figure nobody has is left out."""
    chosen: dict[str, str] = {}
    for alias, best in ALIASES.items():
        try:
            picked = pick(candidates, [], best=best, objectives=objectives)
        except ValueError:
            continue
        if isinstance(picked, Pick):
            chosen[alias] = str(picked.chosen.version)
    return chosen


def candidate(info: "ModelVersionInfo", *, on: bool | None = None) -> Candidate:
    """The version as a pick sees it."""
    return Candidate(version=info.version, figures=info.figures, frontier=info.frontier if on is None else on)


def _absent(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What an untimed version counts as: no faster than dense."""
    slowest = max((each.get("dense_latency_ms", 0.0) for each in figures), default=0.0)
    return {"speedup": 1.0, "latency_ms": slowest}
