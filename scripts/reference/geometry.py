"""Writes tests/reference/geometry.json: torchvision's resize, centre crop and pad on small noise, with timm's resize
of the longer side and transformers' rounding of a crop.

python3 scripts/reference/geometry.py    (needs timm)
"""

import hashlib
import json
import pathlib

import numpy
import PIL
import timm
import torchvision
from PIL import Image
from timm.data.transforms import CenterCropOrPad, ResizeKeepRatio
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/geometry.json"


def noise(width, height):
    """The picture that the Rust test makes too: a linear congruential generator."""
    state, values = 12345, bytearray()
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return Image.frombytes("RGB", (width, height), bytes(values))


def floor_crop(size):
    """transformers' centre crop of a larger image."""
    return lambda image: image.crop((left := (image.width - size) // 2, top := (image.height - size) // 2, left + size, top + size))


def main():
    cases = []
    for width, height in ((64, 48), (48, 64), (31, 97), (200, 33), (7, 5), (1, 9), (130, 130)):
        image = noise(width, height)
        for name in ("nearest", "bilinear", "bicubic", "lanczos"):
            mode = InterpolationMode(name)
            for text, steps in (
                (f"resize_short(40, {name}, antialias)|center_crop(32)", [Resize(40, mode), CenterCrop(32)]),
                (f"resize_short(20, {name}, antialias)|center_crop(24, 33)", [Resize(20, mode), CenterCrop((24, 33))]),
                (f"resize(17, 23, {name}, antialias)", [Resize((17, 23), mode)]),
                (f"resize(90, 140, {name}, antialias)|center_crop(61)", [Resize((90, 140), mode), CenterCrop(61)]),
                (f"center_crop(50)|resize(20, 21, {name}, antialias)", [CenterCrop(50), Resize((20, 21), mode)]),
                (f"resize_short(40, {name}, antialias)|center_crop(25, floor)", [Resize(40, mode), floor_crop(25)]),
                (
                    f"resize_long(37, {name}, antialias)|pad(38, fill=[124, 116, 104])|center_crop(38)",
                    [ResizeKeepRatio(37, 1.0, name), CenterCropOrPad(38, [124, 116, 104])],
                ),
                (
                    f"resize_long(37, {name}, antialias)|pad(30, fill=9)|center_crop(30)",
                    [ResizeKeepRatio(37, 1.0, name), CenterCropOrPad(30, 9)],
                ),
            ):
                digest = hashlib.sha256(Compose(steps)(image).tobytes()).hexdigest()
                cases.append({"size": [width, height], "steps": text, "sha256": digest})
    made_by = {"pillow": PIL.__version__, "torchvision": torchvision.__version__.split("+")[0], "timm": timm.__version__}
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    OUT.write_text(f'{{\n  "made_by": {json.dumps(made_by)},\n  "cases": [\n{lines}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
