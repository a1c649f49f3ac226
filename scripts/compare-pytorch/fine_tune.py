"""Fine-tunes in PyTorch as `trainer fit --fine-tune` does, on the same splits, and compares the test scores.

    python3 scripts/compare-pytorch/fine_tune.py BACKBONE.onnx VALUE STEPS PHOTOS RUN...

VALUE is the value of the backbone that holds the features (the log of `fit` names it), STEPS `imagenet` or `half`
(mean = std = 0.5, bicubic), PHOTOS the folder that the paths in the runs' split.csv start from, each RUN the folder
of a run with `--fine-tune --keep tuned` and another seed. The graph of the file is run node by node with PyTorch's
functions and its own weights; scikit-learn fits the first classification layer; the settings are those of the run's
config.toml: SGD or AdamW without decay of norms and biases, rates by depth, warm-up and cosine per step, clipping by
the norm of all gradients, label smoothing, averaged weights that are moved back to those of the start by
`tuned-share`, batch norms in inference mode. Augmentation is torchvision's RandomResizedCrop and flip. Needs torch,
torchvision, numpy, onnx, pillow, scikit-learn.
"""

import csv
import json
import math
import pathlib
import sys
import time
import tomllib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler
from torchvision.transforms import v2

STEPS = {
    "imagenet": (v2.InterpolationMode.BILINEAR, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": (v2.InterpolationMode.BICUBIC, [0.5] * 3, [0.5] * 3),
}


class Backbone(torch.nn.Module):
    """An ONNX graph up to one of its values: the operators of ResNet and EfficientNet-Lite."""

    def __init__(self, path, value):
        super().__init__()
        graph = onnx.load(path).graph
        tensors = {t.name: torch.tensor(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        needed, self.nodes = {value}, []
        for node in reversed(graph.node):
            if needed & set(node.output):
                needed |= set(node.input)
                self.nodes.insert(0, node)
        self.value, self.input = value, graph.input[0].name
        self.weights, self.buffers_, self.depths = torch.nn.ParameterDict(), {}, {}
        layer = -1
        for node in self.nodes:
            trained = {"Conv": node.input[1:3], "BatchNormalization": node.input[1:3]}.get(node.op_type, [])
            layer += bool(trained)
            for name in node.input[1:]:
                if name in trained:
                    self.weights[name.replace(".", "/")] = torch.nn.Parameter(tensors[name])
                    self.depths.setdefault(name, layer)
                elif name in tensors:
                    self.buffers_[name] = tensors[name]
        self.layers = layer + 1

    def forward(self, images):
        values = {self.input: images}

        def get(name):
            key = name.replace(".", "/")
            if key in self.weights:
                return self.weights[key]
            return values.get(name, self.buffers_.get(name))

        for node in self.nodes:
            x, *more = [get(name) for name in node.input]
            a = {field.name: onnx.helper.get_attribute_value(field) for field in node.attribute}
            pads = a.get("pads", [0, 0, 0, 0])
            if node.op_type in ("Conv", "MaxPool"):
                low = -math.inf if node.op_type == "MaxPool" else 0.0
                x = F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=low) if any(pads) else x
            match node.op_type:
                case "Conv":
                    bias = more[1] if len(more) > 1 else None
                    y = F.conv2d(x, more[0], bias, a.get("strides", 1), 0, a.get("dilations", 1), a.get("group", 1))
                case "BatchNormalization":
                    scale, bias, mean, var = more
                    y = F.batch_norm(x, mean, var, scale, bias, eps=a.get("epsilon", 1e-5))
                case "MaxPool":
                    y = F.max_pool2d(x, a["kernel_shape"], a["strides"])
                case "Relu":
                    y = F.relu(x)
                case "Clip":
                    low, high = (a.get("min"), a.get("max")) if not more else more
                    y = torch.clamp(x, float(low), float(high))
                case "Add":
                    y = x + more[0]
                case "GlobalAveragePool":
                    y = x.mean((2, 3), keepdim=True)
                case "Flatten" | "Reshape":
                    y = x.flatten(1)
                case "Identity":
                    y = x
                case other:
                    sys.exit(f"fine_tune: the operator {other} is not known here")
            values[node.output[0]] = y
        return values[self.value].flatten(1)


def rate(step, steps, warmup):
    """The multiple of the learning rate in a step: warm-up, then half a cosine."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1))) / 2


def first_layer(features, labels, classes):
    scaler = StandardScaler().fit(features)
    regression = LogisticRegressionCV(Cs=np.logspace(-5, 1, 13), cv=5, scoring="neg_log_loss", max_iter=5000,
                                      use_legacy_attributes=False, l1_ratios=(0,))
    regression.fit(scaler.transform(features), labels)
    weight, bias = regression.coef_ / scaler.scale_, regression.intercept_
    bias = bias - weight @ scaler.mean_
    layer = torch.nn.Linear(features.shape[1], classes)
    if classes == 2:  # One logit: that of the second class against the first.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def scores(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item(), F.cross_entropy(logits, labels).item()


def fine_tune(backbone, head, images, labels, augment, config):
    """The averaged weights of both after the last epoch."""
    groups = []
    named = [(name.replace("/", "."), weight) for name, weight in backbone.weights.items()]
    depth = {name: backbone.depths[name] / backbone.layers for name, _ in named}
    for name, weight in named + [("fc.weight", head.weight), ("fc.bias", head.bias)]:
        factor = config["head-lr-factor"]
        if name in depth:
            factor = config["first-lr-factor"] ** (1 - depth[name])
        decay = config["weight-decay"] if weight.ndim > 1 else 0.0
        groups.append({"params": [weight], "lr": config["lr"] * factor, "weight_decay": decay})
    rates = [group["lr"] for group in groups]
    if config["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=config["momentum"])
    else:
        optimizer = torch.optim.AdamW(groups, eps=1e-8)
    parameters = [group["params"][0] for group in groups]
    start = [p.detach().clone() for p in parameters]
    average, share = [p.clone() for p in start], config["tuned-share"]
    batch, generator = config["batch"], torch.Generator().manual_seed(config["seed"])
    steps, step = config["epochs"] * math.ceil(len(images) / batch), 0
    for _ in range(config["epochs"]):
        for chosen in torch.randperm(len(images), generator=generator).split(batch):
            for group, own in zip(optimizer.param_groups, rates):
                group["lr"] = own * rate(step, steps, config["warmup"])
            inputs = torch.stack([augment(images[i]) for i in chosen])
            loss = F.cross_entropy(head(backbone(inputs)), labels[chosen], label_smoothing=config["label-smoothing"])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, config["clip-norm"])
            optimizer.step()
            step += 1
            decay = min((1 + step) / (10 + step), 0.9999)
            for mean, first, p in zip(average, start, parameters):
                mean.add_(torch.lerp(first, p.detach(), share) - mean, alpha=1 - decay)
    with torch.no_grad():
        for p, mean in zip(parameters, average):
            p.copy_(mean)


def main(path, value, steps, photos, *runs):
    filter_, mean, std = STEPS[steps]
    finish = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    plain = v2.Compose([v2.Resize(256, filter_, antialias=True), v2.CenterCrop(224), v2.PILToTensor(), *finish])
    varied = [v2.RandomResizedCrop(224, (0.35, 1.0), interpolation=filter_, antialias=True), v2.RandomHorizontalFlip()]
    varied = v2.Compose([*varied, v2.PILToTensor(), *finish])

    def read(path):
        return ImageOps.exif_transpose(Image.open(pathlib.Path(photos, path))).convert("RGB")

    table = []
    for run in map(pathlib.Path, runs):
        config = tomllib.loads((run / "config.toml").read_text())
        torch.manual_seed(config["seed"])
        rows = list(csv.DictReader(open(run / "split.csv", newline="")))
        names = sorted({row["label"] for row in rows})
        parts = {split: [row for row in rows if row["split"] == split] for split in ("train", "test")}
        images = {split: [read(row["path"]) for row in part] for split, part in parts.items()}
        labels = {s: torch.tensor([names.index(row["label"]) for row in part]) for s, part in parts.items()}
        started = time.time()
        backbone = Backbone(path, value)

        def logits(split, layer):
            with torch.no_grad():
                chunks = [images[split][i : i + 32] for i in range(0, len(images[split]), 32)]
                return torch.cat([layer(backbone(torch.stack([plain(image) for image in chunk]))) for chunk in chunks])

        features = logits("train", torch.nn.Identity()).double().numpy()
        head = first_layer(features, labels["train"].numpy(), len(names))
        frozen = scores(logits("test", head), labels["test"])
        fine_tune(backbone, head, images["train"], labels["train"], varied, config)
        tuned = scores(logits("test", head), labels["test"])
        seconds = time.time() - started
        summary = json.loads((run / "summary.json").read_text())
        table.append([summary["accuracy"], summary["loss"], *tuned, *frozen])
        print(f"{run.name}: ours {100 * summary['accuracy']:.2f} % {summary['loss']:.4f} in {summary['seconds']:.0f} s, "
              f"PyTorch {100 * tuned[0]:.2f} % {tuned[1]:.4f} in {seconds:.0f} s (frozen {100 * frozen[0]:.2f} % "
              f"{frozen[1]:.4f})", flush=True)
    columns = ["ours, accuracy", "ours, loss", "PyTorch, accuracy", "PyTorch, loss", "frozen, accuracy", "frozen, loss"]
    for column, values in zip(columns, np.array(table).T):
        error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        print(f"{column}: {np.mean(values):.4f} (standard error {error:.4f}, {len(values)} seeds)")


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
