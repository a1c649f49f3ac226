"""Images as Python has them, to what the native module takes: a path, bytes, or a contiguous array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .errors import ArgumentError

# Images that are decoded ahead of their results.
CHUNK = 64

# Modes of PIL that the native module takes as they are; the others are converted by PIL.
_MODES = {"L": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "I;16": np.uint16}


def is_one(images: Any) -> bool:
    """Whether `images` is one image, and not several."""
    return isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray)) or is_pil(images)


def is_pil(image: Any) -> bool:
    """Whether this is an image of PIL, without importing PIL."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(image).__mro__)


def native(image: Any) -> Any:
    """One image for the native module."""
    if isinstance(image, (str, bytes, os.PathLike)):
        return image
    if isinstance(image, (bytearray, memoryview)):
        return bytes(image)
    if is_pil(image):
        return _from_pil(image)
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.uint16):
            raise ArgumentError(
                f"pixels are uint8 or uint16, not {image.dtype}\n"
                "hint: for pixels in [0, 1] write `(255 * pixels).round().astype(numpy.uint8)`"
            )
        return np.ascontiguousarray(image)
    raise ArgumentError(
        f"an image is a path, bytes, a PIL image or an array of uint8, not {type(image).__name__}"
    )


def _from_pil(image: Any) -> np.ndarray:
    from PIL import ImageOps

    # As a file is: upright.
    image = ImageOps.exif_transpose(image)
    if image.mode not in _MODES:
        has_alpha = image.has_transparency_data
        image = image.convert("RGBA" if has_alpha else "RGB")
    return np.ascontiguousarray(image, dtype=_MODES[image.mode])


def chunks(images: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Images for the native module, at most `size` at a time, so that an iterator need not fit into memory."""
    chunk: list[Any] = []
    for image in images:
        chunk.append(native(image))
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
