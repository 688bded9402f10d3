"""What a trace has to say against removing units: the reasons that need no trial."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import SplitAttention
from sparsweep.trainables.compact.derivative import ENDS
from sparsweep.trainables.compact.sites import Key
from sparsweep.trainables.compact.trace import Trace, mixes_channels

OUTPUTS = "its units are the network's outputs"


def objections(modules: Mapping[str, nn.Module], found: Trace) -> Iterator[tuple[Key, Tensor, str]]:
    """What the trace has to say against removal: a side, [size] bool, and why."""
    for reader, sources in found.feeds.items():
        for source, units in sources.items():
            reason = ""
            if reader == ENDS:
                reason = OUTPUTS
            elif mixes_channels(modules[reader]):
                reason = f"a norm over channels reads it ({reader})"
            elif units is None and not _inside_attention(modules, source, reader):
                reason = f"its units are mixed before {reader} reads them"
            if reason:
                whole = torch.ones(found.units[source], dtype=torch.bool)
                yield (source, "out"), whole, reason
                yield (source, "norm"), whole, reason
    for reader, wrong in found.foreign.items():
        reason = f"what {reader} reads is not zero where the layer gives zero"
        yield (reader, "in"), wrong, reason
        yield (reader, "norm"), wrong, reason


def _inside_attention(modules: Mapping[str, nn.Module], source: str, reader: str) -> bool:
    """Query and key of an attention whose heads go as wholes."""
    path, _, name = reader.rpartition(".")
    return isinstance(modules[path], SplitAttention) and name == "out" and source in (f"{path}.q", f"{path}.k")
