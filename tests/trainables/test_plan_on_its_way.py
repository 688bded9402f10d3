"""A trial's plan arrives in another process as it left: all of what decides the trial's outcome."""

from dataclasses import fields
from pathlib import Path

from sparsweep.trainables.measures.layer_times import Grid, LayerTimes
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan

GRID = Grid(
    inputs=((8,), (1, 5)),
    outputs=((8,), (1, 5)),
    ms=((((1.0,),), ((2.0, 3.0),)), (((1.0,), (2.0,)), ((1.0, 2.0), (3.0, 4.0)))),
)
TIMES = LayerTimes(
    batch=8,
    device="a device",
    layers={"fc1": "Linear"},
    grids={"Linear": GRID},
    dense={"fc1": (8, 8, 1, 0.5)},
    rest_ms=0.1,
)
PLAN = TrialPlan(
    number=3, setting={"method": "gasl", "sparsity_strength": 1e-3}, seed=7, fixed={"epochs": 2},
    task=Task(network="lenet-digits", data="digits"), code_root=Path("/code"), layer_times=TIMES, rungs=(1, 3),
    judged_on_the_way=True, slot={"cpu": 1.0, "gpu": 0.25}, seeds=3, training=1, look=0.25, look_batch=256,
)  # fmt: skip


def test_a_plan_arrives_as_it_left() -> None:
    assert TrialPlan.from_json(PLAN.as_json()) == PLAN


def test_every_part_of_the_plan_above_is_given() -> None:
    """A new field that does not travel would be missed otherwise."""
    assert all(getattr(PLAN, each.name) for each in fields(PLAN))
