"""Sweep files that are well: defaults, the searched space, the canonical form, what counts as the same search."""

import json

import pytest

from sparsweep.search import catalogue as installed
from sparsweep.search.sweep_folder import on_trust
from sparsweep.spaces.catalogue import Catalogue, MethodEntry
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import Overrides, load_sweep, presets, read_sweep
from sparsweep.spaces.same_search import differences
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space
from sparsweep.spaces.sweep_file import SweepFile

TASK = "task: {network: lenet-digits, data: digits}\n"


def sweep_of(text: str, catalogue: Catalogue, overrides: Overrides = Overrides()) -> SweepFile:  # noqa: B008
    return read_sweep(TASK + text, catalogue, title="tiny.yaml", stem="tiny", overrides=overrides)


def labels(text: str, catalogue: Catalogue) -> list[str]:
    return [knob.label for knob in sweep_of(text, catalogue).space(catalogue).knobs]


def test_everything_but_the_task_has_a_default(catalogue: Catalogue) -> None:
    assert sweep_of("", catalogue).as_json() == {
        "name": "tiny",
        "task": {"network": "lenet-digits", "data": "digits"},
        "methods": ["gasl"],
        "space": {},
        "objectives": {"accuracy": "max", "sparsity": "max", "speedup": "max"},
        "constraints": [],
        "budget": {
            "trials": 24,
            "epochs": 20,
            "first_look": 0.0,
            "first_look_batch": None,
            "time_limit": None,
            "gpu_hours": None,
            "cpu_hours": None,
            "cost": None,
            "cost_per_hour": None,
            "patience": None,
            "min_growth": None,
        },
        "trial": {},
        "resources": {"cpu": 1.0, "gpu": 0.0, "slots": None},
        "timing": {"runtimes": ["eager"], "batch": 32, "threads": 1, "round_ms": 40.0, "look_up": False},
        "sampler": {"name": "auto", "seed": 0},
        "points": [],
        "warm_start": None,
        "stopping": {"rule": "none", "reduction": 3, "first": None, "descents": True},
        "seeds": 1,
        "registry": {"model": "tiny", "keep": 8},
    }


def test_a_key_without_value_is_its_default(catalogue: Catalogue) -> None:
    assert sweep_of("constraints:\nbudget:\n", catalogue) == sweep_of("", catalogue)


@pytest.mark.parametrize("name", ["digits", "gss-mnist", "lenet300-mnist", "lenet5-mnist", "resnet20-cifar10"])
def test_presets_load_and_survive_being_written(name: str) -> None:
    catalogue = installed.catalogue()
    sweep = load_sweep(name, catalogue)
    assert sweep.name == name
    assert read_sweep(sweep.yaml_text, catalogue, title="again") == sweep
    assert read_sweep(sweep.text_to_edit, catalogue, title="to edit") == sweep
    assert on_trust(json.dumps(sweep.as_json()), "again") == sweep
    assert "null" not in sweep.text_to_edit
    assert sweep.space(catalogue).row(lambda label, allowed: getattr(allowed, "low", None) or allowed.choices[0])  # type: ignore[union-attr]


def test_presets_say_what_they_are() -> None:
    assert list(presets()) == ["digits", "gss-mnist", "lenet300-mnist", "lenet5-mnist", "resnet20-cifar10"]
    assert presets()["digits"].startswith("Real 8x8 digits, no download")
    assert all(20 < len(line) <= 110 for line in presets().values())


def test_numbers_are_read_as_users_write_them(catalogue: Catalogue) -> None:
    sweep = sweep_of("space: {sparsity_strength: {low: 3e-4, high: 2E-2, log: true}}\n", catalogue)
    assert sweep.ranges == {"sparsity_strength": Float(low=0.0003, high=0.02, log=True)}


def test_a_bare_value_is_a_choice_of_one(catalogue: Catalogue) -> None:
    sweep = sweep_of("space: {granularity: filter, sparsity_strength: 1, keep_input: true}\n", catalogue)
    assert sweep.ranges["granularity"] == Choice(choices=("filter",))
    assert repr(sweep.ranges["sparsity_strength"]) == "Choice(choices=(1.0,))"
    assert sweep.ranges["keep_input"] == Choice(choices=(True,))


def test_whole_ends_of_a_real_knob_draw_real_numbers(catalogue: Catalogue) -> None:
    sweep = sweep_of("space: {sparsity_strength: {low: 1, high: 10}}\n", catalogue)
    assert sweep.ranges["sparsity_strength"] == Float(low=1, high=10)


def test_constraints_and_durations_are_values(catalogue: Catalogue) -> None:
    text = 'constraints: ["accuracy >= 97%"]\nbudget: {time_limit: 1h30m}\ntrial: {time_limit: 90s}\n'
    sweep = sweep_of(text, catalogue)
    assert [str(constraint) for constraint in sweep.constraints] == ["accuracy >= 0.97"]
    assert sweep.budget.time_limit_s == 5400
    assert sweep.trial == {"time_limit": 90}


def test_the_command_line_comes_last(catalogue: Catalogue) -> None:
    given = Overrides(name="other", trials=3, epochs=2, time_limit="45", seed=7)
    sweep = sweep_of("name: first\nbudget: {trials: 9}\nregistry: {keep: 2}\n", catalogue, given)
    assert (sweep.name, sweep.model, sweep.sampler.seed) == ("other", "other", 7)
    assert (sweep.budget.trials, sweep.budget.epochs, sweep.budget.time_limit_s) == (3, 2, 45)


def test_the_space_is_the_methods_own(catalogue: Catalogue) -> None:
    assert labels("", catalogue) == [
        "method",
        "granularity",
        "sparsity_strength[granularity=filter]",
        "sparsity_strength[granularity=weight]",
        "keep_input[granularity=filter]",
        "learning_rate",
    ]


def test_what_the_trial_fixes_is_not_searched(catalogue: Catalogue) -> None:
    assert "learning_rate" not in labels("trial: {learning_rate: 0.01}\n", catalogue)


def test_what_was_checked_is_read_again_without_a_catalogue(catalogue: Catalogue) -> None:
    text = "space: {sparsity_strength: {low: 1, high: 10}, learning_rate: 1.0e-3, keep_input: true}\n"
    text += "trial: {time_limit: 90s}\n"
    sweep = sweep_of(text, catalogue)
    again = on_trust(json.dumps(sweep.as_json()), "again")
    assert again.as_json() == sweep.as_json()
    assert repr((again.ranges, again.trial)) == repr((sweep.ranges, sweep.trial))
    with pytest.raises(SweepFileError, match=r"(?s)sweep\.json.*budget\.trials: -1"):
        on_trust(json.dumps({**sweep.as_json(), "budget": {"trials": -1}}), "sweep.json")


def test_options_of_the_trial_may_be_searched(catalogue: Catalogue) -> None:
    space = sweep_of("space: {batch_size: {choices: [32, 64]}, cuts: 8}\n", catalogue).space(catalogue)
    assert {knob.name: knob.range for knob in space.knobs[-2:]} == {
        "batch_size": Choice(choices=(32, 64)),
        "cuts": Choice(choices=(8,)),
    }


def test_a_range_goes_to_every_method_that_has_the_knob(catalogue: Catalogue) -> None:
    text = "methods: [gasl, magnitude]\nspace: {granularity: weight, steps: {low: 2, high: 3}, cuts: 4}\n"
    assert labels(text, catalogue) == [
        "method",
        "granularity[method=gasl]",
        "sparsity_strength[method=gasl,granularity=filter]",
        "sparsity_strength[method=gasl,granularity=weight]",
        "keep_input[method=gasl,granularity=filter]",
        "learning_rate[method=gasl]",
        "granularity[method=magnitude]",
        "steps[method=magnitude]",
        "cuts",
    ]


def test_an_option_that_one_method_searches_is_then_searched_for_all(catalogue: Catalogue) -> None:
    text = "methods: [gasl, magnitude]\nspace: {learning_rate: 0.1}\n"
    assert {"learning_rate[method=gasl]", "learning_rate[method=magnitude]"} <= set(labels(text, catalogue))


def test_more_trials_are_the_same_search(catalogue: Catalogue) -> None:
    one = sweep_of("budget: {trials: 3}\n", catalogue).identity()
    more = sweep_of("budget: {trials: 9, time_limit: 1h}\nresources: {cpu: 2}\nregistry: {keep: 3}\n", catalogue)
    assert differences(one, more.identity()) == []
    assert json.loads(json.dumps(one)) == one


def test_how_networks_are_timed_is_the_same_search_unless_it_goes_by_it(catalogue: Catalogue) -> None:
    one = sweep_of("", catalogue).identity()
    assert differences(one, sweep_of("timing: {runtimes: [eager, onnx], batch: 8}\n", catalogue).identity()) == []
    by_time = sweep_of("timing: {look_up: true, batch: 8}\n", catalogue).identity()
    assert differences(one, by_time)
    assert differences(by_time, sweep_of("timing: {look_up: true, batch: 9}\n", catalogue).identity())


def test_spelling_is_no_difference(catalogue: Catalogue) -> None:
    one = 'space: {sparsity_strength: {low: 1, high: 2}}\nconstraints: ["accuracy>=90%", "speedup > 1"]\n'
    other = 'constraints: ["speedup > 1.0", accuracy >= 0.9]\nspace: {sparsity_strength: {high: 2.0, low: 1.0}}\n'
    assert differences(sweep_of(one, catalogue).identity(), sweep_of(other, catalogue).identity()) == []


def test_what_differs_is_named(catalogue: Catalogue) -> None:
    one = sweep_of("space: {steps: {low: 1, high: 3}}\nmethods: [magnitude]\n", catalogue)
    other = sweep_of(
        "space: {steps: {low: 1, high: 4}, granularity: weight}\nmethods: [magnitude, gasl]\n"
        'trial: {cuts: 4}\nconstraints: ["speedup > 2"]\nbudget: {epochs: 3}\nsampler: {seed: 1}\n'
        "objectives: {accuracy: max, macs: min}\n",
        catalogue,
    )
    assert differences(one.identity(), other.identity()) == [
        "methods was [magnitude] and is now [magnitude, gasl]",
        "space.steps.high was 3 and is now 4",
        "space.granularity was not given and is now {choices: [weight]}",
        "objectives.sparsity was max and is now not given",
        "objectives.speedup was max and is now not given",
        "objectives.macs was not given and is now min",
        "trial.cuts was not given and is now 4",
        "sampler.seed was 0 and is now 1",
        "constraints was [] and is now [speedup > 2]",
        "epochs was 20 and is now 3",
    ]


def test_a_catalogue_that_contradicts_itself_is_refused() -> None:
    entry = MethodEntry(
        space=Space((Knob(name="steps", range=Int(low=0, high=9)),)), allowed={"steps": Int(low=1, high=9)}
    )
    message = "the catalogue contradicts itself: m: steps: low 0 is not allowed: it must be a whole number from 1 to 9"
    with pytest.raises(ValueError, match=message):
        Catalogue(methods={"m": entry}, networks={}, data={}, trial={})


@pytest.mark.parametrize(
    ("text", "rule"), [("none", "none"), ("halving", "halving"), ("false", "none"), ("true", "halving"),
                       ("{rule: halving, reduction: 4, first: 2}", "halving"), ("descents", "descents")],
)  # fmt: skip
def test_stopping_in_a_word_or_in_full(text: str, rule: str, catalogue: Catalogue) -> None:
    sweep = sweep_of(f"stopping: {text}\n", catalogue)
    assert sweep.stopping.rule == rule
    assert sweep.stopping.reduction == (4 if "4" in text else 3)
    assert sweep.identity() == sweep_of("", catalogue).identity(), "it may change when a sweep is resumed"
