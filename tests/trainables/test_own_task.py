"""A user's own network and data: sound ones are trained and pruned, each fault is one message."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.tasks.soundness import check_task
from sparsweep.trainables.tasks.streamed import StreamedSplit
from sparsweep.trainables.trial import TrialPlan

OWN = "tests.trainables.own_examples"
ROOT = Path(__file__).parents[2]


def own(network: str = "build", data: str = "load", **given: Any) -> Task:
    for key in ("loss", "score"):
        if key in given:
            given[key] = f"{OWN}:{given[key]}"
    return Task(network=f"{OWN}:{network}", data=f"{OWN}:{data}", code_root=ROOT, **given)


REGRESSION = own("regressor", "load_brightness", loss="squared", score="within")


def pruned(task: Task, folder: Path, **fixed: Any) -> TrialRecord:
    options = {"epochs": 2, "cuts": 2, "batch_size": 16, **fixed}
    plan = TrialPlan(
        number=0, setting={"method": "group_lasso", "granularity": "filter"}, seed=0, task=task, fixed=options
    )
    return run_trial(plan, TrialFolder(folder), debug=True)


@pytest.mark.parametrize(
    ("task", "fixed"),
    [
        (own(), {"augment": "crop_flip", "precision": "bf16"}),
        (own(data="load_datasets"), {"workers": 1}),
        (REGRESSION, {}),
        (own("segmenter", "load_segments"), {}),
    ],
    ids=["classes", "datasets", "regression", "segmentation"],
)
def test_own_networks_are_pruned_and_loaded_again(task: Task, fixed: Any, tmp_path: Path) -> None:
    check_task(task)
    record = pruned(task, tmp_path, **fixed)
    smallest = min((p for p in record.points if p.network is not None), key=lambda p: p.macs)
    assert smallest.macs < smallest.dense_macs / 2
    net = load_network(tmp_path / str(smallest.network), task.build)
    assert accuracy(net, task.load().validation, score=task.score_function()) == smallest.accuracy


def test_a_trial_of_own_data_repeats_to_the_bit(tmp_path: Path) -> None:
    first, again = (pruned(own(), tmp_path / name, augment="shift1") for name in ("a", "b"))
    assert [p.accuracy for p in first.points] == [p.accuracy for p in again.points]
    assert [e.loss for e in first.epochs] == [e.loss for e in again.epochs]


def test_validation_is_a_tenth_of_train_unless_it_is_given() -> None:
    data = own().load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [81, 9, 30]
    data = own(data="load_pairs").load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [40, 20, 20]


def test_only_training_examples_that_change_are_streamed() -> None:
    data = own(data="load_datasets").load()
    assert isinstance(data.train, StreamedSplit)
    assert not isinstance(data.validation, StreamedSplit)


def test_a_task_travels_as_json() -> None:
    task = own(given_shape=(3, 8, 8), given_classes=4, start_from=Path("w.safetensors"), data_root=ROOT)
    assert Task.from_json(json.loads(json.dumps(task.as_json()))) == task
    assert own().resolved() == own(given_shape=(3, 8, 8), given_classes=4)


def test_a_fingerprint_knows_architecture_data_loss_and_score() -> None:
    tasks = [
        own(), own(given_classes=7), own(data="load_pairs"), REGRESSION,
        own("regressor", "load_brightness", loss="squared", score="high_score"),
    ]  # fmt: skip
    assert len({task.fingerprint() for task in tasks}) == len(tasks)
    assert own().fingerprint() == own(start_from=Path("w.safetensors")).fingerprint()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (own("biuld"), "has no biuld; did you mean build?"),
        (Task(network="nowhere_at_all:build", data="digits", code_root=ROOT), "there is no module nowhere_at_all in"),
        (own("constant"), "constant is a int, not a function: write def constant"),
        (own("build_nothing"), "returned a NoneType; it must return a torch.nn.Module"),
        (own("build_wanting"), "wants depth, which nobody gives it: it may take num_classes and example_shape"),
        (own("build_raising"), r"raised RuntimeError: no such layer \(own_examples.py, line"),
        (own("tuple_net"), "returns a tuple; it must return one tensor"),
        (own("dict_net"), "returns a dict; it must return one tensor"),
        (own("fixed_batch"), "its batch is fixed"),
        (own("mixing"), "it mixes examples"),
        (own("in_place"), "has no gradient: RuntimeError: .*modified by an inplace operation"),
        (own("wide_input"), r"cannot take \[1, 3, 8, 8\]: RuntimeError: mat1 and mat2"),
        (own("volumes"), r"has 3-d convolutions \(1.weight\), which sparsweep cannot take yet"),
        (own(given_classes=2), "labels go up to 3, but the network .* has 2 outputs"),
        (own(given_shape=(3, 9, 9)), r"an example of train is \[3, 8, 8\], but the network takes \[3, 9, 9\]"),
        (own(data="load_nothing"), "returned a NoneType: return {'train'"),
        (own(data="load_odd"), "returned a mapping with training: return"),
        (own(data="load_unpaired"), "train has 9 inputs but 8 labels: give one label to each"),
        (own(data="load_nan"), r"inputs of train are not finite \(NaN or infinity\) in 1 of 90"),
        (own(data="load_negative"), "train has the label -1: classes count from 0"),
        (own(data="load_other_shapes"), r"an example of test is \[3, 7, 8\], but the network takes \[3, 8, 8\]"),
        (own(data="load_random_test"), "test gives another example each time it is asked"),
        (own(data="load_text"), "inputs are int64: give float32, or uint8 images"),
        (own(data="load_raising"), "raised FileNotFoundError: no images here"),
        (own("regressor", "load_brightness"), "labels are not whole numbers, so accuracy cannot be counted"),
        (own("regressor", "load_brightness", loss="vector_loss", score="within"), r"gives a tensor of shape \[4, 1\]"),
        (own("regressor", "load_brightness", loss="squared", score="high_score"), "the score is 17; it must be a"),
        (own("segmenter"), r"gives \[2, 8, 8\] for an example whose label has shape \[\]"),
        (Task(network="torchvision/resnet81", data=f"{OWN}:load"), "no network 'torchvision/resnet81'; did you mean"),
        (Task(network="torchvision/vgg11", data=f"{OWN}:load", stem="cifar"), "stem: cifar does not fit"),
    ],
)  # fmt: skip
def test_a_fault_is_one_message(task: Task, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_task(task)


def test_parameters_without_use_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="does not use spare.weight, spare.bias"):
        check_task(own("idle"))


def test_a_trial_starts_from_given_weights(tmp_path: Path) -> None:
    net = own().build()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    loaded = own(start_from=tmp_path / "w.safetensors").initial()
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in loaded.state_dict().items())


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = {**own().build().state_dict(), "odd": torch.zeros(1), "head.weight": torch.zeros(9, 8)}
    del state["norm.bias"]
    save_file(state, path)
    words = r"it lacks norm.bias; the network has no odd; head.weight is \[9, 8\], not \[4, 8\]"
    with pytest.raises(ValueError, match=words):
        own(start_from=path).initial()
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        own(start_from=path).initial()
    with pytest.raises(ValueError, match="there is no file"):
        own(start_from=tmp_path / "gone").initial()
