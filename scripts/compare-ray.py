#!/usr/bin/env python3
"""A pipeline of Ray Data with classifold's `Scorer` beside the same with Pillow, torchvision and onnxruntime.

    scripts/compare-ray.py MODEL PHOTOS [--rows 1000 10000] [--rounds 3] [--workers 2]

The two take turns. Counted are the processor time (user and system) and the memory (proportional set size) of all processes
of a job, Ray's own too, by `/proc`; so Linux alone. The processor time of an image is the slope between the numbers of rows,
so that the start of Ray does not count. The model has a card of `trainer fit`. Needs the wheel, ray[data], aiohttp, pyarrow, torch,
torchvision, onnxruntime and Pillow.
"""

import argparse
import contextlib
import importlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Torchvision:
    """What a user of Pillow, torchvision and onnxruntime writes in place of `Scorer`."""

    def __init__(self, model):
        import onnxruntime
        import torch
        from classifold import Classifier
        from torchvision import transforms

        torch.set_num_threads(1)
        card = Classifier(model, threads=1).card
        steps = {step["step"]: step for step in card.preprocess}
        self.classes = card.classes
        self.transform = transforms.Compose([
            transforms.Resize(steps["resize_short"]["size"]),
            transforms.CenterCrop((steps["center_crop"]["height"], steps["center_crop"]["width"])),
            transforms.ToTensor(),
            transforms.Normalize(steps["normalize"]["mean"], steps["normalize"]["std"]),
        ])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def __call__(self, batch):
        import numpy as np
        import pyarrow
        from PIL import Image, ImageOps

        def prepare(content):
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
            return self.transform(image).numpy()

        images = np.stack([prepare(content) for content in batch.column("bytes").to_pylist()])
        logits = self.session.run(None, {self.input: images})[0]
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        first, second = np.sort(scores, axis=1)[:, ::-1][:, :2].T
        answers = {
            "label": pyarrow.array([self.classes[index] for index in scores.argmax(axis=1)]),
            "probability": pyarrow.array(first, pyarrow.float32()),
            "margin": pyarrow.array(first - second, pyarrow.float32()),
        }
        for name, column in answers.items():
            batch = batch.append_column(name, column)
        return batch


def import_first():
    """What Ray's downloads import in several threads at once (Ray 2.60): some see half of it, and their row has an error."""
    with contextlib.suppress(ImportError):
        importlib.import_module("fsspec.implementations.http")


def job(way, model, index, out, workers):
    """One job, in a process of its own."""
    import ray
    from ray.data import ExecutionResources
    from ray.data.expressions import download

    from classifold import Scorer

    # As in the example, with its limits. Without the hook some rows have no image, and count as fast ones.
    ray.init(
        num_cpus=workers + 4,
        include_dashboard=False,
        runtime_env={"worker_process_setup_hook": import_first},
    )
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = 32 << 20
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=workers * 150 << 20)
    images = ray.data.read_parquet(index).with_column("bytes", download("uri"))
    scored = images.map_batches(
        {"classifold": Scorer, "torchvision": Torchvision}[way],
        fn_constructor_args=[Path(model).read_bytes()],
        batch_format="pyarrow",
        batch_size=64,
        num_cpus=1,
        concurrency=workers,
    )
    scored.drop_columns(["bytes"]).write_parquet(out)
    ray.shutdown()


class Watch(threading.Thread):
    """Processor time and memory of a process and all its descendants, also of those that have left their parents."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.known, self.seconds, self.peak, self.is_over = {pid}, {}, 0, False

    def run(self):
        beat = 0
        while not self.is_over:
            self.look(with_memory=beat % 5 == 0)
            beat += 1
            time.sleep(0.1)

    def look(self, with_memory):
        memory = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                pid, parent = int(entry.name), int(fields[1])
                if pid not in self.known and parent not in self.known:
                    continue
                self.known.add(pid)
                self.seconds[pid, fields[19]] = (int(fields[11]) + int(fields[12])) / TICKS
                if with_memory:
                    rollup = (entry / "smaps_rollup").read_text()
                    memory += int(rollup.split("\nPss:")[1].split()[0])
            except (OSError, IndexError, ValueError):
                continue  # It has ended.
        self.peak = max(self.peak, memory)


def run(way, args, rows, paths, work):
    """Seconds, processor seconds and peak memory in MB of a job."""
    import pyarrow
    import pyarrow.parquet

    index, out = work / f"index-{rows}", work / f"out-{way}-{rows}-{time.monotonic_ns()}"
    if not index.exists():
        index.mkdir()
        uris = [paths[number % len(paths)] for number in range(rows)]
        for part in range(0, rows, 500):
            table = pyarrow.table({"uri": uris[part : part + 500]})
            pyarrow.parquet.write_table(table, index / f"{part:07}.parquet")
    command = [sys.executable, __file__, args.model, args.photos, "--job", way, index, out, "--workers", args.workers]
    start = time.monotonic()
    with open(work / "log", "a") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        watch = Watch(process.pid)
        watch.start()
        code = process.wait()
    seconds = time.monotonic() - start
    watch.is_over = True
    watch.join()
    if code:
        sys.exit((work / "log").read_text()[-3000:])
    table = pyarrow.parquet.read_table(out, columns=["uri", "label"])
    assert table.num_rows == rows and table.column("label").null_count == 0
    labels = dict(zip(table.column("uri").to_pylist(), table.column("label").to_pylist()))
    return seconds, sum(watch.seconds.values()), watch.peak / 1000, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--rows", type=int, nargs=2, default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        way, index, out = args.job
        return job(way, args.model, index, out, args.workers)

    endings = (".jpg", ".jpeg", ".png")
    paths = sorted(str(path.absolute()) for path in Path(args.photos).rglob("*") if path.suffix.lower() in endings)
    few, many = args.rows
    slopes = {"classifold": [], "torchvision": []}
    answers = {}
    with tempfile.TemporaryDirectory() as work:
        for number in range(args.rounds):
            for way in slopes:
                (_, start, small, _), (seconds, whole, large, answers[way]) = [
                    run(way, args, rows, paths, Path(work)) for rows in (few, many)
                ]
                slopes[way].append(1000 * (whole - start) / (many - few))
                print(
                    f"round {number + 1}, {way}: {many} rows in {seconds:.0f} s ({many / seconds:.0f}/s), {whole:.0f} s of "
                    f"processor time ({slopes[way][-1]:.2f} ms an image); at most {small:.0f} MB with {few} rows, {large:.0f} MB "
                    f"with {many}",
                    flush=True,
                )
    differ = sum(answers["classifold"][uri] != label for uri, label in answers["torchvision"].items())
    ours, theirs = [statistics.median(values) for values in slopes.values()]
    print(f"medians: {ours:.2f} and {theirs:.2f} ms an image, {1000 / ours:.0f} and {1000 / theirs:.0f} images/s of a core: "
          f"ratio {theirs / ours:.2f}; {differ} of {len(paths)} photos with another label")


if __name__ == "__main__":
    main()
