"""Exceptions, one for each subject. Each says what to do on a line that starts with `hint:`, where that is known."""


class Error(Exception):
    """Any error of this package."""


class ImageError(Error):
    """An image cannot be read or decoded. Another image may do."""


class ModelError(Error):
    """The model file or its card is wrong, or its answer is no answer. No image will do."""


class RuntimeLibraryError(Error):
    """ONNX Runtime, a provider, the cache folder or the disk: the same call may do on another machine."""


class ArgumentError(Error, ValueError):
    """The caller asked for what cannot be."""


def _of_image(error: tuple[str, str], index: int) -> Error:
    """The exception for an image's error, its kind and text."""
    kind, text = error
    return globals()[kind](f"image {index}: {text}")
