"""A small catalogue, with every kind of range and a knob that depends on another."""

import pytest

from sparsweep.spaces.catalogue import TIME_LIMIT_RANGE, Catalogue, MethodEntry
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space

GRANULARITY = Choice(choices=("filter", "weight"))
RATE = Float(low=1e-3, high=2e-2, log=True)


def _gasl() -> MethodEntry:
    knobs = (
        Knob(name="granularity", range=GRANULARITY),
        Knob(name="sparsity_strength", range=Float(low=3e-4, high=2e-2, log=True), when={"granularity": "filter"}),
        Knob(name="sparsity_strength", range=Float(low=1e-6, high=1e-3, log=True), when={"granularity": "weight"}),
        Knob(name="keep_input", range=Choice(choices=(True, False)), when={"granularity": "filter"}),
        Knob(name="learning_rate", range=RATE),
    )
    return MethodEntry(
        space=Space(knobs),
        allowed={
            "granularity": GRANULARITY,
            "sparsity_strength": Float(low=0, high=1000),
            "keep_input": Choice(choices=(True, False)),
        },
    )


def _magnitude() -> MethodEntry:
    knobs = (Knob(name="granularity", range=GRANULARITY), Knob(name="steps", range=Int(low=1, high=9)))
    return MethodEntry(space=Space(knobs), allowed={"granularity": GRANULARITY, "steps": Int(low=1, high=100)})


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(
        methods={"gasl": _gasl(), "magnitude": _magnitude()},
        networks={"lenet-digits": (1, 8, 8), "lenet-300-100": (1, 28, 28), "lenet-5": (1, 28, 28)},
        data={"digits": (1, 8, 8), "mnist": (1, 28, 28)},
        trial={
            "descent": Choice(choices=("nested", "none")),
            "cuts": Int(low=1, high=256),
            "finetune_epochs": Int(low=0, high=100),
            "learning_rate": Float(low=1e-6, high=10),
            "batch_size": Int(low=1, high=4096),
            "time_limit": TIME_LIMIT_RANGE,
        },
    )
