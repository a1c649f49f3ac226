"""The model card: what a file says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_PREFIX = "classifier."


@dataclass(frozen=True)
class Card:
    """Model card of a file.

    Attributes:
        classes: names of the classes, in the order of the output.
        preprocess: steps from an image to the input, such as `{'step': 'resize_short', 'size': 256, ...}`.
        output_kind: `logits`, `probabilities` or `independent`.
        task: `classify`.
        provenance: origin: tool, version, seed, options, counts, scores, date.
        values: every key of the card and its text.
    """

    classes: list[str]
    preprocess: list[dict[str, Any]]
    output_kind: str
    task: str
    provenance: dict[str, Any]
    values: dict[str, str] = field(repr=False)

    @classmethod
    def _from_pairs(cls, pairs: list[tuple[str, str]]) -> Card:
        values = {key.removeprefix(_PREFIX): value for key, value in pairs}
        return cls(
            classes=json.loads(values["classes"]),
            preprocess=json.loads(values["preprocess"]),
            output_kind=values["output_kind"],
            task=values["task"],
            provenance=json.loads(values["provenance"]),
            values=values,
        )

    @property
    def scores(self) -> dict[str, Any]:
        """Scores per split, where the file has them."""
        return self.provenance.get("scores", {})
