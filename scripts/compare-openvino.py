#!/usr/bin/env python3
"""Times `deploy bench` through OpenVINO beside Python's onnxruntime with the same plugin and OpenVINO's own Python API.

    scripts/compare-openvino.py [--model NAME=FILE ...] [--data DIR] [--weights FILE.onnx] [--python PYTHON] [--bin DIR]
        [--batches 1,32] [--precisions fp32,bf16,int8] [--rounds 3] [--seconds 5] [--json FILE]

One process for each figure; those of one network, batch and precision follow each other in shuffled order, so that they
meet the same machine. Prints a Markdown table: the best round's median in ms, and ours / the better of the two others, in
the same round, as the median over the rounds. `cpu` is `deploy bench` with the CPU provider, for fp32 and int8.

Without --model the custom ResNet, ResNet18 (--weights) and EfficientNet-Lite0 are fitted on --data. int8 files are made
by `deploy convert` from the training images of --data, and all contenders run the same file. PYTHON needs numpy, onnx,
onnxruntime and onnxruntime-ep-openvino in the versions that `deploy runtime list` shows, and openvino.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
WARM_UP = 1.0


def fail(message):
    print(f"compare-openvino: {message}", file=sys.stderr)
    sys.exit(2)


def run(command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        fail(f"`{' '.join(map(str, command))}`: {done.stderr.strip()}")
    return done.stdout


def peer(which, model, batch, precision, seconds):
    """The median of one contender in ms, as JSON: what runs in PYTHON."""
    import time

    import numpy
    import onnx

    shape = onnx.load(model, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    dims = [int(batch)] + [dim.dim_value for dim in shape[1:]]
    images = numpy.random.default_rng(0).normal(size=dims).astype(numpy.float32)
    config = {"INFERENCE_PRECISION_HINT": HINTS[precision]}
    if which == "onnxruntime":
        import onnxruntime
        import onnxruntime_ep_openvino as plugin

        onnxruntime.register_execution_provider_library("openvino", plugin.get_library_path())
        devices = [
            device
            for device in onnxruntime.get_ep_devices()
            if device.ep_name == plugin.get_ep_name() and device.ep_metadata["ov_device"] == "CPU"
        ]
        options = onnxruntime.SessionOptions()
        options.add_provider_for_devices(devices, {"load_config": json.dumps({"CPU": config})})
        session = onnxruntime.InferenceSession(model, sess_options=options)
        assert session.get_providers()[0] == plugin.get_ep_name(), session.get_providers()
        inputs = {session.get_inputs()[0].name: images}
        call = lambda: session.run(None, inputs)  # noqa: E731
        version = onnxruntime.__version__
    else:
        import openvino

        compiled = openvino.Core().compile_model(model, "CPU", config | {"PERFORMANCE_HINT": "LATENCY"})
        request = compiled.create_infer_request()
        call = lambda: request.infer([images], share_inputs=True)  # noqa: E731
        version = openvino.__version__
    times, start = [], time.perf_counter()
    while (now := time.perf_counter()) < start + WARM_UP + float(seconds):
        call()
        if now > start + WARM_UP:
            times.append(time.perf_counter() - now)
    print(json.dumps({"p50_ms": 1e3 * statistics.median(times), "runs": len(times), "version": version}))


def ours(args, provider, model, batch, precision):
    text = run(
        [args.bin / "deploy", "bench", "--quiet", "--no-data", "--model", model, "--batch", batch]
        + ["--provider", provider, "--precision", precision, "--warmup", f"{WARM_UP}s"]
        + ["--duration", f"{args.seconds}s", "--json", "-"]
    )
    return json.loads(text)["results"][0]["quantiles_ms"][50]


def theirs(args, which, model, batch, precision):
    text = run([args.python, __file__, "--peer", which, model, batch, precision, args.seconds])
    return json.loads(text.splitlines()[-1])["p50_ms"]


def fitted(args, folder):
    if not args.weights.is_file() or not args.data.is_dir():
        fail("give models with --model NAME=FILE, or photos with --data and a ResNet18 with --weights")
    networks = {
        "resnet18": ["--backbone", args.weights],
        "efficientnet-lite0": ["--backbone", "efficientnet-lite0"],
        "custom": [],
    }
    models = {}
    for name, flags in networks.items():
        print(f"fitting {name}", file=sys.stderr)
        run([args.bin / "trainer", "fit", "--quiet", "--data", args.data, "--runs", folder, "--name", name] + flags)
        models[name] = folder / name / "model.onnx"
    return models


def converted(args, name, model, folder):
    out = folder / f"{name}.int8.onnx"
    command = [args.bin / "deploy", "convert", model, "--precision", "int8", "--keep-fp32", "none", "--out", out]
    run([*command, "--data", args.data, "--quiet"])
    return out


def measure(args, models, folder):
    """Medians in ms by (model, precision, batch) and contender, one for each round."""
    tasks, found = {}, {}
    for name, model in models.items():
        for precision in args.precisions:
            file = converted(args, name, model, folder) if precision == "int8" else model
            for batch in args.batches:
                contenders = {
                    "ours": lambda f=file, b=batch, p=precision: ours(args, "openvino", f, b, p),
                    "onnxruntime": lambda f=file, b=batch, p=precision: theirs(args, "onnxruntime", f, b, p),
                    "openvino": lambda f=file, b=batch, p=precision: theirs(args, "openvino", f, b, p),
                }
                if precision in ("fp32", "int8"):
                    contenders["cpu"] = lambda f=file, b=batch, p=precision: ours(args, "cpu", f, b, p)
                tasks[name, precision, batch] = list(contenders.items())
                found[name, precision, batch] = {contender: [] for contender in contenders}
    shuffle = random.Random(0)
    for number in range(args.rounds):
        for key in shuffle.sample(list(tasks), len(tasks)):
            for contender, call in shuffle.sample(tasks[key], len(tasks[key])):
                median = call()
                found[key][contender].append(median)
                print(f"round {number + 1}: {' '.join(key)} {contender} {median:.3f} ms", file=sys.stderr)
    return found


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def table(found):
    print(f"{processor()}, {os.cpu_count()} cores; ms, the best of the rounds\n")
    print("| network | batch | precision | cpu | **openvino, ours** | Python's onnxruntime | OpenVINO's API | ours / best |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, precision, batch), contenders in found.items():
        best = {contender: f"{min(medians):.2f}" for contender, medians in contenders.items()}
        # As rates: above 1 is faster than the better of the two others.
        ratios = [
            min(a, b) / own
            for own, a, b in zip(contenders["ours"], contenders["onnxruntime"], contenders["openvino"])
        ]
        cells = [best.get("cpu", ""), best["ours"], best["onnxruntime"], best["openvino"]]
        print(f"| {name} | {batch} | {precision} | {' | '.join(cells)} | {statistics.median(ratios):.3f} |")


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--data", type=Path, default=SHARED / "data/hymenoptera")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights/resnet18.onnx")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--batches", default="1,32", type=lambda text: text.split(","))
    parser.add_argument("--precisions", default="fp32,bf16,int8", type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if unknown := [precision for precision in args.precisions if precision not in HINTS]:
        fail(f"`{unknown[0]}` is not one of {', '.join(HINTS)}")
    if not (args.bin / "deploy").is_file():
        fail(f"`{args.bin / 'deploy'}` is missing: cargo build --release --workspace")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models = {}
        for pair in args.model:
            name, separator, file = pair.partition("=")
            if not (separator and Path(file).is_file()):
                fail(f"`--model {pair}` is not NAME=FILE with a file that is there")
            models[name] = Path(file)
        found = measure(args, models or fitted(args, folder), folder)
    table(found)
    if args.json:
        rows = [{"model": m, "precision": p, "batch": b, "ms": ms} for (m, p, b), ms in found.items()]
        args.json.write_text(json.dumps({"processor": processor(), "rows": rows}, indent=1) + "\n")


main()
