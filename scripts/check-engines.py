#!/usr/bin/env python3
"""Scores photos with engines for very many images, and compares every answer with `deploy predict`, bit by bit.

    scripts/check-engines.py MODEL PHOTOS ENGINE... [--bin DIR]

ENGINE is one or more of

* `daft`: a class of Daft, `pip install daft`;
* `spark`: `mapInArrow` of Spark in local mode, `pip install pyspark`, with Java 17 or newer;
* `ray-s3`: `deploy/python/examples/ray_score.py` from an S3 that moto serves on the loopback address,
  `pip install "ray[data]" aiohttp "moto[server]" boto3`.

Run it by a Python that has them, pyarrow and the wheel of classifold. Exits with 1 if an answer differs or is missing.
"""

import argparse
import csv
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet

from classifold import Scorer

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "deploy/python/examples/ray_score.py"
ANSWERS = "label string, probability float, margin float, error string"


def expected(args):
    """The label and the probability of each photo, as `deploy predict` has them."""
    command = [args.bin / "deploy", "predict", "--quiet", "--format", "csv", "--model", args.model, args.photos]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {row["path"]: (row["label"], single(float(row["probability"]))) for row in csv.DictReader(text.splitlines())}


def single(number):
    """The bits of a number in single precision."""
    return struct.pack("<f", number)


def daft(model, paths):
    """A class of Daft: an instance in each of two processes."""
    import daft
    from daft import DataType

    answer = DataType.struct({"label": DataType.string(), "probability": DataType.float32()})

    @daft.cls(max_concurrency=2, use_process=True)
    class Score:
        def __init__(self, model):
            self.scorer = Scorer(model)

        @daft.method.batch(return_dtype=answer, batch_size=16)
        def __call__(self, path):
            answers = self.scorer(pyarrow.table({"path": path.to_arrow()}))
            columns = [answers.column(name).combine_chunks() for name in ("label", "probability")]
            return pyarrow.StructArray.from_arrays(columns, ["label", "probability"])

    frame = daft.from_pydict({"path": paths})
    rows = frame.with_column("answer", Score(model)(frame["path"])).to_pylist()
    return [(row["path"], row["answer"]["label"], row["answer"]["probability"]) for row in rows]


def spark(model, paths):
    """`mapInArrow`: Spark hands batches of Arrow to its own processes."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    frame = session.createDataFrame([(path,) for path in paths], "path string").repartition(4)
    scorer = Scorer(model)
    scored = frame.mapInArrow(lambda batches: map(scorer, batches), f"path string, {ANSWERS}")
    rows = scored.collect()
    session.stop()
    return [(row.path, row.label, row.probability) for row in rows]


def ray_s3(model, paths):
    """The example for Ray, with an index of addresses of objects."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto", "AWS_DEFAULT_REGION": "us-east-1"}
    names["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    client = boto3.session.Session(
        names["AWS_ACCESS_KEY_ID"], names["AWS_SECRET_ACCESS_KEY"], region_name=names["AWS_DEFAULT_REGION"]
    ).client("s3", endpoint_url=names["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="photos")
    uris = {}
    for number, path in enumerate(paths):
        key = f"{number:05}{Path(path).suffix}"
        client.upload_file(path, "photos", key)
        uris[f"s3://photos/{key}"] = path
    with tempfile.TemporaryDirectory() as work:
        index, out = Path(work, "index.parquet"), Path(work, "out")
        pyarrow.parquet.write_table(pyarrow.table({"id": list(uris.values()), "uri": list(uris)}), index)
        command = [sys.executable, EXAMPLE, model, index, out, "--workers", "2", "--batch", "16"]
        subprocess.run([str(part) for part in command], check=True, env={**os.environ, **names})
        rows = pyarrow.parquet.read_table(out).to_pylist()
    server.stop()
    return [(row["id"], row["label"], row["probability"]) for row in rows]


def main():
    engines = {"daft": daft, "spark": spark, "ray-s3": ray_s3}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("engines", nargs="+", choices=engines)
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    args = parser.parse_args()

    answers = expected(args)
    is_wrong = False
    for name in args.engines:
        start = time.monotonic()
        rows = engines[name](os.path.abspath(args.model), list(answers))
        # A photo that could not be read has neither.
        found = {path: (label, probability and single(probability)) for path, label, probability in rows}
        differ = [path for path in answers if path in found and found[path] != answers[path]]
        missing = [path for path in answers if path not in found]
        print(
            f"{name}: {len(rows)} rows in {time.monotonic() - start:.0f} s, {len(missing)} missing, "
            f"{len(rows) - len(found)} twice, {len(differ)} with another answer than deploy predict",
            flush=True,
        )
        is_wrong |= bool(missing or differ or len(rows) != len(found))
    sys.exit(is_wrong)


if __name__ == "__main__":
    main()
