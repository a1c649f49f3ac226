"""Scorer of batches, for Ray, Daft, Spark and other engines of very many images."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .classifier import Classifier
from .encoder import Encoder
from .errors import ArgumentError


class Scorer:
    """A callable from a batch to the same batch with answers. A broken image is a value, never an exception.

    A batch is a dict of numpy arrays, or a `RecordBatch` or `Table` of Arrow. Its images are in the column `bytes`
    (files as they are) or `path`. The result has these columns as well:

    * `label` (str), `probability` and `margin` (float32), null or NaN for a broken image;
    * `features` (float32 [D] in a row), if asked for, likewise null or NaN; and `backbone` (str), which says whose they are;
    * `error` (str), null for an image that was read.

    A backbone that `deploy cut` wrote has `features` and `backbone` alone, without being asked.

    Args:
        model: path or bytes of the `.onnx` file.
        column: the column of the images, where it is neither `bytes` nor `path`.
        features: whether the features of a classifier are computed too, which runs it twice.
        threads: threads of this scorer. One by default: an engine runs one scorer for each core.
        options: as `Classifier`; as `Encoder` for a backbone.

    A scorer is pickled as its arguments: the model is opened where it is used.
    """

    def __init__(
        self, model: Any, *, column: str | None = None, features: bool = False, threads: int = 1, **options: Any
    ) -> None:
        self._arguments = (model, column, features, threads, options)
        self._column = column
        self._opened: tuple[Classifier | None, Encoder | None] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, self._arguments

    def _models(self) -> tuple[Classifier | None, Encoder | None]:
        """The classifier and the encoder, opened at their first use."""
        if self._opened is None:
            model, _, features, threads, options = self._arguments
            if _native.is_cut_backbone(model):
                self._opened = None, Encoder(model, threads=threads, sessions=threads, **options)
            else:
                classifier = Classifier(model, threads=threads, sessions=threads, **options)
                self._opened = classifier, classifier._encoder if features else None
        return self._opened

    def __call__(self, batch: Any) -> Any:
        if isinstance(batch, dict):
            answers = self._answers(list(batch[self._name(batch.keys())]))
            return {**batch, **answers}
        import pyarrow

        answers = self._answers(batch.column(self._name(batch.schema.names)).to_pylist())
        is_read = np.equal(answers["error"], None)
        for name, values in answers.items():
            if name in ("probability", "margin"):
                array = pyarrow.array(values, pyarrow.float32(), mask=~is_read)
            elif name == "features":
                rows = [row if read else None for row, read in zip(values, is_read)]
                array = pyarrow.array(rows, pyarrow.list_(pyarrow.float32()))
            else:
                array = pyarrow.array(values, pyarrow.string())
            batch = batch.append_column(name, array)
        return batch

    def _name(self, columns: Any) -> str:
        wanted = [self._column] if self._column else ["bytes", "path"]
        for name in wanted:
            if name in columns:
                return name
        raise ArgumentError(
            f"the batch has no column {' or '.join(wanted)}; it has {', '.join(columns)}\n"
            "hint: name the column of the images with `column=`"
        )

    def _answers(self, images: list[Any]) -> dict[str, np.ndarray]:
        classifier, encoder = self._models()
        # A missing value is a broken image, too.
        known = [bytes(0) if image is None else image for image in images]
        answers: dict[str, np.ndarray] = {}
        failed: list[tuple[str, str] | None] = []
        if classifier is not None:
            answers, failed = _classes(classifier, known)
        if encoder is not None:
            answers["features"], failed = encoder._run(known)
            answers["backbone"] = np.array([encoder.backbone] * len(known), dtype=object)
        answers["error"] = np.array([None if error is None else error[1] for error in failed], dtype=object)
        return answers


def _classes(
    classifier: Classifier, images: list[Any]
) -> tuple[dict[str, np.ndarray], list[tuple[str, str] | None]]:
    """Label, probability and margin of each image, and its error."""
    classes = classifier.classes_
    _, probabilities, failed = classifier._run(images)
    label = np.array([None] * len(images), dtype=object)
    probability = np.full(len(images), np.nan, np.float32)
    margin = np.full(len(images), np.nan, np.float32)
    for index, error in enumerate(failed):
        if error is None:
            first, *others = np.sort(probabilities[index])[::-1]
            label[index] = str(classes[probabilities[index].argmax()])
            probability[index] = first
            margin[index] = first - others[0] if others else first
    return {"label": label, "probability": probability, "margin": margin}, failed


def _restore(model: Any, column: str | None, features: bool, threads: int, options: dict[str, Any]) -> Scorer:
    return Scorer(model, column=column, features=features, threads=threads, **options)
