"""Writes tests/reference/kernels.safetensors: convolution, batch norm and max-pool in PyTorch.

python3 scripts/reference/kernels.py

Inputs are drawn; outputs and the gradients of sum(output * weights) follow. Each case has tensors
NAME.x, NAME.w, ..., NAME.y, NAME.gy (the weights of the sum), NAME.gx and so on.
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/kernels.safetensors"
# Name: input, output channels, kernel, stride, padding. Few channels, wide 3 x 3, all others.
CONVOLUTIONS = {
    "direct": ([1, 3, 23, 37], 6, 7, 2, 3),
    "winograd": ([2, 33, 7, 5], 34, 3, 1, 1),
    "im2col": ([3, 5, 9, 8], 7, 3, 2, 1),
}


def draw(*shape):
    return torch.rand(shape) * 2 - 1


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tensors = {}

    def case(name, inputs, run):
        for tensor in inputs.values():
            tensor.requires_grad_()
        y = run(**inputs)
        gy = draw(*y.shape)
        (y * gy).sum().backward()
        tensors[f"{name}.y"], tensors[f"{name}.gy"] = y, gy
        for key, tensor in inputs.items():
            tensors[f"{name}.{key}"], tensors[f"{name}.g{key}"] = tensor, tensor.grad

    for name, (shape, out, kernel, stride, padding) in CONVOLUTIONS.items():
        inputs = dict(x=draw(*shape), w=draw(out, shape[1], kernel, kernel), b=draw(out))
        case(name, inputs, lambda x, w, b: F.conv2d(x, w, b, stride, padding))
    inputs = dict(x=draw(3, 5, 7, 9) + 2, w=draw(5), b=draw(5))
    mean, var = draw(5) + 2, draw(5) + 1.5
    tensors["fixed.mean"], tensors["fixed.var"] = mean, var
    case("norm", inputs, lambda x, w, b: F.relu(F.batch_norm(x, None, None, w, b, True)))
    inputs = {key: tensor.detach().clone() for key, tensor in inputs.items()}
    case("fixed", inputs, lambda x, w, b: F.relu(F.batch_norm(x, mean, var, w, b, False)))
    # Few different values: many ties.
    x = torch.randint(0, 4, (2, 3, 11, 14)).float()
    case("pool", dict(x=x), lambda x: F.max_pool2d(x, 3, 2, 1))
    save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, OUT)


if __name__ == "__main__":
    main()
