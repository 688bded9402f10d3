"""Sweep files that are not well: every fault at once, with its line, in words a user can act on."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsweep.spaces.catalogue import Catalogue
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import Overrides, load_sweep, read_sweep
from sparsweep.spaces.sweep_file import SweepFile

TASK = "task: {network: lenet-digits, data: digits}\n"
EMPTY = "the file is empty: at least task: {network: NAME, data: NAME} is needed"
NAMING = "use 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
DURATION = "is not a duration: write 30m, 90s, 2h, 1h30m or a number of seconds"


def message_of(text: str, catalogue: Catalogue, **given: Any) -> list[str]:
    """The faults, one a line, without the title."""
    with pytest.raises(SweepFileError, match=r"^t\.yaml: [0-9]+ faults?\n") as caught:
        read_sweep(text, catalogue, title="t.yaml", **given)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(
        "name: digits\n"
        "task: {network: lenet-digits, data: digits}\n"
        "space:\n"
        "  sparsity_strength: {low: 0.02, high: 3e-4}\n"
        "  granularty: filter\n"
        "\n"
        "objctives: {accuracy: max}\n"
        "budget: {trials: many}\n"
    )
    with pytest.raises(SweepFileError) as caught:
        load_sweep(str(path), catalogue)
    assert str(caught.value) == (
        f"{path}: 4 faults\n"
        "  line 4: space.sparsity_strength: low 0.02 is greater than high 0.0003: swap them\n"
        "  line 5: space.granularty: unknown knob 'granularty'; did you mean granularity? (allowed: batch_size, cuts, "
        "descent, finetune_epochs, granularity, keep_input, learning_rate, sparsity_strength)\n"
        "  line 7: objctives: unknown key; did you mean objectives?\n"
        "  line 8: budget.trials: 'many' is not a whole number: write one, such as 8"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("objctives: {}", "objctives: unknown key; did you mean objectives?"),
        ("name: -x", f"name: '-x' cannot be a name: {NAMING}"),
        ("name: 12", "name: 12 is not text: write a word, in quotes if it looks like a number"),
        ("methods: []", "methods: is empty: list at least one method, such as [gasl]"),
        ("methods: [gasl, gasl]", "methods: [gasl, gasl] lists a method twice: list each once"),
        ("methods: gasl", "methods: 'gasl' is not a list: write [...]"),
        ("methods: [gals]", "methods[1]: unknown method 'gals'; did you mean gasl? (allowed: gasl, magnitude, or "
         "module:Class of your own)"),
        ("space: 3", "space: 3 is not a mapping: write space: {key: value}"),
        ("space: {learning_rate: }", "space.learning_rate: nothing is not a range: write {low: …, high: …}, "
         "{choices: […]} or one value"),
        ("space: {learning_rate: [1]}", "space.learning_rate: is a list: write {choices: [...]}"),
        ("space: {learning_rate: {low: 1}}", "space.learning_rate.high: is missing: write {low: …, high: …} or "
         "{choices: […]}"),
        ("space: {learning_rate: {low: 1, hgih: 2, high: 2}}", "space.learning_rate.hgih: unknown key; did you mean "
         "high?"),
        ("space: {cuts: {choices: [1], low: 2}}", "space.cuts.low: does not go with the others: write "
         "{low: …, high: …} or {choices: […]}"),
        ("space: {learning_rate: {low: abc, high: 1.5}}", "space.learning_rate.low: 'abc' is not a number: write one, "
         "such as 0.01"),
        ("space: {learning_rate: {low: 0, high: 1.5, log: true}}", "space.learning_rate: a log range needs low > 0, "
         "not 0.0; for exactly 0 beside a log range add or_zero: true"),
        ("space: {learning_rate: {low: 1e-5, high: .inf}}", "space.learning_rate: low 1e-05 and high inf must be "
         "finite numbers"),
        ("space: {learning_rate: {low: 1, high: 2, log: yes}}", "space.learning_rate.log: 'yes' is neither true nor "
         "false: write one of them"),
        ("space: {learning_rate: {choices: []}}", "space.learning_rate: choices is empty: list at least one value"),
        ("space: {learning_rate: {choices: [[1]]}}", "space.learning_rate.choices[1]: a list cannot be a value: write "
         "a word, a number, true or false"),
        ("space: {sparsity_strength: {low: 1, high: 2000}}", "space.sparsity_strength: high 2000 is not allowed: it "
         "must be a number from 0 to 1000"),
        ("space: {sparsity_strength: {choices: [1, big]}}", "space.sparsity_strength: 'big' is not allowed: it must be "
         "a number from 0 to 1000"),
        ("space: {cuts: {low: 1.5, high: 3}}", "space.cuts: low 1.5 to high 3.0 are not whole: it must be a whole "
         "number from 1 to 256"),
        ("space: {granularity: fliter}", "space.granularity: 'fliter' is not allowed: it must be one of filter, "
         "weight; did you mean filter?"),
        ("space: {granularity: {low: 1, high: 2}}", "space.granularity: has no low and high: it is one of filter, "
         "weight, so write choices: [...]"),
        ("space: {keep_input: 1}", "space.keep_input: 1 is not allowed: it must be one of true, false"),
        ("space: {steps: 3}", "space.steps: is a knob of magnitude, not of gasl: list such a method, or remove it "
         "(knobs of gasl: granularity, keep_input, sparsity_strength)"),
        ("space: {granularity: weight, keep_input: true}", "space.keep_input: would do nothing: it needs granularity "
         "= 'filter', which granularity under space excludes"),
        ("space: {method: gasl}", "space.method: cannot be searched: write it under methods"),
        ("space: {time_limit: 3}", "space.time_limit: cannot be searched: write it under trial or budget"),
        ("objectives: {sparsity: max}", "objectives.accuracy: is missing: a frontier needs it: write accuracy: max"),
        ("objectives: {accuracy: max}", "objectives: accuracy alone has no frontier: add another objective, such as "
         "sparsity: max"),
        ("objectives: {accuracy: max, macs: max}", "objectives.macs: 'max' is not its direction: write macs: min"),
        ("objectives: {accuracy: max, sped: max}", "objectives.sped: unknown key; did you mean speedup?"),
        ("constraints: accuracy > 0.9", "constraints: 'accuracy > 0.9' is not a list: write [...]"),
        ("constraints: [3]", "constraints[1]: 3 is not a constraint: write one in quotes, such as 'accuracy >= 0.97'"),
        ("constraints: [accuracy => 0.9]", "constraints[1]: unknown comparison =>; did you mean >=? (allowed: >=, <=, "
         "==, >, <)"),
        ("constraints: [test_accuracy > 0.9]", "constraints[1]: test_accuracy may not steer a search, which must not "
         "see the test set: constrain accuracy, and choose by test_accuracy afterwards with sparsweep pick --where"),
        ("budget: {first_look: 1}", "budget.first_look: 1 is too large: it must be less than 1"),
        ("budget: {first_look: -0.1}", "budget.first_look: -0.1 is too small: it must be at least 0"),
        ("budget: {first_look: 0.3, first_look_batch: 0}", "budget.first_look_batch: 0 is too small: it must be at "
         "least 1"),
        ("budget: {first_look_batch: 64}", "budget.first_look_batch: does nothing without first_look: write the share "
         "of the epochs that a look takes, such as first_look: 0.3"),
        ("stopping: {rule: descents, descents: false}", "stopping.descents: leaves rule: descents nothing to end: "
         "write rule: none, or halving"),
        ("budget: {trials: -1}", "budget.trials: -1 is too small: it must be at least 1"),
        ("budget: {trials: 1.5}", "budget.trials: 1.5 is not a whole number: write one, such as 8"),
        ("budget: {trials: '3'}", "budget.trials: '3' is not a whole number: write one, such as 8"),
        ("budget: {trials: true}", "budget.trials: true is not a whole number: write one, such as 8"),
        ("budget: {trials: 1_000}", "budget.trials: '1_000' is not a whole number: write one, such as 8"),
        (f"budget: {{trials: {'9' * 39}}}", f"budget.trials: {'9' * 39} is too large: it must be at most 1000000"),
        (f"budget: {{trials: {'9' * 5000}}}", "budget.trials: a number of 5000 characters: write at most 40"),
        ("budget: {time_limit: 10 min}", f"budget.time_limit: '10 min' {DURATION}"),
        ("budget: {time_limit: 0}", "budget.time_limit: 0 must be more than 0 seconds and at most 366 days"),
        ("budget: {epoch: 3}", "budget.epoch: unknown key; did you mean epochs?"),
        ("budget: {zzz: 3}", "budget.zzz: unknown key (allowed: trials, epochs, first_look, first_look_batch, "
         "time_limit, gpu_hours, cpu_hours, cost, cost_per_hour, patience, min_growth)"),
        ("trial: {cuts: 300}", "trial.cuts: 300 is not allowed: it must be a whole number from 1 to 256"),
        ("trial: {descent: nestd}", "trial.descent: 'nestd' is not allowed: it must be one of nested, none; did you "
         "mean nested?"),
        ("trial: {cut: 3}", "trial.cut: unknown option 'cut'; did you mean cuts? (allowed: descent, cuts, "
         "finetune_epochs, learning_rate, batch_size, time_limit)"),
        ("trial: {granularity: filter}", "trial.granularity: is a knob of gasl and magnitude, not an option of the "
         "trial: write it under space"),
        ("trial: {cuts: [3]}", "trial.cuts: a list cannot be a value: write a word, a number, true or false"),
        ("trial: {time_limit: soon}", f"trial.time_limit: 'soon' {DURATION}"),
        ("resources: {cpu: 0}", "resources.cpu: 0 is too small: it must be more than 0"),
        ("timing: {runtimes: [eager, tensorrt]}",
         "timing.runtimes[2]: 'tensorrt' is not one of eager, channels_last, compile, onnx, csr, 2:4"),
        ("timing: {runtimes: [eager, eager]}",
         "timing.runtimes: [eager, eager] names a runtime twice: name each once, such as [eager, onnx]"),
        ("timing: {runtimes: [csr]}", "timing.runtimes: [csr] has none for the dense network: add eager"),
        ("timing: {batch: 0}", "timing.batch: 0 is too small: it must be at least 1"),
        ("resources: {gpu: -1}", "resources.gpu: -1 is too small: it must be at least 0"),
        ("resources: {gpu: 1.5}", "resources.gpu: 1.5 GPUs cannot be given: above 1 only whole numbers can"),
        ("resources: {cpu: .nan}", "resources.cpu: nan is not a finite number: write one, such as 0.01"),
        ("sampler: {name: tep}", "sampler.name: 'tep' is not one of auto, tpe, gp, nsga2, random; did you mean tpe?"),
        ("sampler: {seed: -1}", "sampler.seed: -1 is too small: it must be at least 0"),
        ("registry: {model: a/b}", f"registry.model: 'a/b' cannot be a name: {NAMING}"),
        ("registry: {keep: 0}", "registry.keep: 0 is too small: it must be at least 1"),
        ("name: a\nname: b", "name: written twice (first on line 2): keep one"),
        ("name: !!python/object/apply:os.system [x]", "name: tag 'tag:yaml.org,2002:python/object/apply:os.system' is "
         "not read here: write the plain value"),
        ("name: &a x", "name: anchor &a is not read here: write the value out"),
        ("name: *a", "name: alias *a is not read here: write the value out"),
        ('name: "a\\0b"', "name: holds a control character: remove it"),
        ("? [a]\n: 3", "a key must be one plain word"),
        ("<<: {name: x}", "<<: unknown key (allowed: name, task, methods, space, objectives, constraints, budget, "
         "trial, resources, timing, sampler, points, warm_start, stopping, seeds, registry)"),
    ],
)  # fmt: skip
def test_one_fault(text: str, fault: str, catalogue: Catalogue) -> None:
    line = 3 if text.startswith("name: a\nname") else 2
    assert message_of(TASK + text + "\n", catalogue) == [f"line {line}: {fault}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", EMPTY),
        ("# nothing\n", EMPTY),
        ("---\n", f"line 2: {EMPTY}"),
        ("null\n", "line 1: the top is not a mapping: start with lines such as task: {...}"),
        ("- a\n", "line 1: the top is not a mapping: start with lines such as task: {...}"),
        ("a: b: c", "line 1, column 5: not YAML: mapping values are not allowed here"),
        ("a: 1\n b: 2", "line 2, column 3: not YAML: mapping values are not allowed here"),
        ("a:\n\t- b", "line 2, column 1: not YAML: while scanning for the next token; found character '\\t' that "
         "cannot start any token: indent with spaces"),
        ("a: 1\nb: \x07", "line 2: control character U+0007: remove it"),
        ('a: "\\UFFFFFFFF"', "not YAML: an escape or directive is wrong"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins here: one sweep a file"),
        ("a: " + "[" * 500, "line 1: nested more than 20 deep: no sweep is"),
        ("a: [" + "1," * 30_000 + "]", "line 1: more than 20000 entries: no sweep needs so many"),
        ("name: x", "task: is missing: write task: {network: NAME, data: NAME}"),
        ("task: digits", "line 1: task: 'digits' is not a mapping: write task: {key: value}"),
        ("task: {network: lenet-5}", "line 1: task.data: is missing: write data: NAME (see sparsweep list tasks)"),
        ("task: {network: lenet5, data: mnist}", "line 1: task.network: unknown network 'lenet5'; did you mean "
         "lenet-5? (allowed: lenet-digits, lenet-300-100, lenet-5)"),
        ("task:\n  network: lenet-5\n  data: minst", "line 3: task.data: unknown data 'minst'; did you mean mnist? "
         "(allowed: digits, mnist)"),
        ("task: {network: lenet-digits, data: mnist}", "line 1: task: network lenet-digits takes 1x8x8, but data mnist "
         "gives 1x28x28: use lenet-300-100 or lenet-5 for these data"),
    ],
)  # fmt: skip
def test_one_fault_of_the_whole(text: str, fault: str, catalogue: Catalogue) -> None:
    assert message_of(text, catalogue) == [fault]


def test_both_fixed_and_searched(catalogue: Catalogue) -> None:
    text = f"{TASK}trial: {{cuts: 3}}\nspace: {{cuts: 4}}\n"
    assert message_of(text, catalogue) == [
        "line 3: space.cuts: is searched here and fixed under trial: keep one of the two"
    ]


def test_a_misspelt_method_does_not_make_its_knobs_unknown(catalogue: Catalogue) -> None:
    faults = message_of(f"{TASK}methods: [magnitud]\nspace: {{steps: 3}}\n", catalogue)
    assert len(faults) == 1
    assert "did you mean magnitude?" in faults[0]


def test_a_fault_of_the_command_line_names_its_option(catalogue: Catalogue) -> None:
    given = Overrides(name="a b", trials=-3, epochs=0, time_limit="soon", seed=-1, slots=0)
    assert message_of(TASK + "budget: 7\n", catalogue, overrides=given) == [
        "line 2: budget: 7 is not a mapping: write budget: {key: value}",
        "--epochs: 0 is too small: it must be at least 1",
        f"--time-limit: 'soon' {DURATION}",
        "--trials: -3 is too small: it must be at least 1",
        f"--name: 'a b' cannot be a name: {NAMING}",
        "--slots: 0 is too small: it must be at least 1",
        "--seed: -1 is too small: it must be at least 0",
    ]


def test_a_file_whose_name_cannot_be_the_sweeps(catalogue: Catalogue) -> None:
    faults = message_of(TASK, catalogue, stem="my sweep")
    assert faults == [f"name, taken from the file's name: 'my sweep' cannot be a name: {NAMING}"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digit", r"^unknown preset 'digit'; did you mean digits\? \(presets: digits, gss-mnist, lenet300-mnist, "
         r"lenet5-mnist, resnet20-cifar10; or give the path of a YAML file\)$"),
        ("nowhere/digits.yaml", r"^nowhere/digits.yaml: there is no such file; did you mean digits\? \(presets: "),
        ("/dev/null", "^/dev/null: is not a regular file: give a YAML file$"),
        ("a\0b", "cannot be a path: give a preset's name or a YAML file$"),
        ("", r"^\.: is a folder: give a YAML file in it$"),
        ("x" * 5000, "cannot be read: File name too long$"),
    ],
)  # fmt: skip
def test_no_such_sweep(source: str, message: str, catalogue: Catalogue) -> None:
    with pytest.raises(SweepFileError, match=message):
        load_sweep(source, catalogue)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff", "line 2: byte 0xFF is not UTF-8: save the file as UTF-8$"),
        (b" " * ((1 << 20) + 1), "is larger than 1 MiB: a sweep file is some ten lines$"),
    ],
)
def test_no_text(content: bytes, message: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(SweepFileError, match=message):
        load_sweep(str(path), catalogue)


def test_a_folder(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(SweepFileError, match=r"is a folder: give a YAML file in it$"):
        load_sweep(str(tmp_path), catalogue)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TASK.replace("\n", "\r\n").encode())
    assert load_sweep(str(path), catalogue).name == "s"


def test_a_flood_of_faults_is_cut_short(catalogue: Catalogue) -> None:
    text = TASK + "".join(f"zz{number}: 1\n" for number in range(150))
    assert message_of(text, catalogue)[-1] == "and 50 more"


JARGON = ("Input should", "type=", "Value error", "[key]", "validation", "Traceback")
KEYS = [
    *SweepFile.model_fields,
    "space",
    "trials",
    "cuts",
    "low",
    "high",
    "choices",
    "network",
    "granularity",
    "time_limit",
    "gpu_hours",
    "cost",
    "cost_per_hour",
    "min_growth",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["max", "gasl", "digits", "lenet-digits", "nested", "accuracy > 0.9", "10m"]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=4)), inner, max_size=5),
    ),
    max_leaves=12,
)


def read_or_refuse(text: str, catalogue: Catalogue) -> None:
    try:
        sweep = read_sweep(text, catalogue, title="t.yaml")
        sweep.space(catalogue)
        again = read_sweep(sweep.yaml_text, catalogue, title="again")
    except SweepFileError as error:
        message = str(error)
        assert not [word for word in JARGON if word in message]
    else:
        assert again.identity() == sweep.identity()


@given(st.one_of(st.text(), st.text("{}[]:,-?&*!|>'\"%@\\#~.=\r\n \tabUx019eE")))
@settings(deadline=None)
def test_any_text_is_read_or_refused(catalogue: Catalogue, text: str) -> None:
    read_or_refuse(text, catalogue)


@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_mapping_is_read_or_refused(catalogue: Catalogue, tree: dict[str, Any]) -> None:
    task = {"network": "lenet-digits", "data": "digits"}
    read_or_refuse(yaml.safe_dump({"task": task, **tree}, allow_unicode=True), catalogue)
