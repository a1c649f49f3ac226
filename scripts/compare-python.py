#!/usr/bin/env python3
"""The wheel beside PIL + torchvision + onnxruntime: time of a photo, and the answers.

    python scripts/compare-python.py MODEL.onnx FOLDER [--rounds 5] [--threads 1]

Needs the wheel (scripts/build-wheel.sh), torch, torchvision, onnxruntime and Pillow. Both ways take turns. The model has a
card of `trainer fit`, whose preprocessing is rebuilt from torchvision's transforms.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
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


def one_by_one(logits, paths):
    return np.stack([logits(path) for path in paths])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="how many photos are prepared and classified at once")
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    classifier = Classifier(args.model, threads=args.threads)
    theirs = reference(args.model, classifier.card)
    pool = ThreadPoolExecutor(args.threads)
    ways = {
        "classifold": lambda: classifier.logits(paths) if args.threads > 1 else one_by_one(classifier.logits, paths),
        "PIL + torchvision + onnxruntime": lambda: np.stack(list(pool.map(theirs, paths))),
    }
    answers = {name: way() for name, way in ways.items()}
    times = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            start = time.process_time(), time.perf_counter()
            way()
            end = time.process_time(), time.perf_counter()
            times[name].append([1000 * (b - a) / len(paths) for a, b in zip(start, end)])
    medians = {name: np.median(values, axis=0) for name, values in times.items()}
    for name, (processor, wall) in medians.items():
        print(f"{name}: {processor:.2f} ms of processor time a photo, {1000 / wall:.0f} photos/s")
    ours, other = medians.values()
    print(f"ratio of processor time {ours[0] / other[0]:.2f}, {len(paths)} photos, {args.threads} threads, {args.rounds} rounds")
    ours, other = answers.values()
    print(f"other answers: {(ours.argmax(1) != other.argmax(1)).sum()}; logits differ by at most {np.abs(ours - other).max():.1e}")


if __name__ == "__main__":
    main()
