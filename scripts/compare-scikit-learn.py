"""Compares the head that `trainer fit` trains on a frozen backbone with scikit-learn's, on the same splits.

    python3 scripts/compare-scikit-learn.py BACKBONE.onnx VALUE STEPS PHOTOS RUN...

VALUE is the value of the backbone that holds the features (the log of `fit` names it), STEPS `imagenet` or
`half` (mean = std = 0.5, bicubic), PHOTOS the folder that the paths in the runs' split.csv start from, each
RUN the folder of a run with another seed. Pillow prepares the photos of the same split, ONNX Runtime in
Python gives the features, and scikit-learn chooses the L2 penalty of a logistic regression on standardised
features by five folds. Prints accuracy and log loss on the test images beside those of the runs. Needs
numpy, onnx, onnxruntime, pillow, scikit-learn.
"""

import csv
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STEPS = {
    "imagenet": (Image.BILINEAR, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": (Image.BICUBIC, [0.5] * 3, [0.5] * 3),
}


def session(path, value):
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def prepare(path, steps):
    filter_, mean, std = STEPS[steps]
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    short = min(image.size)
    size = [256 if side == short else int(256 * side / short) for side in image.size]
    image = image.resize(size, filter_)
    left, top = [round((side - 224) / 2) for side in image.size]
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)[None]


def main(backbone, value, steps, photos, *runs):
    run_session = session(backbone, value)
    name = run_session.get_inputs()[0].name
    cache = {}

    def features(path):
        if path not in cache:
            found = run_session.run(None, {name: prepare(pathlib.Path(photos, path), steps)})[0]
            cache[path] = found.reshape(-1)
        return cache[path]

    scores = []
    for run in map(pathlib.Path, runs):
        rows = list(csv.DictReader(open(run / "split.csv", newline="")))
        parts = {}
        for split in ("train", "test"):
            chosen = [row for row in rows if row["split"] == split]
            parts[split] = np.stack([features(row["path"]) for row in chosen]), [row["label"] for row in chosen]
        started = time.time()
        regression = LogisticRegressionCV(Cs=np.logspace(-5, 1, 13), cv=5, scoring="neg_log_loss", max_iter=5000,
                                          use_legacy_attributes=False, l1_ratios=(0,))
        model = make_pipeline(StandardScaler(), regression)
        model.fit(*parts["train"])
        seconds = time.time() - started
        x, y = parts["test"]
        theirs = float(np.mean(model.predict(x) == np.array(y))), log_loss(y, model.predict_proba(x), labels=model.classes_)
        summary = json.loads((run / "summary.json").read_text())
        ours = summary["accuracy"], summary["loss"]
        scores.append([*ours, *theirs])
        print(f"{run.name}: ours {100 * ours[0]:.2f} % {ours[1]:.4f}, scikit-learn {100 * theirs[0]:.2f} % "
              f"{theirs[1]:.4f} (fitted in {seconds:.1f} s)", flush=True)
    mean, deviation = np.mean(scores, 0), np.std(scores, 0, ddof=1)
    columns = zip(["ours, accuracy", "ours, loss", "scikit-learn, accuracy", "scikit-learn, loss"], mean, deviation)
    for column, m, d in columns:
        print(f"{column}: {m:.4f} (deviation {d:.4f}, {len(scores)} seeds)")


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
