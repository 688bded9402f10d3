"""Settings of the user's own in a sweep file: held against the space, with the line of what is wrong."""

import pytest

from sparsweep.spaces.catalogue import Catalogue
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import read_sweep
from sparsweep.spaces.points import settled
from sparsweep.spaces.space import Row, Value

TASK = "task: {network: lenet-digits, data: digits}\n"


def faults_of(text: str, catalogue: Catalogue) -> list[str]:
    with pytest.raises(SweepFileError) as caught:
        read_sweep(TASK + text, catalogue, title="t.yaml", stem="t")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_all_faults_of_the_points_come_with_their_lines(catalogue: Catalogue) -> None:
    text = (
        "trial: {cuts: 8}\n"
        "points:\n"
        "  - {granularity: filter, sparsity_strength: 0.5}\n"
        "  - {granularity: weight, keep_input: true}\n"
        "  - {learning_rat: 0.01}\n"
        "  - {cuts: 4}\n"
        "  - {granularity: fitler}\n"
        "  - {learning_rate: 0.005}\n"
        "  - {learning_rate: 0.005}\n"
        "  - {}\n"
    )
    assert faults_of(text, catalogue) == [
        "line 4: points[1].sparsity_strength: 0.5 is not allowed: it must be a number from 0.0003 to 0.02",
        "line 5: points[2].keep_input: does not apply with granularity = 'weight': it needs granularity = 'filter'",
        "line 6: points[3].learning_rat: unknown knob 'learning_rat'; did you mean learning_rate? (searched: method, "
        "granularity, sparsity_strength, keep_input, learning_rate)",
        "line 7: points[4].cuts: is fixed under trial: leave it out here",
        "line 8: points[5].granularity: 'fitler' is not allowed: it must be one of filter, weight; did you mean "
        "filter?",
        "line 10: points[7]: is the same as points[6]: list each once",
        "line 11: points[8]: is empty: give at least one knob, or leave it out",
    ]


@pytest.mark.parametrize(
    ("points", "fault"),
    [
        ("3", "line 2: points: 3 is not a list: write [...]"),
        ("[3]", "line 2: points[1]: 3 is not a setting: write {knob: value, …}"),
        (
            "[{granularity: [filter]}]",
            "line 2: points[1].granularity: a list cannot be a value: write a word, a number, true or false",
        ),
    ],
)
def test_what_has_not_the_shape_of_points(points: str, fault: str, catalogue: Catalogue) -> None:
    assert faults_of(f"points: {points}\n", catalogue) == [fault]


def test_a_range_that_the_file_narrows_holds_for_its_points(catalogue: Catalogue) -> None:
    text = "space: {learning_rate: {low: 0.002, high: 0.004}}\npoints: [{learning_rate: 0.005}]\n"
    assert faults_of(text, catalogue) == [
        "line 3: points[1].learning_rate: 0.005 is not allowed: it must be a number from 0.002 to 0.004"
    ]


@pytest.mark.parametrize(
    ("point", "whole"),
    [
        ({"sparsity_strength": 1e-5}, {"granularity": "weight", "sparsity_strength": 1e-5}),
        ({"sparsity_strength": 1e-2}, {"granularity": "filter", "sparsity_strength": 1e-2}),
        ({"sparsity_strength": 5e-4}, {"granularity": "weight", "sparsity_strength": 5e-4}),
        ({"sparsity_strength": 5e-4, "keep_input": True},
         {"granularity": "filter", "sparsity_strength": 5e-4, "keep_input": True}),
    ],
)  # fmt: skip
def test_a_knob_brings_the_choice_that_it_needs_the_preferred_one_where_several_do(
    point: dict[str, Value], whole: Row, catalogue: Catalogue
) -> None:
    space = catalogue.entry("gasl").space
    found, wrong = settled(point, space, prefer={} if "keep_input" in point else {"granularity": "weight"})
    assert (found, wrong) == (whole, [])


def test_points_survive_being_written_and_make_another_search(catalogue: Catalogue) -> None:
    plain = read_sweep(TASK, catalogue, title="t", stem="t")
    sweep = read_sweep(TASK + "points: [{learning_rate: 0.005}]\nwarm_start: old\n", catalogue, title="t", stem="t")
    assert read_sweep(sweep.yaml_text, catalogue, title="again").as_json() == sweep.as_json()
    assert set(sweep.identity()) - set(plain.identity()) == {"points", "warm_start"}
