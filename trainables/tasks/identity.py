"""What a network is, apart from its weights: 16 hex digits by which two of one name are told apart."""

import ast
import hashlib
import inspect
import json
import textwrap

from torch import nn

KNOWN = ("torch.", "torchvision.", "sparsweep.")
"""Modules of these are known by their name; of the user's own the code counts too."""


def architecture_digest(net: nn.Module) -> str:
    """Over the modules, the shapes of parameters and buffers, and the code of the user's modules without comments."""
    shapes = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    kinds = {type(module) for module in net.modules()}
    own = sorted((kind for kind in kinds if not f"{kind.__module__}.".startswith(KNOWN)), key=lambda k: k.__qualname__)
    what = [repr(net), shapes, [_code(kind) for kind in own]]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _code(kind: type) -> str:
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(kind))))
    except (OSError, SyntaxError, TypeError):
        return kind.__qualname__
