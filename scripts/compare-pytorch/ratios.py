"""Pairs of milliseconds to a Markdown table, and to a JSON file when one is named.

python3 scripts/compare-pytorch/ratios.py PAIRS [JSON]; a line of PAIRS is `name ours theirs`.
"""

import json
import statistics
import sys


def summary(name, pairs):
    ratios = [ours / theirs for ours, theirs in pairs]
    ours, theirs = (statistics.median(side) for side in zip(*pairs))
    return {
        "name": name,
        "ours_ms": round(ours, 2),
        "peer_ms": round(theirs, 2),
        "ratio": round(statistics.median(ratios), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "pairs": len(pairs),
    }


def time(ms):
    return f"{ms / 1e3:.1f} s" if ms >= 1e4 else f"{ms:.0f} ms"


def main():
    found = {}
    with open(sys.argv[1]) as lines:
        for line in lines:
            name, ours, theirs = line.split()
            found.setdefault(name, []).append((float(ours), float(theirs)))
    results = [summary(name, pairs) for name, pairs in found.items()]
    print("\n| | ours, median | PyTorch, median | ratio, median | ratio, range | pairs |")
    print("|---|---|---|---|---|---|")
    for r in results:
        print(
            f"| {r['name']} | {time(r['ours_ms'])} | {time(r['peer_ms'])} | {r['ratio']:.2f} "
            f"| {r['low']:.2f} to {r['high']:.2f} | {r['pairs']} |"
        )
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w") as file:
            json.dump(results, file, indent=2)


main()
