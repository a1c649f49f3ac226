"""The encoder: features of images."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import _images, _native, _options, errors


class Encoder:
    """A backbone that `deploy cut` wrote, or a classifier without its classification layer. Many threads can share one.

    Args:
        model: path or bytes of the `.onnx` file.
        provider, precision, threads, sessions, runtime: as `Classifier`.
        preprocess: preprocessing, for a file without a card.

    Raises:
        ModelError: the file does not show where its features are. RuntimeLibraryError, ArgumentError.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        provider: str = "cpu",
        precision: str = "fp32",
        threads: int | None = None,
        sessions: int | None = None,
        preprocess: str | None = None,
        runtime: str | os.PathLike[str] | None = None,
    ) -> None:
        self._native = _native.Encoder(
            model,
            _options.native(
                provider=provider,
                precision=precision,
                threads=threads,
                sessions=sessions,
                preprocess=preprocess,
                runtime=runtime,
            ),
        )

    @classmethod
    def _with_options(cls, model: Any, options: dict[str, Any]) -> Encoder:
        encoder = cls.__new__(cls)
        encoder._native = _native.Encoder(model, options)
        return encoder

    @property
    def width(self) -> int:
        """Number of features D."""
        return self._native.width

    @property
    def backbone(self) -> str:
        """What the features depend on besides the image: SHA-256 of the backbone, its value, its preprocessing."""
        return self._native.backbone

    def features(self, images: Any, *, normalize: bool = False) -> np.ndarray:
        """Features, float32 [N, D]; [D] for one image.

        Args:
            images: as `Classifier.predict`.
            normalize: whether each row is scaled to length 1, so that a dot product is the cosine of the angle.

        Raises:
            ImageError: an image cannot be decoded; its text names the file, or the image's index.
        """
        if _images.is_one(images):
            return self.features([images], normalize=normalize)[0]
        rows, done = [], 0
        for chunk in _images.chunks(images, _images.CHUNK):
            features, failed = self._run(chunk, normalize)
            for index, error in enumerate(failed):
                if error is not None:
                    raise errors._of_image(error, done + index)
            rows.append(features)
            done += len(chunk)
        return np.concatenate(rows) if rows else np.empty((0, self.width), np.float32)

    def _run(self, chunk: list[Any], normalize: bool = False) -> tuple[np.ndarray, list[tuple[str, str] | None]]:
        """Features [N, D], and the error of each image."""
        features, failed = self._native.run(chunk, normalize)
        return np.frombuffer(features, dtype=np.float32).reshape(len(chunk), self.width), failed

    def __repr__(self) -> str:
        return f"Encoder({self.width} features)"
