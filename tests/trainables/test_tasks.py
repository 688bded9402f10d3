"""Data and networks: the split belongs to the task."""

import pytest
import torch

from sparsweep.trainables.tasks import Task
from sparsweep.trainables.tasks.data import Data, DataSource, Split, load_data
from tests.trainables.nets import DIGITS


def _examples(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.inputs}


def test_digits_are_split_into_1197_300_300() -> None:
    data = load_data("digits")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1197, 300, 300]
    assert data.train.inputs.shape[1:] == (1, 8, 8)
    assert data.train.inputs.dtype == torch.float32
    assert data.train.labels.dtype == torch.int64
    assert (float(data.train.inputs.min()), float(data.train.inputs.max())) == (0, 1)
    assert set(data.validation.labels.tolist()) == set(range(10))


def test_the_splits_are_disjoint() -> None:
    data = load_data("digits")
    parts = [_examples(split) for split in (data.train, data.validation, data.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def _fresh() -> Data:
    load_data.cache_clear()
    return load_data("digits")


def test_the_split_is_the_same_for_every_seed_and_call() -> None:
    torch.manual_seed(1)
    first = _fresh()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = _fresh()
    assert first is not second
    assert first.digest() == second.digest()
    assert torch.equal(state, torch.get_rng_state()), "loading draws nothing from the trial's generator"


def test_data_are_loaded_once_a_process() -> None:
    assert DIGITS.load() is DIGITS.load()


def test_the_fingerprint_is_of_network_and_data() -> None:
    first = DIGITS.fingerprint()
    assert len(first) == 16
    _fresh()
    assert Task(network="lenet-digits", data="digits").fingerprint() == first
    assert Task(network="lenet-5", data="digits").fingerprint() != first


def test_another_image_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    data, first = DIGITS.load(), DIGITS.fingerprint()
    changed = data.test.inputs.clone()
    changed[0, 0, 0, 0] += 0.5
    other = Data(train=data.train, validation=data.validation, test=Split(inputs=changed, labels=data.test.labels))
    monkeypatch.setattr("sparsweep.trainables.tasks.load_data", lambda name, root: other)
    assert DIGITS.fingerprint() != first


def test_a_network_is_initialised_from_the_seed() -> None:
    torch.manual_seed(5)
    first = DIGITS.build().state_dict()
    torch.manual_seed(5)
    assert all(torch.equal(first[name], weight) for name, weight in DIGITS.build().state_dict().items())


def test_an_unknown_data_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no data set 'imagenet'; there are digits, mnist"):
        load_data("imagenet")


def test_too_few_examples_to_split_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = DataSource(
        load=lambda root: (torch.zeros(5, 1, 8, 8), torch.zeros(5).long(), None, None), example_shape=(1, 8, 8),
        validation=3, test=2, about="five images",
    )  # fmt: skip
    monkeypatch.setattr("sparsweep.trainables.tasks.data.DATA", {"few": few})
    with pytest.raises(ValueError, match="few has 5 examples, of which 5 are set apart: none is left to train on"):
        load_data("few")
