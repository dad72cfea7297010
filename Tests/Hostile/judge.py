"""What is wrong with what a command did; each finding is (kind, words)."""

import dataclasses
import json
import math
import os
import re
import stat

import oracle
from tensorfiles import (
    GGUF_TYPES, Malformed, entry_is_finite, floats, is_finite, read_gguf, read_safetensors)

# Control characters, and what surrogateescape makes of bytes that are no UTF-8.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\udc80-\udcff]")
NOT_FINITE = re.compile(r"(?<![\w.'\"/-])-?(?:nan|inf|infinity)(?![\w'\"/-])", re.IGNORECASE)


def picture(folder):
    """What lies in a folder: type and content of everything, without following links."""
    result = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                result[path] = ("link", os.readlink(path))
            elif stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    result[path] = ("file", file.read())
            else:
                result[path] = (stat.S_IFMT(mode), None)
    return result


def judged(case, run, before):
    """The findings of a run; `before` is the picture of the inputs."""
    if run.timed_out and case.is_endless:
        return []
    findings = list(ended(case, run))
    findings += printed(case, run)
    findings += untouched(before)
    findings += left_over(case, run)
    if run.status == 0:
        findings += written()
    if run.status == 0 and "input touched" not in dict(findings):
        try:
            findings += kept(case, run, before)
        except (oracle.Unsure, OSError):
            pass
    return findings


def judged_back(case, run, before):
    """The findings of the second conversion, which leads back to where the first came from."""
    format, path, strength = case.adapters[0]
    back = dataclasses.replace(
        case, arguments=case.back, to=format, output=case.back[-1], model="", tuned="")
    findings = [*ended(back, run), *printed(back, run), *untouched(before)]
    if run.status == 0 and not findings:
        findings += written()
        try:
            marks = [(oracle.read(format, path, None, case.linear), strength)]
            findings += same(back, run, marks)
        except (oracle.Refusable, oracle.Unsure, OSError):
            pass
    return findings


# MARK: how it ended


def ended(case, run):
    if run.timed_out:
        yield "hang", f"still running after {run.seconds:.0f} s"
    elif run.status < 0:
        last = [l for l in run.stderr.splitlines() if "Fatal error" in l or "rror" in l][:1]
        yield "signal", f"signal {-run.status} {' '.join(last)[:200]}"
    elif run.status not in (0, 1, 64):
        yield "status", f"status {run.status}"
    if run.peak > 1 << 30:
        yield "memory", f"{run.peak >> 20} MiB"
    if run.status > 0 and not re.search(r"^error: .*\w", run.stderr, re.MULTILINE):
        yield "no message", f"status {run.status}: {run.stderr[:200]!r}"
    if run.status > 0 and re.search(r"^error: .*(Fatal|\.swift:\d+|Optional\()", run.stderr):
        yield "message", run.stderr[:200]


def printed(case, run):
    is_text = case.command == "generate" and "--json" not in case.arguments
    is_typed = any(map(re.compile(CONTROL.pattern + "|FORGED").search, case.arguments))
    for name, text in (("stdout", run.stdout), ("stderr", run.stderr)):
        # What a model says is for pipes too; what somebody typed is theirs.
        if is_text and name == "stdout" or is_typed:
            continue
        match = CONTROL.search(text)
        if match:
            yield f"raw bytes on {name}", repr(text[max(0, match.start() - 40) : match.end() + 20])
        if re.search(r"^FORGED", text, re.MULTILINE):
            yield f"a line of a file's on {name}", repr(text[:120])
    if run.status != 0:
        return
    if "--json" in case.arguments:
        try:
            json.loads(run.stdout, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            yield "no JSON", f"{error}: {run.stdout[:120]!r}"
    elif not is_text:
        match = NOT_FINITE.search(run.stdout)
        if match:
            line = run.stdout[: match.end()].splitlines()[-1]
            yield "not finite, printed", line[-160:]


def _refuse(text):
    raise ValueError(f"a number is {text}")


def _finite(text):
    if not math.isfinite(float(text)):
        raise ValueError(f"a number is {text}")
    return float(text)


# MARK: files


def untouched(before):
    if not stat.S_ISFIFO(os.lstat("pipe").st_mode):
        yield "input touched", "a FIFO was replaced by a file"
    after = picture("in")
    if after == before:
        return
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            how = "gone" if path not in after else "new" if path not in before else "changed"
            yield "input touched", f"{path} is {how}"
            return


def left_over(case, run):
    for root, folders, files in os.walk("tmp"):
        for name in folders + files:
            yield "leftover", f"in TMPDIR: {name[:5]}..."
            break
        break
    there = [os.path.join(r, n) for r, fs, ns in os.walk("out") for n in fs + ns]
    for path in there:
        name = os.path.basename(path)
        if name.startswith(".") or name.endswith(".tmp"):
            yield "leftover", f"beside the output: {name[:20]}"
    if run.status != 0 and there and not (case.command == "train" and "learned" in run.stderr):
        kept = [p for p in there if not p.endswith("log.jsonl")]
        if kept:
            yield "output after a failure", ", ".join(sorted(kept))[:160]


def written():
    """Numbers that are not finite in what was written."""
    for root, _, files in os.walk("out"):
        for name in files:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                content = file.read()
            if name.endswith(".json") or name.endswith(".jsonl"):
                lines = content.splitlines() if name.endswith("l") else [content]
                for line in lines:
                    try:
                        json.loads(line, parse_constant=_refuse, parse_float=_finite)
                    except (ValueError, RecursionError) as error:
                        # A tokenizer's files are copied as they are.
                        if name in ("adapter_config.json", "config.json", "log.jsonl"):
                            yield "wrote bad JSON", f"{path}: {error}"
            elif name.endswith(".svg"):
                if NOT_FINITE.search(content.decode("utf-8", "replace")):
                    yield "not finite, written", path
            elif content[:4] == b"GGUF":
                try:
                    bad = [e.name for e in read_gguf(content).entries if not entry_is_finite(e)]
                except (Malformed, KeyError) as error:
                    yield "wrote a bad file", f"{path}: {error}"
                else:
                    if bad:
                        yield "not finite, written", f"{path}: {bad[0]}"
            elif name.endswith(".safetensors"):
                try:
                    tensors, _ = read_safetensors(content)
                except Malformed as error:
                    yield "wrote a bad file", f"{path}: {error}"
                else:
                    bad = [t.name for t in tensors.values() if not is_finite(t.dtype, t.data)]
                    if bad:
                        yield "not finite, written", f"{path}: {bad[0]}"


# MARK: what must not be lost


def kept(case, run, before):
    """What the program took although it should not, and what it lost."""
    if case.command == "inspect" and '"kind":"safetensors"' in run.stdout.replace(" ", ""):
        return
    marks, unsure = [], False
    for format, path, strength in case.adapters:
        try:
            marks.append((oracle.read(format, path, case.alpha, case.linear), strength))
        except oracle.Refusable as error:
            if case.command != "inspect" or "adapter" in run.stdout.split("\n")[0]:
                yield "taken", str(error)
            return
        except oracle.Unsure:
            unsure = True
    if case.model and case.command != "inspect":
        yield from complete(case)
    if unsure:
        return
    if case.command == "merge" and case.output and marks:
        yield from merged(case, marks[0])
    elif case.command == "extract" and case.output:
        yield from extracted(case)
    elif case.command == "inspect" and marks and "--json" in case.arguments:
        yield from described(run, marks[0][0])
    elif case.to and case.output and marks:
        yield from (same if case.is_exact else named)(case, run, marks)


def same(case, run, marks):
    alpha = None
    if case.to == "loralib":
        match = re.search(r"read it with ([-+.e\d]+)", run.stdout)
        alpha = float(match[1]) if match else None
    try:
        after = oracle.read(case.to, case.output, alpha)
    except oracle.Refusable as error:
        yield "wrote what is refusable", str(error)
        return
    if len(marks) == 1:
        adapter, strength = marks[0]
        adapter.layers = {p: m.scaled(strength) for p, m in adapter.layers.items()}
        if case.command == "combine":
            adapter.extras = {}
        problem = oracle.lost(adapter, after)
        if problem:
            yield "lost", problem
        return
    for path in {p for adapter, _ in marks for p in adapter.layers}:
        there = [(a.layers[path], s) for a, s in marks if path in a.layers]
        if path not in after.layers:
            yield "lost", f"the layer {path} is missing"
            return
        size = sum(abs(s) * m.norm for m, s in there) + 1e-30
        for column, value in enumerate(after.layers[path].columns):
            expected = sum(s * m.columns[column] for m, s in there)
            if abs(expected - value) > 0.02 * size * math.sqrt(there[0][0].shape[0]):
                yield "lost", f"the layer {path}: column {column} sums to {value}, not {expected}"
                return


def named(case, run, marks):
    """What need not be equal must at least be there."""
    after = oracle.read(case.to, case.output)
    for adapter, _ in marks:
        problem = oracle.absent(adapter, after)
        if problem:
            yield "lost", problem
            return


def described(run, adapter):
    """The report's layers and norms."""
    report = json.loads(run.stdout)
    if report.get("kind") != "adapter":
        return
    layers = {oracle.canonical(layer["path"]): layer for layer in report["layers"]}
    for path, mark in adapter.layers.items():
        if path not in layers:
            yield "lost", f"the layer {path} is not in the report"
            return
        norm = layers[path].get("norm")
        is_comparable = norm is not None and not mark.note and 1e-30 < mark.norm < 1e30
        if is_comparable and abs(norm - mark.norm) > 1e-3 * mark.norm:
            yield "lost", f"the layer {path} has the norm {mark.norm:.6g}, the report says {norm:.6g}"
            return


def model_tensors(path):
    """A model's tensors by name, as (type, shape, data)."""
    result = {}
    try:
        if path.endswith(".gguf"):
            with open(path, "rb") as file:
                for e in read_gguf(file.read()).entries:
                    if e.name in result:
                        raise oracle.Refusable(f"{e.name!r} is there twice")
                    result[e.name] = (GGUF_TYPES[e.type][0], tuple(reversed(e.dims)), e.data)
            return result
        names = [n for n in os.listdir(path) if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", n)]
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                for t in read_safetensors(file.read())[0].values():
                    if t.name in result:
                        raise oracle.Refusable(f"{t.name!r} is in two files")
                    result[t.name] = (t.dtype, t.shape, t.data)
    except Malformed as error:
        raise oracle.Refusable(f"{path}: {error}") from error
    return result


#: What checkpoints may hold beside the parameters, and transformers leaves out too.
BUFFERS = re.compile(r".*(rotary_emb\.inv_freq|attn\.(masked_)?bias)$")


def complete(case):
    """A model's weights must be those of the valid model, whose configuration is intact."""
    for path, original in ((case.model, case.model_intact), (case.tuned, case.tuned_intact)):
        if not path or original is None:
            continue
        try:
            found = model_tensors(path)
        except oracle.Refusable as error:
            yield "taken", str(error)
            continue
        except (OSError, KeyError, UnicodeError) as error:
            raise oracle.Unsure(str(error)) from error
        for name in original:
            # A GGUF model without a head has its embedding's.
            if name not in found and name != "output.weight":
                yield "taken", f"the model lacks {name}"
                return
            if name in found and found[name][1] != original[name][1]:
                yield "taken", f"the model's {name} is {found[name][1]}, not {original[name][1]}"
                return
        for name in found.keys() - original.keys():
            if not BUFFERS.match(name):
                yield "taken", f"the model has {name!r}, which is unknown"
                return


def merged(case, marked):
    adapter, strength = marked
    before, after = model_tensors(case.model), model_tensors(case.output)
    if case.model.endswith(".gguf") != case.output.endswith(".gguf"):
        return
    for name, (dtype, shape, data) in before.items():
        if name not in after:
            if not BUFFERS.match(name):
                yield "lost", f"{name} is missing in the merged model"
            continue
        new_type, new_shape, new_data = after[name]
        if shape != new_shape:
            yield "lost", f"{name} is {list(shape)}, then {list(new_shape)}"
            return
        path = oracle.canonical(oracle.module_name(re.sub(r"\.(weight|bias)$", "", name)))
        mark = adapter.layers.get(path)
        is_touched = mark or path in str(adapter.extras.keys())
        if not is_touched and (dtype, data) != (new_type, new_data):
            if not any(table in name for table in ("embd", "embed", "lm_head", "wte")):
                yield "touched", f"{name}, which no adapter touches, changed ({dtype}, {new_type})"
                return
        if mark and not mark.note and name.endswith(".weight") and dtype == new_type == "F32":
            yield from _sum(name, mark.scaled(strength), shape, data, new_data)


def _sum(name, mark, shape, data, new_data):
    old, new = floats("F32", data), floats("F32", new_data)
    is_conv = ".attn.c_" in name or ".mlp.c_" in name
    height, width = shape
    inputs = height if is_conv else width
    if inputs != len(mark.columns) or len(old) != len(new):
        return
    size = max(map(abs, old), default=0) + mark.norm
    for i in range(inputs):
        places = range(i * width, (i + 1) * width) if is_conv else range(i, len(old), width)
        change = math.fsum(new[p] - old[p] for p in places)
        if abs(change - mark.columns[i]) > 1e-5 * size * len(places):
            yield "lost", f"{name}: the change's column {i} sums to {change}, not {mark.columns[i]}"
            return


def extracted(case):
    base, tuned = model_tensors(case.model), model_tensors(case.tuned)
    adapter = oracle.read("peft", case.output)
    for name, (dtype, shape, data) in base.items():
        if not name.endswith("_proj.weight") or name not in tuned:
            continue
        if tuned[name][0] != dtype or dtype != "F32":
            continue
        path = oracle.canonical(name[: -len(".weight")])
        differs = any(x != y for x, y in zip(floats(dtype, data), floats(dtype, tuned[name][2])))
        if differs and path not in adapter.layers:
            yield "lost", f"{name} differs and is not in the adapter"
            return
