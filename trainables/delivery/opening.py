"""Opens one format of the folder it is started in, as a stranger would, and prints how far its outputs are off.

A script of its own, run in a fresh process: `python -P opening.py pt2`. sparsweep cannot be imported in it.
"""

import importlib.abc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

Run = Callable[[Any], Any]
"""Outputs of inputs, both as arrays with the batch first."""


class WithoutSparsweep(importlib.abc.MetaPathFinder):
    """Refuses to import it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "sparsweep":
            raise ModuleNotFoundError(f"{name} must not be needed here")


def opened(form: str) -> Run:
    """How to run the network in this folder."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, {"input": inputs})[0]
    import torch

    if form == "pt2":
        net = torch.export.load("model.pt2").module()  # written a moment ago by the process that asks
    else:
        sys.path.insert(0, str(Path.cwd()))
        from load import load

        net = load(".")
    return lambda inputs: net(torch.from_numpy(inputs)).detach().numpy()


def largest_difference(run: Run, inputs: Any, expected: Any, *batches: list[int]) -> float:
    """Over batches made of these rows of the stored vector."""
    difference = 0.0
    for rows in batches:
        found, wanted = run(np.ascontiguousarray(inputs[rows])), expected[rows]
        if found.shape != wanted.shape:
            raise SystemExit(f"outputs have shape {found.shape}, not {wanted.shape}")
        difference = max(difference, float(np.abs(found.astype(np.float64) - wanted).max()))
    return difference


def main() -> None:
    sys.meta_path.insert(0, WithoutSparsweep())
    vector = load_file("test_vector.safetensors")
    run, all_rows = opened(sys.argv[1]), list(range(len(vector["input"])))
    given = (run, vector["input"], vector["output"])
    told = {
        "as_stored": largest_difference(*given, all_rows),
        "other_batches": largest_difference(*given, [0], all_rows * 2 + [0]),
        "largest_output": float(np.abs(vector["output"]).max()),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
