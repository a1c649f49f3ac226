#!/usr/bin/env python3
"""Checks that the files which the documents name exist. Needs Python alone; 1 and the names if there are others.

A name in code font counts that starts with a folder of the tree (`trainer/src/train.rs`), and after it on the
same line a shorter one (`train/`, `history.rs`), which is looked for beside it, in its crate and in its folder.
`NAME` stands for a name that the reader chooses.
"""

import re
import sys
from pathlib import Path

FOLDERS = ("console", "data", "deploy", "docs", "models", "onnx", "scripts", "tests", "trainer")
root = Path(__file__).resolve().parent.parent
missing = []
for document in [*root.glob("*.md"), *root.glob("docs/**/*.md")]:
    if document.name == "CHANGELOG.md":
        continue  # Old versions had other files.
    for number, line in enumerate(document.read_text().splitlines(), 1):
        near = None
        for name in re.findall(r"`([\w./-]+)`", line):
            if "NAME" in name:
                continue
            if name.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
                near, places = root / name, [root / name]
            elif near and "/src/" in f"{near}/" and re.fullmatch(r"[\w/-]+(?:\.rs|/)", name):
                source = Path(str(near).split("/src")[0]) / "src"
                places = [source / name, near.parent / name, near.with_suffix("") / name]
            else:
                continue
            if not any(place.exists() for place in places):
                missing.append(f"{document.relative_to(root)}:{number}: no `{name}`")
print("\n".join(missing) or "check-paths: every file that the documents name is there")
sys.exit(bool(missing))
