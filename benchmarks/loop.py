"""The training loop that people write: DataLoader, PIL, torchvision transforms, float32, NCHW, eager."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.images import images
from benchmarks.ours import spec_of
from benchmarks.teams import Work
from replicate.models import build_model, weighted_loss


class PilImages(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10: an array in memory, a PIL image and its transforms for each item."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomAffine(0, scale=(0.8, 1.2)),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def build(cell: str, batch: int, steps: int, threads: int, loaders: int, entry: str | None) -> Work:
    """Blocks of `steps` steps, with so many DataLoader workers."""
    torch.set_num_threads(threads)
    spec = spec_of(cell, batch_size=batch)
    torch.manual_seed(0)
    model = build_model(spec).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=spec.training.learning_rate)
    data = images(entry, spec.dataset, batch * steps)
    # Its processes outlive an epoch, or starting them would be what is measured.
    loader = DataLoader(
        PilImages(data.train.images, data.train.labels), batch, shuffle=True, num_workers=loaders,
        persistent_workers=loaders > 0,
    )  # fmt: skip

    def block() -> int:
        return sum(_step(model, optimizer, spec.loss.head_weights, *one) for one in loader)

    return block


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    weights: tuple[float, ...],
    pixels: Tensor,
    labels: Tensor,
) -> int:
    optimizer.zero_grad()
    loss, _ = weighted_loss(model(pixels), labels, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    loss.item()
    return len(labels)
