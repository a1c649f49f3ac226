"""Writes tests/reference/foreign.json: what PIL and onnxruntime answer for other people's classifiers.

python3 scripts/reference/foreign.py MODELS PHOTOS

MODELS holds the .onnx files, PHOTOS is the ants-and-bees folder; neither is part of this repository.
Each model has its preprocessing twice: as the text that `--preprocess` takes, and as PIL code here.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
from PIL import Image, ImageOps

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/foreign.json"
PHOTOS = [
    "val/ants/10308379_1b6c72e180.jpg",
    "val/ants/Ant-1818.jpg",
    "val/bees/1032546534_06907fe3b3.jpg",
    "val/bees/59798110_2b6a3c8031.jpg",
]
KEPT = 10
IMAGENET = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
CIFAR = dict(mean=[0.4914, 0.4822, 0.4465], std=[0.2023, 0.1994, 0.201])


def open_image(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def squash(image, height, width):
    return image.resize((width, height), Image.BILINEAR)


def crop(image, short, size):
    w, h = image.size
    if w < h:
        image = squash(image, int(short * h / w), short)
    else:
        image = squash(image, short, int(short * w / h))
    w, h = image.size
    left, top = int(round((w - size) / 2.0)), int(round((h - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def numbers(image, scale=1 / 255, mean=None, std=None, bgr=False, nhwc=False, dtype="float32"):
    x = numpy.asarray(image).astype("float32")
    x = x[..., None] if x.ndim == 2 else x
    x = x[..., ::-1] if bgr else x
    x = x * numpy.float32(scale)
    if mean:
        x = (x - numpy.float32(mean)) / numpy.float32(std)
    x = x if nhwc else x.transpose(2, 0, 1)
    return numpy.ascontiguousarray(x[None]).astype(dtype)


def spelled(means):
    return f"normalize(mean={means['mean']}, std={means['std']})"


MODELS = {
    "mesonet_tf2onnx_op15_nhwc.onnx": (
        "decode(rgb, exif)|resize(256, 256, bilinear, antialias)|scale(1/255)|layout(nhwc, f32)",
        lambda im: numbers(squash(im, 256, 256), nhwc=True),
        1e-4,
    ),
    "mnist_pytorch_dynamo_op18.onnx": (
        "decode(gray, exif)|resize(28, 28, bilinear, antialias)|scale(1/255)"
        "|normalize(mean=[0.1307], std=[0.3081])|layout(nchw, f32)",
        lambda im: numbers(squash(im.convert("L"), 28, 28), mean=[0.1307], std=[0.3081]),
        1e-4,
    ),
    "mobilenetv2_int8dyn_pytorch_op15.onnx": (
        "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|scale(1/255)"
        f"|{spelled(IMAGENET)}|layout(nchw, f32)",
        lambda im: numbers(crop(im, 256, 224), **IMAGENET),
        5e-2,
    ),
    "paddle_textdir_cls_op10.onnx": (
        "decode(bgr, exif)|resize(48, 192, bilinear, antialias)|scale(1/255)"
        "|normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])|layout(nchw, f32)",
        lambda im: numbers(squash(im, 48, 192), mean=[0.5] * 3, std=[0.5] * 3, bgr=True),
        1e-4,
    ),
    "resnet20_cifar10_pytorch_op9.onnx": (
        "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)"
        f"|{spelled(CIFAR)}|layout(nchw, f32)",
        lambda im: numbers(squash(im, 32, 32), **CIFAR),
        1e-4,
    ),
    "squeezenet_fp16_caffe2_op7.onnx": (
        "decode(bgr, exif)|resize_short(256, bilinear, antialias)|center_crop(224)"
        "|normalize(mean=[104, 117, 123], std=[1, 1, 1])|layout(nchw, f16)",
        lambda im: numbers(
            crop(im, 256, 224), 1, [104, 117, 123], [1, 1, 1], bgr=True, dtype="float16"
        ),
        2e-2,
    ),
}


def answers(session, name, prepare, photos):
    result = []
    for photo in PHOTOS:
        x = prepare(open_image(photos / photo))
        scores = session.run(None, {name: x})[0].astype("float64").reshape(-1)
        top = numpy.argsort(-scores, kind="stable")[:KEPT]
        result.append(
            dict(
                photo=photo,
                top=[[int(at), round(float(scores[at]), 6)] for at in top],
                largest=round(float(abs(scores).max()), 6),
            )
        )
    return result


def main():
    models, photos = map(pathlib.Path, sys.argv[1:])
    report = dict(onnxruntime=onnxruntime.__version__, models=[])
    for file, (text, prepare, tolerance) in MODELS.items():
        session = onnxruntime.InferenceSession(models / file, providers=["CPUExecutionProvider"])
        name, shape = session.get_inputs()[0].name, session.get_outputs()[0].shape
        result = answers(session, name, prepare, photos)
        outputs = session.run(None, {name: prepare(open_image(photos / PHOTOS[0]))})[0].size
        report["models"].append(
            dict(file=file, preprocess=text, outputs=outputs, tolerance=tolerance, answers=result)
        )
    OUT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
