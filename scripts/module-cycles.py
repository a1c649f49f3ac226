#!/usr/bin/env python3
"""Finds cycles between the top-level modules of a crate, from its `use` lines and paths. Needs Python alone.

    scripts/module-cycles.py SRC...      a crate's `src` folder each; 1 and the cycles if there are any

A module and its children count as one: a child may use its parent. `lib.rs` and `main.rs` hold the crate
together and are left out, but what they re-export is followed to its module. Code under `#[cfg(test)]`,
comments and strings are not looked at.
"""

import re
import sys
from pathlib import Path

ROOTS = {"lib.rs", "main.rs"}
PATH = re.compile(r"(?<![\w:.])(?:::\s*)?((?:\w+)(?:\s*::\s*\w+)*)\s*(::\s*[{*])?")


def code_of(text):
    """The text without comments, strings and character literals; every other character stays in place."""
    out, i = [], 0
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\(?:x..|u\{[^}]*\}|.)|[^\'\\])\'',
        re.S,
    )
    for match in token.finditer(text):
        out.append(text[i : match.start()])
        out.append(re.sub(r"[^\n]", " ", match.group()))
        i = match.end()
    return "".join(out) + text[i:]


def without_tests(code):
    """The code without items that only tests have."""
    while match := re.search(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]", code):
        end, depth = match.end(), 0
        for end in range(match.end(), len(code)):
            depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(code[end], 0)
            # An item ends with its block, or with a semicolon; an attribute's bracket ends neither.
            if depth == 0 and (code[end] in "};" and code[end : end + 2] != "};"):
                break
        code = code[: match.start()] + code[end + 1 :]
    return code


def leaves(tree):
    """The paths of a `use` tree: `a::{b, c as d}` is `a::b` and `a::c`, each with the name it gets."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::") if part.strip()]
        name = alias.strip() or (parts[-1] if parts else "")
        if name == "self" and len(parts) > 1:
            name = parts[-2]
        return [(parts, name)] if parts else []
    prefix = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    inner, depth, items, start = tree[brace + 1 : tree.rfind("}")], 0, [], 0
    for i, char in enumerate(inner):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            items.append(inner[start:i])
            start = i + 1
    items.append(inner[start:])
    found = [leaf for item in items for leaf in leaves(item)]
    return [(prefix + parts, prefix[-1] if name == "self" and prefix else name) for parts, name in found]


def uses(code):
    """Every `use` of the code, and the code without them."""
    pattern = re.compile(r"\b(?:pub(?:\s*\([^)]*\))?\s+)?use\s+([^;]+);")
    found = [leaf for match in pattern.finditer(code) for leaf in leaves(match.group(1))]
    return found, pattern.sub(" ", code)


def module_path(file, src):
    """`a/b.rs` is the module `a::b`."""
    parts = list(file.relative_to(src).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "mod" else parts


def absolute(parts, module):
    """A path from the crate's root; `None` where it does not begin at this crate."""
    if parts[0] == "crate":
        return parts[1:]
    if parts[0] not in ("self", "super"):
        return None
    here = list(module)
    while parts and parts[0] in ("self", "super"):
        if parts[0] == "super":
            here = here[:-1]
        parts = parts[1:]
    return here + parts


def graph_of(src):
    """The top-level modules, and for each the others that it names, with a file that does."""
    root = {file: without_tests(code_of(file.read_text())) for file in sorted(src.iterdir()) if file.name in ROOTS}
    modules = set()
    for code in root.values():
        modules |= set(re.findall(r"\bmod\s+(\w+)\s*[;{]", code))
    exported = {}
    for code in root.values():
        for parts, name in uses(code)[0]:
            parts = parts[1:] if parts[0] in ("crate", "self") else parts
            if parts and parts[0] in modules and name:
                exported[name] = parts[0]
    edges = {module: {} for module in modules}
    for file in sorted(src.rglob("*.rs")):
        module = module_path(file, src)
        if file.name in ROOTS and file.parent == src or module[0] not in modules:
            continue
        if file.name == "tests.rs" or "tests" in module:
            continue
        code = without_tests(code_of(file.read_text()))
        listed, rest = uses(code)
        paths = [parts for parts, _ in listed]
        paths += [re.split(r"\s*::\s*", match.group(1)) for match in PATH.finditer(rest)]
        for parts in paths:
            target = absolute(parts, module)
            if not target:
                continue
            name = exported.get(target[0], target[0])
            if name in modules and name != module[0]:
                edges[module[0]].setdefault(name, file.relative_to(src))
    return edges


def cycles(edges):
    """Groups of modules that all reach each other (Tarjan's strongly connected components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(group)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def shortest(group, edges):
    """A shortest way through the group that comes back to where it began."""
    best = None
    for start in sorted(group):
        ways, seen = [[start]], {start}
        while ways:
            way = ways.pop(0)
            if start in edges[way[-1]]:
                if best is None or len(way) < len(best):
                    best = way
                break
            for other in sorted(edges[way[-1]]):
                if other in group and other not in seen:
                    seen.add(other)
                    ways.append(way + [other])
    return best


def main():
    sys.setrecursionlimit(10_000)
    wrong = False
    for src in map(Path, sys.argv[1:]):
        edges = graph_of(src)
        if not edges:
            sys.exit(f"module-cycles: {src} holds no modules")
        for group in cycles(edges):
            wrong = True
            way = shortest(group, edges)
            print(f"module-cycles: {src}: {' -> '.join(way + way[:1])}", file=sys.stderr)
            for here, there in zip(way, way[1:] + way[:1]):
                print(f"    {edges[here][there]} uses {there}", file=sys.stderr)
            if len(group) > len(way):
                print(f"    all that reach each other: {', '.join(sorted(group))}", file=sys.stderr)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
