"""What a person sees: the table's text, a PNG that is one, a page that loads nothing and runs nobody's markup."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from sparsweep.search.caption import conditions_of, drawn_figures, headline_of
from sparsweep.search.figures import UNKNOWN, Objectives
from sparsweep.search.frontier import Frontier
from sparsweep.search.report import check_plot_path, frontier_table, save_plot
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point, cut_name
from sparsweep.trainables.repeats import with_spread
from tests.search.points import THREE, make_point

EVIL = "<script>alert('x')</script>$\\frac{"

POINTS = (
    make_point(0, "dense", accuracy=0.985, sparsity=0.0),
    make_point(3, "07", accuracy=0.98, sparsity=0.8, speedup=3.25, test_accuracy=0.9711, model_version="4"),
    make_point(12, "own-tuned", accuracy=0.93, sparsity=0.95, method="group_lasso"),
    make_point(5, "11", accuracy=0.6, sparsity=0.9),
)


def table_text(points: tuple[Point, ...], width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(frontier_table(points, THREE, title="digits [bold]", width=width))
    return capture.get()


def frontier(points: tuple[Point, ...] = POINTS, objectives: Objectives = THREE, sweep: str = "digits") -> Frontier:
    return Frontier.of(sweep, points, objectives, [Constraint(figure="accuracy", op=">=", bound=0.9)])


def page(tmp_path: Path, front: Frontier, points: tuple[Point, ...]) -> str:
    save_plot(front, points, tmp_path / "frontier.html")
    return (tmp_path / "frontier.html").read_text(encoding="utf-8")


def data_of(text: str) -> Mapping[str, object]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    loaded: Mapping[str, object] = json.loads(data)
    return loaded


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_shows_every_figure_whole(width: int) -> None:
    text = table_text(frontier().points, width)
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    for word in (
        "98.00%",
        "97.11%",
        "80.00%",
        "200",
        "5.0x",
        "3.25x",
        "800",
        "gasl",
        "3/07",
        "group_lasso",
        "12/own-tuned",
        "most-accurate",
        "sparsest",
        "fastest",
        "knee",
        "4",
        UNKNOWN,
    ):
        assert word in words, f"{word} is not in the table:\n{text}"
    assert "…" not in text
    assert text.startswith("digits [bold]")


def test_a_wide_table_gives_a_point_one_line() -> None:
    lines = table_text(frontier().points, 120).splitlines()
    assert len(lines) == 3 + len(frontier().points)


def test_an_empty_frontier_is_a_table_without_rows() -> None:
    assert len(table_text((), 80).splitlines()) == 3


def test_what_heads_a_picture() -> None:
    assert headline_of(frontier(), POINTS) == (
        "3 of 4 points on the frontier; hypervolume 0.9235 (accuracy x MACs removed)"
    )
    assert conditions_of(frontier()) == (
        "hypervolume 1.764 over accuracy x sparsity x speedup; with accuracy >= 0.9; "
        "speedup measured at batch 32, 1 thread, eager, cpu"
    )


def test_macs_stand_in_for_speed_where_nothing_was_timed() -> None:
    assert drawn_figures(frontier(), POINTS) == ["sparsity", "speedup"]
    assert drawn_figures(frontier(), POINTS[:1]) == ["sparsity", "macs_removed"]


@pytest.mark.parametrize(
    ("points", "objectives"),
    [
        pytest.param(POINTS, THREE, id="some timed"),
        pytest.param(POINTS[:1], THREE, id="one point"),
        pytest.param((), THREE, id="no point"),
        pytest.param(POINTS[3:], THREE, id="none feasible"),
        pytest.param(POINTS, {"accuracy": "max", "macs": "min"}, id="one panel"),
        pytest.param(POINTS, {"accuracy": "max", "sparsity": "max", "size_bytes": "min", "latency_ms": "min"}, id="3"),
        pytest.param(
            POINTS, {"accuracy": "max", "weights_left": "min", "macs": "min", "macs_ideal": "min", "speedup": "max"},
            id="four panels",
        ),
    ],
)  # fmt: skip
def test_any_frontier_becomes_a_png_and_a_page(
    points: tuple[Point, ...], objectives: Objectives, tmp_path: Path
) -> None:
    front = frontier(points, objectives)
    save_plot(front, points, tmp_path / "frontier.png")
    head = (tmp_path / "frontier.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    assert 1000 <= width <= 2700
    assert 700 <= height <= 1700
    assert len(re.findall("<tr", page(tmp_path, front, points))) == 1 + len(front.points)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frontier.html", "frontier.png"]


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = page(tmp_path, frontier(), POINTS)
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=", text)
    assert "default-src 'none'" in text
    assert "<!--" not in text.split("<script>")[0]


def test_the_page_holds_figures_settings_and_axes(tmp_path: Path) -> None:
    text = page(tmp_path, frontier(), POINTS)
    data = json.dumps(data_of(text), ensure_ascii=False)
    for shown in ("accuracy: 98.00 %", "speedup: 3.25x", "sparsity_strength = 0.001", "<b>gasl 00003/07</b>"):
        assert shown in data
    assert data_of(text)["across"] == [
        "sparsity", "speedup", "layer_sparsity", "macs_removed", "size_removed", "macs", "macs_ideal", "weights_left",
        "size_bytes", "latency_ms",
    ]  # fmt: skip
    assert data_of(text)["up"] == ["accuracy", "test_accuracy"]
    assert data_of(text)["dense"] == 0.985
    assert "<td>98.00 %</td><td>97.11 %</td><td>80.00 %</td><td>200</td>" in text
    assert '<tr class="knee">' in text


def test_a_users_text_is_never_markup(tmp_path: Path) -> None:
    evil = make_point(method=EVIL, setting={"method": EVIL, EVIL: EVIL}, model_version=EVIL, cut=EVIL, speedup=2.0)
    front = frontier((evil,), sweep=EVIL)
    text = page(tmp_path, front, (evil,))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<script>alert" not in json.dumps(data_of(text))
    save_plot(front, (evil,), tmp_path / "evil.png")
    assert "<script>" in "".join(table_text((evil,), 120).split())


def test_letters_that_the_font_lacks_do_not_warn(tmp_path: Path) -> None:
    save_plot(frontier(sweep="数字"), POINTS, tmp_path / "frontier.png")


def test_another_ending_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot draw frontier\.pdf: end the name in \.png, \.svg, \.html"):
        save_plot(frontier(), POINTS, tmp_path / "frontier.pdf")
    with pytest.raises(ValueError, match=r"there is no folder .*absent; create it first"):
        check_plot_path(tmp_path / "absent" / "frontier.PNG")
    check_plot_path(tmp_path / "frontier.PNG")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = "{'matplotlib', 'plotly', 'rich', 'moocore', 'numpy', 'torch', 'ray', 'optuna', 'mlflow'}"
    code = f"import sys, sparsweep.search.report, sparsweep.search.pick; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_an_svg_is_one_with_text_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_plot(frontier(), POINTS, tmp_path / name)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "digits: frontier" in text
    assert "<dc:date>" not in text


def test_a_frontier_shows_itself_in_a_notebook() -> None:
    evil = frontier((make_point(0, "00", method=EVIL, setting={"method": EVIL, "note": EVIL}),), sweep=EVIL)
    text = evil._repr_html_()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "1 points on the frontier" in text
    ElementTree.fromstring(f"<div>{text}</div>")


def test_a_frontier_becomes_a_table_of_pandas() -> None:
    table = frontier().to_pandas()
    assert list(table["point"]) == ["00000/dense", "00003/07", "00012/own-tuned"]
    assert list(table["accuracy"]) == [0.985, 0.98, 0.93]
    assert table["speedup"].isna().tolist() == [True, False, True]
    assert list(table["setting.sparsity_strength"]) == [1e-3] * 3
    assert len(frontier(()).to_pandas()) == 0


def repeated() -> tuple[Point, ...]:
    """The same cut three times, and one point of one seed."""
    cuts = [make_point(3, cut_name("07", at), accuracy=a, sparsity=0.8) for at, a in enumerate((0.95, 0.93, 0.94))]
    return (*with_spread(cuts, trainings=3, failed=0)[:1], make_point(5, "11", accuracy=0.9, sparsity=0.9))


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_shows_the_deviation_over_seeds_where_some_point_has_one(width: int) -> None:
    text = table_text(repeated(), width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = [line.split()[:2] for line in text.splitlines()]
    assert ["accuracy", "±"] in lines
    assert ["95.00%", "1.0"] in lines
    assert "±" not in table_text(POINTS, width)


def test_the_page_has_the_bars_of_what_was_trained_with_several_seeds(tmp_path: Path) -> None:
    points = repeated()
    shown = data_of(page(tmp_path, frontier(points), points))["points"]
    assert isinstance(shown, list)
    assert [point["band"] for point in shown] == [pytest.approx([0.93, 0.95]), None]


def test_the_picture_has_them_too(tmp_path: Path) -> None:
    points = repeated()
    save_plot(frontier(points), points, tmp_path / "with.png")
    plain = tuple(point.with_(spread=None) for point in points)
    save_plot(frontier(plain), plain, tmp_path / "without.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()
