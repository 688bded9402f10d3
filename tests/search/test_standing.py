"""How a model's versions stand to each other, with a registry that is a list."""

from collections.abc import Mapping, Set
from typing import Any

from sparsweep.search.standing import alias_versions, candidate, frontiers_by_device, restand
from sparsweep.search.with_mlflow import ModelVersionInfo
from tests.search.points import THREE, TWO


def version(number: int, accuracy: float, sparsity: float, *, at: str | None = None, **more: Any) -> ModelVersionInfo:
    """A version; with a `speedup` it was timed on device `at`."""
    fingerprint = more.pop("fingerprint", "digits")
    figures = {"accuracy": accuracy, "sparsity": sparsity, **more}
    if at is not None:
        figures = {"dense_latency_ms": 10.0, "latency_ms": 10.0 / figures["speedup"], **figures}
    return ModelVersionInfo(
        model="digits", version=str(number), figures=figures, fingerprint=fingerprint, point=f"s/{number:05d}/own",
        frontier=False, aliases=(), run_id=None, tags={"device": at} if at else {},
    )  # fmt: skip


class FakeRegistry:
    """Keeps what it is told; aliases that are not named stay."""

    def __init__(self, *versions: ModelVersionInfo) -> None:
        self.all = list(versions)
        self.marks: dict[str, str] = {}
        self.aliases: dict[str, str] = {}

    def versions(self, model: str) -> list[ModelVersionInfo]:
        assert model == "digits"
        return self.all

    def mark_frontier(self, model: str, on: Set[str], *, fingerprint: str) -> int:
        mine = [info.version for info in self.all if info.fingerprint == fingerprint]
        self.marks |= {number: "yes" if number in on else "no" for number in mine}
        return len(mine)

    def note_objectives(self, model: str, objectives: Any) -> None:
        self.axes = dict(objectives)

    def set_aliases(self, model: str, aliases: Mapping[str, str]) -> None:
        self.aliases |= aliases


def stood(*versions: ModelVersionInfo, objectives: Any = THREE) -> FakeRegistry:
    registry = FakeRegistry(*versions)
    chosen = restand(registry, "digits", "digits", objectives)  # type: ignore[arg-type]
    assert chosen.items() <= registry.aliases.items()
    return registry


def test_a_dominated_version_leaves_the_frontier() -> None:
    found = stood(
        version(1, 0.98, 0.5, at="cpu", speedup=2.0),
        version(2, 0.97, 0.4, at="cpu", speedup=1.5),
        version(3, 0.90, 0.9, at="cpu", speedup=4.0),
    )
    assert found.marks == {"1": "yes", "2": "no", "3": "yes"}


def test_versions_timed_on_different_devices_do_not_compete() -> None:
    slow_box = version(1, 0.97, 0.5, at="laptop", speedup=1.5)
    fast_box = version(2, 0.98, 0.6, at="server", speedup=6.0)
    assert frontiers_by_device([slow_box, fast_box], THREE) == {"laptop": {"1"}, "server": {"2"}}
    assert stood(slow_box, fast_box).marks == {"1": "yes", "2": "yes"}


def test_an_untimed_version_competes_everywhere_as_no_faster_than_dense() -> None:
    untimed = version(1, 0.97, 0.5)
    better = version(2, 0.97, 0.5, at="cpu", speedup=3.0)
    assert frontiers_by_device([untimed, better], THREE) == {"cpu": {"2"}}
    more_accurate = version(3, 0.99, 0.5)
    assert frontiers_by_device([untimed, better, more_accurate], THREE) == {"cpu": {"2", "3"}}


def test_without_any_timing_there_is_one_frontier() -> None:
    found = frontiers_by_device([version(1, 0.9, 0.5), version(2, 0.8, 0.4), version(3, 0.8, 0.6)], THREE)
    assert found == {None: {"1", "3"}}
    assert frontiers_by_device([], THREE) == {None: set()}


def test_of_equal_versions_the_earlier_stays() -> None:
    assert stood(version(1, 0.9, 0.5), version(2, 0.9, 0.5), objectives=TWO).marks == {"1": "yes", "2": "no"}


def test_versions_of_another_task_are_neither_compared_nor_touched() -> None:
    found = stood(
        version(1, 0.99, 0.99, fingerprint="other"), version(2, 0.9, 0.5), version(3, 0.99, 0.99, fingerprint=None),
        objectives=TWO,
    )  # fmt: skip
    assert found.marks == {"2": "yes"}
    assert set(found.aliases.values()) == {"2"}


def test_the_aliases_name_the_best_of_the_device_timed_last() -> None:
    found = stood(
        version(1, 0.999, 0.99, at="laptop", speedup=9.0),
        version(2, 0.98, 0.30, at="server", speedup=1.2),
        version(3, 0.96, 0.80, at="server", speedup=3.0),
        version(4, 0.80, 0.85, at="server", speedup=3.1),
    )
    assert found.aliases == {"most-accurate": "2", "sparsest": "4", "fastest": "4", "knee": "3"}


def test_an_alias_whose_figure_nobody_has_is_left_out() -> None:
    chosen = alias_versions([candidate(version(1, 0.9, 0.5), on=True)], TWO)
    assert chosen == {"most-accurate": "1", "sparsest": "1", "knee": "1"}


def test_the_others_aliases_stay() -> None:
    registry = FakeRegistry(version(1, 0.9, 0.5))
    registry.aliases = {"production": "1"}
    restand(registry, "digits", "digits", TWO)  # type: ignore[arg-type]
    assert registry.aliases["production"] == "1"


def test_standing_again_changes_nothing() -> None:
    versions = [version(1, 0.9, 0.5), version(2, 0.8, 0.6)]
    first, second = stood(*versions, objectives=TWO), stood(*versions, objectives=TWO)
    assert (first.marks, first.aliases) == (second.marks, second.aliases)


def test_a_version_that_comes_while_the_others_are_judged_is_judged_too() -> None:
    """Another sweep publishes 2, which dominates 1, just before this one writes what it made of 1 alone."""
    registry = FakeRegistry(version(1, 0.9, 0.5))

    def mark(model: str, on: Set[str], *, fingerprint: str) -> int:
        if len(registry.all) == 1:
            registry.all = [*registry.all, version(2, 0.95, 0.6)]
        return FakeRegistry.mark_frontier(registry, model, on, fingerprint=fingerprint)

    registry.mark_frontier = mark  # type: ignore[method-assign]
    chosen = restand(registry, "digits", "digits", TWO)  # type: ignore[arg-type]
    assert registry.marks == {"1": "no", "2": "yes"}
    assert set(chosen.values()) == set(registry.aliases.values()) == {"2"}
