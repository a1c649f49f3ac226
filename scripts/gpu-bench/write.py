"""Writes docs/benchmarks/gpu.md from what scripts/gpu-bench.sh gathered.

python3 scripts/gpu-bench/write.py FOLDER OUT.md
"""

import json
import pathlib
import statistics
import sys


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def ours(folder):
    """(model, engine, precision, feed, batch) -> medians of the rounds; top-1; what was left out."""
    times, top1, skipped, findings = {}, {}, {}, {}
    for path in sorted(folder.glob("ours-*.json")):
        findings = json.loads(path.read_text())
        for r in findings["results"]:
            model = pathlib.Path(r["model"]).stem
            engine = "deploy " + r["provider"].split(":")[0]
            key = (model, engine, r["precision"], r["feed"], r["batch"])
            # The p50 of few runs is left out of `latency_ms`; the median block serves as well.
            p50 = r["latency_ms"]["p50"] or statistics.median(b["mean_ms"] for b in r["blocks"])
            times.setdefault(key, []).append(p50)
            if "top1" in r:
                top1[key] = (r["top1"], len(r["accuracy"]["flips"]))
        for left in findings.get("skipped", []):
            skipped[left["reason"]] = skipped.get(left["reason"], 0) + 1
    return times, top1, skipped, findings


def theirs(folder):
    times = {}
    for line in lines(folder / "theirs") + lines(folder / "trtexec"):
        model, engine, precision, feed, batch, ms, *_ = line.split()
        times.setdefault((model, engine, precision, feed, int(batch)), []).append(float(ms))
    return times


def table(title, times, top1, model):
    rows = {}
    for (name, engine, precision, feed, batch), found in times.items():
        if name == model:
            rows.setdefault((precision, feed, batch), {})[engine] = statistics.median(found)
    engines = sorted({engine for row in rows.values() for engine in row})
    yield f"## {title}"
    yield ""
    yield "Milliseconds of a run, medians of the rounds' medians."
    yield ""
    yield "| precision | input | batch | " + " | ".join(engines) + " | deploy's best, images/s | top-1, flips |"
    yield "|---|---|---|" + "---|" * (len(engines) + 2)
    for precision, feed, batch in sorted(rows):
        row = rows[precision, feed, batch]
        cells = [f"{row[engine]:.3f}" if engine in row else "" for engine in engines]
        own = {engine: ms for engine, ms in row.items() if engine.startswith("deploy")}
        rate, scored = "", ""
        if own:
            best = min(own, key=own.get)
            rate = f"{1e3 * batch / own[best]:.0f}"
            if (model, best, precision, feed, batch) in top1:
                share, flips = top1[model, best, precision, feed, batch]
                scored = f"{100 * share:.2f} %, {flips}"
        yield f"| {precision} | {feed} | {batch} | " + " | ".join([*cells, rate, scored]) + " |"
    yield ""


def report(folder):
    times, top1, skipped, findings = ours(folder)
    times.update(theirs(folder))
    versions = lines(folder / "versions")
    rehearsal = versions[:1] == ["rehearsal"]
    yield "# Measured on a GPU"
    yield ""
    if rehearsal:
        yield "**A rehearsal on a CPU: no figure here is a GPU's.**"
        yield ""
    machine = findings.get("machine", {})
    gpus = [line[4:] for line in versions if line.startswith("gpu ")]
    others = [line for line in versions if not line.startswith(("gpu ", "rehearsal"))]
    yield f"{'; '.join(gpus) or 'no GPU'} (name, driver, memory); {machine.get('cores')} cores of"
    yield f"{machine.get('processor')}; ONNX Runtime {findings.get('runtime')}; {'; '.join(others)};"
    yield f"{findings.get('date')}. Written by `scripts/gpu-bench.sh`."
    yield ""
    yield "`deploy bench` ran in turn with the others, on the same card. How it measures: [method](../bench-method.md)."
    yield "`host`: the input comes from pinned memory in every run; `resident`: it is on the card."
    yield ""
    for model, title in [("custom", "The custom network"), ("resnet18", "ResNet18")]:
        yield from table(title, times, top1, model)
    evaluated = [line.split() for line in lines(folder / "eval")]
    if evaluated:
        yield "## `deploy eval` on the test set, the whole process"
        yield ""
        yield "| model | provider | | process, ms | images/s | accuracy |"
        yield "|---|---|---|---|---|---|"
        for row in evaluated:
            yield "| " + " | ".join(row) + " |"
        yield ""
    fitted = [line.split() for line in lines(folder / "fit")]
    if fitted:
        yield "## `trainer fit --device cuda`, the whole process"
        yield ""
        for model, ms in fitted:
            yield f"- {model}: {int(ms) / 1e3:.1f} s"
        yield ""
    yield "## Commands"
    yield ""
    yield from (f"    {line}" for line in lines(folder / "commands"))
    yield ""
    notes = lines(folder / "notes") + sorted(set(lines(folder / "left-out")))
    notes += [f"{count} configurations left out: {' '.join(reason.split())}" for reason, count in skipped.items()]
    if notes:
        yield "## Not measured"
        yield ""
        for note in notes:
            yield f"- {note}"
        yield ""


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.write_text("\n".join(report(folder)))


main()
