"""What is tried before anything is proposed: every method's known-good settings, as far as the space has them."""

from sparsweep.search.sweep import known_good_rows
from sparsweep.spaces.space import Choice, Space, of_methods
from sparsweep.trainables.methods import METHODS

GASL, GROUP_LASSO = METHODS["gasl"], METHODS["group_lasso"]


def space_of(**spaces: Space) -> Space:
    return of_methods(spaces)


def test_every_methods_first_comes_before_any_methods_second() -> None:
    space = space_of(gasl=GASL.default_space, group_lasso=GROUP_LASSO.default_space)
    rows = known_good_rows(("gasl", "group_lasso"), space)
    assert [(row["method"], row["granularity"]) for row in rows] == [
        ("gasl", "filter"), ("group_lasso", "filter"), ("gasl", "weight"), ("group_lasso", "weight"),
    ]  # fmt: skip


def test_a_methods_settings_are_held_against_its_own_choices_alone() -> None:
    narrow = GROUP_LASSO.default_space.with_ranges({"granularity": Choice(choices=("weight",))})
    rows = known_good_rows(("gasl", "group_lasso"), space_of(gasl=GASL.default_space, group_lasso=narrow))
    assert [(row["method"], row["granularity"]) for row in rows] == [
        ("gasl", "filter"), ("group_lasso", "weight"), ("gasl", "weight"),
    ]  # fmt: skip


def test_where_no_setting_fits_the_first_is_laid_into_the_space() -> None:
    narrow = GASL.default_space.with_ranges({"granularity": Choice(choices=("input",))})
    (row,) = known_good_rows(("gasl",), space_of(gasl=narrow))
    assert row == {"method": "gasl", **GASL.known_good[0]}
