"""What a sampler learns from: only so many rows, and whole ones where it cannot handle conditions."""

import warnings
from random import Random

import optuna
import pytest
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from sparsweep.search.catalogue import catalogue
from sparsweep.search.with_optuna.memory import FIRST, Memory
from sparsweep.search.with_optuna.tpe import GroupedTPESampler
from sparsweep.spaces.draw import random_row
from sparsweep.spaces.space import Choice, Float, Knob, Row, Space, of_methods

SPACE = Space(
    (
        Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-2, log=True, or_zero=True), when={"granularity": "filter"}),
        Knob(name="rate", range=Float(low=1.0, high=3.0)),
    )
)
WEIGHT: Row = {"granularity": "weight", "rate": 1.5}


def values_of(memory: Memory) -> list[float]:
    return [trial.values[0] for trial in memory.trials if trial.state == TrialState.COMPLETE]


def test_the_newest_half_and_the_best_of_the_others_are_kept() -> None:
    memory = Memory(SPACE, RandomSampler(seed=0), 1, most_rows=4)
    for value in (0.1, 0.9, 0.2, 0.8):
        memory.end(memory.begin(WEIGHT, {}), [value], {})
    assert values_of(memory) == [0.1, 0.9, 0.2, 0.8]
    memory.end(memory.begin(WEIGHT, {}), [0.3], {})  # 5 > 1.2 x 4
    assert values_of(memory) == [0.9, 0.2, 0.8, 0.3]
    assert memory.finished == 4


def test_of_several_objectives_the_front_is_kept_and_what_meets_the_constraints_goes_first() -> None:
    memory = Memory(SPACE, RandomSampler(seed=0), 2, most_rows=4)
    told = [((0.5, 0.5), 0.0), ((0.9, 0.9), 0.3), ((0.1, 0.9), 0.0), ((0.4, 0.4), 0.0), ((0.2, 0.2), 0.0)]
    for values, missed in told:
        memory.end(memory.begin(WEIGHT, {}), values, {"accuracy >= 0.9": missed})
    assert [tuple(trial.values) for trial in memory.trials] == [(0.5, 0.5), (0.1, 0.9), (0.4, 0.4), (0.2, 0.2)]


def test_rows_that_are_being_tried_stay_and_failed_ones_go() -> None:
    memory = Memory(SPACE, RandomSampler(seed=0), 1, most_rows=2)
    running, failing = memory.begin(WEIGHT, {}), memory.begin(WEIGHT, {})
    for value in (0.1, 0.2, 0.3):
        memory.end(memory.begin(WEIGHT, {}), [value], {})
    memory.end(failing, None, {})
    assert running == FIRST
    assert [trial.state.name for trial in memory.trials] == ["RUNNING", "COMPLETE", "COMPLETE"]


def test_a_flat_memory_has_every_parameter_in_every_row() -> None:
    memory = Memory(SPACE, NSGAIISampler(seed=0), 1, flat=True)
    memory.begin(WEIGHT, {})
    assert memory.trials[0].params == {
        "granularity": "weight", "strength[granularity=filter].zero": False,
        "strength[granularity=filter]": pytest.approx(1e-3), "rate": 1.5,
    }  # fmt: skip
    rows = [memory.propose()[0] for _ in range(40)]
    assert all(SPACE.labels_of(row) for row in rows)
    assert {row.get("strength", 1) == 0 for row in rows} == {True, False}
    assert not any("strength" in row for row in rows if row["granularity"] == "weight")


def test_a_genetic_samplers_generation_is_kept_with_the_row() -> None:
    memory = Memory(SPACE, NSGAIISampler(seed=0, population_size=2), 1, flat=True)
    for at in range(4):
        row, attributes = memory.propose()
        assert list(attributes.values()) == [at // 2]
        memory.end(memory.begin(row, attributes), [0.1 * at], {})


@pytest.mark.parametrize("objectives", [1, 3])
def test_the_quicker_tpe_proposes_what_optunas_own_does(objectives: int) -> None:
    known = catalogue()
    space = of_methods({name: known.entry(name).space for name in ("gasl", "magnitude", "l0")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        own = TPESampler(seed=3, multivariate=True, group=True, constant_liar=True)
        memories = [Memory(space, sampler, objectives) for sampler in (own, GroupedTPESampler(seed=3))]
    chance, proposed = Random(0), []
    told = [(random_row(space, chance), [chance.random() for _ in range(objectives)]) for _ in range(40)]
    for memory in memories:
        rows = []
        for row, values in told:
            memory.end(memory.begin(row, {}), values, {"sparsity > 0.5": 0.5 - values[0]})
        for at in range(8):
            rows.append(memory.propose()[0])
            place = memory.begin(rows[-1], {})
            if at % 3 == 1:  # others are stopped, or still being tried
                memory.end(place, [0.1 * at] * objectives, {"sparsity > 0.5": 0.0})
            elif at % 3 == 2:
                memory.end(place, None, {}, {2: (0.1 * at,) * objectives})
        proposed.append(rows)
    assert proposed[0] == proposed[1]
    assert len({row["method"] for row in proposed[0]}) > 1
