"""Parts of a sweep file that cannot go together are named with their lines, before anything starts."""

import pytest

from sparsweep.spaces.catalogue import Catalogue
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import Overrides, read_sweep
from sparsweep.spaces.sweep_file import Price, SweepFile

TASK = "task: {network: lenet-digits, data: digits}\n"
PRICES = "write cost_per_hour: {gpu: 2.50}, the price of one GPU for an hour, or {cpu: 0.04}, that of one core"


def sweep_of(text: str, catalogue: Catalogue, overrides: Overrides = Overrides()) -> SweepFile:  # noqa: B008
    return read_sweep(TASK + text, catalogue, title="tiny.yaml", stem="tiny", overrides=overrides)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("budget: {gpu_hours: 3}", "budget.gpu_hours: trials hold no GPU: write resources: {gpu: 1}, or limit"),
        ("budget: {cost: 3}", f"budget.cost: has no price to go by: {PRICES}"),
        ("budget: {cost_per_hour: {}}", f"budget.cost_per_hour: names no price: {PRICES}"),
        ("budget: {cost_per_hour: {gpu: 0}}", f"budget.cost_per_hour: names no price: {PRICES}"),
        ("budget: {cost_per_hour: {gpu: 2.5}}", "budget.cost_per_hour: trials hold no GPU, so nothing would cost"),
        ("budget: {min_growth: 0.01}", "budget.min_growth: does nothing without patience"),
        ('constraints: ["sparsity > 1"]', "constraints[1]: sparsity > 1 can hold for no network, as sparsity is"),
        ('constraints: ["macs < 0"]', "constraints[1]: macs < 0 can hold for no network, as macs is never below 0"),
        (
            'constraints: ["accuracy >= 0.9", "sparsity > 0.5", "accuracy < 0.9"]',
            "constraints[3]: accuracy < 0.9 and accuracy >= 0.9 exclude each other: keep one of the two",
        ),
        ("objectives: {accuracy: max, speedup: max}\ntiming: none",
         "objectives.speedup: is not measured with timing: none: leave out timing, or write macs: min instead"),
        ('constraints: ["sparsity > 0", "latency_ms < 2"]\ntiming: none',
         "constraints[2]: latency_ms < 2 can hold for no network, as latency_ms is not measured with timing: none"),
        ("trial: {cuts: 4, macs_shares: '0.5, 0.1'}",
         "trial.cuts: does nothing beside trial.macs_shares, which names every cut: remove one of both"),
        ("timing: {runtimes: [], look_up: true}", "timing.look_up: looks up times, and runtimes: [] times nothing"),
        ('constraints: ["macs == 5", "macs == 6"]', "constraints[2]: macs == 6 and macs == 5 exclude each other"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused(text: str, fault: str, catalogue: Catalogue) -> None:
    with pytest.raises(SweepFileError) as caught:
        sweep_of(text + "\n", catalogue)
    assert f"line 2: {fault}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "budget: {gpu_hours: 3}\nresources: {gpu: 0.5}",
        "budget: {cost: 3, cost_per_hour: {gpu: 2.5}}\nresources: {gpu: 0.5}",
        "budget: {cost_per_hour: {cpu: 0.04}}",
        "budget: {cost_per_hour: {cpu: 0.04, gpu: 2}}",
        "budget: {patience: 3, min_growth: 0}",
        'constraints: ["accuracy >= 1", "sparsity >= 0", "macs <= 0", "accuracy <= 1"]',
        "timing: none",
        "objectives: {accuracy: max, sparsity: max}\ntiming: none",
        'constraints: ["macs >= 5", "macs <= 5", "macs == 5", "speedup > 0"]',
    ],
)
def test_what_goes_together_is_taken(text: str, catalogue: Catalogue) -> None:
    sweep = sweep_of(text + "\n", catalogue)
    assert read_sweep(sweep.yaml_text, catalogue, title="again").as_json() == sweep.as_json()


def test_without_timing_macs_take_the_speedups_place(catalogue: Catalogue) -> None:
    sweep = sweep_of("timing: none\n", catalogue)
    assert sweep.timing.runtimes == ()
    assert dict(sweep.objectives.directions) == {"accuracy": "max", "sparsity": "max", "macs": "min"}


def test_a_limit_of_the_command_line_is_named_by_its_option(catalogue: Catalogue) -> None:
    with pytest.raises(SweepFileError, match=r"--gpu-hours: trials hold no GPU"):
        sweep_of("", catalogue, Overrides(gpu_hours=2.0))
    with pytest.raises(SweepFileError, match=r"--cost: has no price to go by"):
        sweep_of("", catalogue, Overrides(cost=2.0))
    sweep = sweep_of("budget: {cost: 1, cost_per_hour: {cpu: 0.5}}\n", catalogue, Overrides(cost=2.0, patience=7))
    assert (sweep.budget.cost, sweep.budget.cost_per_hour, sweep.budget.patience) == (2.0, Price(cpu=0.5), 7)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("budget: {cost: 0}", "budget.cost: 0 is too small: it must be more than 0"),
        ("budget: {cost: .inf}", "budget.cost: inf is not a finite number"),
        ("budget: {patience: 0}", "budget.patience: 0 is too small: it must be at least 1"),
        ("budget: {patience: 3, min_growth: 2}", "budget.min_growth: 2 is too large: it must be at most 1"),
        (
            "budget: {cost_per_hour: 2.5}",
            "budget.cost_per_hour: 2.5 is not a mapping: write {gpu: 2.50} or {cpu: 0.04}, the price of one",
        ),
        ("budget: {cost_per_hour: {gpus: 2.5}}", "budget.cost_per_hour.gpus: unknown key; did you mean gpu?"),
        ("budget: {cost_per_hour: {cpu: -1}}", "budget.cost_per_hour.cpu: -1 is too small: it must be at least 0"),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(text: str, fault: str, catalogue: Catalogue) -> None:
    with pytest.raises(SweepFileError) as caught:
        sweep_of(text + "\n", catalogue)
    assert fault in str(caught.value)
