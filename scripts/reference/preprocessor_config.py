"""Writes tests/reference/preprocessor_config.json: what transformers' image processors (those with Pillow) and timm's
transforms make of small noise, for the JSON files that they are described by.

python3 scripts/reference/preprocessor_config.py    (needs timm, transformers)
python3 scripts/reference/preprocessor_config.py FOLDER COUNT OUT

The second form writes for every description the whole tensors of COUNT photos of FOLDER into OUT.
"""

import copy
import json
import pathlib
import sys

import numpy
import PIL
import timm
import transformers
from PIL import Image, ImageOps
from timm.data import create_transform, resolve_data_config
from timm.models._hub import _parse_model_cfg

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/preprocessor_config.json"
SIZES = ((301, 223), (190, 257))
VALUES = 12
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS = [
    *({"image_processor_type": f"{name}ImageProcessor"} for name in (
        "ViT", "Siglip", "CLIP", "Bit", "DeiT", "Beit", "MobileNetV1", "MobileNetV2", "ConvNext", "Levit",
        "EfficientNet", "PoolFormer", "Pvt", "MobileViT", "DINOv3ViT",
    )),
    # ViT and CLIP as they were written in 2021 and 2022.
    {"feature_extractor_type": "ViTFeatureExtractor", "do_normalize": True, "do_resize": True, "resample": 2, "size": 224,
     "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    {"feature_extractor_type": "CLIPFeatureExtractor", "do_center_crop": True, "crop_size": 224, "do_resize": True,
     "resample": 3, "size": 224},
    # DINOv2.
    {"image_processor_type": "BitImageProcessor", "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
     "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 3,
     "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}, **IMAGENET},
    # ResNet, ConvNeXt.
    {"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.875, "do_normalize": True, "do_resize": True,
     "resample": 3, "size": 224, **IMAGENET},
    {"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 240, "width": 230}, "do_center_crop": True,
     "crop_size": {"height": 224, "width": 224}, "rescale_offset": True, "rescale_factor": 1 / 127.5,
     "include_top": True, "resample": 0, "image_mean": [0.0, 0.1, 0.2], "image_std": [1.0, 0.9, 0.8]},
    {"image_processor_type": "ViTImageProcessorFast", "do_rescale": False, "do_normalize": False, "resample": 1,
     "size": [20, 30]},
    {"image_processor_type": "PoolFormerImageProcessor", "size": {"height": 100, "width": 100}, "crop_pct": 0.95,
     "crop_size": 90},
    {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": {"height": 91, "width": 122}},
]
TIMM = [
    {"architecture": "resnet18", "pretrained_cfg": timm.get_pretrained_cfg("resnet18.a1_in1k").to_dict()},
    {"architecture": "vit", **timm.get_pretrained_cfg("vit_small_patch16_224.augreg_in21k_ft_in1k").to_dict()},
    {"architecture": "convnext_tiny", "pretrained_cfg": {"input_size": [3, 98, 90], "crop_pct": 0.95, "crop_mode": "squash",
     "interpolation": "lanczos", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.75]}},
    {"architecture": "deepseek_vit", "pretrained_cfg": {"input_size": [3, 90, 90], "crop_pct": 0.9, "crop_mode": "border",
     "interpolation": "bicubic", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
    {"architecture": "vit", "pretrained_cfg": {"input_size": [3, 224, 224], "fixed_input_size": True},
     "model_args": {"img_size": 120}},
]


def noise(width, height):
    """The picture that the Rust test makes too: a linear congruential generator."""
    state, values = 12345, bytearray()
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return Image.frombytes("RGB", (width, height), bytes(values))


def processor(config):
    """The function of a `preprocessor_config.json`, and how far an equal one may be from it."""
    name = (config.get("image_processor_type") or config["feature_extractor_type"]).removesuffix("Fast")
    name = name.replace("FeatureExtractor", "ImageProcessor")
    pillow = getattr(transformers, f"{name}Pil", None)
    made = (pillow or getattr(transformers, name)).from_dict(copy.deepcopy(config))
    # Where there is none with Pillow, pixels are not rounded after the resize: 1/255 of difference, over the deviation.
    tolerance = 1e-5 if pillow else 0.018
    return lambda image: numpy.asarray(made(image, return_tensors="np")["pixel_values"][0]), tolerance


def transform(config):
    own, _, _ = _parse_model_cfg(copy.deepcopy(config), {})
    made = create_transform(**resolve_data_config({}, pretrained_cfg=own), is_training=False)
    return lambda image: made(image).numpy(), 1e-5


def main():
    cases = []
    described = [("preprocessor_config.json", config, *processor(config)) for config in PROCESSORS]
    described += [("config.json", config, *transform(config)) for config in TIMM]
    for file, config, apply, tolerance in described:
        for size in SIZES:
            tensor = apply(noise(*size)).astype(numpy.float32)
            values = tensor.reshape(-1)[:: tensor.size // VALUES + 1]
            cases.append({"file": file, "config": config, "size": size, "shape": tensor.shape, "tolerance": tolerance,
                          "values": [round(float(value), 6) for value in values]})
    made_by = {"pillow": PIL.__version__, "transformers": transformers.__version__, "timm": timm.__version__}
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    OUT.write_text(f'{{\n  "made_by": {json.dumps(made_by)},\n  "cases": [\n{lines}\n  ]\n}}\n')
    if len(sys.argv) > 1:
        write_photos(pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]), described)


def write_photos(folder, count, out, described):
    photos = sorted(folder.rglob("*.jpg"))
    photos = photos[:: max(1, len(photos) // count)][:count]
    for index, (file, config, apply, _) in enumerate(described):
        case = out / str(index)
        case.mkdir(parents=True, exist_ok=True)
        (case / file).write_text(json.dumps(config))
        for photo in photos:
            image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
            apply(image).astype(numpy.float32).tofile(case / f"{photo.stem}.f32")
    (out / "photos.txt").write_text("\n".join(str(photo) for photo in photos))


if __name__ == "__main__":
    main()
