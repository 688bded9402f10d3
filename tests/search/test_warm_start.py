"""What a sweep takes over from an earlier one: which rows are its best, and that they are kept."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsweep.search.warm_start import best_rows, earlier_rows, keep
from sparsweep.search.with_optuna import Told
from sparsweep.spaces.space import Row


def told(epochs: int, *values: float, missed: float = 0.0) -> Told:
    return Told(row={"epochs": epochs}, values=values, violations={"accuracy >= 0.9": missed})


def epochs(rows: list[Row]) -> list[Any]:
    return [row["epochs"] for row in rows]


def test_the_best_are_those_of_most_worth_that_meet_the_constraints() -> None:
    rows = [told(1, 0.2), told(2, 0.9, missed=0.1), told(3, 0.8), told(4, 0.5), told(5, 0.1)]
    assert epochs(best_rows(rows)) == [3, 4, 1]
    assert epochs(best_rows(rows, 1)) == [3]


def test_where_none_meets_them_the_best_of_all_are_taken() -> None:
    assert epochs(best_rows([told(1, 0.2, missed=0.1), told(2, 0.9, missed=0.1)], 1)) == [2]


def test_of_several_objectives_the_front_goes_first() -> None:
    rows = [told(1, 0.9, 0.1), told(2, 0.8, 0.08), told(3, 0.1, 0.7), told(4, 0.5, 0.6)]
    assert epochs(best_rows(rows)) == [4, 1, 3]  # 2 is dominated by 1


def test_nothing_comes_of_nothing() -> None:
    assert best_rows([]) == []


def test_rows_are_kept_beside_the_trials_once(tmp_path: Path) -> None:
    job: Any = SimpleNamespace(
        store=SimpleNamespace(path=tmp_path / "new" / "trials"), sweep=SimpleNamespace(warm_start="old")
    )
    rows = [told(1, 0.2, missed=0.1), told(2, 0.9)]
    keep(job, rows)
    keep(job, rows[:1])
    assert earlier_rows(job) == rows
    (tmp_path / "new" / "warm_start.json").write_text('{"rows": [{"row": {}}]}')
    with pytest.raises(ValueError, match=r"warm_start\.json is damaged \(KeyError: 'values'\): delete it"):
        earlier_rows(job)
    job.sweep.warm_start = None
    assert earlier_rows(job) == []
