#!/usr/bin/env python3
"""The wheel beside PIL + torchvision + onnxruntime: processor time of a photo on one thread, and the answers.

    python scripts/compare-python.py MODEL.onnx FOLDER [--rounds 5]

Needs the wheel (scripts/build-wheel.sh), torch, torchvision, onnxruntime and Pillow. Both ways take turns. The model has a
card of `trainer fit`, whose preprocessing is rebuilt from torchvision's transforms.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from classifold import Classifier
from PIL import Image, ImageOps
from torchvision import transforms


def reference(model, card):
    """Logits of a path, with torchvision's transforms."""
    steps = {step["step"]: step for step in card.preprocess}
    normalize = steps["normalize"]
    transform = transforms.Compose([
        transforms.Resize(steps["resize_short"]["size"]),
        transforms.CenterCrop((steps["center_crop"]["height"], steps["center_crop"]["width"])),
        transforms.ToTensor(),
        transforms.Normalize(normalize["mean"], normalize["std"]),
    ])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def logits(path):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        return session.run(None, {name: transform(image)[None].numpy()})[0][0]

    return logits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    classifier = Classifier(args.model, threads=1)
    theirs = reference(args.model, classifier.card)
    ways = {"classifold": lambda path: classifier.logits(path), "PIL + torchvision + onnxruntime": theirs}
    answers = {name: np.stack([way(path) for path in paths]) for name, way in ways.items()}
    times = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            start = time.process_time()
            for path in paths:
                way(path)
            times[name].append(1000 * (time.process_time() - start) / len(paths))
    ours, other = answers.values()
    for name, values in times.items():
        print(f"{name}: {statistics.median(values):.2f} ms of processor time a photo ({min(values):.2f} to {max(values):.2f})")
    medians = [statistics.median(values) for values in times.values()]
    print(f"ratio {medians[0] / medians[1]:.2f}, {len(paths)} photos, {args.rounds} rounds")
    print(f"other answers: {(ours.argmax(1) != other.argmax(1)).sum()}; logits differ by at most {np.abs(ours - other).max():.1e}")


if __name__ == "__main__":
    main()
