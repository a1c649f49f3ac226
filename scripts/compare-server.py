#!/usr/bin/env python3
"""Answers per second of the server example with `for_server()` beside the sessions of `Classifier::open`.

    scripts/compare-server.py MODEL.onnx PHOTOS [--bin DIR] [--clients 8] [--seconds 10] [--rounds 3]

Each of so many clients sends photos of the folder PHOTOS one after the other, a connection for each. The two servers take
turns; one runs at a time. Prints the answers per second of each round, their medians and the median of the ratios. DIR
holds the example: `cargo build --release --workspace --examples`.
"""

import argparse
import http.client
import statistics
import subprocess
import threading
import time
from pathlib import Path


def load(port, photos, clients, seconds):
    """Answers per second, and the median and the 99th percentile of the milliseconds of an answer."""
    ends, times = time.monotonic() + seconds, []

    def client(number):
        index = number
        while time.monotonic() < ends:
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("POST", "/", photos[index % len(photos)])
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise SystemExit(f"compare-server: {answer.status} {text.decode()}")
            times.append(1e3 * (time.monotonic() - started))
            index += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.monotonic() - started)
    return rate, statistics.median(times), statistics.quantiles(times, n=100)[98]


def measure(program, photos, args):
    with subprocess.Popen([*program, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            load(port, photos, args.clients, 1)
            return load(port, photos, args.clients, args.seconds)
        finally:
            server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--bin", type=Path, default=Path(__file__).parent.parent / "target/release/examples")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(args.photos.rglob("*.jpg"))]
    if not photos:
        parser.error(f"`{args.photos}` has no JPEG files")
    programs = {name: [args.bin / "server", args.model, *more] for name, more in [("for_server", []), ("open", ["open"])]}
    rates = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, program in programs.items():
            rate, median, tail = measure([str(part) for part in program], photos, args)
            rates[name].append(rate)
            print(f"{name}: {rate:.1f} answers/s, {median:.1f} ms, 99 % within {tail:.1f} ms", flush=True)
    ratio = statistics.median(a / b for a, b in zip(rates["for_server"], rates["open"]))
    print(*(f"{name} {statistics.median(values):.1f}/s" for name, values in rates.items()), f"ratio {ratio:.2f}", sep=", ")


main()
