"""The model card: every figure with where it comes from, and no text that breaks out of its cell."""

import json
from pathlib import Path

import pytest

from sparsweep.search.model_card import model_card, plain
from sparsweep.search.with_mlflow import ModelVersionInfo
from sparsweep.trainables.delivery.check import Difference
from sparsweep.trainables.spread import FIGURES, Spread, spread_of
from tests.search.points import make_latency, make_point

EXACT = Difference(as_stored=0.0, other_batches=2.4e-7)


def card(
    tmp_path: Path, licence: str | None = None, forms: tuple[str, ...] = ("safetensors",),
    spread: Spread | None = None, **tags: str,
) -> str:  # fmt: skip
    """The card of a version with these tags."""
    point = make_point(
        2, "06", accuracy=0.94, test_accuracy=0.9467, latency=(make_latency(1.2, batch=1), make_latency(2.5)),
        setting={"method": "gasl", "granularity": "filter"}, spread=spread,
    )  # fmt: skip
    (tmp_path / "point.json").write_text(json.dumps(point.as_json()))
    (tmp_path / "architecture.json").write_text(json.dumps({"network": "lenet-digits", "example_shape": [1, 8, 8]}))
    info = ModelVersionInfo(
        model="digits", version="4", figures=point.figures(), fingerprint="f00d", point="digits/00002/06",
        frontier=True, aliases=("knee",), run_id="0b12",
        tags={
            "method": "gasl", "data": "digits", "latency": json.dumps([vars(r) for r in point.latency]), **tags,
        },
    )  # fmt: skip
    return model_card(info, tmp_path, dict.fromkeys(forms, EXACT), licence)


def test_it_says_what_is_known(tmp_path: Path) -> None:
    text = card(tmp_path, input_mean="[0.5]", input_std="[0.25]")
    for line in (
        "# digits, version 4",
        "- licence: not stated: set the tag `license` of digits in MLflow",
        "| accuracy | 94.00 % | \N{EN DASH} |",
        "| test accuracy | 94.67 % | \N{EN DASH} |",
        "| MACs | 500 | 1.0 k |",
        "| device | batch | threads | runtime | latency | dense | speedup | spread (IQR / median) |",
        "| cpu | 32 | 1 | eager | 4 ms | 10 ms | 2.50x | 1.0 % |",
        "| method | gasl |",
        "| granularity | filter |",
        "| data | digits |",
        r"| shape of one input | \[1, 8, 8\] |",
        r"| images of bytes become inputs by | (value / 255 - \[0.5\]) / \[0.25\], by channel |",
        "| trial | 00002 |",
        "| MLflow run | 0b12 |",
    ):
        assert line in text.splitlines()


def test_it_says_what_the_accuracy_is_over_several_seeds(tmp_path: Path) -> None:
    three = spread_of([dict.fromkeys(FIGURES, value) for value in (0.94, 0.92, 0.93)])
    row = "| accuracy, mean over 3 seeds | 93.00 % ± 1.00 % | \N{EN DASH} |"
    assert row in card(tmp_path, spread=three).splitlines()
    one = spread_of([dict.fromkeys(FIGURES, 0.94)], failed=2)
    line = "| accuracy, mean over 1 seeds, 2 more failed | 94.00 % | \N{EN DASH} |"
    assert line in card(tmp_path, spread=one).splitlines()
    assert "over" not in card(tmp_path).split("## Method")[0]


def test_the_pickle_is_told_where_there_is_one(tmp_path: Path) -> None:
    assert "`model.pt2` contains a small pickle" in card(tmp_path, forms=("pt2",))
    assert "is the trusted form: nothing in it is unpickled" in card(tmp_path, forms=("pt2", "safetensors"))
    assert "pickle:" not in card(tmp_path, forms=("onnx",))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("apache-2.0", "apache-2.0"),
        ("a | b", r"a \| b"),
        ("a\n\n# heading", r"a\\n\\n# heading"),
        ("```\nrm\n```", r"\`\`\`\\nrm\\n\`\`\`"),
        ("<script>", r"\<script\>"),
        ("[x](http://y)", r"\[x\](http://y)"),
        ("\\|", r"\\\|"),
        ("&lt;", "&amp;lt;"),
        ("\u202egnp", r"\\u202egnp"),
        ("x" * 999, "x" * 299 + "…"),
    ],
)
def test_a_text_stays_a_text(text: str, shown: str, tmp_path: Path) -> None:
    assert plain(text) == shown
    whole = card(tmp_path, licence=text, data=text)
    assert f"- licence: {shown}" in whole.splitlines()
    assert f"| data | {shown} |" in whole.splitlines()
    assert len(whole.splitlines()) == len(card(tmp_path, licence="x").splitlines())
