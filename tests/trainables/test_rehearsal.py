"""A method goes through a trial's motions once; what a function gives back wrongly is told by its name."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Row, Space
from sparsweep.trainables.methods import METHODS, Method, Scores, norm_scores
from sparsweep.trainables.rehearsal import rehearse
from sparsweep.trainables.tasks.data import Split
from sparsweep.trainables.tasks.networks import NETWORKS

SHAPE = (1, 8, 8)


@dataclass(frozen=True, kw_only=True)
class Whole(Method):
    """Every function is as it should be."""

    paper: ClassVar[str] = "none"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {}
    default_space: ClassVar[Space] = Space(())
    known_good: ClassVar[tuple[Row, ...]] = ()

    def scores(self, net: nn.Module) -> Scores:
        values = norm_scores(net, "filter")
        return Scores(granularity="filter", values=values, own={n: v >= 0 for n, v in values.items()}, threshold=0.0)


def lenet() -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS["lenet-digits"].build()


def sample() -> Split:
    return Split(inputs=torch.rand(40, *SHAPE), labels=torch.arange(40) % 10)


def told(**functions: Any) -> str:
    """What the rehearsal says of a method that is whole but for these functions."""
    method = type("Wrong", (Whole,), functions)()
    with pytest.raises(ValueError, match=r".") as caught:
        rehearse(method, lenet(), sample(), SHAPE)
    return str(caught.value)


def scores_with(**parts: Any) -> Any:
    return lambda self, net: replace(Whole().scores(net), **parts)


def one_layer(change: Any) -> Any:
    """Scores whose values of `conv2` are changed."""

    def scores(self: Method, net: nn.Module) -> Scores:
        found = Whole().scores(net)
        return replace(found, values={**found.values, "conv2": change(found.values["conv2"])})

    return scores


@pytest.mark.parametrize("name", METHODS)
def test_every_built_in_method_passes(name: str) -> None:
    method = METHODS[name]()
    try:
        method.check(lenet(), SHAPE)
    except ValueError:
        pytest.skip("does not serve this network")
    rehearse(method, lenet(), sample(), SHAPE)


def test_it_leaves_the_network_and_every_random_generator_as_they_were() -> None:
    def prepare(self: Method, net: nn.Module, sample: Split) -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        nn.init.zeros_(net.get_parameter("conv1.weight"))

    net, examples = lenet(), sample()
    state = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    rehearse(type("Seeding", (Whole,), {"prepare": prepare})(), net, examples, SHAPE)
    assert (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()) == state
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), lenet().parameters(), strict=True))
    assert not list(net.buffers())


def infinite(self: Method, net: nn.Module) -> Tensor:
    return torch.tensor(float("inf"))


def poison(self: Method, net: nn.Module, optimizer: Any, progress: float) -> None:
    net.get_parameter("fc1.bias").data.fill_(torch.nan)


def shrink(self: Method, net: nn.Module) -> None:
    net.get_parameter("conv1.weight").data.mul_(0.5)


def half_folded(self: Method, net: nn.Module) -> None:
    net.register_parameter("gate", nn.Parameter(torch.ones(())))


def counted(self: Method, net: nn.Module) -> None:
    if any(parameter.grad is not None for parameter in net.parameters()):
        net.register_buffer("trained", torch.ones(()))


def meddling(self: Method, net: nn.Module) -> Scores:
    shrink(self, net)
    return Whole().scores(net)


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({"check": lambda self, net, shape: True}, "check returned a value of type bool; it must return nothing"),
        ({"prepare": lambda self, net, sample: net}, "prepare returned a value of type Sequential; it must return"),
        ({"prepare": lambda self, net: None}, "prepare raised TypeError: "),
        ({"sample_size": property(lambda self: -1)}, "sample_size is -1; it must be a whole number of examples"),
        ({"learning_rates": lambda self, net: {"conv9.weight": 2}}, "learning_rates returned {'conv9.weight': 2}; it "
         "must map paths of parameters to numbers"),
        ({"penalty": lambda self, net: 0.5}, "penalty returned a value of type float; it must be a tensor of one"),
        ({"penalty": lambda self, net: torch.zeros(3)}, "penalty returned a tensor of shape (3,) and type float32; it"),
        ({"penalty": infinite}, "penalty returned inf; it must be finite"),
        ({"penalty": lambda self, net: net.nothing}, "penalty raised AttributeError: "),
        ({"after_step": lambda self, net, optimizer, progress: 3}, "after_step returned a value of type int"),
        ({"after_step": poison}, "after a step of training fc1.bias is not finite: see penalty and after_step"),
        ({"fold": lambda self, net: net}, "fold returned a value of type Sequential; it must return"),
        ({"fold": shrink}, "the folded network must give the same outputs"),
        ({"fold": half_folded}, "fold: the network then has other parameters than the plain one (gate)"),
        ({"fold": counted}, "fold: just after prepare it leaves another state than after training: "),
        ({"scores": lambda self, net: {}}, "scores returned a value of type dict; it must be Scores(granularity, "),
        ({"scores": meddling}, "scores changed the network; it only looks at it"),
        ({"scores": scores_with(granularity="channel")}, "scores: granularity 'channel' is none of filter, input,"),
        ({"scores": scores_with(threshold=float("nan"))}, "scores: threshold nan is not a finite number"),
        ({"scores": scores_with(own={})}, "scores: values and own must be mappings with the same layers"),
        ({"scores": scores_with(values={"fc2": torch.ones(10)}, own={"fc2": torch.ones(10)})},
         "scores: 'fc2' may not be pruned by filter (layers that may: conv1, conv2, fc1)"),
        ({"scores": one_layer(lambda v: v[:-1])}, "scores: values['conv2'] is a tensor of shape (49,) and type float32"
         "; it must be a tensor of shape (50,)"),
        ({"scores": one_layer(lambda v: -v)}, "scores: values['conv2'] holds a score below 0 or not finite"),
        ({"scores": one_layer(lambda v: v / 0)}, "scores: values['conv2'] holds a score below 0 or not finite"),
        ({"scores": scores_with(values={"fc1": torch.ones(100)}, own={"fc1": torch.ones(100)})},
         "scores: own['fc1'] is a tensor of shape (100,) and type float32; it must be bool, true where it keeps"),
    ],
)  # fmt: skip
def test_a_wrong_function_is_named_with_what_it_gave_and_what_is_wanted(functions: dict[str, Any], said: str) -> None:
    assert said in told(**functions)
