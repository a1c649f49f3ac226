#!/usr/bin/env python3
"""Writes tests/reference/twin_pairs.safetensors: what PyTorch makes of one training step of a siamese network.

    python3 scripts/reference/twin_pairs.py

The encoder is that of `twin.py` (formulation A, width 4); both images of a pair go through it in one batch, and
`Linear(D, 1)` of |f(a) - f(b)| is trained by the binary cross-entropy. Tensors:

    pixels [2N,3,H,W] u8    the two images of a pair follow each other; the network's input is pixels / 128 - 1
    labels [N] i64          whether they are the same
    before.NAME, grad.NAME  parameters and running statistics, gradients
    logits [N,1]            in training mode
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


def load_twin():
    """`twin.py` without its `main()`."""
    text = (HERE / "twin.py").read_text().removesuffix("main()\n")
    spec = importlib.util.spec_from_loader("twin", loader=None)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(HERE / "twin.py")
    exec(compile(text, "twin.py", "exec"), module.__dict__)
    return module


def logits(net, images):
    features = net.features(images)
    return net.fc((features[0::2] - features[1::2]).abs())


def main():
    twin = load_twin()

    class Encoder(twin.CustomResNet):
        def features(self, x):
            x = F.relu(self.bn1(F.max_pool2d(self.conv1(x), 3, 2, 1)))
            for cell in self.cells:
                x = cell(x)
            return x.mean((2, 3))

    torch.set_num_threads(1)
    torch.manual_seed(2)
    net = Encoder(twin.WIDTH, 1)
    optimiser = torch.optim.Adam(net.parameters(), twin.LR)
    generator = torch.Generator().manual_seed(2)

    def batch():
        # Pairs of alternating classes differ; every third pair gets two images of one.
        pixels, labels = twin.draw_batch(generator)
        pixels[5] = pixels[4].flip(-1)
        return pixels, torch.tensor([0, 0, 1])

    def loss_of(net, pixels, same):
        images = twin.network_input(pixels, next(net.parameters()).dtype)
        found = logits(net.train(), images)
        return found, F.binary_cross_entropy_with_logits(found[:, 0], same.to(found.dtype))

    for _ in range(5):
        optimiser.zero_grad()
        loss_of(net, *batch())[1].backward()
        optimiser.step()
    pixels, same = batch()
    tensors = {"pixels": pixels, "labels": same}
    tensors |= {f"before.{k}": v for k, v in twin.state(net).items()}
    exact = Encoder(twin.WIDTH, 1).double()
    exact.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in net.state_dict().items()})
    tensors["loss"] = loss_of(exact, pixels, same)[1].detach().float()
    net.zero_grad()
    found, loss = loss_of(net, pixels, same)
    loss.backward()
    tensors["logits"] = found.detach()
    tensors |= {f"grad.{k}": p.grad for k, p in net.named_parameters()}
    twin.save(twin.OUT / "twin_pairs.safetensors", tensors)
    print(found.flatten().tolist(), tensors["loss"].item(), loss.item(), file=sys.stderr)


main()
