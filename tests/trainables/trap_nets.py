"""Networks that are not plain chains, each small and with one trap in it; they all take [n, 2, 6, 6]."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (2, 6, 6)


def conv(inputs: int, outputs: int, size: int = 3, **more: Any) -> nn.Conv2d:
    """A convolution that leaves the image's size."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, **more)


class Headed(nn.Module):
    """Layers by name in the order given, and a linear `head` over the pooled features."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def classified(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


class Residual(Headed):
    """`stem` and `outer` are added to each other."""

    def __init__(self) -> None:
        super().__init__(stem=conv(2, 6), inner=conv(6, 5), outer=conv(5, 6), head=nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.classified((x + self.outer(self.inner(x).relu())).relu())


class PreActivation(Headed):
    """The norm reads the sum of all convolutions before it."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 6), norm1=nn.BatchNorm2d(6), inner=conv(6, 5, bias=False), norm2=nn.BatchNorm2d(5),
            outer=conv(5, 6), last=nn.BatchNorm2d(6), head=nn.Linear(6, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.outer(self.norm2(self.inner(self.norm1(x).relu())).relu())
        return self.classified(self.last(x).relu())


class InputAdded(Headed):
    """The network's own input is added: a zero filter does not make a zero channel."""

    def __init__(self) -> None:
        super().__init__(conv=conv(2, 2), head=nn.Linear(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified((x + self.conv(x)).relu())


class DenselyConnected(Headed):
    """Everything so far is concatenated, normed and read; the norms read several layers at offsets."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 5), norm1=nn.BatchNorm2d(5), grow1=conv(5, 4), norm2=nn.BatchNorm2d(9), grow2=conv(9, 3),
            last=nn.BatchNorm2d(12), head=nn.Linear(12, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.grow1(self.norm1(x).relu())], dim=1)
        x = torch.cat([x, self.grow2(self.norm2(x).relu())], dim=1)
        return self.classified(self.last(x).relu())


class Separable(Headed):
    """An inverted residual: expand, depthwise, project, each normed."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 4), expand=conv(4, 9, 1, bias=False), norm1=nn.BatchNorm2d(9),
            depthwise=conv(9, 9, groups=9, bias=False), norm2=nn.BatchNorm2d(9), project=conv(9, 4, 1, bias=False),
            norm3=nn.BatchNorm2d(4), head=nn.Linear(4, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        wide = F.relu6(self.norm2(self.depthwise(F.relu6(self.norm1(self.expand(x))))))
        return self.classified(x + self.norm3(self.project(wide)))


class Grouped(Headed):
    """A grouped convolution: its units go by whole groups."""

    def __init__(self) -> None:
        super().__init__(stem=conv(2, 8), grouped=conv(8, 12, groups=4), after=conv(12, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.after(self.grouped(self.stem(x).relu()).relu()).relu())


class Squeezed(Headed):
    """Squeeze and excitation: a channel is multiplied by a sigmoid of two linear layers."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 7), norm=nn.BatchNorm2d(7), down=conv(7, 3, 1), up=conv(3, 7, 1), after=conv(7, 4),
            head=nn.Linear(4, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        scale = self.up(self.down(x.mean(dim=(2, 3), keepdim=True)).relu()).sigmoid()
        return self.classified(self.after(x * scale).relu())


class ChannelShuffle(Headed):
    """Channels change places between two layers, by their number."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 8), second=conv(8, 5), head=nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        mixed = x.view(x.shape[0], 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        return self.classified(self.second(mixed).relu())


class FixedShuffle(Headed):
    """Channels change places by a list of indices that knows nothing of removed ones."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), second=conv(4, 5), head=nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.first(x).relu()[:, [2, 0, 3, 1]]).relu())


class Tokens(Headed):
    """Patches as tokens, one block of attention and one MLP, each behind a LayerNorm."""

    def __init__(self) -> None:
        super().__init__(
            patch=nn.Conv2d(2, 12, 2, stride=2), norm1=nn.LayerNorm(12),
            attention=nn.MultiheadAttention(12, 3, batch_first=True), norm2=nn.LayerNorm(12), up=nn.Linear(12, 20),
            down=nn.Linear(20, 12), norm3=nn.LayerNorm(12), head=nn.Linear(12, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        logits: Tensor = self.head(self.norm3(x).mean(dim=1))
        return logits


class NormedQueries(Headed):
    """Attention written out, with norms over query and key and the heads' width written down."""

    def __init__(self) -> None:
        super().__init__(
            patch=nn.Conv2d(2, 8, 2, stride=2), q=nn.Linear(8, 8), k=nn.Linear(8, 8), v=nn.Linear(8, 8),
            q_norm=nn.LayerNorm(4), k_norm=nn.LayerNorm(4), out=nn.Linear(8, 8), head=nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        q, k, v = (layer(x).view(x.shape[0], -1, 2, 4).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        logits: Tensor = self.head(self.out(mixed.transpose(1, 2).flatten(2)).mean(dim=1))
        return logits


class HardCoded(Headed):
    """A view whose width is written out fails once the layer before it is narrower."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), second=nn.Linear(4 * 36, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(x).relu().view(-1, 4 * 36))
        return logits


class Recurrent(Headed):
    """An LSTM and a GRU read what a convolution gives."""

    def __init__(self) -> None:
        super().__init__(
            first=conv(2, 5), second=conv(5, 4), lstm=nn.LSTM(24, 6, batch_first=True),
            gru=nn.GRU(6, 4, batch_first=True), hidden=nn.Linear(4, 6), head=nn.Linear(6, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu().permute(0, 2, 1, 3).flatten(2)
        logits: Tensor = self.head(self.hidden(self.gru(self.lstm(x)[0])[0][:, -1]).relu())
        return logits


class Shared(Headed):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__(stem=conv(2, 5), twice=conv(5, 5), last=conv(5, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.last(self.twice(self.twice(self.stem(x).relu()).relu()).relu()).relu())


class Generated(Headed):
    """A transposed convolution behind a view of a linear layer."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 5), linear=nn.Linear(5 * 36, 4 * 9), wider=nn.ConvTranspose2d(4, 3, 2, stride=2),
            last=conv(3, 4), head=nn.Linear(4, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(self.stem(x).relu().flatten(1)).relu().view(-1, 4, 3, 3)
        return self.classified(self.last(self.wider(x).relu()).relu())


class AuxiliaryHead(Headed):
    """In training a second head is asked too, and what comes out is a sum."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 5), second=conv(5, 4), side=nn.Linear(5, 3), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        logits = self.classified(self.second(x).relu())
        return logits + 0.3 * self.side(x.mean(dim=(2, 3))) if self.training else logits


class TwoHeads(Headed):
    """Two heads, one of them in the middle, whose logits are added."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 5), side=nn.Linear(5, 3), second=conv(5, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        logits: Tensor = self.classified(self.second(x).relu()) + self.side(x.mean(dim=(2, 3)))
        return logits


class HeadFirst(Headed):
    """The head is defined before everything else, and the first layer last."""

    def __init__(self) -> None:
        super().__init__(head=nn.Linear(4, 3), second=conv(5, 4), first=conv(2, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.first(x).relu()).relu())


class NeverUsed(Headed):
    """A layer and a parameter that the forward pass never touches."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 5), second=conv(5, 4), idle=nn.Linear(7, 7), head=nn.Linear(4, 3))
        self.spare = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.first(x).relu()).relu())


class InPlace(Headed):
    """Sums and activations in place."""

    def __init__(self) -> None:
        super().__init__(
            stem=conv(2, 6), norm=nn.BatchNorm2d(6), outer=conv(6, 6), norm2=nn.BatchNorm2d(6), head=nn.Linear(6, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm(self.stem(x)))
        y = self.norm2(self.outer(x))
        y += x
        return self.classified(F.relu_(y))


class Sigmoid(Headed):
    """sigmoid(0) is not 0."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), second=conv(4, 5), head=nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.first(x).sigmoid()).relu())


class Normed(Headed):
    """BatchNorm behind the first layer, none behind the second."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 5, bias=False), norm=nn.BatchNorm2d(5), second=conv(5, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.norm(self.first(x)).relu()).relu())


class GroupNormed(Headed):
    """GroupNorm behind the first layer."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 6), norm=nn.GroupNorm(2, 6), second=conv(6, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.norm(self.first(x)).relu()).relu())


class FunctionalNorm(Headed):
    """A norm over channels that is no module."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), second=conv(4, 5), head=nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.classified(self.second(F.layer_norm(first, first.shape[1:]).relu()).relu())


class Scaled(Headed):
    """A bare parameter has a number for every channel: it would have to shrink too."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), second=conv(4, 5), head=nn.Linear(5, 3))
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second((self.scale * self.first(x)).relu()).relu())


class Pair(Headed):
    """Returns two tensors."""

    def __init__(self) -> None:
        super().__init__(first=conv(2, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(x)
        return self.classified(x), x
