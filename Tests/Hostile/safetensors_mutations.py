"""Damage to safetensors files: their headers, their tensors, their numbers."""

import json
import re
import struct

from json_mutations import json_tree
from tensorfiles import (
    Malformed, WIDTH, floats, packed, product, read_safetensors, write_safetensors)
from values import TEXTS, dumps, parse


def mutated(source, content):
    try:
        tensors, metadata = read_safetensors(content)
    except Malformed:
        return content[: len(content) // 2], "cut off in the middle"
    if not tensors:
        return content[:-1], "without its last byte"
    tensors = list(tensors.values())
    share = source.random()
    if share < 0.28:
        return container(source, content)
    if share < 0.45:
        return header_tree(source, content)
    words = []
    for _ in range(source.choice([1, 1, 1, 2])):
        change = source.choice(NUMBERS if share < 0.68 else TENSORS)
        if tensors:
            words.append(change(source, tensors))
    return write_safetensors(tensors, metadata), "; ".join(words)


# MARK: the container


def split(content):
    (length,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + length], content[8 + length :]


def joined(header, data):
    return struct.pack("<Q", len(header)) + header + data


def container(source, content):
    header, data = split(content)
    entries = json.loads(header)
    names = [n for n in entries if n != "__metadata__"]
    name = source.choice(names)
    entry = entries[name]
    begin, end = entry["data_offsets"]
    kind = source.randrange(15)
    if kind == 0:
        length = source.choice([
            0, 1, 7, len(header) - 1, len(header) + 1, len(content) - 8, len(content), 1 << 31,
            100_000_001, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
        return struct.pack("<Q", length) + header + data, f"a header's length of {length}"
    if kind == 1:
        place = source.choice([
            0, 4, 8, 9, 8 + len(header) // 2, 8 + len(header), 8 + len(header) + begin,
            8 + len(header) + end, len(content) - 1])
        return content[:place], f"cut off at {place} of {len(content)}"
    if kind == 2:
        return content + bytes(source.choice([1, 8, 4096])), "bytes behind the tensors"
    if kind == 3:
        shift = source.choice([1, -1, 4, -4, len(data), -begin - 1, 1 << 62, -(1 << 62)])
        entry["data_offsets"] = [begin + shift, end + shift]
        word = f"{name} moved by {shift}"
    elif kind == 4:
        entry["data_offsets"] = [end, begin]
        word = f"{name} backwards"
    elif kind == 5:
        entry["data_offsets"] = source.choice([
            [begin], [begin, end, end], [], None, "x", [float(begin), float(end)], [begin, None],
            [-1, end], [begin, (1 << 63)]])
        word = f"{name} at {entry['data_offsets']}"
    elif kind == 6:
        entry["shape"] = source.choice([
            [1 << 62, 4], [1 << 63], [-1, -len(data)], [0], [1 << 32, 1 << 32], [], None, ["2", 2],
            [2.5], [1] * 300, [1] * 5000 + entry["shape"], [True, 2], [1 << 31, 1 << 31, 4]])
        word = f"{name} of shape {str(entry['shape'])[:40]}"
    elif kind == 7:
        entry["dtype"] = source.choice([
            "F4", "f32", "", None, 3, "F8_E4M3", "I64", "BOOL", "C64", "F32" + source.choice(TEXTS),
            "BF16", "F16", "F64"])
        word = f"{name} of type {entry['dtype']!r}"
    elif kind == 8:
        entries["__metadata__"] = source.choice([
            None, [], "x", {"format": 3}, {"format": None}, {"a": {"b": 1}}, {},
            {"format": "tf"}, {"x" + source.choice(TEXTS): source.choice(TEXTS)},
            {"lora_adapter_metadata": "{"}, {"lora_adapter_metadata": "[]"},
            {"lora_adapter_metadata": '{"unet.r": 1e999, "unet.lora_alpha": -1}'}])
        word = f"metadata {str(entries['__metadata__'])[:60]}"
    elif kind == 9:
        other = source.choice(names)
        entries[other]["data_offsets"] = [begin, end]
        word = f"{other} where {name} is"
    elif kind == 10:
        del entries[name]
        word = f"a hole where {name} was"
    elif kind == 11:
        del entry[source.choice(["dtype", "shape", "data_offsets"])]
        word = f"{name} with {list(entry)} only"
    elif kind == 12:
        entry["extra"] = source.choice([1, None, "\x1b[31m", [[[]]]])
        word = f"{name} with a field more"
    elif kind == 13:
        text = json.dumps(entries)
        text = text[:-1] + ", " + json.dumps(name) + ": " + json.dumps(entry) + "}"
        return joined(text.encode(), data), f"{name} twice"
    else:
        new = source.choice([
            b" " * 9 + header, header + b"\0" * 8, header.replace(b"{", b"[", 1), b"", b"{}",
            b"\xef\xbb\xbf" + header, header.replace(b'"', b"\xff", 1), b"[" * 50000,
            header + b" " * 100000])
        return joined(new, data), f"a header that begins with {new[:10]!r}"
    return joined(json.dumps(entries).encode(), data), word


def header_tree(source, content):
    header, data = split(content)
    tree, word = json_tree(source, parse(header))
    return joined(dumps(tree), data), "header: " + word


# MARK: tensors


def _pick(source, tensors):
    index = source.randrange(len(tensors))
    return index, tensors[index]


def renamed(source, tensors):
    index, t = _pick(source, tensors)
    name = source.choice([
        t.name + "x", t.name.replace(".0.", ".9."), t.name.replace("layers", "layer"),
        t.name.upper(), t.name + source.choice(TEXTS), source.choice(TEXTS) + t.name, "",
        t.name.replace("lora_A", "lora_A.default").replace("lora_B", "lora_B.default"),
        t.name.replace("base_model.model.", ""), "base_model.model." + t.name,
        t.name.replace("q_proj", "z_proj"), "model." + t.name, t.name.replace(".", "_"),
        t.name.replace("0", "1"), t.name.replace("1", "0"), t.name.replace("0", "00"),
        t.name.replace("weight", "bias"), t.name.replace("e", "e\u0301", 1)])
    if name in [other.name for other in tensors]:
        return "nothing"
    tensors[index] = t._replace(name=name)
    return f"{t.name} called {name!r}"


def dropped(source, tensors):
    index, t = _pick(source, tensors)
    del tensors[index]
    return f"without {t.name}"


def layer_dropped(source, tensors):
    """All of a module, as if it had never been trained."""
    _, t = _pick(source, tensors)
    stem = re.split(r"\.(lora_|hada_|lokr_|ia3_|lora\.|alpha|m$)", t.name)[0]
    tensors[:] = [u for u in tensors if not u.name.startswith(stem + ".")]
    return f"without {stem}"


def added(source, tensors):
    _, t = _pick(source, tensors)
    name = source.choice([
        "x", "extra.weight", t.name + ".extra", t.name + "_2", t.name.rsplit(".", 1)[0] + ".scale",
        "base_model.model.model.layers.5.self_attn.q_proj.lora_A.weight", "lora_A.weight",
        "model.layers.0.self_attn.rotary_emb.inv_freq", "base_model.model.score.weight", "model.w",
        "module." + t.name])
    if name in [other.name for other in tensors]:
        return "nothing"
    tensors.append(t._replace(name=name))
    return f"{name!r} added"


def reshaped(source, tensors):
    """Another shape, with as many numbers as it says: the file is valid."""
    index, t = _pick(source, tensors)
    if not t.shape:
        shape = source.choice([(1,), (1, 1), (2,), (0,)])
    else:
        axis = source.randrange(len(t.shape))
        shape = list(t.shape)
        kind = source.randrange(9)
        if kind == 0:
            shape[axis] += 1
        elif kind == 1:
            shape[axis] -= 1
        elif kind == 2:
            shape[axis] *= 2
        elif kind == 3:
            shape[axis] = 0
        elif kind == 4:
            shape = list(reversed(shape))
        elif kind == 5:
            shape = [product(shape)]
        elif kind == 6:
            shape = shape + [1]
        elif kind == 7:
            shape = [1] + shape
        else:
            shape[axis] = 1
        shape = tuple(max(e, 0) for e in shape)
    if product(shape) > 100000:
        return "nothing"
    size = product(shape) * WIDTH[t.dtype]
    data = (t.data * (size // max(len(t.data), 1) + 1))[:size].ljust(size, b"\0")
    tensors[index] = t._replace(shape=tuple(shape), data=data)
    return f"{t.name} {list(t.shape)} as {list(shape)}"


def retyped(source, tensors):
    index, t = _pick(source, tensors)
    if t.dtype not in ("F32", "F16", "BF16"):
        return "nothing"
    dtype = source.choice(["F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3"])
    if dtype in ("F64", "F32", "F16", "BF16"):
        data = packed(dtype, floats(t.dtype, t.data))
    else:
        data = bytes(source.randrange(256) for _ in range(min(product(t.shape), 64)))
        size = product(t.shape) * WIDTH[dtype]
        data = (data * (size // max(len(data), 1) + 1))[:size]
    tensors[index] = t._replace(dtype=dtype, data=data)
    return f"{t.name} as {dtype}"


def swapped(source, tensors):
    one, t = _pick(source, tensors)
    two, u = _pick(source, tensors)
    tensors[one], tensors[two] = u._replace(name=t.name), t._replace(name=u.name)
    return f"{t.name} and {u.name} swapped"


TENSORS = [renamed, renamed, dropped, layer_dropped, added, reshaped, reshaped, retyped, swapped]


# MARK: numbers


def number(source, tensors):
    """One or all numbers of a tensor replaced."""
    index, t = _pick(source, tensors)
    if t.dtype not in ("F32", "F16", "BF16", "F64"):
        values = [source.choice([-1, 0, 1 << 31, (1 << 63) - 1, -(1 << 63), 274])]
        if t.dtype != "I64" or not t.data:
            return "nothing"
        place = source.randrange(len(t.data) // 8) * 8
        data = t.data[:place] + packed("I64", values) + t.data[place + 8 :]
        tensors[index] = t._replace(data=data)
        return f"{t.name}: {values[0]}"
    value = source.choice([
        float("nan"), float("inf"), float("-inf"), -0.0, 1e-45, 1e-40, 1e30, 3.4e38, -3.4e38,
        65504.0, 1e19, 1e10, 0.0])
    values = list(floats(t.dtype, t.data))
    if not values:
        return "nothing"
    all_of_it = source.random() < 0.4
    if all_of_it:
        values = [value] * len(values)
    else:
        values[source.randrange(len(values))] = value
    tensors[index] = t._replace(data=packed(t.dtype, values))
    return f"{t.name}: {'only' if all_of_it else 'a'} {value}"


def scaled(source, tensors):
    """All float tensors multiplied."""
    factor = source.choice([0.0, 1e-30, 1e3, 1e8, 1e18, 1e30, -1.0])
    for index, t in enumerate(tensors):
        if t.dtype in ("F32", "F16", "BF16"):
            values = [v * factor for v in floats(t.dtype, t.data)]
            tensors[index] = t._replace(data=packed(t.dtype, values))
    return f"all numbers times {factor}"


NUMBERS = [number, number, number, scaled]
