"""Scores on labelled images."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import numpy as np

from . import _native
from .classifier import Classifier


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores, as `deploy eval` has them.

    Attributes:
        accuracy: share of right answers, [0, 1].
        interval: Wilson's 95 % interval of the accuracy.
        loss: mean negative log-likelihood, nats.
        count: number of images.
        confusion: int [K, K]: rows true, columns predicted.
        classes: names of the classes.
        predictions: (path, true class, predicted class, its probability) of each image.
        logits: float32 [N, K].
        unreadable: (path, reason) of each image that was left out.
    """

    accuracy: float
    interval: tuple[float, float]
    loss: float
    count: int
    confusion: np.ndarray = field(repr=False)
    classes: list[str]
    predictions: list[tuple[str, str, str, float]] = field(repr=False)
    logits: np.ndarray = field(repr=False)
    unreadable: list[tuple[str, str]] = field(repr=False)


def evaluate(classifier: Classifier, data: str | os.PathLike[str], split: str = "test") -> Evaluation:
    """Scores `classifier` on the images of a folder of classes (with or without splits), or of a CSV file.

    Args:
        split: `train`, `val` or `test`.
    """
    text, predictions, logits, unreadable = _native.evaluate(classifier._native, data, split)
    scores = json.loads(text)
    return Evaluation(
        accuracy=scores["accuracy"],
        interval=tuple(scores["interval"]),
        loss=scores["loss"],
        count=scores["count"],
        confusion=np.array(scores["confusion"]),
        classes=scores["classes"],
        predictions=predictions,
        logits=np.frombuffer(logits, dtype=np.float32).reshape(len(predictions), -1),
        unreadable=[(str(path), reason) for path, reason in unreadable],
    )
