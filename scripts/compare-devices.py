#!/usr/bin/env python3
"""Compares networks that are trained on a GPU with the same networks trained on the CPU. Needs Python alone.

    scripts/compare-devices.py [--device wgpu|cuda] [--trainer FILE] [--data DIR] [--weights FILE.onnx] [--runs DIR]

Builds `trainer` with the cargo feature of the device, into target/DEVICE (Burn compiles once more), unless --trainer
names one. Fits the custom ResNet, and a fine-tuned ResNet18 (--weights), on the CPU and on the device, with the same
seed and the same few photos of --data (a folder with train/ and val/). Prints what they differ by, and how long an
epoch takes. Exits with 1 if a loss or a logit is further apart than the tolerance, or an exported file was not
verified. --runs keeps the runs.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of the first step's loss, relative: the same weights and images, so rounding alone.
LOSS_TOLERANCE = 1e-4
# Of the exported files' logits, relative to the largest: every step carries the rounding of all before it.
LOGIT_TOLERANCE = 1e-2
EPOCHS = 2
NETWORKS = {
    "custom": ["--lr", "1e-3"],
    # Smoothed, for the fitted classification layer is right about so few photos: nothing would be left to train.
    "resnet18": ["--fine-tune", "--keep", "tuned", "--label-smoothing", "0.1"],
}


def fail(message):
    print(f"compare-devices: {message}", file=sys.stderr)
    sys.exit(2)


def build(device):
    folder = ROOT / "target" / device
    command = ["cargo", "build", "--release", "--locked", "-p", "trainer", "--features", device, "--bin", "trainer"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "CARGO_TARGET_DIR": str(folder)}, check=True)
    return folder / "release" / "trainer"


def small_copy(data, folder):
    """Eight training and four test photos of each class: a processor may have to stand in for the GPU."""
    for split, count in [("train", 8), ("val", 4)]:
        for label in sorted(path for path in (data / split).iterdir() if path.is_dir()):
            target = folder / split / label.name
            target.mkdir(parents=True)
            for image in sorted(label.iterdir())[:count]:
                shutil.copy(image, target)


def fit(trainer, name, device, settings, folders):
    command = [
        trainer, "fit", "--ui", "plain", "--log", "jsonl", "--batch", "8", "--epochs", str(EPOCHS), "--seed", "0",
        "--data", folders["data"], "--runs", folders["runs"], "--name", f"{name}-{device}", "--device", device, *settings,
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # 1: done, but not verified.
    if done.returncode not in (0, 1):
        fail(f"`{' '.join(map(str, command))}` failed\n{done.stdout}")
    for line in done.stdout.splitlines():
        if line.startswith(("training on", "warning")):
            print(f"{name}, {device}: {line}")
    return Path(folders["runs"]) / f"{name}-{device}"


def first_loss(run):
    events = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    return next(event["loss"] for event in events if event["event"] == "step" and event["phase"] == "train")


def logits(run):
    """Those of the exported file on the test images, through ONNX Runtime, by image."""
    with open(run / "predictions.csv", newline="") as file:
        return {
            row["path"]: [float(value) for column, value in row.items() if column.startswith("logit:")]
            for row in csv.DictReader(file)
        }


def last_epoch(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))[-1]


def compare(name, cpu, gpu):
    """Prints a row of the table; whether all is within the tolerance."""
    first = [first_loss(run) for run in (cpu, gpu)]
    loss_apart = abs(first[1] - first[0]) / abs(first[0])
    ours, theirs = logits(cpu), logits(gpu)
    if not ours or ours.keys() != theirs.keys():
        fail(f"{name}: the runs have other test images")
    largest = max(abs(logit) for row in ours.values() for logit in row)
    logit_apart = max(abs(a - b) for path in ours for a, b in zip(ours[path], theirs[path], strict=True)) / largest
    verified = [json.loads((run / "verify.json").read_text()) for run in (cpu, gpu)]
    seconds = [float(last_epoch(run)["train_seconds"]) for run in (cpu, gpu)]
    passed = loss_apart <= LOSS_TOLERANCE and logit_apart <= LOGIT_TOLERANCE and all(v["verified"] for v in verified)
    print(
        f"| {name} | {first[0]:.6f} | {first[1]:.6f} | {loss_apart:.1e} | {largest:.3f} | {logit_apart:.1e} "
        f"| {verified[1]['max_difference']:.1e} | {seconds[1] / seconds[0]:.1f} | {'yes' if passed else '**no**'} |"
    )
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared"
    parser.add_argument("--device", choices=["wgpu", "cuda"], default="wgpu")
    parser.add_argument("--trainer", type=Path)
    parser.add_argument("--data", type=Path, default=shared / "data/hymenoptera")
    parser.add_argument("--weights", type=Path, default=shared / "weights/resnet18.onnx")
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    for path, flag in [(args.data / "train", "--data"), (args.weights, "--weights")]:
        if not path.exists():
            fail(f"`{path}` is missing: {flag}")
    trainer = (args.trainer or build(args.device)).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {"data": Path(temporary) / "photos", "runs": (args.runs or Path(temporary) / "runs").resolve()}
        small_copy(args.data, folders["data"])
        runs = {}
        for name, settings in NETWORKS.items():
            backbone = ["--backbone", args.weights.resolve()] if name == "resnet18" else []
            runs[name] = [fit(trainer, name, device, backbone + settings, folders) for device in ("cpu", args.device)]
        print(
            f"\n| network | first loss, cpu | {args.device} | apart, relative | largest logit | logits apart, relative "
            f"| exported file and {args.device} apart | time of an epoch, {args.device} / cpu | within tolerance |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        passed = [compare(name, *pair) for name, pair in runs.items()]
    print(f"\ntolerance: {LOSS_TOLERANCE:.0e} for the first loss, {LOGIT_TOLERANCE:.0e} for the logits")
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
