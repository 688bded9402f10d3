"""The latency record, with a timer whose clock is written out: no test here depends on this machine's speed."""

from collections.abc import Callable
from itertools import chain, count, cycle
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from sparsweep.trainables.measures import latency
from sparsweep.trainables.measures.latency import measure_latency

Clock = Callable[[str], float]
passes: list[int] = []
"""How many passes each timing took, of the last _fake."""


def _fake(monkeypatch: pytest.MonkeyPatch, seconds: Clock) -> list[str]:
    """Timers that read `seconds(network's name)`; returns the list of timings, in the order they were taken."""
    taken: list[str] = []
    passes.clear()

    class Timer:
        def __init__(self, stmt: str, *, globals: dict[str, Any], num_threads: int) -> None:
            assert stmt == "net(inputs)"
            self.name, self.threads = globals["net"].name, num_threads

        def timeit(self, number: int) -> SimpleNamespace:
            taken.append(self.name)
            passes.append(number)
            return SimpleNamespace(mean=seconds(self.name))

    monkeypatch.setattr(latency, "benchmark", SimpleNamespace(Timer=Timer))
    monkeypatch.setattr("torch.set_flush_denormal", lambda on: on)
    return taken


def _named(name: str) -> nn.Module:
    net = nn.Linear(2, 2)
    net.name = name  # type: ignore[assignment]
    return net


def _measured(**more: Any) -> Any:
    return measure_latency(_named("dense"), _named("compact"), (2,), batch=32, device="a device", **more)


def test_the_record_of_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, lambda name: {"dense": 0.008, "compact": 0.002}[name])
    record = _measured(pairs=5)
    assert (record.latency_ms, record.dense_latency_ms, record.speedup) == (2.0, 8.0, 4.0)
    assert (record.batch, record.pairs, record.iqr_share, record.threads) == (32, 5, 0.0, 1)
    assert (record.device, record.runtime) == ("a device", "eager")


def test_dense_and_compact_are_interleaved_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _fake(monkeypatch, lambda name: 0.001)
    _measured(pairs=3)
    assert taken[:6] == ["dense"] * 3 + ["compact"] * 3
    assert taken[6:] == ["dense", "compact"] * len(taken[6::2])


@pytest.mark.parametrize(("pass_s", "warm"), [(0.0001, 20), (0.01, 10), (0.5, 2)])
def test_a_large_network_is_warm_after_fewer_passes(monkeypatch: pytest.MonkeyPatch, pass_s: float, warm: int) -> None:
    _fake(monkeypatch, lambda name: pass_s)
    _measured(pairs=3)
    assert passes[:6] == [1, warm, warm] * 2


def test_a_noisy_machine_gives_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = (0.001 * 1.5 ** (n // 4 % 5) for n in count())
    taken = _fake(monkeypatch, lambda name: next(noise) if name == "compact" else 0.004)
    assert _measured(pairs=5, round_s=0, most_turns=4) is None
    assert taken.count("compact") == 3 + 20


def test_a_large_network_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = cycle([0.5, 1.0, 2.0])
    taken = _fake(monkeypatch, lambda name: next(noise))
    assert _measured(pairs=5, most_s=0.0) is None
    assert taken.count("compact") == 3 + 5


def test_neighbours_that_come_and_go_are_outgrown_by_longer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second and third turn is disturbed, by hand: rounds of two still differ, rounds of four do not."""
    disturbed = cycle([0.001, 0.003, 0.004])
    _fake(monkeypatch, lambda name: next(disturbed) if name == "compact" else 0.004)
    record = _measured(pairs=5, round_s=0)
    assert (record.pairs, record.turns, record.latency_ms, record.speedup) == (5, 4, 1.0, 4.0)


@pytest.mark.parametrize(("turn_s", "turns"), [(0.001, 20), (0.03, 1), (0.5, 1)])
def test_a_round_takes_its_time_even_when_all_is_quiet(
    monkeypatch: pytest.MonkeyPatch, turn_s: float, turns: int
) -> None:
    """A neighbour may be there for all of a short measurement; 40 ms are 20 turns of twice 1 ms."""
    taken = _fake(monkeypatch, lambda name: turn_s)
    record = _measured(pairs=3, block_s=0.001)
    assert (record.pairs, record.turns) == (3, turns)
    assert taken.count("dense") == 3 + 3 * turns


def test_turns_disturbed_for_one_network_alone_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    compact = chain([0.001] * 3, cycle([0.009, 0.009, 0.009, 0.001]))
    _fake(monkeypatch, lambda name: next(compact) if name == "compact" else 0.004)
    record = _measured(pairs=4, round_s=0.04, block_s=0.005)
    assert (record.turns, record.speedup, record.iqr_share) == (4, 4.0, 0.0)


def test_a_neighbour_that_slows_both_alike_leaves_the_speedup(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = cycle([1.0, 1.0, 1.04, 1.04])
    _fake(monkeypatch, lambda name: next(slow) * {"dense": 0.008, "compact": 0.002}[name])
    assert _measured(pairs=8).speedup == pytest.approx(4.0)


def test_a_real_measurement_is_a_whole_record_or_none() -> None:
    record = measure_latency(
        nn.Linear(2, 2), nn.Linear(2, 2), (2,), batch=1, device="cpu", block_s=1e-4, pairs=3, most_turns=3
    )
    assert record is None or (record.pairs == 3 and record.latency_ms > 0)


@pytest.mark.parametrize("before", [True, False])
def test_how_the_process_treats_denormals_is_put_back(before: bool) -> None:
    torch.set_flush_denormal(before)
    try:
        net = nn.Linear(2, 2)
        measure_latency(net, net, (2,), batch=1, device="cpu", block_s=1e-4, pairs=3, most_turns=3)
        assert bool(torch.tensor(5e-324, dtype=torch.float64) * 1 == 0) == before
    finally:
        torch.set_flush_denormal(False)
