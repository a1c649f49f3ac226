#!/usr/bin/env python3
"""Writes tests/reference/twin_pairs*.safetensors: what PyTorch makes of one training step of a siamese network.

    python3 scripts/reference/twin_pairs.py

The encoder is that of `twin.py` (formulation A, width 4); both images of a pair go through it in one batch. A file for
each distance:

    twin_pairs              `Linear(D, 1)` of |f(a) - f(b)|, by the binary cross-entropy
    twin_pairs_cosine       scale times cosine plus offset, by the binary cross-entropy
    twin_pairs_euclidean    scale times Euclidean distance, by the contrastive loss of margin 1

Tensors:

    pixels [2N,3,H,W] u8    the two images of a pair follow each other; the network's input is pixels / 128 - 1
    labels [N] i64          whether they are the same
    before.NAME, grad.NAME  parameters and running statistics, gradients
    logits [N,1]            in training mode; of the Euclidean distance d it is 1/2 - d
    loss []                 in double precision, as float32

Needs torch (made with 2.15).
"""
import importlib.util
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
MARGIN = 1.0


def load_twin():
    """`twin.py` without its `main()`."""
    text = (HERE / "twin.py").read_text().removesuffix("main()\n")
    spec = importlib.util.spec_from_loader("twin", loader=None)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(HERE / "twin.py")
    exec(compile(text, "twin.py", "exec"), module.__dict__)
    return module


def compare(distance, a, b):
    match distance:
        case "absolute-difference":
            return (a - b).abs()
        case "cosine":
            return F.cosine_similarity(a, b)[:, None]
        case "euclidean":
            return (a - b).norm(dim=1, keepdim=True)


def loss(distance, logits, same):
    same = same.to(logits.dtype)[:, None]
    if distance != "euclidean":
        return F.binary_cross_entropy_with_logits(logits, same)
    d = MARGIN / 2 - logits
    return (0.5 * (same * d**2 + (1 - same) * (MARGIN - d).clamp_min(0) ** 2)).mean()


def layer(distance, width):
    if distance == "absolute-difference":
        return nn.Linear(width, 1)
    fc = nn.Linear(1, 1)
    weight, bias = {"cosine": (5.0, -2.5), "euclidean": (-1.0, MARGIN / 2)}[distance]
    with torch.no_grad():
        fc.weight.fill_(weight)
        fc.bias.fill_(bias)
    # Half the margin.
    fc.bias.requires_grad_(distance != "euclidean")
    return fc


def write(twin, distance, name):
    class Siamese(twin.CustomResNet):
        def __init__(self):
            super().__init__(twin.WIDTH, 1)
            if distance != "absolute-difference":
                self.fc = layer(distance, self.fc.in_features)

        def forward(self, images):
            x = F.relu(self.bn1(F.max_pool2d(self.conv1(images), 3, 2, 1)))
            for cell in self.cells:
                x = cell(x)
            x = x.mean((2, 3))
            return self.fc(compare(distance, x[0::2], x[1::2]))

    torch.manual_seed(2)
    net = Siamese()
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], twin.LR)
    generator = torch.Generator().manual_seed(2)

    def batch():
        # Pairs of alternating classes differ; every third pair gets two images of one.
        pixels, labels = twin.draw_batch(generator)
        pixels[5] = pixels[4].flip(-1)
        return pixels, torch.tensor([0, 0, 1])

    def loss_of(net, pixels, same):
        found = net.train()(twin.network_input(pixels, next(net.parameters()).dtype))
        return found, loss(distance, found, same)

    for _ in range(5):
        optimiser.zero_grad()
        loss_of(net, *batch())[1].backward()
        optimiser.step()
    pixels, same = batch()
    tensors = {"pixels": pixels, "labels": same}
    tensors |= {f"before.{k}": v for k, v in twin.state(net).items()}
    exact = Siamese().double()
    exact.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in net.state_dict().items()})
    tensors["loss"] = loss_of(exact, pixels, same)[1].detach().float()
    net.zero_grad()
    found, single = loss_of(net, pixels, same)
    single.backward()
    tensors["logits"] = found.detach()
    tensors |= {f"grad.{k}": p.grad for k, p in net.named_parameters() if p.grad is not None}
    twin.save(twin.OUT / f"{name}.safetensors", tensors)
    print(name, found.flatten().tolist(), tensors["loss"].item(), single.item(), file=sys.stderr)


def main():
    twin = load_twin()
    torch.set_num_threads(1)
    write(twin, "absolute-difference", "twin_pairs")
    write(twin, "cosine", "twin_pairs_cosine")
    write(twin, "euclidean", "twin_pairs_euclidean")


if __name__ == "__main__":
    main()
