"""The tutorial notebook, executed from start to end as a newcomer runs it: in a folder of its own, nothing set."""

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from sparsweep.search.notebook import Sweep

TUTORIAL = Path(__file__).parents[2] / "search" / "tutorial.ipynb"
CELL_S = 240
OURS = ("SPARSWEEP_", "MLFLOW_", "RAY_", "JUPYTER_")


def read() -> Any:
    return nbformat.read(TUTORIAL, as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook runs; state is found there, as it would be in a project."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / ".sparsweep").mkdir()
    return folder


@pytest.fixture(scope="module")
def execute(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], dict[str, Any]]]:
    """Executes a notebook in the folder; the outputs of its cells by their ids.

    The kernel is this Python; nobody's own Jupyter is touched.
    """
    space = tmp_path_factory.mktemp("jupyter")
    kernel = space / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))

    def executed(notebook: Any) -> dict[str, Any]:
        NotebookClient(notebook, timeout=CELL_S, resources={"metadata": {"path": str(folder)}}).execute()
        return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        for name in ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(space))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield executed


@pytest.fixture(scope="module")
def executed(execute: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """The tutorial's outputs."""
    return execute(read())


def html(outputs: Any) -> str:
    (shown,) = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    return str(shown)


def printed(outputs: Any) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def test_it_is_kept_whole_and_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.metadata.kernelspec.name == "python3"


def test_nothing_is_said_but_what_the_reader_is_to_see(executed: dict[str, Any]) -> None:
    streams = [each for outputs in executed.values() for each in outputs if each.output_type == "stream"]
    said = [each.text for each in streams if each.name == "stderr"]
    assert said == []
    assert executed["imports"] == []


def test_the_sweep_runs_to_its_end_in_the_notebook_s_folder(executed: dict[str, Any], folder: Path) -> None:
    assert f"sweep tutorial-gasl in {folder}/.sparsweep/sweeps/tutorial-gasl\n" in printed(executed["run"])
    assert "the search has ended: all 3 trials have ended" in printed(executed["run"])
    assert Sweep.open("tutorial-gasl", home=folder / ".sparsweep").state["state"] == "finished"


def test_the_sweep_and_its_frontier_show_themselves(executed: dict[str, Any], folder: Path) -> None:
    front = Sweep.open("tutorial-gasl", home=folder / ".sparsweep").frontier
    text = html(executed["sweep"])
    assert "<b>tutorial-gasl</b>: finished; 3 of 3 trials have ended" in text
    assert "<svg" in text
    text = html(executed["frontier"])
    assert f"<b>{len(front.points)} points on the frontier of tutorial-gasl</b>" in text
    assert text.count("<tr") == 1 + len(front.points)


def test_its_tables_hold_what_the_records_hold(executed: dict[str, Any], folder: Path) -> None:
    points = Sweep.open("tutorial-gasl", home=folder / ".sparsweep").to_pandas()
    assert html(executed["points"]).count("<tr") == 1 + len(points)
    assert html(executed["trials"]).count("<td>done</td>") == 3
    assert html(executed["history"]).count("<tr") == 1 + 3


def test_pictures_are_pictures(executed: dict[str, Any]) -> None:
    for cell in ("picture", "compare-picture"):
        (image,) = [output.data["image/png"] for output in executed[cell] if "image/png" in output.get("data", {})]
        assert base64.b64decode(image)[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_pick_satisfies_its_wish_and_is_on_the_test_images_what_was_recorded(
    executed: dict[str, Any], folder: Path
) -> None:
    text = html(executed["pick"])
    assert re.search(r"<b>models:/tutorial-gasl/\d+</b>: version \d+ has the lowest MACs, .* accuracy &gt;= 0.6", text)
    sweep = Sweep.open("tutorial-gasl", home=folder / ".sparsweep")
    fitting = [point for point in sweep.frontier.points if point.accuracy >= 0.6]
    wanted = min(fitting, key=lambda point: point.macs)
    told = r"right on ([\d.]+) of 300 test images\nrecorded ([\d.]+)\n([\d,]+) parameters"
    found = re.search(told, printed(executed["evaluate"]))
    assert found is not None
    assert found[1] == found[2] == f"{wanted.test_accuracy:.4f}"
    assert int(found[3].replace(",", "")) < 10_000, "the dense network has 30,360"


def test_two_sweeps_are_compared(executed: dict[str, Any], folder: Path) -> None:
    text = html(executed["compare"])
    for name in ("tutorial-gasl", "tutorial-random"):
        front = Sweep.open(name, home=folder / ".sparsweep").frontier
        assert name in text
        assert f"<td>{front.macs_hypervolume:.6f}</td>" in text


ON_RAY = """
from sparsweep.search.notebook import Sweep

Sweep.run(
    "name: on-ray\\n"
    "task: {network: lenet-digits, data: digits}\\n"
    "budget: {trials: 1, epochs: 1}\\n"
    "trial: {cuts: 2}\\n"
    "timing: none\\n"
)
"""


def test_on_ray_the_cell_keeps_what_the_sweep_says(execute: Callable[[Any], dict[str, Any]], folder: Path) -> None:
    outputs = execute(new_notebook(cells=[new_code_cell(ON_RAY, id="run")]))["run"]
    assert printed(outputs).startswith(f"sweep on-ray in {folder}/.sparsweep/sweeps/on-ray\n")
    assert "the search has ended: all 1 trials have ended" in printed(outputs)
    assert [each.output_type for each in outputs if each.output_type != "stream"] == ["execute_result"]
    assert "<b>on-ray</b>: finished; 1 of 1 trials have ended" in html(outputs)
