"""Draws the golden pictures of the model card: data/pixels/src/card/golden/.

python3 scripts/reference/golden.py
"""

import pathlib

import numpy
from PIL import Image, ImageDraw

FOLDER = pathlib.Path(__file__).parents[2] / "data/pixels/src/card/golden"
ORIENTATION = 0x0112


def turned():
    """Smooth colours with a body, six legs and a horizon; turned a quarter by EXIF."""
    y, x = numpy.mgrid[0:290, 0:410]
    ground = [
        110 + 70 * numpy.sin(x / 61.0) + 40 * numpy.cos(y / 43.0),
        120 + 60 * numpy.cos((x + y) / 79.0),
        90 + 80 * numpy.sin((x - 2 * y) / 113.0),
    ]
    picture = Image.fromarray(numpy.stack(ground, -1).clip(0, 255).astype("uint8"))
    draw = ImageDraw.Draw(picture)
    for leg in range(6):
        draw.line([(205, 145), (130 + 30 * leg, 40 + 210 * (leg % 2))], fill=(40, 25, 20), width=4)
    for center, radius in ((150, 26), (205, 20), (265, 36)):
        draw.ellipse([center - radius, 145 - radius, center + radius, 145 + radius], fill=(60, 30, 20))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture.save(FOLDER / "turned.jpg", quality=80, subsampling="4:2:0", exif=exif, optimize=True)


def shapes():
    """Flat shapes with hard edges."""
    picture = Image.new("RGB", (330, 280), (230, 224, 200))
    draw = ImageDraw.Draw(picture)
    for step in range(12):
        color = (20 * step, 255 - 18 * step, (97 * step) % 256)
        draw.rectangle([14 * step, 9 * step, 60 + 20 * step, 40 + 19 * step], outline=color, width=3)
        draw.ellipse([300 - 22 * step, 12 * step, 320 - 20 * step, 30 + 13 * step], fill=color)
    picture.save(FOLDER / "shapes.png", optimize=True)


FOLDER.mkdir(parents=True, exist_ok=True)
turned()
shapes()
