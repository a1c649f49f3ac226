"""Pairs of figures to a Markdown table: medians, and the paired ratio's median and 95 % interval.

python3 scripts/compare-onnxruntime/intervals.py PAIRS UNIT; a line of PAIRS is `name ours theirs`.
The interval is Student's t over the logarithms of the ratios.
"""

import math
import statistics
import sys

# Quantile 0.975 of Student's t for 1 to 20 degrees of freedom.
T = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
]  # fmt: skip


def interval(ratios):
    if len(ratios) < 2:
        return "not known"
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.fmean(logs)
    freedom = len(logs) - 1
    t = T[freedom - 1] if freedom <= len(T) else 1.96 + 2.5 / freedom
    reach = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(middle - reach):.3f} to {math.exp(middle + reach):.3f}"


def main():
    found = {}
    with open(sys.argv[1]) as lines:
        for line in lines:
            name, ours, theirs = line.split()
            found.setdefault(name, []).append((float(ours), float(theirs)))
    unit = sys.argv[2]
    print(f"| | ours, {unit} | Python, {unit} | ours / Python, median | 95 % interval | pairs |")
    print("|---|---|---|---|---|---|")
    for name, pairs in found.items():
        ours, theirs = (statistics.median(side) for side in zip(*pairs))
        ratios = [a / b for a, b in pairs]
        print(
            f"| {name} | {ours:.4g} | {theirs:.4g} | {statistics.median(ratios):.3f} "
            f"| {interval(ratios)} | {len(pairs)} |"
        )


main()
