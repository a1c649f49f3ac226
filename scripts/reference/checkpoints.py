"""Answers of torchvision, timm and transformers for checkpoints that `trainer import` reads. All weights are random.

    python3 scripts/reference/checkpoints.py small
    python3 scripts/reference/checkpoints.py check DIR TRAINER [NAME...]

`small` writes tests/reference/checkpoints.json: names and shapes of the tensors of small networks, whose values are a
formula of their place, with two images' answers. `trainer/tests/checkpoints.rs` makes the same values. `check` saves
networks of full size in DIR, as .pth and as .safetensors, each with the JSON file that its library writes, runs
`TRAINER import` on them and prints how far ONNX Runtime's answers for two images are from PyTorch's. Needs torch,
torchvision, timm, transformers, safetensors, onnxruntime and numpy.
"""

import argparse
import json
import logging
import math
import pathlib
import subprocess
import sys
import tempfile
import warnings

# The script `kernels.py` beside this one would hide a module that transformers looks for.
sys.path.pop(0)

import numpy as np
import torch

REFERENCE = pathlib.Path(__file__).parents[2] / "tests" / "reference" / "checkpoints.json"
FULL = """tv:resnet18 tv:resnet34 tv:resnet50 tv:resnet101 tv:resnet152 tv:resnext50_32x4d tv:resnext101_32x8d
tv:resnext101_64x4d tv:wide_resnet50_2 tv:wide_resnet101_2 timm:resnet26 timm:resnet50 timm:resnext101_32x4d
tv:mobilenet_v2 timm:mobilenetv2_050 timm:mobilenetv2_100 timm:mobilenetv2_110d timm:mobilenetv2_140
timm:efficientnet_lite0 timm:efficientnet_lite1 timm:efficientnet_lite2 timm:tf_efficientnet_lite0
timm:tf_efficientnet_lite1 timm:tf_efficientnet_lite2 tv:vit_b_32 timm:vit_tiny_patch16_224 timm:vit_small_patch32_224
timm:deit_tiny_patch16_224 timm:deit_tiny_distilled_patch16_224 timm:deit3_small_patch16_224
timm:vit_small_patch14_dinov2 timm:vit_small_patch14_reg4_dinov2 timm:vit_base_patch32_clip_224
timm:vit_base_patch32_clip_quickgelu_224 timm:vit_medium_patch16_gap_240 hf:vit hf:vit_model hf:deit
hf:deit_teacher hf:dinov2 hf:dinov2_model hf:dinov2_registers hf:clip hf:clip_vision hf:clip_projection""".split()


def noise(count, seed):
    """Numbers in [0, 1) in steps of 2^-24, by the hash that the test in Rust has, too."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503 & 0xFFFFFFFF)
    for _ in range(2):
        x = (x ^ (x >> 16)) * np.uint32(0x45D9F3B)
    return ((x ^ (x >> 16)) >> 8).astype(np.float32) / np.float32(1 << 24)


def fill(model):
    """Values by name and shape, of a size that keeps activations near one."""
    state = model.state_dict()
    for index, (name, tensor) in enumerate(state.items()):
        if not tensor.is_floating_point() or tensor.ndim == 0:
            continue
        centred = noise(tensor.numel(), index) - np.float32(0.5)
        if name.endswith("running_var") or tensor.ndim == 1 and not name.endswith(("bias", "running_mean", "embedding")):
            values = 1 + np.float32(0.5) * centred
        elif tensor.ndim == 1:
            values = np.float32(0.4) * centred
        else:
            values = centred * np.float32(math.sqrt(18.0 / tensor[0].numel()))
        tensor.copy_(torch.from_numpy(values).reshape(tensor.shape))
    return model.eval()


def images(channels, size):
    values = noise(2 * channels * size * size, 999) * np.float32(4) - np.float32(2)
    return torch.from_numpy(values).reshape(2, channels, size, size)


def transformer(name, full):
    """A model of transformers, and which of its outputs is the answer."""
    import transformers as t

    size = dict(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768)
    if not full:
        size = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=32, patch_size=8)
    labels = dict(num_labels=10)
    kinds = {
        "vit": lambda: (t.ViTForImageClassification(t.ViTConfig(**size, **labels)), "logits"),
        "vit_model": lambda: (t.ViTModel(t.ViTConfig(**size)), "class"),
        "deit": lambda: (t.DeiTForImageClassification(t.DeiTConfig(**size, **labels)), "logits"),
        "deit_teacher": lambda: (t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**size, **labels)), "logits"),
        "dinov2": lambda: (t.Dinov2ForImageClassification(t.Dinov2Config(**size, **labels)), "logits"),
        "dinov2_model": lambda: (t.Dinov2Model(t.Dinov2Config(**size)), "pooler_output"),
        "dinov2_registers": lambda: (t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**size)), "pooler_output"),
        "clip": lambda: (t.CLIPModel(t.CLIPConfig(vision_config=size, text_config=dict(num_hidden_layers=1))), "vision"),
        "clip_vision": lambda: (t.CLIPVisionModel(t.CLIPVisionConfig(**size, hidden_act="gelu")), "pooler_output"),
        "clip_projection": lambda: (t.CLIPVisionModelWithProjection(t.CLIPVisionConfig(**size)), "vision"),
    }
    return kinds[name]()


def answer(model, output, x):
    """Logits, or the features that a network without a classification layer gives."""
    if output == "vision":
        model, output = getattr(model, "vision_model"), "pooler_output"
    found = model(x)
    if output is None:
        return found
    return found.last_hidden_state[:, 0] if output == "class" else found[output]


def build(name, full=True):
    """A model, which of its outputs is the answer, and `[C, S]` of its images."""
    library, kind = name.split(":")
    if library == "hf":
        model, output = transformer(kind, full)
        config = getattr(model.config, "vision_config", model.config)
        return fill(model), output, (3, config.image_size)
    if library == "tv":
        import torchvision

        return fill(getattr(torchvision.models, kind)(weights=None)), None, (3, 224)
    import timm

    model = fill(timm.create_model(kind, pretrained=False))
    return model, None, model.pretrained_cfg["input_size"][:2]


def relative(found, expected):
    if found.shape != expected.shape:
        return f"{found.shape} for {expected.shape}"
    return f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}"


def save(folder, name, model):
    """Two files and the library's JSON."""
    from safetensors.torch import save_file

    state = model.state_dict()
    library = name.split(":")[0]
    pickled, plain = folder / "pickled", folder / "plain"
    for path in (pickled, plain):
        path.mkdir(parents=True, exist_ok=True)
        if library == "timm":
            config = dict(architecture=name.split(":")[1], num_classes=model.num_classes, pretrained_cfg={
                key: value for key, value in model.pretrained_cfg.items() if key != "url"})
            (path / "config.json").write_text(json.dumps(config, default=str))
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, pickled / "model.pth")
    if library == "hf":
        model.save_pretrained(plain)
        (pickled / "config.json").write_text((plain / "config.json").read_text())
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, plain / "model.safetensors")
    return [pickled / "model.pth", plain / "model.safetensors"]


def saved(model):
    """The tensors in the file that transformers writes."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def check(folder, trainer, names):
    import onnxruntime

    print("| network | .pth | .safetensors |\n|---|---|---|")
    for name in names or FULL:
        model, output, (channels, size) = build(name)
        x = images(channels, size)
        expected = answer(model, output, x).numpy()
        cells = []
        for path in save(folder / name.replace(":", "_"), name, model):
            run = subprocess.run([trainer, "import", path, "--size", str(size), "-q"], capture_output=True, text=True)
            if run.returncode:
                cells.append(f"exit code {run.returncode}: " + run.stderr.strip().replace("\n", " "))
                continue
            session = onnxruntime.InferenceSession(path.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
            cells.append(relative(session.run(None, {"input": x.numpy()})[0], expected))
            path.unlink()
            path.with_suffix(".onnx").unlink()
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def small():
    """Networks whose answers take a test a second or two."""
    import timm
    import torchvision
    from torchvision.models.vision_transformer import VisionTransformer

    tv, vit = torchvision.models, dict(img_size=32, patch_size=8, embed_dim=128, depth=2, num_heads=2, num_classes=10)
    create = lambda name, **extra: timm.create_model(name, pretrained=False, **{"num_classes": 10, **extra})
    cases = [
        ("torchvision resnet18", tv.resnet18(num_classes=10), None, 64, None),
        ("torchvision resnext50_32x4d", tv.resnext50_32x4d(num_classes=10), None, 64, None),
        ("timm resnet26 without head", create("resnet26", num_classes=0), None, 64, None),
        ("torchvision mobilenet_v2", tv.mobilenet_v2(num_classes=10, width_mult=0.5), None, 70, None),
        ("timm mobilenetv2_035", create("mobilenetv2_035"), None, 64, None),
        ("timm efficientnet_lite0", create("efficientnet_lite0"), None, 70, "efficientnet_lite0"),
        ("timm tf_efficientnet_lite1", create("tf_efficientnet_lite1"), None, 75, "tf_efficientnet_lite1"),
        ("timm tf_efficientnet_lite2", create("tf_efficientnet_lite2"), None, 65, "tf_efficientnet_lite2"),
        ("timm vit", create("vit_tiny_patch16_224", **vit), None, 32, None),
        ("timm deit distilled", create("deit_tiny_distilled_patch16_224", **vit), None, 32, None),
        ("timm deit3", create("deit3_small_patch16_224", **vit), None, 32, None),
        ("timm dinov2 with registers", create("vit_small_patch14_reg4_dinov2", **{**vit, "num_classes": 0}), None, 32, None),
        ("timm clip", create("vit_base_patch32_clip_224", **vit), None, 32, "vit_base_patch32_clip_224"),
        ("timm clip with QuickGELU", create("vit_base_patch32_clip_quickgelu_224", **vit), None, 32,
         "vit_base_patch32_clip_quickgelu_224"),
        ("timm vit of patches", create("vit_medium_patch16_gap_240", **vit), None, 32, None),
        ("torchvision vit", VisionTransformer(32, 8, 2, 2, 128, 256, num_classes=10), None, 32, None),
        *[(f"transformers {name}", *transformer(name, False), 32, None)
          for name in ["vit", "vit_model", "deit_teacher", "dinov2", "dinov2_registers", "clip_vision", "clip_projection"]],
    ]
    rows = []
    for name, model, output, size, architecture in cases:
        fill(model)
        config = model.config.to_dict() if hasattr(model, "config") else None
        # Values depend on the place among all tensors, those of integers included.
        state = list(model.state_dict().items())
        named = {key: (place, value) for place, (key, value) in enumerate(state) if value.is_floating_point()}
        if name in ("transformers vit", "transformers dinov2"):
            # Since version 5 the names in a file are not those in memory.
            named = {key: next((place, own) for place, (_, own) in enumerate(state) if torch.equal(own, value))
                     for key, value in saved(model).items()}
        tensors = {key: list(value.shape) for key, (_, value) in named.items()}
        places = [place for place, _ in named.values()]
        found = answer(model, output, images(3, size))
        rows.append(dict(name=name, architecture=architecture, size=size, config=config, tensors=list(tensors.items()),
                         places=places, answer=[[round(value, 6) for value in row] for row in found.tolist()]))
        print(name, tuple(found.shape), float(found.abs().max()))
    # A position embedding for other images: timm resamples it when it makes the network.
    model = fill(create("vit_tiny_patch16_224", **vit))
    tensors = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    model.set_input_size(img_size=(56, 56))
    found = model(images(3, 56))
    rows.append(dict(name="timm vit for larger images", architecture=None, size=56, config=None, tensors=tensors,
                     places=list(range(len(tensors))), answer=[[round(v, 6) for v in row] for row in found.tolist()]))
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    REFERENCE.write_text(f"[\n{lines}\n]\n")
    print(REFERENCE, REFERENCE.stat().st_size)


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_grad_enabled(False)
    torch.set_num_threads(2)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["small", "check"])
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("trainer", nargs="?")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.command == "small":
        small()
    else:
        check(args.folder, args.trainer, args.names)


if __name__ == "__main__":
    sys.exit(main())
