"""Attention whose projections are layers of their own, so that its heads can be pruned and removed.

`nn.MultiheadAttention` keeps query, key and value in one bare parameter: nothing that looks for layers finds it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


class SplitAttention(nn.Module):
    """Self- or cross-attention in four linear layers; a head is `head_dim` units of `q`, `k` and `v`.

    It computes what the `nn.MultiheadAttention` it was made from computes, without the weights' average.
    """

    in_proj_bias = None
    """Read by `nn.TransformerEncoderLayer`: it says that there is nothing to fuse."""
    _qkv_same_embed_dim = False

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        inner, biased = source.embed_dim, source.in_proj_bias is not None
        self.head_dim, self.batch_first, self.dropout = source.head_dim, source.batch_first, source.dropout
        self.q = nn.Linear(source.embed_dim, inner, bias=biased)
        self.k = nn.Linear(source.kdim, inner, bias=biased)
        self.v = nn.Linear(source.vdim, inner, bias=biased)
        self.out = nn.Linear(inner, source.embed_dim, bias=source.out_proj.bias is not None)
        self.to(device=source.out_proj.weight.device, dtype=source.out_proj.weight.dtype).train(source.training)
        self._copy(source)

    @torch.no_grad()
    def _copy(self, source: nn.MultiheadAttention) -> None:
        joined = source.in_proj_weight
        apart = (source.q_proj_weight, source.k_proj_weight, source.v_proj_weight)
        weights = apart if joined is None else joined.chunk(3)
        biases = (None,) * 3 if source.in_proj_bias is None else source.in_proj_bias.chunk(3)
        for layer, weight, bias in zip((self.q, self.k, self.v), weights, biases, strict=True):
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)
        self.out.load_state_dict(source.out_proj.state_dict())

    @property
    def num_heads(self) -> int:
        return int(self.v.out_features // self.head_dim)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = False, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """As `nn.MultiheadAttention`'s; [batch, length, width], or [length, batch, width]. Never gives the weights."""
        if key_padding_mask is not None or (attn_mask is not None and attn_mask.dim() > 2):
            raise ValueError("split attention knows no padding masks and no masks of single heads")
        if not self.batch_first and query.dim() == 3:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        q, k, v = (self._heads(projected) for projected in (self.q(query), self.k(key), self.v(value)))
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = ~attn_mask  # true forbids there, and allows here
        dropped = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=dropped)
        output: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2))
        return (output if self.batch_first or output.dim() == 2 else output.transpose(0, 1)), None

    def _heads(self, projected: Tensor) -> Tensor:
        """[..., length, heads * head_dim] to [..., heads, length, head_dim]."""
        return projected.view(*projected.shape[:-1], -1, self.head_dim).transpose(-3, -2)


def split_attention(net: nn.Module) -> nn.Module:
    """Puts a `SplitAttention` in place of every `nn.MultiheadAttention` that it can stand for; changes `net`."""
    for path, module in list(net.named_modules()):
        if type(module) is nn.MultiheadAttention and path and module.bias_k is None and not module.add_zero_attn:
            parent, _, name = path.rpartition(".")
            setattr(net.get_submodule(parent), name, SplitAttention(module))
    return net


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in single steps that can be counted and differentiated twice, its fused kernels off."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
