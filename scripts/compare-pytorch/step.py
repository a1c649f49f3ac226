"""Times training steps of a network in PyTorch on random images: forward, loss, gradients, Adam.

step.py custom|FILE.onnx|timm_NAME|tv_NAME --batch N --steps N --peers pytorch_reference.py [--way WAY]

The counterpart of the example `step`: two classes, every parameter trained, two steps to warm up;
prints the median in milliseconds. `custom` and the ResNet18 of FILE are those of the peers' script; timm's and
torchvision's networks have random weights. WAY is eager, channels-last, compiled, compiled-channels-last, or
autocast (bf16, channels-last).
"""

import argparse
import contextlib
import importlib.util
import os
import statistics
import time

import torch

WAYS = ["eager", "channels-last", "compiled", "compiled-channels-last", "autocast"]


def network(name, peers):
    if name.startswith("timm_"):
        import timm

        return timm.create_model(name.removeprefix("timm_"), num_classes=2)
    if name.startswith("tv_"):
        import torchvision

        return torchvision.models.get_model(name.removeprefix("tv_"), num_classes=2)
    spec = importlib.util.spec_from_file_location("peers", peers)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if name == "custom":
        return module.CustomResNet(2)
    return module.load_resnet18(name, 2, frozen=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--way", choices=WAYS, default="eager")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    net = network(args.network, args.peers).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    images = torch.randn(args.batch, 3, 224, 224)
    labels = torch.arange(args.batch) % 2
    if args.way in ("channels-last", "compiled-channels-last", "autocast"):
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if args.way.startswith("compiled"):
        net = torch.compile(net)
    precision = contextlib.nullcontext()
    if args.way == "autocast":
        precision = torch.autocast("cpu", torch.bfloat16)
    took = []
    for _ in range(args.steps + 2):
        start = time.perf_counter()
        with precision:
            loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        took.append(1e3 * (time.perf_counter() - start))
    print(f"{statistics.median(took[2:]):.2f}")


main()
