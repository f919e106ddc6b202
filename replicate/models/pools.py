"""Other global pools to hold FlexPool against: (N, C, H, W) -> (N, C), from images of any size.

They draw no random numbers, so that every pool of a comparison starts from the same network. What
is not a maximum is computed in float32 at least, under autocast too.
"""

import math

import torch
from torch import Tensor, nn

_SMALLEST = 1e-6  # of what powers are taken: 0 has no logarithm


class GlobalMaxPool2d(nn.Module):
    """The largest value of each channel (Oquab et al. 2015, CVPR, "Is object localization for free?")."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


class GeMPool2d(nn.Module):
    """(mean x^p)^(1/p) of the positive part of x, with one learned p for all channels, at first 3.

    Generalised-mean pooling of Radenović, Tolias and Chum (2019, TPAMI, section 3.2).
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: Tensor) -> Tensor:
        return power_mean(at_least_float32(x), self.p)


class SoftmaxPool2d(nn.Module):
    """Mean of x by its own softmax: sum x e^(alpha x) / sum e^(alpha x), one learned alpha a channel.

    At first alpha = 1, which is SoftPool (Stergiou, Poppe and Kalliatakis 2021, ICCV), over the whole
    map; learned as in the auto-pool of McFee, Salamon and Bello (2018, TASLP). alpha = 0 is the
    average, towards infinity the maximum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        values = at_least_float32(x).flatten(2)
        return (values * (self.alpha[:, None] * values).softmax(dim=2)).sum(dim=2)


class AttentionPool2d(nn.Module):
    """Mean over the positions h of a map by softmax(w tanh(V h)), with learned w (C) and V (C, C).

    Attention pooling of Ilse, Tomczak and Welling (2018, ICML, Eq. 7 and 8): the weights depend on
    the image and serve all channels alike. w starts at 0, so that it starts as the average, and V
    as the identity, which draws nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.eye(channels))
        self.score = nn.Parameter(torch.zeros(1, channels))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            values = at_least_float32(x).flatten(2)  # (N, C, positions)
            scores = self.score @ (self.hidden @ values).tanh()  # (N, 1, positions)
            return (values * scores.softmax(dim=2)).sum(dim=2)


def power_mean(x: Tensor, p: Tensor) -> Tensor:
    """(mean x^p)^(1/p) over the map by way of logarithms, which no p overflows.

    `x` is (N, C, H, W), `p` one value or one a channel. Returns (N, C).
    """
    logarithms = x.clamp(min=_SMALLEST).log()
    sums = (logarithms * p[:, None, None]).logsumexp(dim=(2, 3))
    return ((sums - math.log(x.shape[2] * x.shape[3])) / p).exp()


def at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
