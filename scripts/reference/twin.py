#!/usr/bin/env python3
"""Writes tests/reference/twin*: what PyTorch makes of one training step, to compare ours with.

A small CustomResNet (formulation A, width 4) is trained for 20 steps with Adam. From the states after
0, 5 and 20 steps one more step is taken on a stored batch; whole runs would diverge. One of formulation B is
trained for 5 steps.

    python3 scripts/reference/twin.py

Writes (tensors are float32 unless said otherwise):
    twin_step{0,5,20}.safetensors
        pixels [N,3,H,W] u8 (the network's input is pixels / 128 - 1, exact in float32), labels [N] i64
        before.NAME, after.NAME    parameters and running statistics before and after the step
        grad.NAME                  gradients
        exp_avg.NAME, exp_avg_sq.NAME    Adam's state before the step (none at step 0)
        logits, eval_logits [N,K]  of the state before, in training mode and in inference mode
        loss []                    of the training-mode logits
    twin_original_step5.safetensors
        the same of a network of formulation B, without Adam's state
    twin.json
        config, versions; per state the step and the loss in double precision; names of parameters
        whose gradient is zero but for rounding; how far PyTorch's own gradients move in double
        precision and in channels-last layout; learning rates; three steps of each optimiser.

Needs torch (made with 2.15).
"""
import copy
import json
import math
import pathlib
import struct

import torch
from torch import nn
from torch.nn import functional as F

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/reference"
STATES = (0, 5, 20)
CLASSES, WIDTH, CELLS, GROWTH = 2, 4, 3, 2
BATCH, HEIGHT, WIDTH_PX = 6, 64, 80
LR = 1e-3


class Cell(nn.Module):
    """Full pre-activation: y = P x + F(x)."""

    def __init__(self, cin, cout):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin)
        self.conv1 = nn.Conv2d(cin, cout, 3, 2, 1)
        self.bn2 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 2, 1)
        self.project = nn.Conv2d(cin, cout, 1, 4, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        return self.project(x) + self.conv2(F.relu(self.bn2(y)))


class OriginalCell(Cell):
    """y = relu(P x + F(x)), with batch norms after the convolutions."""

    def __init__(self, cin, cout):
        super().__init__(cin, cout)
        self.bn1 = nn.BatchNorm2d(cout)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.project(x) + self.bn2(self.conv2(y)))


class CustomResNet(nn.Module):
    def __init__(self, width, num_classes, cell=Cell):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.cells = nn.ModuleList()
        for _ in range(CELLS):
            self.cells.append(cell(width, width * GROWTH))
            width *= GROWTH
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        x = F.relu(self.bn1(F.max_pool2d(self.conv1(x), 3, 2, 1)))
        for cell in self.cells:
            x = cell(x)
        return self.fc(x.mean((2, 3)))


def draw_batch(generator):
    """Coarse noise; the second class has a bright disc, the first a dark one."""
    labels = torch.arange(BATCH) % CLASSES
    coarse = torch.rand(BATCH, 3, 8, 10, generator=generator)
    fine = torch.rand(BATCH, 3, HEIGHT, WIDTH_PX, generator=generator)
    images = 0.6 * F.interpolate(coarse, (HEIGHT, WIDTH_PX), mode="bilinear") + 0.4 * fine
    y, x = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH_PX)[None, :]
    for n in range(BATCH):
        cy, cx = (torch.rand(2, generator=generator) * 0.5 + 0.25) * torch.tensor([HEIGHT, WIDTH_PX])
        disc = (y - cy) ** 2 + (x - cx) ** 2 < 14**2
        images[n][:, disc] = images[n][:, disc] * 0.5 + 0.4 * labels[n]
    return (images * 255).round().clamp(0, 255).to(torch.uint8), labels


def network_input(pixels, dtype=torch.float32):
    return pixels.to(dtype) / 128 - 1


def state(net):
    return {k: v.clone() for k, v in net.state_dict().items() if "num_batches" not in k}


def step(net, optimiser, pixels, labels):
    net.train()
    logits = net(network_input(pixels, next(net.parameters()).dtype))
    loss = F.cross_entropy(logits, labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return logits.detach(), loss.detach()


def gradients(net, pixels, labels, channels_last=False):
    """Of a copy, which takes no step."""
    net = copy.deepcopy(net).train()
    images = network_input(pixels, next(net.parameters()).dtype)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    loss = F.cross_entropy(net(images), labels)
    loss.backward()
    return loss.item(), {k: p.grad.double() for k, p in net.named_parameters()}


def save(path, tensors):
    """safetensors: length of the header, header in JSON, data."""
    names = {torch.float32: "F32", torch.uint8: "U8", torch.int64: "I64"}
    # Wide types first keeps every tensor aligned.
    order = sorted(tensors, key=lambda k: (-tensors[k].element_size(), k))
    header, data = {}, b""
    for name in order:
        tensor = tensors[name].detach().contiguous()
        raw = tensor.numpy().tobytes()
        header[name] = dict(dtype=names[tensor.dtype], shape=list(tensor.shape),
                            data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def snapshot(net, optimiser, at, generator, file="twin", moments_too=True):
    """One step from here on a batch of its own, on copies; writes the file, hands back the facts."""
    pixels, labels = draw_batch(generator)
    tensors = {"pixels": pixels, "labels": labels}
    tensors |= {f"before.{k}": v for k, v in state(net).items()}
    with torch.no_grad():
        tensors["eval_logits"] = copy.deepcopy(net).eval()(network_input(pixels))
    loss64, grad64 = gradients(copy.deepcopy(net).double(), pixels, labels)
    _, grad_last = gradients(net, pixels, labels, channels_last=True)

    saved = copy.deepcopy(optimiser.state_dict())
    net = copy.deepcopy(net)
    optimiser = torch.optim.Adam(net.parameters(), LR)
    optimiser.load_state_dict(saved)
    for name, parameter in net.named_parameters():
        moments = optimiser.state.get(parameter)
        if moments and moments_too:
            assert int(moments["step"]) == at
            tensors[f"exp_avg.{name}"] = moments["exp_avg"].clone()
            tensors[f"exp_avg_sq.{name}"] = moments["exp_avg_sq"].clone()
    tensors["logits"], tensors["loss"] = step(net, optimiser, pixels, labels)
    grads = {k: p.grad.clone() for k, p in net.named_parameters()}
    tensors |= {f"grad.{k}": v for k, v in grads.items()}
    tensors |= {f"after.{k}": v for k, v in state(net).items()}
    save(OUT / f"{file}_step{at}.safetensors", tensors)

    largest = max(g.norm().item() for g in grads.values())
    zero = [k for k, g in grad64.items() if g.norm() < 1e-9 * largest]

    def apart(other):
        names = [k for k in grads if k not in zero]
        return max(((grads[k] - other[k]).norm() / other[k].norm()).item() for k in names)

    facts = dict(step=at, loss=loss64, double_precision=apart(grad64), channels_last=apart(grad_last))
    return facts, zero


def learning_rates():
    def run(make, values):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], LR)
        scheduler = make(optimiser)
        rates = []
        for value in values:
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step(*([] if value is None else [value]))
        return rates + [optimiser.param_groups[0]["lr"]]

    schedulers = torch.optim.lr_scheduler
    losses = [1.0, 0.9, 0.8, 0.81, 0.79, 0.7]
    losses += [0.7 - 1e-6 * i for i in range(1, 8)]  # better by less than 1e-4 of the best: no progress
    losses += [0.7 * (1 - 2e-4)]  # enough
    losses += [0.75] * 10 + [0.6]  # 10 bad epochs are borne
    losses += [0.65] * 11 + [0.62] * 5  # the 11th is not
    losses += [0.6 * (1 - 1e-4)] * 3 + [0.59] + [0.595] * 14 + [0.5]
    losses += [0.51] * 70  # down to where a reduction is below 1e-8 and left out
    plateau = dict(losses=losses, rates=run(schedulers.ReduceLROnPlateau, losses))
    other = dict(factor=0.5, patience=2, losses=[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.4, 0.45])
    other["rates"] = run(
        lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=2), other["losses"])
    cosine = [
        dict(t_max=n, rates=run(lambda o: schedulers.CosineAnnealingLR(o, n), [None] * n))
        for n in (1, 7, 10)
    ]
    steps = [
        dict(step_size=n, gamma=g, rates=run(lambda o: schedulers.StepLR(o, n, g), [None] * 12))
        for n, g in ((3, 0.1), (7, 0.1), (5, 0.5))
    ]
    return dict(lr=LR, plateau=plateau, plateau_short=other, cosine=cosine, step=steps)


def optimisers():
    """Three steps of each on two tensors with given gradients."""
    generator = torch.Generator().manual_seed(3)
    shapes = dict(weight=(2, 3), bias=(3,))
    start = {k: torch.randn(s, generator=generator) for k, s in shapes.items()}
    grads = [{k: torch.randn(s, generator=generator) * 0.1 for k, s in shapes.items()} for _ in range(3)]
    grads[1]["bias"].zero_()

    def flat(tensors):
        return {k: v.detach().flatten().tolist() for k, v in tensors.items()}

    result = dict(shapes=shapes, start=flat(start), gradients=[flat(g) for g in grads], runs=[])
    kinds = [
        ("adam", dict(lr=1e-3), torch.optim.Adam),
        ("adamw", dict(lr=1e-3, weight_decay=1e-2), torch.optim.AdamW),
        ("sgd", dict(lr=1e-2, momentum=0.9), torch.optim.SGD),
    ]
    for name, options, make in kinds:
        parameters = {k: nn.Parameter(v.clone()) for k, v in start.items()}
        optimiser = make(parameters.values(), **options)
        after = []
        for gradient in grads:
            for key, parameter in parameters.items():
                parameter.grad = gradient[key].clone()
            optimiser.step()
            after.append(flat(parameters))
        result["runs"].append(dict(optimizer=name, **options, after=after))
    return result


def original():
    """A network of formulation B after five steps."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    net = CustomResNet(WIDTH, CLASSES, OriginalCell)
    optimiser = torch.optim.Adam(net.parameters(), LR)
    for _ in range(5):
        step(net, optimiser, *draw_batch(generator))
    print(snapshot(net, optimiser, 5, torch.Generator().manual_seed(105), "twin_original", moments_too=False))


def main():
    torch.set_num_threads(1)
    original()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    net = CustomResNet(WIDTH, CLASSES)
    optimiser = torch.optim.Adam(net.parameters(), LR)
    facts, zeros, losses = [], [], []
    for at in range(max(STATES) + 1):
        if at in STATES:
            fact, zero = snapshot(net, optimiser, at, torch.Generator().manual_seed(100 + at))
            facts.append(fact)
            zeros.append(zero)
        pixels, labels = draw_batch(generator)
        losses.append(step(net, optimiser, pixels, labels)[1].item())
    assert all(zero == zeros[0] for zero in zeros) and all(map(math.isfinite, losses))
    text = dict(
        about="one training step in PyTorch; written by scripts/reference/twin.py",
        torch=torch.__version__.split("+")[0],
        config=dict(num_classes=CLASSES, width=WIDTH, cells=CELLS, growth=GROWTH),
        num_parameters=sum(p.numel() for p in net.parameters()),
        lr=LR, losses_of_the_run=losses, states=facts, zero_gradients=zeros[0],
        schedules=learning_rates(), optimizers=optimisers(),
    )
    (OUT / "twin.json").write_text(json.dumps(text, indent=1) + "\n")
    for path in sorted(OUT.glob("twin*")):
        print(path.name, path.stat().st_size)
    print(json.dumps(facts, indent=1), zeros[0], losses)


if __name__ == "__main__":
    main()
