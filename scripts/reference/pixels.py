"""Writes tests/reference/pixels.json: what PIL and torchvision make of every ants and bees photo.

python3 scripts/reference/pixels.py ../shared/data/hymenoptera
"""

import hashlib
import json
import pathlib
import sys

import PIL
import torchvision
from PIL import Image, ImageOps, features
from torchvision.transforms import CenterCrop, Compose, Resize

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/pixels.json"
PREPARE = Compose([Resize(256), CenterCrop(224)])


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def main(root):
    files = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg")):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        files[path.relative_to(root).as_posix()] = {
            "size": image.size,
            "decoded": digest(image),
            "prepared": digest(PREPARE(image)),
        }
    made_by = {
        "pillow": PIL.__version__,
        "torchvision": torchvision.__version__.split("+")[0],
        "jpeg": features.version("libjpeg_turbo"),
    }
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(file)}" for name, file in files.items())
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(f'{{\n  "made_by": {json.dumps(made_by)},\n  "files": {{\n{lines}\n  }}\n}}\n')


main(pathlib.Path(sys.argv[1]))
