#!/usr/bin/env python3
"""Scores rows with Ray Data while its processes are killed, and checks that every row is there once, with its bits.

    scripts/check-ray.py MODEL PHOTOS [--rows 10000] [--workers 2] [--python PYTHON] [--bin DIR]

The index has ROWS rows of the photos in PHOTOS, under ids of their own. `deploy/python/examples/ray_score.py` scores it
with checkpoints; a worker is killed (-9) while it runs, then the driver, and the same command finishes the job. What it
wrote is compared with `deploy predict`. PYTHON has classifold, ray[data] and pyarrow.
"""

import argparse
import csv
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "deploy/python/examples/ray_score.py"


def expected(args):
    """The label and the probability of each photo, as `deploy predict` has them."""
    command = [args.bin / "deploy", "predict", "--quiet", "--format", "csv", "--model", args.model, args.photos]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {row["path"]: (row["label"], float(row["probability"])) for row in csv.DictReader(text.splitlines())}


def single(number):
    """The bits of a number in single precision."""
    return struct.pack("<f", number)


def pids(pattern):
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split() if int(pid) != os.getpid()]


def wait_for_files(folder, count, job):
    while job.poll() is None and len(list(folder.glob("**/*.parquet"))) < count:
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    args = parser.parse_args()

    answers = expected(args)
    paths = list(answers)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        index, out = work / "index", work / "out"
        index.mkdir()
        rows = [(f"{number:07}", paths[number % len(paths)]) for number in range(args.rows)]
        # Several files, so that the work has parts.
        write = (
            "import sys, json, pyarrow, pyarrow.parquet as parquet\n"
            "rows = json.load(sys.stdin)\n"
            "for part in range(0, len(rows), 500):\n"
            "    ids, uris = zip(*rows[part:part + 500])\n"
            "    parquet.write_table(pyarrow.table({'id': ids, 'uri': uris}), f'{sys.argv[1]}/{part:07}.parquet')\n"
        )
        subprocess.run([args.python, "-c", write, index], input=json.dumps(rows), text=True, check=True)
        command = [args.python, EXAMPLE, args.model, index, out, "--workers", args.workers]
        command = [str(part) for part in [*command, "--checkpoint", work / "checkpoint"]]
        start = time.monotonic()
        with open(work / "log", "w") as log:
            job = subprocess.Popen(command, stdout=log, stderr=log)
            wait_for_files(out, 2, job)
            # Processes have this name while they work.
            while job.poll() is None and not (workers := pids("ray::MapWorker")):
                time.sleep(0.05)
            if job.poll() is None:
                os.kill(random.Random(0).choice(workers), signal.SIGKILL)
                print(f"killed one of {len(workers)} workers after {time.monotonic() - start:.0f} s")
            wait_for_files(out, 3, job)
            if job.poll() is None:
                job.kill()
                print(f"killed the driver after {time.monotonic() - start:.0f} s")
            job.wait()
            # Ray's own processes end when their driver is gone.
            time.sleep(10)
            subprocess.run(command, stdout=log, stderr=log, check=True)
        read = (
            "import sys, json, pyarrow.parquet as parquet\n"
            "rows = parquet.read_table(sys.argv[1]).to_pylist()\n"
            "json.dump([[r['id'], r['uri'], r['label'], r['probability']] for r in rows], sys.stdout)\n"
        )
        found = subprocess.run([args.python, "-c", read, out], capture_output=True, text=True, check=True).stdout
        found = json.loads(found)
        ids = [row[0] for row in found]
        differ = [row for row in found if (row[2], single(row[3])) != (answers[row[1]][0], single(answers[row[1]][1]))]
        missing = {row[0] for row in rows} - set(ids)
        twice = len(ids) - len(set(ids))
        print(f"{len(found)} rows in {time.monotonic() - start:.0f} s: {len(missing)} missing, {twice} twice, "
              f"{len(differ)} with another answer than deploy predict")
        sys.exit(bool(missing or twice or differ))


main()
