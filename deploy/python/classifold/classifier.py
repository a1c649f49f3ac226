"""The classifier."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from . import _images, _native, _options, errors
from .card import Card
from .encoder import Encoder


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer for one image.

    Attributes:
        label: name of the most probable class.
        probability: its probability, [0, 1].
        probabilities: float32 [K], in the order of `Classifier.classes_`.
        logits: float32 [K].
    """

    label: str
    probability: float
    probabilities: np.ndarray
    logits: np.ndarray
    classes: np.ndarray

    @property
    def margin(self) -> float:
        """Probability of the first class less that of the second, [0, 1]."""
        if len(self.probabilities) < 2:
            return self.probability
        second, first = np.partition(self.probabilities, -2)[-2:]
        return float(first) - float(second)

    def top(self, k: int) -> list[tuple[str, float]]:
        """The `k` most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(str(self.classes[i]), float(self.probabilities[i])) for i in order]

    def __repr__(self) -> str:
        return f"Prediction({self.label!r}, {self.probability:.4f})"


class Classifier:
    """An ONNX classifier, with class names and preprocessing from its card. Many threads can share one.

    Args:
        model: path or bytes of the `.onnx` file.
        provider: `cpu`, `openvino`, `cuda`, ...: the whole model runs there, or it is an error.
        precision: `fp32`, or what the provider can compute in.
        threads: threads that decode images and run the model; one per core if not given.
        sessions: sessions that share the threads: several give more images per second, one the least latency.
        classes: class names, for a file without a card.
        preprocess: preprocessing, for a file without a card.
        output: the output to read, where there are several.
        output_kind: `logits`, `probabilities` or `independent`, in place of what the card or the graph says.
        runtime: ONNX Runtime's library. Otherwise `ORT_DYLIB_PATH`, the package `onnxruntime` of this environment,
            and what `deploy runtime install` installed, in this order.

    Raises:
        ModelError, RuntimeLibraryError, ArgumentError.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        provider: str = "cpu",
        precision: str = "fp32",
        threads: int | None = None,
        sessions: int | None = None,
        classes: Iterable[str] | None = None,
        preprocess: str | None = None,
        output: str | None = None,
        output_kind: str | None = None,
        runtime: str | os.PathLike[str] | None = None,
    ) -> None:
        self._name = "bytes" if isinstance(model, bytes) else os.fspath(model)
        self._model = model
        self._options = _options.native(
            provider=provider,
            precision=precision,
            threads=threads,
            sessions=sessions,
            classes=None if classes is None else list(classes),
            preprocess=preprocess,
            output=output,
            output_kind=output_kind,
            runtime=runtime,
        )
        self._native = _native.Classifier(model, self._options)

    @property
    def classes_(self) -> np.ndarray:
        """Names of the classes, str [K], in the order of the output."""
        return np.array(self._native.classes)

    @property
    def card(self) -> Card | None:
        """The card; none for a file without one."""
        pairs = self._native.card
        return None if pairs is None else Card._from_pairs(pairs)

    @property
    def preprocess_text(self) -> str:
        """Steps from an image to the input."""
        return self._native.preprocess

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one image's input."""
        return tuple(self._native.input_shape)  # type: ignore[return-value]

    @property
    def notes(self) -> list[str]:
        """What was assumed at opening, for people."""
        return self._native.notes

    @overload
    def predict(self, images: str | os.PathLike[str] | bytes | np.ndarray) -> Prediction: ...
    @overload
    def predict(self, images: Iterable[Any]) -> list[Prediction]: ...
    def predict(self, images: Any) -> Prediction | list[Prediction]:
        """The answer for one image, or a list of answers for several.

        Args:
            images: a path, the bytes of a file, a PIL image, or an array: uint8 [H, W], [H, W, 3] (RGB) or [H, W, 4]
                (RGBA), or uint16 [H, W]; or a list or an iterator of these.

        Raises:
            ImageError: an image cannot be decoded; its text names the file, or the image's index.
        """
        if _images.is_one(images):
            return next(self._predictions([images]))
        return list(self._predictions(images))

    def probabilities(self, images: Any) -> np.ndarray:
        """Probabilities, float32 [N, K]; [K] for one image. As `predict`."""
        return self._stack(images, "probabilities")

    def logits(self, images: Any) -> np.ndarray:
        """Logits, float32 [N, K]; [K] for one image. As `predict`."""
        return self._stack(images, "logits")

    # scikit-learn's name.
    predict_proba = probabilities

    def features(self, images: Any, *, normalize: bool = False) -> np.ndarray:
        """Features, float32 [N, D]; [D] for one image: what the classification layer gets, for search and clustering.

        The first call opens the model once more, without that layer.

        Args:
            images: as `predict`.
            normalize: whether each row is scaled to length 1, so that a dot product is the cosine of the angle.

        Raises:
            ModelError: the file does not show where its features are. Otherwise as `predict`.
        """
        return self._encoder.features(images, normalize=normalize)

    @functools.cached_property
    def _encoder(self) -> Encoder:
        return Encoder._with_options(self._model, self._options)

    def preprocess(self, images: Any) -> np.ndarray:
        """What the model takes, float32 [N, C, H, W]; [1, C, H, W] for one image: for people who run another runtime."""
        images = [images] if _images.is_one(images) else images
        rows = [
            np.frombuffer(self._native.prepare(chunk), dtype=np.float32).reshape(-1, *self.input_shape)
            for chunk in _images.chunks(images, _images.CHUNK)
        ]
        return np.concatenate(rows) if rows else np.empty((0, *self.input_shape), np.float32)

    def _run(self, chunk: list[Any]) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str] | None]]:
        """Logits and probabilities [N, K], and the error of each image."""
        logits, probabilities, failed = self._native.run(chunk)
        shape = (len(chunk), len(self._native.classes))
        return (
            np.frombuffer(logits, dtype=np.float32).reshape(shape),
            np.frombuffer(probabilities, dtype=np.float32).reshape(shape),
            failed,
        )

    def _predictions(self, images: Iterable[Any]) -> Iterator[Prediction]:
        classes, done = self.classes_, 0
        for chunk in _images.chunks(images, _images.CHUNK):
            logits, probabilities, failed = self._run(chunk)
            for index, error in enumerate(failed):
                if error is not None:
                    raise errors._of_image(error, done + index)
                best = int(probabilities[index].argmax())
                yield Prediction(
                    str(classes[best]), float(probabilities[index, best]), probabilities[index], logits[index], classes
                )
            done += len(chunk)

    def _stack(self, images: Any, name: str) -> np.ndarray:
        if _images.is_one(images):
            return getattr(self.predict(images), name)
        rows = [getattr(prediction, name) for prediction in self._predictions(images)]
        return np.stack(rows) if rows else np.empty((0, len(self._native.classes)), np.float32)

    def __repr__(self) -> str:
        names = ", ".join(self._native.classes[:4])
        more = ", ..." if len(self._native.classes) > 4 else ""
        return f"Classifier({self._name!r}, {len(self._native.classes)} classes: {names}{more})"
