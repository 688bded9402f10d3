"""The benchmark's arithmetic, on a few trials that can be reckoned by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.benchmarks.digits_hypervolume import Swept, lines_of, verdicts
from tests.benchmarks.measured import Bare, Measured, growth_kb, rows_of
from tests.benchmarks.overhead import page, small_file
from tests.benchmarks.paired import Paired
from tests.benchmarks.slot_time import SlotTime, Spread, Worked, slope, slot_times, slots_of
from tests.benchmarks.verdict import Row, as_json, as_text, number
from tests.benchmarks.watched_sweep import SweepRun, worked


def trial(started_ms: float, ended_ms: float, work_ms: float = 0) -> Worked:
    return Worked(started_ms=started_ms, ended_ms=ended_ms, work_ms=work_ms)


A0, A1, A2 = trial(0, 100, 60), trial(120, 200, 70), trial(250, 300, 40)
B0, B1, B2 = trial(10, 150, 90), trial(180, 260, 75), trial(290, 400, 100)


def test_trials_that_overlap_lie_in_different_slots() -> None:
    assert slots_of([B2, A1, B0, A0, A2, B1]) == [[A0, A1, A2], [B0, B1, B2]]


def test_of_two_free_slots_the_one_that_was_free_longer_is_taken() -> None:
    first, second, third, fourth = trial(0, 10), trial(0, 11), trial(20, 30), trial(21, 30)
    assert slots_of([first, second, third, fourth]) == [[first, third], [second, fourth]]


def test_trials_that_never_overlap_had_one_slot() -> None:
    first, second, third = (trial(at, at + 1) for at in (0, 30, 60))
    assert slots_of([first, second, third]) == [[first, second, third]]


def test_where_the_process_is_known_it_is_the_slot() -> None:
    first, second, third = (replace(trial(at, at + 1), process=at % 20) for at in (0, 30, 60))
    assert slots_of([first, second, third]) == [[first, third], [second]]


def test_slot_time_is_from_start_to_start_without_the_work() -> None:
    times = slot_times([A0, A1, A2, B0, B1, B2])
    assert times == [SlotTime(inside_ms=10, between_ms=50), SlotTime(inside_ms=5, between_ms=30)]
    assert [time.total_ms for time in times] == [250 - 120 - 70, 290 - 180 - 75]


def test_the_first_trial_of_a_slot_and_the_last_do_not_count() -> None:
    assert slot_times([A0, A1]) == []


def test_spread_of_eleven_values() -> None:
    assert Spread.of(range(11)) == Spread(median=5, p90=9, count=11)


def test_one_value_has_no_spread() -> None:
    with pytest.raises(ValueError, match="run more trials"):
        Spread.of([1.0])


def test_slope_is_not_moved_by_one_outlier() -> None:
    assert slope([(0, 0), (1, 50), (2, 100), (3, 9999), (4, 200)]) == 50


def test_growth_leaves_the_imports_of_the_first_third_out() -> None:
    samples = [(0, 0), (1, 300_000), (2, 400_000), (3, 400_080), (4, 400_160), (5, 400_240), (6, 400_320)]
    assert growth_kb(samples) == 80


def test_a_record_as_work() -> None:
    record = {"started_ms": 5, "ended_ms": 2500, "seconds": {"train": 1.5, "own": 0.25, "descend": 0.25}}
    assert worked(record) == trial(5, 2500, 2000)


def test_a_row_is_missed_above_its_limit_or_without_a_value() -> None:
    assert not Row(name="x", unit="s", ours=90.0, limit=90).missed
    assert Row(name="x", unit="s", ours=90.1, limit=90).missed
    assert Row(name="x", unit="s", ours=float("nan"), limit=90).missed
    assert Row(name="x", unit="s", limit=90).missed
    assert not Row(name="x", unit="s", bare=1000.0).missed


@pytest.mark.parametrize(("value", "text"), [(None, ""), (2, "2"), (0.054, "0.05"), (12.34, "12.3"), (2104.6, "2105")])
def test_numbers_as_they_are_printed(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_table() -> None:
    rows = [Row(name="slot time", unit="ms", ours=140.4, bare=100.0, plain=2100.0, limit=200)]
    assert as_text(rows).splitlines() == [
        "figure     unit  ours  bare Ray  plain script  target     ",
        "─" * 58,
        "slot time  ms     140       100          2100   ≤ 200  met",
    ]


def sweep_run(trials: tuple[Worked, ...]) -> SweepRun:
    return SweepRun(
        wall_s=80, startup_s=10, search_s=50, trials=trials, failed=0, peak_mb=800, search_peak_mb=600,
        memory=((0, 100), (1, 100), (2, 110), (3, 120)),
    )  # fmt: skip


def measured() -> Measured:
    ours, floor = sweep_run((A0, A1, A2, B0, B1, B2)), Bare(trials=(A0, A1, A2, B0, B1, B2), wall_s=1)
    return Measured(
        digits=ours, small=ours, long=ours, bare_idle=floor, bare_small=floor, bare_digits=floor, plain=floor,
        publish_s=(2.5, 0.2, 0.3), help_s=0.1,
    )  # fmt: skip


def test_the_rows_carry_every_target_of_the_issue() -> None:
    limits = [(row.unit, row.limit) for row in rows_of(measured()) if row.limit is not None]
    slot = [("ms", 200), ("x", 1.5)]
    assert limits == [*slot, ("s", 90), ("s", 12), ("s", 1), ("s", 1.5), ("MB", 900), ("kB a trial", 100)]
    assert not any(row.missed for row in rows_of(measured()))


def test_the_slowest_version_after_the_first_is_judged() -> None:
    (row,) = (row for row in rows_of(measured()) if "slowest" in row.name)
    assert row.ours == 0.3


def test_ending_is_what_start_up_and_search_leave() -> None:
    assert sweep_run((A0,)).ending_s == 80 - 10 - 50


def test_page_and_json_say_where_it_was_measured() -> None:
    rows = rows_of(measured())
    written = page(rows, {"processor": "Pear, 2 cores"}, 24, 400)
    assert "`python -m tests.benchmarks.overhead --trials 24 --small-trials 400`" in written
    assert "- processor: Pear, 2 cores" in written
    assert as_json(rows, {"processor": "Pear"})["figures"][0]["missed"] is False


def test_the_small_sweep_file_can_be_read(tmp_path: Path) -> None:
    sweep = yaml.safe_load(small_file(tmp_path, cuts=16).read_text())
    assert sweep["trial"] == {"descent": "nested", "cuts": 16, "finetune_epochs": 0}


def test_pairs_by_hand() -> None:
    paired = Paired.of([0.95, 0.96, 0.97], [0.94, 0.94, 0.94])
    assert paired.mean == pytest.approx(0.02)
    assert paired.standard_error == pytest.approx(0.01 / 3**0.5)
    assert (paired.wins, paired.count) == (3, 3)
    assert paired.p_value == pytest.approx(1 / 8)


def test_equal_methods_prove_nothing() -> None:
    assert Paired.of([0.9, 0.9], [0.9, 0.9]).p_value == 1


def test_one_pair_tells_nothing() -> None:
    with pytest.raises(ValueError, match="two seeds or more"):
        Paired.of([0.9], [0.8])


def test_lines_and_verdicts_of_the_digits() -> None:
    sweeps = [Swept(hypervolume=value, wall_s=70) for value in (0.98, 0.969)]
    assert lines_of(sweeps[:1], [(0.95, 0.94), (0.9, 0.92)]) == [
        ("0", "0.9800", "70", "0.9500", "0.9400", "+0.0100"),
        ("1", "", "", "0.9000", "0.9200", "-0.0200"),
    ]
    ahead, behind = Paired.of([0.95, 0.95], [0.94, 0.93]), Paired.of([0.9, 0.9], [0.92, 0.91])
    assert [met for _, met in verdicts(sweeps, ahead)] == [True, True]
    assert [met for _, met in verdicts(sweeps[1:], behind)] == [False, False]


def test_steady_speed_counts_what_lies_in_the_time_when_all_slots_have_work() -> None:
    from tests.benchmarks.scale import steady_speed

    minute = 60_000
    assert steady_speed([(0, minute), (0, minute), (minute, 2 * minute), (minute, 2 * minute)]) == 2.0
    late = [(0, 4 * minute), (3 * minute, 4 * minute), (4 * minute, 9 * minute), (4 * minute, 5 * minute)]
    assert steady_speed(late) == (1 / 4 + 1 + 1 / 5 + 1) / 2  # between the third minute and the fifth
