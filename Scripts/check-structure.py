#!/usr/bin/env python3
"""Checks what no compiler does of how the sources are put together.

1. No cast (`as?`, `as!`, `is`) to a concrete adapter type outside of the file that declares it and of
   its codec: what an adapter does is said by its effect.
2. No circle among the folders of a module. A folder refers to another if one of its files names a
   type that is declared in the other; a file that lies in the module's own folder stands for itself.

usage: Scripts/check-structure.py [--graph MODULE]
"""

import re
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "Sources"

# Casts that may stay, with the reason: (file, type).
ALLOWED_CASTS = {}
# Edges that are not counted, with the reason: (module, from, to).
ALLOWED_EDGES = {}

DECLARATION = re.compile(
    r"^(?:(?:public|package|internal|private|fileprivate|open|final|indirect|nonisolated)\s+)*"
    r"(?:struct|class|enum|protocol|actor|typealias)\s+(\w+)([^{]*)", re.MULTILINE)
ADAPTER = re.compile(r":.*\b(?:LinearAdapter|LowRankAdapter)\b", re.DOTALL)


def code_of(text):
    """The text without comments and the contents of strings, line by line."""
    text = re.sub(r'"""(?:\\.|[^\\])*?"""', '""', text, flags=re.DOTALL)
    text = re.sub(r'#"(?:[^"]|"(?!#))*"#', '""', text)
    text = re.sub(r'"(?:\\\((?:[^()]|\([^()]*\))*\)|\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def is_private(line):
    return re.search(r"\b(?:file)?private\b", line.split("struct")[0].split("class")[0].split(
        "enum")[0].split("protocol")[0].split("typealias")[0]) is not None


def circles(edges):
    """The strongly connected components of more than one node, by Tarjan's algorithm."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                result.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return result


def main():
    graph = sys.argv[2] if sys.argv[1:2] == ["--graph"] else None
    problems = []
    files = {path: code_of(path.read_text()) for path in sorted(SOURCES.rglob("*.swift"))}
    adapters = {}
    for path, code in files.items():
        for match in DECLARATION.finditer(code):
            if re.search(r"\bclass\s", match.group(0)) and ADAPTER.search(match.group(2)):
                adapters[match.group(1)] = path
    if len(adapters) < 6:
        problems.append(f"only {len(adapters)} adapter types were found: has the pattern aged?")
    cast = re.compile(r"\b(?:as[?!]|is)\s+(?:any\s+)?(?:\w+\.)*(" + "|".join(adapters) + r")\b")
    for path, code in files.items():
        for match in cast.finditer(code):
            name = match.group(1)
            place = str(path.relative_to(SOURCES))
            if path == adapters[name] or (place, name) in ALLOWED_CASTS:
                continue
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"Sources/{place}:{line}: a cast to {name}; ask for its effect instead")

    for module in sorted(path for path in SOURCES.iterdir() if path.is_dir()):
        own = {path: code for path, code in files.items() if module in path.parents}
        folder = {path: path.relative_to(module).parts[0] for path in own}
        declared = {}
        for path, code in own.items():
            for match in DECLARATION.finditer(code):
                if not is_private(match.group(0)):
                    declared.setdefault(match.group(1), set()).add(folder[path])
        names = re.compile(r"(?<![\w.])(" + "|".join(declared) + r")\b") if declared else None
        edges = {}
        for path, code in own.items():
            here = folder[path]
            edges.setdefault(here, {})
            for match in names.finditer(code) if names else []:
                for there in declared[match.group(1)]:
                    # A name that is declared in two folders is taken for the nearer one.
                    if there == here or here in declared[match.group(1)]:
                        continue
                    if (module.name, here, there) in ALLOWED_EDGES:
                        continue
                    line = code.count("\n", 0, match.start()) + 1
                    edges[here].setdefault(there, []).append(
                        f"{path.relative_to(SOURCES)}:{line} names {match.group(1)}")
        if graph == module.name:
            for here in edges:
                for there, places in edges[here].items():
                    print(f"{here} -> {there}: {len(places)}, as {places[0]}")
        for circle in circles(edges):
            if all(place.endswith(".swift") for place in circle):
                continue
            lines = [f"Sources/{module.name}: the folders {', '.join(circle)} refer to each other in a circle:"]
            for here in circle:
                for there in circle:
                    for place in edges[here].get(there, [])[:3]:
                        lines.append(f"    {here} -> {there}: Sources/{place}")
            problems.append("\n".join(lines))
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
