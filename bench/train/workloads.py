"""What is trained: three models on real data that comes with Python packages.

    mlp      33.6 million parameters, 134 MB of gradients, little arithmetic: bound by communication
    resnet   ResNet-18 on 32 x 32 pictures, 11.2 million parameters: vision
    gpt      10.7 million parameters over characters, six layers: language
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Workload:
    """A model, its rows, and its loss; the same seed gives the same of all three."""

    build: Callable[[], nn.Module]
    rows: Callable[[torch.Generator], tuple[torch.Tensor, torch.Tensor]]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    samples: int  # of a step and rank
    rate: float  # of learning: one with which the loss falls from the first steps on


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 handwritten digits of 8 x 8, from scikit-learn."""
    from sklearn.datasets import load_digits
    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32) / 16, torch.tensor(data.target)


def _mlp() -> Workload:
    images, labels = _digits()
    width, samples = 4064, 16

    def rows(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(len(images), (samples,), generator=generator)
        return images[chosen].flatten(1), labels[chosen]

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                             nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))

    return Workload(build, rows, F.cross_entropy, samples, 0.02)


class _Block(nn.Module):
    """Two convolutions, around which the input is added."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside),
            nn.ReLU(), nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside))
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.around = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False),
                                        nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.path(x) + self.around(x))


def _resnet() -> Workload:
    images, labels = _digits()
    images = F.interpolate(images[:, None], size=32).expand(-1, 3, -1, -1)
    samples = 8

    def rows(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(len(images), (samples,), generator=generator)
        return images[chosen].contiguous(), labels[chosen]

    def build() -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64),
                                   nn.ReLU()]
        inside = 64
        for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [_Block(inside, outside, stride), _Block(outside, outside, 1)]
            inside = outside
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

    return Workload(build, rows, F.cross_entropy, samples, 0.02)


def _text() -> torch.Tensor:
    """The sources of Python's standard library that everybody has, as bytes."""
    folder = pathlib.Path(pathlib.__file__).parent
    files = sorted(folder.glob("*.py"))[:100]
    return torch.tensor(list(b"".join(file.read_bytes() for file in files)), dtype=torch.int64)


class _Gpt(nn.Module):
    """A decoder over bytes."""

    WIDTH, HEADS, LAYERS, LENGTH = 384, 6, 6, 128

    def __init__(self) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, self.WIDTH)
        self.places = nn.Embedding(self.LENGTH, self.WIDTH)
        layer = nn.TransformerEncoderLayer(self.WIDTH, self.HEADS, 4 * self.WIDTH, 0.0, F.gelu,
                                           batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, self.LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(self.WIDTH, 256, bias=False)
        mask = nn.Transformer.generate_square_subsequent_mask(self.LENGTH)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(x.shape[1])
        inner = self.layers(self.bytes(x) + self.places(places), mask=self.mask, is_causal=True)
        return self.head(inner).flatten(0, 1)


def _gpt() -> Workload:
    text = _text()
    samples = 4

    def rows(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        begins = torch.randint(len(text) - _Gpt.LENGTH - 1, (samples,), generator=generator)
        pieces = torch.stack([text[b:b + _Gpt.LENGTH + 1] for b in begins.tolist()])
        return pieces[:, :-1], pieces[:, 1:].flatten()

    return Workload(_Gpt, rows, F.cross_entropy, samples, 0.02)


WORKLOADS: dict[str, Callable[[], Workload]] = {"mlp": _mlp, "resnet": _resnet, "gpt": _gpt}
