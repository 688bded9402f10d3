"""How cuts are scheduled and what grows back: fixed by a sweep file or searched, and refused in one message."""

import random

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import read_sweep
from sparsweep.spaces.space import Choice, Float, Int, Value
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.options import TrialOptions

TASK = "task: {network: lenet-digits, data: digits}\n"


def sweep_of(text: str) -> SweepFile:
    return read_sweep(TASK + text + "\n", catalogue(), title="tiny.yaml", stem="tiny")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("trial: {cut_schedule: mac}", "trial.cut_schedule: 'mac' is not allowed: it must be one of geometric, macs, "
         "scores, adaptive; did you mean macs?"),
        ("trial: {regrowth: 1}", "trial.regrowth: 1 is not allowed: it must be a number from 0 to 0.99"),
        ("space: {regrowth: {low: 0, high: 2}}", "space.regrowth"),
        ("space: {cut_schedule: {choices: [geometric, even]}}", "space.cut_schedule"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_clear_message(text: str, fault: str) -> None:
    with pytest.raises(SweepFileError) as caught:
        sweep_of(text)
    assert fault in str(caught.value)
    assert str(caught.value).count("line ") == 1


def test_they_are_fixed_by_the_trial() -> None:
    sweep = sweep_of("trial: {cut_schedule: adaptive, regrowth: 0.3}")
    options = TrialOptions.from_row(sweep.trial, {})
    assert (options.cut_schedule, options.regrowth) == ("adaptive", 0.3)
    plain = TrialOptions.from_row(sweep_of("").trial, {})
    assert (plain.cut_schedule, plain.regrowth) == ("geometric", 0.0)


def test_or_searched() -> None:
    text = "space: {regrowth: {low: 0.1, high: 0.3}, cut_schedule: {choices: [macs, scores]}}"
    space = sweep_of(text).space(catalogue())
    source = random.Random(0)

    def draw(label: str, allowed: Float | Int | Choice) -> Value:
        if isinstance(allowed, Choice):
            return source.choice(allowed.choices)
        return source.randint(allowed.low, allowed.high) if isinstance(allowed, Int) else allowed.low

    drawn = [TrialOptions.from_row({}, space.row(draw)) for _ in range(20)]
    assert {options.cut_schedule for options in drawn} == {"macs", "scores"}
    assert {options.regrowth for options in drawn} == {0.1}
