#!/usr/bin/env python3
"""Lists pairs of images by their classes: `same` class or `different`, as `trainer fit --task pairs --data` takes them.

    python3 scripts/class-pairs.py FOLDER OUT.csv [--per-image N] [--val SHARE] [--seed N]

FOLDER has `train/CLASS/*` and a held-out split, `test/CLASS/*` or `val/CLASS/*`, which becomes the test pairs. A share of
each class's training images is set aside for validation. No image is in two splits; the classes are, so that the scores
are of new images of known classes. Of each image, N partners of its class are drawn and N of others.
"""
import argparse
import csv
import os
import pathlib
import random

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def images(folder):
    """{class: paths}, sorted."""
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return {c.name: sorted(p for p in c.iterdir() if p.suffix.lower() in SUFFIXES) for c in classes}


def draw(classes, per_image, rng):
    """Balanced pairs of one split, none twice."""
    taken = set()
    for name, own in classes.items():
        others = [path for other, paths in classes.items() if other != name for path in paths]
        for label, partners in [("same", own), ("different", others)]:
            for a in own:
                for b in rng.sample(partners, min(per_image, len(partners))):
                    pair = tuple(sorted([a, b]))
                    if a != b and pair not in taken:
                        taken.add(pair)
                        yield *pair, label


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--per-image", type=int, default=5)
    parser.add_argument("--val", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    train, val = {}, {}
    for name, paths in images(args.folder / "train").items():
        rng.shuffle(paths)
        count = round(args.val * len(paths))
        val[name], train[name] = sorted(paths[:count]), sorted(paths[count:])
    held_out = next(args.folder / name for name in ("test", "val") if (args.folder / name).is_dir())
    splits = {"train": train, "val": val, "test": images(held_out)}
    # Paths in a table start from its folder.
    start = args.out.resolve().parent
    with open(args.out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path_a", "path_b", "label", "split"])
        for split, classes in splits.items():
            for a, b, label in draw(classes, args.per_image, rng):
                relative = [os.path.relpath(path.resolve(), start) for path in (a, b)]
                table.writerow([*relative, label, split])


main()
