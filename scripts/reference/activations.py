"""Writes tests/reference/activations.json: what PyTorch sees in ResNet18, for the tests of `trainer inspect`.

python3 scripts/reference/activations.py RESNET18 FROZEN PHOTOS

RESNET18 is the ONNX file with batch norm folded into its convolutions, FROZEN the `model.onnx` of a run
that trained a new classification layer on it (`trainer fit --backbone RESNET18`), PHOTOS the
ants-and-bees folder; none is part of this repository. Needs torch, torchvision, onnx, numpy, pillow.

The network here is torchvision's, its batch norms left out and its convolutions given biases. The first
kernels: pixels of torchvision's grid. For one photo: figures of every convolution's output, in the network
and in the course's simplified pass. For five: Grad-CAM by gradients, and Eigen-CAM by a singular value
decomposition.
"""

import json
import pathlib
import sys

import numpy
import onnx
import torch
import torchvision
from onnx import numpy_helper
from PIL import Image, ImageOps
from torchvision import transforms

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/activations.json"
PHOTOS = [
    "val/ants/10308379_1b6c72e180.jpg",
    "val/ants/Ant-1818.jpg",
    "val/bees/1032546534_06907fe3b3.jpg",
    "val/bees/59798110_2b6a3c8031.jpg",
    "val/bees/151603988_2c6f7d14c7.jpg",
]
KEPT = 16


def network(path):
    """torchvision's ResNet18 with the weights of the file, in the order of its convolutions."""
    model = onnx.load(path)
    weights = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    net = torchvision.models.resnet18(weights=None)
    convs = []
    for name, module in list(net.named_modules()):
        owner = net.get_submodule(name.rpartition(".")[0]) if "." in name else net
        child = name.rpartition(".")[2]
        if isinstance(module, torch.nn.BatchNorm2d):
            setattr(owner, child, torch.nn.Identity())
        elif isinstance(module, torch.nn.Conv2d):
            conv = torch.nn.Conv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size,
                module.stride,
                module.padding,
            )
            setattr(owner, child, conv)
            convs.append((name, conv))
    assert len(convs) == len(nodes) == 20
    for (name, conv), node in zip(convs, nodes):
        assert all(part in node.name for part in name.split(".")), (name, node.name)
        conv.weight.data, conv.bias.data = weights[node.input[1]], weights[node.input[2]]
    net.fc.weight.data, net.fc.bias.data = weights["fc.weight"], weights["fc.bias"]
    return net.eval(), convs


def head(path):
    graph = onnx.load(path).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    assert graph.node[-1].op_type == "Gemm"
    return [torch.tensor(weights[name]) for name in graph.node[-1].input[1:]]


def figures(name, output):
    """Of an output [1, C, H, W]: shape, sums, and values spread over it."""
    flat = output.detach().double().reshape(-1)
    at = [int(i) for i in numpy.linspace(0, flat.numel() - 1, KEPT)]
    return dict(
        name=name,
        shape=list(output.shape[1:]),
        mean=float(flat.mean()),
        norm=float(flat.norm()),
        at=at,
        values=[float(flat[i]) for i in at],
    )


def kernels(conv):
    """One pixel of every kernel, in colour, each kernel scaled to its own range."""
    weight = conv.weight.detach()
    grid = torchvision.utils.make_grid(weight, nrow=8, padding=0, normalize=True, scale_each=True)
    size = weight.shape[-1]
    return (grid[:, 2::size, 4::size] * 255).permute(1, 2, 0).flatten().tolist()


def hooked(net, convs, x):
    found = []
    hooks = [
        conv.register_forward_hook(lambda _, __, out, name=name: found.append(figures(name, out)))
        for name, conv in convs
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


def simplified(convs, x):
    """The course's reference: conv1, then conv1 and conv2 of every block, one behind the other."""
    found = []
    for name, conv in convs:
        if "downsample" not in name:
            x = conv(x)
            found.append(figures(name, x))
    return found


def cams(net, x):
    kept = []
    hook = net.layer4.register_forward_hook(lambda _, __, out: kept.append(out))
    logits = net(x)
    hook.remove()
    (maps,) = kept
    predicted = int(logits.argmax())
    gradient = torch.autograd.grad(logits[0, predicted], maps)[0]
    alpha = gradient.mean(dim=(2, 3), keepdim=True)  # Selvaraju et al. 2017, equation 1
    grad_cam = torch.relu((alpha * maps).sum(dim=1))[0]  # equation 2
    rows = maps[0].flatten(1).T.double()  # [H W, C]
    _, _, v = torch.linalg.svd(rows, full_matrices=False)
    eigen = rows @ v[0]
    eigen = eigen if eigen.sum() > 0 else -eigen
    scaled = grad_cam / grad_cam.max()
    fine = torch.nn.functional.interpolate(
        scaled[None, None], size=(224, 224), mode="bilinear", align_corners=False
    )[0, 0]
    return dict(
        predicted=predicted,
        logits=logits[0].tolist(),
        grad_cam=grad_cam.flatten().tolist(),
        eigen_cam=eigen.tolist(),
        resized=fine[::37, ::41].flatten().tolist(),
    )


def main():
    resnet18, frozen, photos = map(pathlib.Path, sys.argv[1:])
    net, convs = network(resnet18)
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    def picture(photo):
        image = ImageOps.exif_transpose(Image.open(photos / photo)).convert("RGB")
        return prepare(image)[None]

    first = picture(PHOTOS[3])
    report = dict(
        torch=torch.__version__.split("+")[0],
        kernels=kernels(net.conv1),
        photo=PHOTOS[3],
        network=hooked(net, convs, first),
        simplified=simplified(convs, first),
    )
    weight, bias = head(frozen)
    net.fc.weight.data, net.fc.bias.data = weight, bias
    report["head"] = dict(weight=weight.flatten().tolist(), bias=bias.tolist())
    report["cams"] = [dict(photo=photo, **cams(net, picture(photo))) for photo in PHOTOS]
    # Eight figures bring back every single-precision number that matters here.
    text = json.dumps(json.loads(json.dumps(report), parse_float=lambda v: float(f"{float(v):.8g}")))
    OUT.write_text(text + "\n")


if __name__ == "__main__":
    main()
