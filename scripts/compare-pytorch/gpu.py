"""Times inference of a network on a GPU in PyTorch (eager, torch.compile) and Python's onnxruntime.

gpu.py custom|FILE.onnx --onnx MODEL.onnx --peers pytorch_reference.py --batch 1,8,32 [--seconds S]
       [--device cuda|cpu]

The counterpart of `deploy bench`: median milliseconds of a run, one line `engine precision feed batch ms
images/s` for each. PyTorch's networks are those of the peers' script; onnxruntime runs MODEL.onnx. `host`
copies the input from pinned memory in every run and the scores back, `resident` neither. What is not
installed is left out with a line on standard error.
"""

import argparse
import importlib.util
import statistics
import sys
import time


def median_ms(call, seconds):
    end = time.perf_counter() + seconds / 2
    call()
    while time.perf_counter() < end:
        call()
    took, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 5:
        start = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - start))
    return statistics.median(took)


def say(engine, precision, feed, batch, ms):
    print(engine, precision, feed, batch, f"{ms:.4f}", f"{1e3 * batch / ms:.1f}", flush=True)


def network(name, peers):
    spec = importlib.util.spec_from_file_location("peers", peers)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if name == "custom":
        return module.CustomResNet(2)
    return module.load_resnet18(name, 2, frozen=False)


def pytorch(args, batch):
    import torch

    gpu = args.device == "cuda"
    wait = torch.cuda.synchronize if gpu else lambda: None
    for precision in ["fp32", "tf32", "fp16"] if gpu else ["fp32"]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True
        kind = torch.float16 if precision == "fp16" else torch.float32
        net = network(args.network, args.peers).eval().to(args.device, kind)
        host = torch.randn(batch, 3, 224, 224, dtype=kind)
        host = host.pin_memory() if gpu else host
        device = host.to(args.device)
        for engine in ["eager", "compile"]:
            run = net if engine == "eager" else torch.compile(net, mode="max-autotune" if gpu else None)

            def resident():
                with torch.inference_mode():
                    run(device)
                wait()

            def fed():
                with torch.inference_mode():
                    run(host.to(args.device, non_blocking=True)).cpu()

            try:
                for feed, call in [("host", fed), ("resident", resident)] if gpu else [("host", resident)]:
                    say(f"pytorch-{engine}", precision, feed, batch, median_ms(call, args.seconds))
            except Exception as error:  # a compiler may be missing
                print(f"left out pytorch-{engine} {precision}: {error}", file=sys.stderr)


def runtime(args, batch):
    import numpy as np
    import onnxruntime as ort

    gpu = args.device == "cuda"
    wanted = "CUDAExecutionProvider" if gpu else "CPUExecutionProvider"
    if wanted not in ort.get_available_providers():
        print(f"left out onnxruntime: it has no {wanted}", file=sys.stderr)
        return
    for precision in ["fp32", "tf32"] if gpu else ["fp32"]:
        options = {"use_tf32": int(precision == "tf32"), "cudnn_conv_algo_search": "EXHAUSTIVE"}
        session = ort.InferenceSession(args.onnx, providers=[(wanted, options if gpu else {})])
        if session.get_providers()[0] != wanted:
            print(f"left out onnxruntime: {wanted} does not start", file=sys.stderr)
            return
        name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
        images = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=np.float32)
        call = lambda: session.run(None, {name: images})
        say("onnxruntime", precision, "host", batch, median_ms(call, args.seconds))
        if gpu:
            binding = session.io_binding()
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(images, "cuda", 0))
            binding.bind_output(output, "cuda", 0)

            def bound():
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()

            say("onnxruntime", precision, "resident", batch, median_ms(bound, args.seconds))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--batch", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    for batch in map(int, args.batch.split(",")):
        for part in (runtime, pytorch):
            try:
                part(args, batch)
            except ImportError as error:
                print(f"left out {part.__name__}: {error}", file=sys.stderr)


main()
