"""From scores to exact masks."""

import pytest
import torch

from sparsweep.trainables.cut import LAYER_BALANCES, balanced, cut, positions, share_count, weight_masks
from tests.trainables.nets import mlp, scores_of, tensor


def test_positions_count_from_the_smallest_and_lift_the_lower_index_of_equals() -> None:
    assert positions(tensor([5, 1, 3])).tolist() == [2, 0, 1]
    assert positions(tensor([7, 7, 7])).tolist() == [2, 1, 0]


def test_rank_is_the_place_over_the_count() -> None:
    assert balanced(tensor([9, 2, 4, 4]), "rank").tolist() == [1.0, 0.25, 0.75, 0.5]


def test_lamp_divides_by_everything_that_is_not_smaller() -> None:
    # 1, 4, 9 over 14, 13, 9
    assert balanced(tensor([[1, 3, 2]]), "lamp").tolist() == [[pytest.approx(1 / 14), 1.0, pytest.approx(4 / 13)]]


def test_scales_are_the_layers_own() -> None:
    values = tensor([1, 2, 3])
    assert balanced(values, "mean").tolist() == [0.5, 1.0, 1.5]
    assert balanced(values, "max").tolist() == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    assert balanced(values, "none").tolist() == [1.0, 2.0, 3.0]
    assert balanced(tensor([3, 4]), "rms").tolist() == [pytest.approx(3 / 12.5**0.5), pytest.approx(4 / 12.5**0.5)]


@pytest.mark.parametrize("balance", [b for b in LAYER_BALANCES if b != "auto"])
def test_an_all_zero_layer_is_balanced_to_numbers(balance: str) -> None:
    assert balanced(torch.zeros(3), balance).isfinite().all()


def test_one_global_order_decides() -> None:
    scores = scores_of(a=[0.1, 0.9, 0.5], b=[10, 30, 20])
    assert cut(scores, 2, balance="none")[0]["b"].tolist() == [False, True, False]
    kept, threshold = cut(scores, 4, balance="rank")
    assert {name: mask.tolist() for name, mask in kept.items()} == {"a": [False, True, True], "b": [False, True, True]}
    assert threshold == pytest.approx(1 / 3), "the largest balanced score that was removed"


def test_auto_is_rank_for_groups_and_lamp_for_weights() -> None:
    values = {"a": [[1.0, 3.0, 2.0]], "b": [[10.0, 10.0, 11.0]]}
    for granularity, rule in (("filter", "rank"), ("weight", "lamp")):
        scores = scores_of(granularity, **values)
        assert cut(scores, 3)[1] == cut(scores, 3, balance=rule)[1]


def test_every_layer_keeps_its_minimum_even_where_fewer_were_asked_for() -> None:
    scores = scores_of(a=[1, 2, 3], b=[100, 200, 300])
    kept, _ = cut(scores, 1, balance="none")
    assert [int(mask.sum()) for mask in kept.values()] == [1, 1]
    kept, _ = cut(scores, 1, balance="none", minimum=2)
    assert [mask.tolist() for mask in kept.values()] == [[False, True, True], [False, True, True]]


def test_keeping_everything_removes_nothing_and_has_threshold_zero() -> None:
    kept, threshold = cut(scores_of(a=[1, 2], b=[3]), 99)
    assert all(mask.all() for mask in kept.values())
    assert threshold == 0


def test_what_the_last_cut_removed_does_not_come_back() -> None:
    alive = {"a": torch.tensor([True, False, True]), "b": torch.tensor([True, True, False])}
    kept, _ = cut(scores_of(a=[1, 9, 2], b=[3, 4, 9]), 3, balance="none", alive=alive)
    assert {name: mask.tolist() for name, mask in kept.items()} == {"a": [False, False, True], "b": [True, True, False]}
    kept, _ = cut(scores_of(a=[1, 9, 2], b=[3, 4, 9]), 6, balance="none", alive=alive)
    assert sum(int(mask.sum()) for mask in kept.values()) == 4, "no more than were alive"


def test_ties_across_layers_go_to_the_first_layer() -> None:
    kept, _ = cut(scores_of(a=[1, 1, 1], b=[1, 1, 1]), 4, balance="none")
    assert [mask.tolist() for mask in kept.values()] == [[True, True, True], [True, False, False]]


def test_without_scores_there_is_nothing_to_cut() -> None:
    assert cut(scores_of(), 3) == ({}, 0.0)


def test_survivors_are_laid_over_the_weights() -> None:
    masks = weight_masks(mlp(3, 2, 2), scores_of(**{"0": [1, 2]}), {"0": torch.tensor([False, True])})
    assert masks["0"].tolist() == [[False] * 3, [True] * 3]
    assert list(masks) == ["0"]


def test_a_share_of_a_count_is_not_off_by_one() -> None:
    assert int(0.29 * 100) == 28, "what plain floats would say"
    assert [share_count(share, 100) for share in (0.29, 0.295, 0, 1)] == [29, 29, 0, 100]


# Groups that can only be removed together ---------------------------------------------------------------------------


def _lists(kept: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: mask.nonzero().flatten().tolist() for name, mask in kept.items()}


TIES = {"a": torch.tensor([0, 1, 2, -1]), "b": torch.tensor([0, 1, 2])}
"""The first three of both go together; the fourth of `a` goes by itself."""


def test_tied_groups_are_cut_together_by_the_mean_of_their_scores() -> None:
    scores = scores_of(a=[1, 8, 5, 4], b=[9, 2, 7])  # means 5, 5, 6; and 4
    kept, threshold = cut(scores, 6, balance="none", ties=TIES)
    assert _lists(kept) == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert threshold == 4
    assert _lists(cut(scores, 2, balance="none", ties=TIES)[0]) == {"a": [2], "b": [2]}


def test_counts_are_exact_up_to_the_size_of_a_tied_set_and_never_more() -> None:
    scores = scores_of(a=[1, 8, 5, 4], b=[9, 2, 7])
    counts = [sum(int(m.sum()) for m in cut(scores, keep, balance="none", ties=TIES)[0].values()) for keep in range(8)]
    assert counts == [2, 2, 2, 2, 4, 4, 6, 7]


def test_of_equal_tied_sets_the_first_is_kept() -> None:
    scores = scores_of(a=[5, 5, 5, 5], b=[5, 5, 5])
    assert _lists(cut(scores, 4, balance="none", ties=TIES)[0]) == {"a": [0, 1], "b": [0, 1]}


def test_tied_cuts_are_nested_and_what_was_dead_stays_dead() -> None:
    scores = scores_of(a=[1, 8, 5, 4], b=[9, 2, 7])
    alive = {"a": torch.tensor([True, True, False, True]), "b": torch.tensor([True, True, True])}
    for keep in (6, 5, 4, 3, 2):
        kept, _ = cut(scores, keep, balance="none", ties=TIES, alive=alive)
        assert all(not (kept[name] & ~alive[name]).any() and kept[name].any() for name in kept)
        alive = kept


def test_ties_that_join_nothing_change_nothing() -> None:
    scores = scores_of(a=[3, 1, 2], b=[30, 10, 20])
    alone = {"a": torch.tensor([-1, -1, -1])}
    for keep in range(1, 7):
        assert _lists(cut(scores, keep, ties=alone)[0]) == _lists(cut(scores, keep)[0])


def test_a_multiple_takes_back_the_best_that_were_cut() -> None:
    scores = scores_of(a=[6, 5, 4, 3, 2, 1], b=[16, 15, 14, 13, 12, 11])
    kept, _ = cut(scores, 7, balance="none", multiple=4)
    assert _lists(kept) == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3, 4, 5]}
    assert [int(mask.sum()) for mask in cut(scores, 6, balance="rank", multiple=4)[0].values()] == [4, 4]


def test_a_multiple_takes_nothing_back_that_an_earlier_cut_removed() -> None:
    scores = scores_of(a=[6, 5, 4, 3, 2, 1])
    alive = {"a": torch.tensor([True, False, True, True, True, False])}
    assert _lists(cut(scores, 2, balance="none", multiple=4, alive=alive)[0]) == {"a": [0, 2, 3, 4]}
    assert _lists(cut(scores, 2, balance="none", multiple=8, alive=alive)[0]) == {"a": [0, 2, 3, 4]}


def test_what_a_multiple_takes_back_brings_along_what_it_is_tied_to() -> None:
    scores = scores_of(a=[9, 8, 1, 7], b=[9, 8, 1])
    assert _lists(cut(scores, 5, balance="none", ties=TIES, multiple=4)[0]) == {"a": [0, 1, 2, 3], "b": [0, 1, 2]}


def test_single_weights_know_no_multiples() -> None:
    scores = scores_of("weight", a=[[6, 5], [4, 3]])
    assert int(cut(scores, 1, multiple=4)[0]["a"].sum()) == 1
