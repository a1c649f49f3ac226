"""Settings of a model, as the native module takes them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from .errors import ArgumentError


def native(
    *,
    provider: str = "cpu",
    precision: str = "fp32",
    threads: int | None = None,
    sessions: int | None = None,
    classes: list[str] | None = None,
    preprocess: str | None = None,
    output: str | None = None,
    output_kind: str | None = None,
    runtime: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The settings, checked; ONNX Runtime is that of this environment, where none is named."""
    for name, value in (("threads", threads), ("sessions", sessions)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name} must be at least 1, not {value}")
    return {
        "provider": provider,
        "precision": precision,
        "threads": threads,
        "sessions": sessions,
        "classes": classes,
        "preprocess": preprocess,
        "output": output,
        "output_kind": output_kind,
        "runtime": runtime if runtime is not None else _runtime_of_environment(),
    }


def _runtime_of_environment() -> Path | None:
    """The library of the package `onnxruntime`, which is not imported for it."""
    if os.environ.get("ORT_DYLIB_PATH"):
        return None
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        for library in sorted(Path(folder, "capi").glob("libonnxruntime.so*")):
            return library
    return None
