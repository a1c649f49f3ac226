#!/usr/bin/env python3
"""Scores the images of a Parquet index with Ray Data: a pool of workers, one core and one session each.

    python ray_score.py MODEL INDEX OUT [--workers 4] [--batch 64] [--features] [--checkpoint FOLDER]

INDEX is a Parquet file or a folder of them with the columns `id`, which no two rows share, and `uri`: a path, or an
address that pyarrow's file systems read, such as `s3://bucket/bee.jpg`. OUT gets Parquet files with `id`, `uri`, `label`,
`probability`, `margin` and `error`; of a backbone that `deploy cut` wrote `features`, `backbone` and `error`. Other columns of
INDEX, such as labels, stay. An image that cannot be read is a row with an error.

With --checkpoint, a job that was ended is started again by the same command and scores what is left.

Needs `pip install "ray[data]" aiohttp` and the wheel of classifold.
"""

import argparse
import contextlib
import importlib

import ray
from ray.data import ExecutionResources
from ray.data.checkpoint import CheckpointConfig
from ray.data.expressions import download

from classifold import Scorer


def import_first() -> None:
    """What Ray's downloads import in several threads at once (Ray 2.60): some see half of it, and their row has an error."""
    with contextlib.suppress(ImportError):
        importlib.import_module("fsspec.implementations.http")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("index")
    parser.add_argument("out")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--checkpoint", metavar="FOLDER")
    args = parser.parse_args()

    # Downloads and the filter of checkpoints are actors of their own: without spare logical cores they wait for ever.
    ray.init(
        num_cpus=args.workers + 4,
        include_dashboard=False,
        ignore_reinit_error=True,
        runtime_env={"worker_process_setup_hook": import_first},
    )
    context = ray.data.DataContext.get_current()
    # Without limits Ray holds more images the longer a job runs. Each worker needs some blocks, to have one while others load.
    context.target_max_block_size = 32 << 20
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=args.workers * 150 << 20)
    if args.checkpoint:
        context.checkpoint_config = CheckpointConfig("id", args.checkpoint, delete_checkpoint_on_success=False)
    with open(args.model, "rb") as file:
        model = file.read()
    images = ray.data.read_parquet(args.index).with_column("bytes", download("uri"))
    scored = images.map_batches(
        Scorer,
        # Bytes, so that workers on other machines need no file.
        fn_constructor_args=[model],
        fn_constructor_kwargs={"features": args.features},
        batch_format="pyarrow",
        batch_size=args.batch,
        num_cpus=1,
        concurrency=args.workers,
    )
    scored.drop_columns(["bytes"]).write_parquet(args.out)


if __name__ == "__main__":
    main()
