from typing import Any

class Classifier:
    classes: list[str]
    preprocess: str
    input_shape: list[int]
    output_kind: str
    notes: list[str]
    card: list[tuple[str, str]] | None
    def __init__(self, model: Any, options: dict[str, Any]) -> None: ...
    def prepare(self, images: list[Any]) -> bytearray: ...
    def run(
        self, images: list[Any]
    ) -> tuple[bytearray, bytearray, list[tuple[str, str] | None]]: ...

class Encoder:
    width: int
    backbone: str
    def __init__(self, model: Any, options: dict[str, Any]) -> None: ...
    def run(
        self, images: list[Any], normalize: bool
    ) -> tuple[bytearray, list[tuple[str, str] | None]]: ...

def is_cut_backbone(model: Any) -> bool: ...
def evaluate(
    classifier: Classifier, data: Any, split: str
) -> tuple[
    str, list[tuple[str, str, str, float]], bytearray, list[tuple[str, str]]
]: ...
