"""Every network a spec can name: it trains, is the one it says it is, or says why it cannot be had."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import nn
from torchvision import models

from replicate.errors import UserError
from replicate.models import Classifier, build_model, weighted_loss
from replicate.models.split import split_at_pool
from replicate.models.vgg import VGG
from replicate.specs.spec import Spec
from replicate.training.optimisation import build_optimizer

MakeSpec = Callable[..., Spec]

SMALL = [f"resnet{depth}" for depth in (20, 32, 44, 56, 110)]
VGGS = [f"vgg{depth}" for depth in (11, 13, 16, 19)]
# The channels of the maps that SAC taps: those that detectors call C3, C4 and C5.
TORCHVISION = {
    "resnet18": (128, 256, 512),
    "resnet50": (512, 1024, 2048),
    "mobilenet_v3_small": (24, 48, 576),
    "efficientnet_b0": (40, 112, 1280),
    "googlenet": (480, 832, 1024),
    "inception_v3": (288, 768, 2048),
    "convnext_tiny": (192, 384, 768),
    "regnet_y_400mf": (104, 208, 440),
}
LISTED = [*SMALL, *VGGS, *(f"torchvision/{name}" for name in TORCHVISION)]
FAMILIES = ("resnet20", "vgg11", "torchvision/mobilenet_v3_small")
"""One of each, which meets every pool with and without SAC; the others meet both of both once."""
CASES = [
    (network, pool, sac)
    for network, pool, sac in product(LISTED, ["avg", "flex"], [False, True])
    if network in FAMILIES or (pool == "flex") == sac
]


def smallest(network: str) -> int:
    """Side in pixels; Inception v3 takes 75 and more."""
    return 75 if network.endswith("inception_v3") else 32


def built(spec: Spec) -> Classifier:
    torch.manual_seed(0)
    return build_model(spec)


def backward(model: Classifier, spec: Spec, images: int) -> torch.Tensor:
    side = spec.dataset.size
    logits = model(torch.randn(images, spec.dataset.channels, side, side))
    loss, _ = weighted_loss(logits, torch.arange(images), spec.loss.head_weights)
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize(("network", "pool", "sac"), CASES)
def test_two_steps_move_every_parameter(
    make_spec: MakeSpec, network: str, pool: str, sac: bool
) -> None:
    spec = make_spec(smallest(network), network=network, pool=pool, sac=sac)
    model = built(spec)
    optimizer = build_optimizer(model, spec.training)
    for _ in range(2):
        optimizer.zero_grad()
        assert backward(model, spec, images=2).isfinite()
        optimizer.step()
    assert len(model.heads) == (3 if sac else 1)
    assert len(model.pools()) == (len(model.heads) if pool == "flex" else 0)
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(optimizer.state[p]["step"] == 2 for p in model.parameters())


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("size", [64, 224])
def test_torchvision_at_other_sizes(make_spec: MakeSpec, name: str, size: int) -> None:
    if (name, size) == ("inception_v3", 64):
        size = 96  # 64 is refused, see below
    spec = make_spec(size, network=f"torchvision/{name}", sac=True)
    model = built(spec)
    assert backward(model, spec, images=2).isfinite()
    shapes = [tuple(pool.weights().shape) for pool in model.pools()]
    assert tuple(shape[0] for shape in shapes) == TORCHVISION[name]
    sides = [shape[1] for shape in shapes]
    assert sides == sorted(set(sides), reverse=True)
    if name != "inception_v3":  # whose convolutions have no padding
        assert sides == [size // 8, size // 16, size // 32]


@pytest.mark.parametrize("name", [*TORCHVISION, "densenet121", "squeezenet1_1"])
def test_with_average_pooling_it_is_torchvisions_own(make_spec: MakeSpec, name: str) -> None:
    """The same parameters, and with the same seed the same logits."""
    side = smallest(name)
    spec = make_spec(side, network=f"torchvision/{name}", pool="avg")
    model = built(spec).eval()
    torch.manual_seed(0)
    aux = {"aux_logits": False, "init_weights": True} if name.startswith(("goo", "inc")) else {}
    original = models.get_model(name, num_classes=10, **aux).eval()
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in original.parameters()
    )
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(model.predict(x), original(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_what_is_random_in_training_stays_so(make_spec: MakeSpec, name: str) -> None:
    """Stochastic depth and Dropout follow the mode, though the graph was made in one of them."""
    model, x = built(make_spec(32, network=f"torchvision/{name}")), torch.randn(4, 3, 32, 32)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        model.train()
        for norm in norms:
            norm.eval()
        assert not torch.equal(model.trunk(x)[0], model.trunk(x)[0])
        model.eval()
        assert torch.equal(model.trunk(x)[0], model.trunk(x)[0])


# conv and BN of 3-64-128-256-256-512-512-512-512, then 512-4096-4096-10 (by hand, as a check of both)
VGG11_TRUNK = sum(9 * i * o + 3 * o for i, o in [(3, 64), (64, 128), (128, 256), (256, 256)])
VGG11_TRUNK += sum(9 * i * o + 3 * o for i, o in [(256, 512), (512, 512), (512, 512), (512, 512)])
DENSE = 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 10 + 10


def test_vgg_by_hand(make_spec: MakeSpec) -> None:
    model = built(make_spec(64, network="vgg11"))
    assert sum(p.numel() for p in model.parameters()) == VGG11_TRUNK + DENSE + 512 * 2 * 2


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_is_torchvisions_up_to_its_pool(depth: int) -> None:
    theirs = models.get_model(f"vgg{depth}_bn").features.eval()
    ours = VGG(depth, channels=3, all_stages=False).eval()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        own.data = other.data
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0], theirs(x))


@pytest.mark.parametrize("network", FAMILIES)
def test_pools_start_from_the_same_network(make_spec: MakeSpec, network: str) -> None:
    average, flex = (built(make_spec(32, network=network, pool=pool)) for pool in ("avg", "flex"))
    states = average.state_dict(), flex.state_dict()
    assert states[0].keys() < states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("network", ["vgg11", "torchvision/mobilenet_v3_small"])
def test_dropout_and_released_initialisation_reach_the_last_head(
    make_spec: MakeSpec, network: str
) -> None:
    """Kaiming normal by fan-in on the dense layers of whatever network."""
    model = built(make_spec(32, network=network, dropout=0.25, block="released"))
    assert model.heads[-1].vector_dropout.p == 0.25
    first = next(m for m in model.heads[-1].linear.modules() if isinstance(m, nn.Linear))
    assert first.weight.std().item() == pytest.approx((2 / first.in_features) ** 0.5, rel=0.02)


REFUSED = {
    ("torchvision/inception_v3", 64): r"cannot take images of 64 pixels a side: .*[Kk]ernel size",
    ("torchvision/vgg11_bn", 32): r"found no; .*: avgpool \(512x1x1 -> 512x7x7\)$",
    ("torchvision/vit_b_16", 32): r"cannot take images of 32 pixels a side: Wrong image height",
    ("torchvision/resnet19", 32): r"no classifier 'resnet19': for example resnet18",
    ("torchvision/swin_t", 32): r"SwinTransformer differs between training and evaluation$",
    ("vgg16", 28): r"vgg16 cannot take images of 28 pixels a side: .*too small",
}


@pytest.mark.parametrize(("network", "size"), REFUSED)
@pytest.mark.parametrize("sac", [False, True])
def test_what_cannot_be_had_is_one_line(
    make_spec: MakeSpec, network: str, size: int, sac: bool
) -> None:
    with pytest.raises(UserError, match=REFUSED[network, size]) as refusal:
        build_model(make_spec(size, network=network, sac=sac))
    assert len(str(refusal.value).splitlines()) == 1


def test_torchvision_takes_colour_images_only(make_spec: MakeSpec) -> None:
    with pytest.raises(UserError, match="resnet18 takes images of 3 channels, got 1"):
        build_model(make_spec(channels=1, network="torchvision/resnet18"))


@pytest.mark.parametrize("network", ["resnet21", "vgg12", "resnet18", "torchvision/", "lenet"])
def test_an_unknown_network_is_refused_by_the_spec(make_spec: MakeSpec, network: str) -> None:
    with pytest.raises(ValueError, match=r"should match pattern '\^\(resnet\(20"):
        make_spec(network=network)


class Flat(nn.Module):
    """One size of map, and a second use of the images' size behind the pool."""

    def __init__(self, batch_size: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.batch_size = batch_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = x.shape[0]
        pooled = self.conv(x).mean((2, 3))
        return pooled.view(batch, -1) if self.batch_size else pooled


def test_a_network_of_one_size_has_no_stages() -> None:
    x = torch.zeros(2, 3, 8, 8)
    assert split_at_pool(Flat(), x).trunk(x)[0].shape == (2, 4, 8, 8)
    with pytest.raises(ValueError, match=r"maps of 3 sizes before the global pool, found 8x8$"):
        split_at_pool(Flat(), x, stages=3)


def test_layers_behind_the_pool_that_look_before_it() -> None:
    with pytest.raises(ValueError, match="layers behind the global pool also need getitem"):
        split_at_pool(Flat(batch_size=True), torch.zeros(2, 3, 8, 8))
