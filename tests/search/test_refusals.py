"""What a method refuses is found before anything is started, and told once, with the setting that tells it apart."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from sparsweep.search.refusals import MOST_SETTINGS, refuse_unsuitable, settings_of
from sparsweep.spaces.space import Choice, Float, Knob, Row, Space, of_methods
from sparsweep.trainables import methods
from sparsweep.trainables.methods import METHODS
from sparsweep.trainables.methods.magnitude import Magnitude
from sparsweep.trainables.tasks import Task

DIGITS = Task(network="lenet-digits", data="digits")
SPACES = of_methods({name: METHODS[name].default_space for name in ("gasl", "magnitude")})
CHOSEN = Knob(name="granularity", range=Choice(choices=("filter", "input", "weight")))


@dataclass(frozen=True, kw_only=True)
class Choosy(Magnitude):  # type: ignore[misc]
    """Takes single weights only, and no uniform shares."""

    paper: ClassVar[str] = "none (control)"

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        if self.granularity != "weight":
            raise ValueError("has nothing to say of groups: use magnitude")
        if self.layer_shares == "uniform":
            raise ValueError(f"cannot share {example_shape} evenly: use layer_shares = erk")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "METHODS", {**METHODS, "choosy": Choosy})


def said_of(space: Space, *names: str, code: Path | None = None) -> str:
    with pytest.raises(ValueError, match=r"^the network lenet-digits cannot be pruned as the sweep asks:\n") as caught:
        refuse_unsuitable(names, space, DIGITS, code)
    return str(caught.value).partition("\n")[2]


def test_every_combination_of_choices_is_asked_once_other_knobs_at_a_usual_value() -> None:
    rows = settings_of("gasl", METHODS["gasl"], SPACES)
    pairs = [(row["granularity"], row["attention_form"]) for row in rows]
    assert sorted(pairs) == sorted(
        (granularity, form)
        for granularity in ("filter", "input", "weight")
        for form in ("inverse_variance", "log_variance", "scale_free")
    )
    assert {row["threshold"] for row in rows} == {METHODS["gasl"].known_good[0]["threshold"]}
    assert not {"final_sparsity", "method"} & rows[0].keys()


def test_there_is_a_bound_and_every_choice_is_within_it() -> None:
    ten = Choice(choices=tuple(range(10)))
    many = Space(tuple(Knob(name=name, range=ten) for name in ("begin", "end", "rounds")))
    rows = settings_of("magnitude", Magnitude, many)
    assert len(rows) <= MOST_SETTINGS
    assert all({row[name] for row in rows} == set(range(10)) for name in ("begin", "end", "rounds"))


def test_built_in_methods_serve_the_built_in_network_and_leave_random_state_alone() -> None:
    before = torch.get_rng_state()
    refuse_unsuitable(("gasl", "magnitude"), SPACES, DIGITS, None)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.usefixtures("table")
def test_a_refusal_names_method_setting_and_network_once() -> None:
    shares = Knob(name="layer_shares", range=Choice(choices=("global", "uniform")))
    space = Space((Knob(name="method", range=Choice(choices=("choosy",))), CHOSEN, shares))
    assert said_of(space, "choosy").splitlines() == [
        "  method choosy with granularity = filter or input: has nothing to say of groups: use magnitude",
        "  method choosy with granularity = weight, layer_shares = uniform: cannot share (1, 8, 8) evenly: use "
        "layer_shares = erk",
    ]


@pytest.mark.usefixtures("table")
def test_where_every_setting_is_refused_none_is_named_and_other_methods_are_fine() -> None:
    own = Space((Knob(name="granularity", range=Choice(choices=("filter",))),))
    space = of_methods({"gasl": METHODS["gasl"].default_space, "choosy": own})
    assert said_of(space, "gasl", "choosy") == "  method choosy: has nothing to say of groups: use magnitude"
    refuse_unsuitable(("gasl",), space, DIGITS, None)


@pytest.mark.parametrize(
    ("network", "data", "given"),
    [("regressor", "load_brightness", {"loss": "squared", "score": "within"}), ("segmenter", "load_segments", {})],
)
def test_a_method_that_reads_classes_is_refused_where_there_are_none(
    network: str, data: str, given: dict[str, str]
) -> None:
    own = "tests.trainables.own_examples"
    named = {key: f"{own}:{value}" for key, value in given.items()}
    task = Task(network=f"{own}:{network}", data=f"{own}:{data}", code_root=Path(__file__).parents[2], **named)
    space = of_methods({name: METHODS[name].default_space for name in ("anp", "magnitude")})
    with pytest.raises(ValueError, match="method anp: it reads each label as one class, and these data have other"):
        refuse_unsuitable(("anp", "magnitude"), space, task, None)
    refuse_unsuitable(("magnitude",), space, task, None)


OWN = """
from dataclasses import dataclass
from sparsweep.spaces.space import Choice, Float, Knob, Space
from sparsweep.trainables.methods import Method, Scores, norm_scores

@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    granularity: str = "filter"
    paper = "none"
    allowed = {"granularity": Choice(choices=("filter", "weight"))}
    default_space = Space((Knob(name="granularity", range=Choice(choices=("filter", "weight"))),))
    known_good = ()

    def penalty(self, net):
        return 0.0 if self.granularity == "weight" else super().penalty(net)

    def scores(self, net):
        values = norm_scores(net, self.granularity)
        own = {name: value > 0 for name, value in values.items()}
        return Scores(granularity=self.granularity, values=values, own=own, threshold=0.0)
"""


@pytest.fixture
def code(tmp_path: Path) -> Iterator[Path]:
    path = list(sys.path)
    (tmp_path / "refused.py").write_text(OWN)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("refused", None)


def test_a_users_own_method_is_rehearsed_at_every_choice(code: Path) -> None:
    name = "refused:Mine"
    space = of_methods({name: Space((Knob(name="granularity", range=Choice(choices=("filter", "weight"))),))})
    assert said_of(space, name, code=code) == (
        "  method refused:Mine with granularity = weight: penalty returned a value of type float; it must be a tensor "
        "of one number, of shape ()"
    )
    narrow: Row = {"granularity": "filter"}
    refuse_unsuitable((name,), space.fixing(narrow), DIGITS, code)


def test_a_float_is_no_choice() -> None:
    space = Space((Knob(name="final_sparsity", range=Float(low=0.1, high=0.9)),))
    assert settings_of("magnitude", Magnitude, space) == [{"final_sparsity": Magnitude.known_good[0]["final_sparsity"]}]
