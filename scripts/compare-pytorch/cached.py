"""A PyTorch user who computes the frozen features once: the peer's fit, but for that.

python3 cached.py --peers FILE --data DIR --weights FILE --views V [--epochs N] [--seed N] [--threads N]

Features of V views of each training image (one plain, the others augmented), of the validation and
of the test images; then the head, the export and the check of the export, as the peer does them.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time

START = time.perf_counter()
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms


def features(net, data, batch, workers):
    rows, labels = [], []
    with torch.no_grad():
        for x, y in DataLoader(data, batch_size=batch, num_workers=workers):
            rows.append(net(x))
            labels.append(y)
    return torch.cat(rows), torch.cat(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--views", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    spec = importlib.util.spec_from_file_location("peer", a.peers)
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    torch.manual_seed(a.seed)
    if a.threads:
        torch.set_num_threads(a.threads)
    tail = [transforms.ToTensor(), transforms.Normalize(peer.MEAN, peer.STD)]
    plain = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *tail])
    varied = transforms.Compose(
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *tail]
    )
    folder = lambda part, how: datasets.ImageFolder(os.path.join(a.data, part), how)
    full, again = folder("train", plain), folder("train", varied)
    n = int(0.9 * len(full))
    split = lambda data: random_split(data, [n, len(data) - n], torch.Generator().manual_seed(a.seed))
    net = peer.load_resnet18(a.weights, len(full.classes), True)
    head, net.fc = net.fc, nn.Identity()
    net.eval()
    views = [features(net, split(full)[0], a.batch, a.workers)]
    views += [features(net, split(again)[0], a.batch, a.workers) for _ in range(a.views - 1)]
    val_x, val_y = features(net, split(full)[1], a.batch, a.workers)
    loss_fn, best, best_state = nn.CrossEntropyLoss(), -1.0, None
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for epoch in range(a.epochs):
        x, y = views[epoch % len(views)]
        for batch in torch.randperm(n).split(a.batch):
            optimizer.zero_grad()
            loss_fn(head(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            out = head(val_x)
        scheduler.step(loss_fn(out, val_y))
        accuracy = (out.argmax(1) == val_y).float().mean().item()
        if accuracy >= best:
            best, best_state = accuracy, {k: v.clone() for k, v in head.state_dict().items()}
    head.load_state_dict(best_state)
    with torch.no_grad():
        x, y = features(net, folder("val", plain), a.batch, a.workers)
        logits = head(x)
    net.fc = head
    out = os.path.join(tempfile.gettempdir(), f"cached-{os.getpid()}.onnx")
    torch.onnx.export(net, torch.zeros(1, 3, 224, 224), out, input_names=["image"],
                      output_names=["logits"], opset_version=17, dynamo=False,
                      dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}})
    import onnxruntime
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    few = torch.stack([full[i][0] for i in range(16)])
    session.run(None, {"image": few.numpy()})
    os.remove(out)
    print(json.dumps(dict(wall_s=round(time.perf_counter() - START, 2),
                          test_acc=round((logits.argmax(1) == y).float().mean().item(), 4),
                          test_loss=round(loss_fn(logits, y).item(), 4))))


main()
