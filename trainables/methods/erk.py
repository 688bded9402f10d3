"""Erdős-Rényi kernel: layer shares that spare small layers.

Source: Evci et al. 2020, arXiv:1911.11134, section 3.
"""

from collections.abc import Mapping

import torch


def erk_keeps(shapes: Mapping[str, tuple[int, ...]], keep: int) -> dict[str, int]:
    """Erdős-Rényi kernel: a layer's density is proportional to Σ dims / Π dims, no denser than 1.

    Args:
        shapes: per layer the dimensions of its weight.
        keep: how many survive in all, up to rounding.
    """
    sizes = {name: float(torch.Size(shape).numel()) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        rest = [name for name in shapes if name not in full]
        room = keep - sum(sizes[name] for name in full)
        scale = room / sum(raw[name] * sizes[name] for name in rest) if rest else 0.0
        over = {name for name in rest if scale * raw[name] > 1}
        if not over:
            break
        full |= over
    shares = {name: 1.0 if name in full else scale * raw[name] for name in shapes}
    return {name: min(max(round(shares[name] * sizes[name]), 1), int(sizes[name])) for name in shapes}
