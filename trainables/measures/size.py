"""Zeros, weights left, bytes."""

from collections.abc import Mapping

from torch import nn

from sparsweep.trainables.groups import prunable_layers


def weight_counts(net: nn.Module) -> dict[str, int]:
    """Weights of every prunable layer, biases not counted."""
    return {name: layer.weight.numel() for name, layer in prunable_layers(net).items()}


def nonzero_counts(net: nn.Module) -> dict[str, int]:
    """Weights of every prunable layer that are not zero."""
    return {name: int(layer.weight.detach().count_nonzero()) for name, layer in prunable_layers(net).items()}


def sparsity(left: Mapping[str, int], original: Mapping[str, int]) -> float:
    """Zero weights / all prunable weights of the original network, in [0, 1]; removed weights count as zero."""
    return 1 - sum(left.values()) / sum(original.values())


def layer_sparsity(left: Mapping[str, int], original: Mapping[str, int]) -> float:
    """Unweighted mean of the layers' sparsities, in [0, 1]: the definition behind the published GSS figure."""
    return sum(1 - left[name] / original[name] for name in original) / len(original)


def size_bytes(net: nn.Module) -> int:
    """Bytes of all parameters and buffers as stored, zeros included."""
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
