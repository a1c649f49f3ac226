"""Makes classifiers of many families as ONNX files with random weights, and checks their features.

    python3 scripts/reference/backbones.py make DIR [--exporter op17|dyn18|op13|kept17|smooth17] [NAME...]
    cargo run --release --workspace --example backbones -- DIR [--gradients]
    python3 scripts/reference/backbones.py table DIR

`make` writes NAME.EXPORTER.onnx, two images, and PyTorch's features and logits for them. The example
writes the features that a frozen backbone gives, where it found them. `table` prints, for each file, the
largest difference to PyTorch's features and to what ONNX Runtime in Python gives for the same value of
the whole file, relative to the largest feature; and, where the file can be fine-tuned, that of Burn's
features to ONNX Runtime's. The exporter `kept17` folds nothing, so that every tensor keeps its name, and adds
PyTorch's gradients of the mean square of the features, in single and double precision; `--gradients` and
`table` compare them. Needs torch, torchvision, timm, transformers, onnx,
onnxscript, onnxruntime, safetensors, numpy. All weights are random, batch norms have seen two images of noise.
"""

import argparse
import contextlib
import io
import json
import logging
import pathlib
import sys
import warnings

import numpy as np

TORCHVISION = """resnet18 resnet34 resnet50 resnext50_32x4d wide_resnet50_2 vgg11_bn alexnet squeezenet1_1
densenet121 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large efficientnet_b0 mnasnet1_0 shufflenet_v2_x1_0
regnet_y_400mf convnext_tiny googlenet inception_v3 vit_b_16 swin_t""".split()
TIMM = """efficientnet_lite0 efficientnetv2_rw_t convnext_atto mobilenetv4_conv_small hgnetv2_b0 repvgg_a0
vit_tiny_patch16_224 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 swin_tiny_patch4_window7_224
mixer_s16_224 eva02_tiny_patch14_224 fastvit_t8 mobileone_s0 ghostnet_100 levit_128s efficientformer_l1
mobilevit_xxs pvt_v2_b0 edgenext_xx_small poolformer_s12 rexnet_100 ese_vovnet19b_dw mobilenetv3_large_100
regnety_004 seresnet50 vit_tiny_r_s16_p8_224 coatnet_pico_rw_224 skresnet18 res2net50_26w_4s convnextv2_atto
starnet_s1 repvit_m0_9 tiny_vit_5m_224 gernet_s nf_resnet26 inception_v4 xcit_nano_12_p16_224""".split()
# Without a head, or with a projection: the features are the output.
HEADLESS = ["resnet18", "mobilenetv4_conv_small", "vit_tiny_patch16_224", "vit_small_patch14_dinov2"]
TRANSFORMERS = ["vit", "vit_model", "dinov2", "dinov2_model", "convnextv2", "resnet", "resnet_model", "clip_vision"]
# Nothing is folded, so that every tensor keeps its name.
KEPT = ("kept17", "smooth17")
LARGE = {"inception_v3": 299, "inception_v4": 299}
NAMES = (
    [f"tv_{name}" for name in TORCHVISION]
    + [f"timm_{name}" for name in TIMM]
    + [f"headless_{name}" for name in HEADLESS]
    + [f"hf_{name}" for name in TRANSFORMERS]
)


def randomise(model, size):
    """Moves every parameter a little, and gives batch norms the statistics of two images of noise."""
    import torch

    generator = torch.Generator().manual_seed(0)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        model.eval()
        for norm in norms:
            norm.momentum = 1.0
            norm.train()
        if norms:
            model(torch.randn((2, 3, size, size), generator=generator))
        for norm in norms:
            norm.running_var.clamp_(min=1e-3)
    return model.eval()


def without_kinks(model):
    """ReLU and its like become SiLU, maxima become means: gradients then differ by rounding alone."""
    import torch

    pieces = ("ReLU", "ReLU6", "Hardswish", "HardSwish", "Hardsigmoid", "HardSigmoid", "LeakyReLU")
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if type(module).__name__.removesuffix("Me").removesuffix("Jit") in pieces:
                setattr(parent, name, torch.nn.SiLU())
            elif type(module) is torch.nn.MaxPool2d:
                pool = (module.kernel_size, module.stride, module.padding, module.ceil_mode)
                setattr(parent, name, torch.nn.AvgPool2d(*pool))
    for name in ("relu", "relu6", "hardswish"):
        setattr(torch.nn.functional, name, lambda x, inplace=False: x * torch.sigmoid(x))
    return model


def before_last_layer(model, images):
    """The input of the last fully connected layer, or of the last convolution, averaged."""
    import torch

    layers = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "aux" not in name]
    last = layers[-1] if layers else [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    seen = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(images)
    hook.remove()
    return seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]


def before_both_layers(model, images):
    """What the two classification layers of a distilled network get, side by side where they get different values."""
    import torch

    heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == model.num_classes]
    seen = []
    hooks = [head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for head in heads]
    model(images)
    for hook in hooks:
        hook.remove()
    first, second = seen
    return first if first is second else torch.cat([first, second], dim=1)


def transformer(name):
    """A small model of transformers, with its images' size and what its features are."""
    import torch
    import transformers as t

    small = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96)
    kinds = {
        "vit": (t.ViTForImageClassification, t.ViTConfig(**small, num_labels=7)),
        "vit_model": (t.ViTModel, t.ViTConfig(**small)),
        "dinov2": (t.Dinov2ForImageClassification, t.Dinov2Config(**small, num_labels=7, image_size=224)),
        "dinov2_model": (t.Dinov2Model, t.Dinov2Config(**small, image_size=224)),
        "convnextv2": (t.ConvNextV2ForImageClassification, t.ConvNextV2Config(num_labels=7)),
        "resnet": (t.ResNetForImageClassification, t.ResNetConfig(layer_type="basic", depths=[2, 2, 2, 2],
                   hidden_sizes=[64, 128, 256, 512], num_labels=7)),
        "resnet_model": (t.ResNetModel, t.ResNetConfig(layer_type="basic", depths=[2, 2, 2, 2],
                         hidden_sizes=[64, 128, 256, 512])),
        "clip_vision": (t.CLIPVisionModelWithProjection, t.CLIPVisionConfig(**small, projection_dim=32)),
    }
    kind, config = kinds[name]
    torch.manual_seed(0)
    inner = kind(config)

    class Wrapped(torch.nn.Module):
        """The outputs as a tuple with their names, without the sequence's other values."""

        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, pixel_values):
            out = self.inner(pixel_values=pixel_values)
            return tuple(out[key] for key in self.keys)

        keys = {
            "vit_model": ["last_hidden_state", "pooler_output"],
            "dinov2_model": ["last_hidden_state", "pooler_output"],
            "resnet_model": ["last_hidden_state", "pooler_output"],
            "clip_vision": ["image_embeds", "last_hidden_state"],
        }.get(name, ["logits"])

    return Wrapped(), 224


def build(name, exporter):
    """A model, the size of its images, the names of its outputs, and a function of images to features."""
    import torch

    shape = without_kinks if exporter == "smooth17" else lambda model: model
    family, model_name = name.split("_", 1)
    size = LARGE.get(model_name, 224)
    torch.manual_seed(0)
    if family == "tv":
        import torchvision

        extra = dict(aux_logits=True, init_weights=True) if model_name in ("inception_v3", "googlenet") else {}
        model = randomise(shape(getattr(torchvision.models, model_name)(weights=None, **extra)), size)
        return model, size, ["output"], lambda x: before_last_layer(model, x)
    if family in ("timm", "headless"):
        import timm

        extra = dict(img_size=size) if "dinov2" in model_name else {}
        if family == "headless":
            extra["num_classes"] = 0
        model = randomise(shape(timm.create_model(model_name, pretrained=False, **extra)), size)
        if hasattr(model, "head_dist") or hasattr(getattr(model, "head", None), "head_dist"):
            return model, size, ["output"], lambda x: before_both_layers(model, x)
        features = lambda x: model.forward_head(model.forward_features(x), pre_logits=True)
        return model, size, ["output"], features
    model, size = transformer(model_name)
    model = randomise(shape(model), size)
    if model.keys == ["logits"] or model_name == "clip_vision":
        return model, size, model.keys, lambda x: before_last_layer(model, x)
    return model, size, model.keys, lambda x: model(x)[model.keys.index("pooler_output")].flatten(1)


def export(model, images, path, exporter, outputs):
    import torch

    quiet = contextlib.redirect_stdout(io.StringIO())
    if exporter == "dyn18":
        with quiet:
            torch.onnx.export(model, (images,), path, dynamo=True, opset_version=18, input_names=["input"],
                              output_names=outputs, dynamic_shapes=({0: torch.export.Dim("batch")},),
                              external_data=False, verbose=False)
    else:
        axes = {name: {0: "batch"} for name in ["input", *outputs]}
        keep = dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False) if exporter in KEPT else {}
        with quiet:
            torch.onnx.export(model, (images,), path, dynamo=False, opset_version=int(exporter[-2:]),
                              input_names=["input"], output_names=outputs, dynamic_axes=axes, **keep)


def make(folder, exporter, names):
    import torch

    torch.set_num_threads(2)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or NAMES:
        path = folder / f"{name}.{exporter}.onnx"
        if path.exists():
            continue
        try:
            model, size, outputs, features = build(name, exporter)
            images = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(7))
            with torch.no_grad():
                reference = features(images)
                export(model, images, str(path), exporter, outputs)
            path.with_suffix(".images.f32").write_bytes(images.numpy().astype("<f4").tobytes())
            np.save(path.with_suffix(".features.npy"), reference.numpy())
            if exporter in KEPT:
                for kind, suffix in [(torch.float32, ".gradients32.npz"), (torch.float64, ".gradients64.npz")]:
                    model.to(kind).zero_grad()
                    features(images.to(kind)).square().mean().backward()
                    found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
                    np.savez(path.with_suffix(suffix), **found)
            print(f"{path.name}: {tuple(reference.shape)}", flush=True)
        except Exception as error:  # An exporter that cannot write a model is a row of its own.
            path.unlink(missing_ok=True)
            print(f"{path.name}: not made: {str(error).strip().splitlines()[0][:120]}", flush=True)


def relative(found, expected):
    """The largest difference, relative to the largest expected feature."""
    if found.shape != expected.shape:
        return f"{found.shape[1]} for {expected.shape[1]}"
    return f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}"


def by_onnxruntime(path, values, images):
    """The named values of the whole file, as Python's ONNX Runtime computes them, one image at a time."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(value) for value in values)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = []
    for image in images:
        found = session.run(None, {name: image[None]})
        found = [value.mean((2, 3)) if value.ndim == 4 else value.reshape(1, -1) for value in found]
        rows.append(np.concatenate(found, axis=1)[0])
    return np.stack(rows).astype(np.float32)


def gradients(path):
    """How far the gradients of Burn, and PyTorch's in single precision, are off from PyTorch's in double precision.

    The largest difference of a tensor, relative to its own gradient and to a ten-thousandth of the whole: some gradients
    are 0 but for rounding, as that of a bias before a norm is. A number on the other side of a ReLU's kink makes both
    jump, so that the two are compared.
    """
    import onnx
    from safetensors.numpy import load_file

    single, double = (dict(np.load(path.with_suffix(f".gradients{bits}.npz"))) for bits in (32, 64))
    burn = load_file(path.with_suffix(".gradients.safetensors"))
    # The exporter stores equal tensors once. Of a row, the import makes copies again, NAME_1 and so on in an order of its
    # own; a matrix stays shared, and its gradient is the sum.
    for node in onnx.load(path, load_external_data=False).graph.node:
        other, stored = node.output[0], node.input[0] if node.input else ""
        if node.op_type != "Identity" or other not in double or stored not in double:
            continue
        if sum(length > 1 for length in double[other].shape) > 1:
            for gradients in (single, double):
                gradients[stored] = gradients[stored] + gradients.pop(other)
            continue
        for name in {other, stored} - burn.keys():
            copies = [copy for copy in burn if copy.startswith(f"{stored}_")]
            distance = lambda copy: np.linalg.norm(burn[copy].ravel() - double[name].ravel())
            burn |= {name: burn.pop(copy).reshape(double[name].shape) for copy in sorted(copies, key=distance)[:1]}
    names = [name for name in double if name in burn]
    whole = np.sqrt(sum(np.square(double[name]).sum() for name in names))
    size = {name: np.linalg.norm(double[name]) + 1e-4 * whole for name in names}
    cells = [f"{max(np.linalg.norm(g[name] - double[name]) / size[name] for name in names):.1e}" for g in (burn, single)]
    missing = [name for name in double if name not in burn and np.abs(double[name]).max() > 0]
    return [*cells, str(len(names)) + (f", without {len(missing)}: {missing[0]}" if missing else "")]


def table(folder):
    print("| file | features | found by | to PyTorch | to ONNX Runtime | tuned: Burn to ONNX Runtime | "
          "tensors | gradients of Burn | of PyTorch | tensors compared |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    accepted = total = tunable = 0
    for path in sorted(folder.glob("*.onnx")):
        row = json.loads(path.with_suffix(".row.json").read_text())
        total += 1
        if "error" in row:
            print(f"| {path.stem} | refused | {row['error']} | | | | | | | |")
            continue
        accepted += 1
        found = np.fromfile(path.with_suffix(".found.f32"), "<f4").reshape(2, -1)
        images = np.fromfile(path.with_suffix(".images.f32"), "<f4").reshape(2, *row["image_shape"])
        expected = np.load(path.with_suffix(".features.npy"))
        own = by_onnxruntime(path, row["values"], images)
        cells = [path.stem, f"{found.shape[1]}", row["rule"], relative(found, expected), relative(found, own)]
        if "error" in row["tuned"]:
            cells += [row["tuned"]["error"], "", "", "", ""]
        else:
            tunable += 1
            compared = path.with_suffix(".gradients.safetensors").exists() and path.with_suffix(".gradients64.npz").exists()
            cells += [f"{row['tuned']['difference']:.1e}", f"{row['tuned']['tensors']}"]
            cells += gradients(path) if compared else ["", "", ""]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{accepted} of {total} accepted, {tunable} can be fine-tuned")


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make", "table"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--exporter", default="op17", choices=["op13", "op17", "dyn18", *KEPT])
    args = parser.parse_intermixed_args()
    if args.command == "make":
        make(args.folder, args.exporter, args.names)
    else:
        table(args.folder)


if __name__ == "__main__":
    sys.exit(main())
