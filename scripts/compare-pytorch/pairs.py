"""Trains the siamese custom network on the pairs of a run in PyTorch, and prints what it scores on the test pairs.

pairs.py RUN --images DIR [--seed N] [--epochs N] [--batch N] [--threads N]

The counterpart of `trainer fit --task pairs --augment none`: the pairs of RUN/pairs.csv, whose paths start from DIR; the
custom ResNet (formulation A, width 8, three cells), 128 pixels to the shorter side, the centre 112 x 112, ImageNet's mean
and deviation; |f(a) - f(b)|, linear, sigmoid; Adam at 1e-3; the epoch of the best validation accuracy. Prints JSON:
the area under the ROC curve, and per epoch the losses (of training as the mean while the weights move, as in metrics.csv)
and the seconds of training on the clock and of the processor.

Needs torch, PIL and scikit-learn.
"""

import argparse
import csv
import json
import os
import pathlib
import time

import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

SIZE = 112
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


class Cell(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(cin), nn.BatchNorm2d(cout)
        self.conv1 = nn.Conv2d(cin, cout, 3, 2, 1)
        self.conv2 = nn.Conv2d(cout, cout, 3, 2, 1)
        self.project = nn.Conv2d(cin, cout, 1, 4, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        return self.project(x) + self.conv2(F.relu(self.bn2(y)))


class Siamese(nn.Module):
    def __init__(self, width=8, cells=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.cells = nn.Sequential(*[Cell(width << i, width << i + 1) for i in range(cells)])
        self.fc = nn.Linear(width << cells, 1)

    def forward(self, a, b):
        # Both in one batch, so that the batch norms see both.
        x = torch.stack([a, b], 1).flatten(0, 1)
        x = F.relu(self.bn1(F.max_pool2d(self.conv1(x), 3, 2, 1)))
        x = self.cells(x).mean((2, 3))
        return self.fc((x[0::2] - x[1::2]).abs())[:, 0]


def prepare(path):
    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = round(SIZE * 256 / 224)
    scale = [short, short * height // width] if width <= height else [short * width // height, short]
    image = image.resize(scale, Image.BILINEAR)
    left, top = (round((length - SIZE) / 2) for length in image.size)
    image = image.crop((left, top, left + SIZE, top + SIZE))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(SIZE, SIZE, 3)
    return (pixels.permute(2, 0, 1) / 255 - MEAN) / DEVIATION


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    indices, splits = {}, {"train": [], "val": [], "test": []}
    with open(args.run / "pairs.csv") as file:
        for row in csv.DictReader(file):
            a, b = (indices.setdefault(row[key], len(indices)) for key in ("path_a", "path_b"))
            splits[row["split"]].append((a, b, float(row["label"] == "same")))
    images = torch.stack([prepare(args.images / path) for path in indices])
    splits = {name: torch.tensor(pairs) for name, pairs in splits.items()}

    def batches(pairs, order):
        for chunk in order.split(args.batch):
            a, b, same = pairs[chunk].unbind(1)
            yield images[a.long()], images[b.long()], same

    net = Siamese()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)

    def logits(name):
        net.eval()
        pairs = splits[name]
        with torch.no_grad():
            found = [net(a, b) for a, b, _ in batches(pairs, torch.arange(len(pairs)))]
        return torch.cat(found), pairs[:, 2]

    best, seconds, processor_seconds, losses = (-1.0, 0.0, 0), [], [], {"train": [], "val": []}
    for _ in range(args.epochs):
        started, started_processor = time.perf_counter(), time.process_time()
        net.train()
        total = 0.0
        for a, b, same in batches(splits["train"], torch.randperm(len(splits["train"]))):
            loss = F.binary_cross_entropy_with_logits(net(a, b), same)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(same)
        losses["train"].append(total / len(splits["train"]))
        seconds.append(time.perf_counter() - started)
        processor_seconds.append(time.process_time() - started_processor)
        found, same = logits("val")
        accuracy = ((found > 0) == (same > 0.5)).float().mean().item()
        loss = F.binary_cross_entropy_with_logits(found, same).item()
        losses["val"].append(loss)
        if (accuracy, -loss) > best[:2]:
            found, same = logits("test")
            best = (accuracy, -loss, roc_auc_score(same, found))
    print(json.dumps({
        "seed": args.seed, "auc": best[2], "val_accuracy": best[0],
        "train_losses": losses["train"], "val_losses": losses["val"],
        "epoch_seconds": seconds, "epoch_processor_seconds": processor_seconds,
    }))


main()
