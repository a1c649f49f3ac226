#!/usr/bin/env python3
"""Kills commands with SIGKILL at random moments and checks what they leave behind.

    scripts/kill.py [--kills N] [--seed S] [--bin DIR] [--data DIR] [--weights FILE.onnx]

N (200) is the number of kills in all. Each command runs once undisturbed first: its duration is the range of the
moments, its results are those that a killed command must reach in the end. After every kill each file is whole; a
file that was there is as before or as after. `trainer fit` is killed three times and then resumed to its end: its
weights and its model must equal those of the undisturbed run, bit for bit. Prints one line for each job, and exits
with 1 if anything was wrong.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
parser.add_argument("--kills", type=int, default=200)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release")
parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/hymenoptera")
parser.add_argument("--weights", type=pathlib.Path, default=ROOT.parent / "shared/weights/resnet18.onnx")
options = parser.parse_args()

work = pathlib.Path(tempfile.mkdtemp(prefix="kill-"))
library = subprocess.run(
    [str(options.bin / "deploy"), "runtime", "path"], check=True, capture_output=True, text=True
).stdout.strip()
# A fixed date: two exports of the same weights are then the same bytes.
environment = os.environ | {
    "SOURCE_DATE_EPOCH": "0",
    "CLASSIFIER_CACHE": str(work / "cache"),
    "ORT_DYLIB_PATH": library,
}
chance = random.Random(options.seed)
faults = []


def command(program, *arguments):
    return [str(options.bin / program), *map(str, arguments)]


def run(arguments):
    """Runs a command to its end; returns its seconds, exit code and error text."""
    start = time.monotonic()
    done = subprocess.run(arguments, cwd=work, env=environment, capture_output=True, text=True)
    return time.monotonic() - start, done.returncode, done.stderr.strip()


def undisturbed(arguments):
    seconds, code, error = run(arguments)
    if code != 0:
        sys.exit(f"{' '.join(arguments)} failed undisturbed: {error}")
    return seconds


def kill_after(arguments, longest):
    """Starts a command, kills it after a random time; returns whether it was still running."""
    process = subprocess.Popen(
        arguments, cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(chance.uniform(0, longest))
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def weights(path):
    """Tensors of a checkpoint as bytes. Its header also holds times, which differ between runs."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    body = content[8 + length :]
    # Burn numbers parameters anew in every process, and its optimiser's file names them by these numbers.
    header.pop("optimizer.burnpack")
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items()}


def check_whole(folder):
    """Every file of a folder that has its final name can be read."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                weights(path) if path.parent.name != "features" else None
            elif path.suffix == ".onnx":
                _, code, error = run(command("deploy", "info", path))
                assert code == 0, error
            elif path.suffix == ".html":
                assert path.read_text().rstrip().endswith("</html>")
            else:
                assert path.stat().st_size > 0, "it is empty"
        except (ValueError, AssertionError, KeyError, struct.error) as error:
            faults.append(f"{path} is not whole: {error}")


def kill_fit(name, kills, *arguments):
    """Kills a fit up to three times, then resumes it to its end."""
    whole = work / "runs" / f"{name}-whole"
    fit = command("trainer", "fit", "--quiet", "--data", options.data, "--seed", 7, *arguments)
    longest = undisturbed([*fit, "--name", whole.name])
    count = resumed = trials = 0
    while count < kills:
        trials += 1
        folder = work / "runs" / f"{name}-{trials}"
        # As in the undisturbed run: with cached features most kills would come after the end.
        shutil.rmtree(work / "cache/features", ignore_errors=True)
        resume = command("trainer", "fit", "--quiet", "--resume", folder.name)
        begin = [*fit, "--name", folder.name]
        for _ in range(3):
            following = resume if (folder / "config.toml").exists() else begin
            count += kill_after(following, longest)
            check_whole(folder)
        is_begun = (folder / "config.toml").exists()
        resumed += is_begun
        _, code, error = run(resume if is_begun else begin)
        if code != 0:
            faults.append(f"{folder.name} could not be continued: {error}")
            continue
        for checkpoint in ["last.safetensors", "best.safetensors"]:
            if weights(folder / checkpoint) != weights(whole / checkpoint):
                faults.append(f"{folder.name}/{checkpoint} has other weights")
        if digest(folder / "model.onnx") != digest(whole / "model.onnx"):
            faults.append(f"{folder.name}/model.onnx has other bytes")
        shutil.rmtree(folder)
    print(f"fit, {name}: {count} kills, {trials} runs, {resumed} of them resumed")


def kill_writer(name, kills, arguments, result, before=None):
    """Kills a command that writes one file. `before` is the file that it replaces."""

    def prepare():
        result.unlink(missing_ok=True)
        if before:
            shutil.copy(before, result)

    prepare()
    longest = undisturbed(arguments)
    # Measurements differ from run to run: such a file is whole when it can be read.
    is_measured = result.suffix in (".json", ".html")
    after = digest(result)
    count = untouched = 0
    while count < kills:
        prepare()
        count += kill_after(arguments, longest)
        found = digest(result)
        untouched += found == (digest(before) if before else None)
        if is_measured:
            check_whole(result.parent)
        elif found not in (after, digest(before) if before else None):
            faults.append(f"{name}: {result.name} is neither as before nor as after")
    prepare()
    undisturbed(arguments)
    print(f"{name}: {count} kills, {untouched} times nothing was written yet")


def kill_install(kills):
    """Kills the installation of ONNX Runtime; afterwards the same command must succeed."""
    cache = work / "install"
    install = command("deploy", "runtime", "install", "cpu", "--from", library, "--cache", cache)
    longest = undisturbed(install)
    count = 0
    while count < kills:
        shutil.rmtree(cache)
        count += kill_after(install, longest)
        check_whole(cache) if cache.exists() else None
        undisturbed(install)
    print(f"runtime install: {count} kills, every repetition succeeded")


share = options.kills // 10
try:
    kill_fit("custom", 3 * share, "--epochs", 4, "--width", 4)
    kill_fit("frozen", 2 * share, "--epochs", 3, "--backbone", options.weights)
    model = work / "runs/frozen-whole/model.onnx"
    convert = ["convert", "--quiet", "--model", model, "--precision"]
    half = work / "half/model.onnx"
    half.parent.mkdir()
    kill_writer("convert", 2 * share, command("deploy", *convert, "fp16", "--out", half), half)
    (work / "classes.txt").write_text("ants\nwasps\n")
    card = work / "card/model.onnx"
    card.parent.mkdir()
    steps = "decode(rgb, exif)|resize(224, 224, bilinear)|scale(1/255)|layout(nchw, f32)"
    attach = ["card", "attach", card, "--classes", "classes.txt", "--preprocess", steps]
    kill_writer("card attach", share, command("deploy", *attach), card, before=model)
    bench = work / "bench/bench.json"
    bench.parent.mkdir()
    custom = work / "runs/custom-whole/model.onnx"
    measure = ["bench", "--quiet", "--model", custom, "--no-data", "--batch", 1]
    measure += ["--warmup", "200ms", "--duration", "1s", "--json", bench]
    kill_writer("bench", share, command("deploy", *measure), bench)
    kill_install(share)
finally:
    shutil.rmtree(work)
for fault in faults:
    print(f"fault: {fault}")
print(f"{len(faults)} faults")
sys.exit(1 if faults else 0)
