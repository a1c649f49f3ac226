"""Times training steps of a network in PyTorch on random images: forward, loss, gradients, Adam.

step.py custom|FILE.onnx --batch N --steps N --peers pytorch_reference.py

The counterpart of the example `step`: two classes, every parameter trained, two steps to warm up;
prints the median in milliseconds. The networks are those of the peers' script.
"""

import argparse
import importlib.util
import os
import statistics
import time

import torch


def network(name, peers):
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
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    net = network(args.network, args.peers).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    images = torch.randn(args.batch, 3, 224, 224)
    labels = torch.arange(args.batch) % 2
    took = []
    for _ in range(args.steps + 2):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        took.append(1e3 * (time.perf_counter() - start))
    print(f"{statistics.median(took[2:]):.2f}")


main()
