"""Damage to GGUF files: counts, key-values, tensors, numbers."""

import math
import struct

from tensorfiles import (
    ARRAY, BOOL, F32, GGUF_NUMBERS, GGUF_TYPES, I32, Literal, Malformed, STRING, U32, packed,
    product, read_gguf)
from values import TEXTS

INTEGERS = [
    0, 1, 2, 3, 5, -1, 64, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1,
    1 << 63]
REALS = [0.0, -1.0, 1e-45, 1e-10, 1e30, 3.4e38, math.inf, -math.inf, math.nan, 0.5]


def mutated(source, content):
    try:
        file = read_gguf(content)
    except Malformed:
        return content[: len(content) // 2], "cut off in the middle"
    word = source.choice(CHANGES)(source, file)
    new = file.encoded()
    if source.random() < 0.12:
        place = source.choice(file.boundaries) + source.choice([-1, 0, 0, 1])
        return new[:place], f"{word}; cut off at {place} of {len(new)}"
    if source.random() < 0.08:
        place = source.randrange(min(len(new), 20000))
        flipped = new[:place] + bytes([new[place] ^ 1 << source.randrange(8)]) + new[place + 1 :]
        return flipped, f"{word}; a bit flipped at {place}"
    return new, word


# MARK: key-values


def key_value(source, file):
    """Another value of the same type."""
    index = source.randrange(len(file.keys))
    key, kind, value = file.keys[index]
    if kind == STRING:
        new = source.choice([
            value + source.choice(TEXTS), "", "llama", "gpt2", "qwen2", "adapter", "model", "mamba",
            "\udcff\udcfe", "x" * 100000, value + "x"])
        if "\udcff" in new:
            new = b"\xff\xfe"
    elif kind == ARRAY:
        return array(source, file, index)
    elif kind in (6, 12):
        new = source.choice(REALS)
        if kind == 6 and abs(new) > 3.4e38 and math.isfinite(new):
            new = math.inf
    elif kind == BOOL:
        new = Literal(bytes([source.choice([0, 1, 2, 255])]))
    else:
        new = source.choice(INTEGERS)
    file.keys[index][2] = new
    return f"{key} is {_shown(new)}"


def _shown(value):
    return repr(value.content if isinstance(value, Literal) else value)[:60]


def array(source, file, index):
    key, _, (inner, values) = file.keys[index]
    values = list(values)
    kind = source.randrange(8)
    if kind == 0 and values:
        del values[source.randrange(len(values))]
        word = "lacks one"
    elif kind == 1 and values:
        values.insert(source.randrange(len(values)), source.choice(values))
        word = "has one twice"
    elif kind == 2 and values:
        place = source.randrange(len(values))
        values[place] = source.choice(
            ["", "x" + source.choice(TEXTS), "\u2581", "a b c", "<0xZZ>"] if inner == STRING
            else REALS[:4] + REALS[6:] if inner == F32 else INTEGERS)
        word = f"[{place}] is {values[place]!r}"
    elif kind == 3:
        values = []
        word = "is empty"
    elif kind == 4:
        count = source.choice([1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1, len(values) + 1])
        file.keys[index][2] = Literal(struct.pack("<IQ", inner, count))
        return f"{key} says {count} values"
    elif kind == 5:
        depth = source.choice([1, 10, 1000, 100000])
        file.keys[index][2] = Literal(
            struct.pack("<IQ", ARRAY, 1) * depth + struct.pack("<IQ", U32, 0))
        return f"{key} is {depth} arrays in each other"
    elif kind == 6:
        file.keys[index][2] = Literal(struct.pack("<IQ", source.choice([13, 255, 1 << 31]), 1))
        return f"{key} is of values of no type"
    elif values:
        source.shuffle(values)
        word = "is shuffled"
    else:
        word = "stays"
    file.keys[index][2] = (inner, values)
    return f"{key} {word}"


def key_type(source, file):
    """A value of another type."""
    index = source.randrange(len(file.keys))
    kind = source.choice([*GGUF_NUMBERS, STRING, ARRAY, 13, 99, 1 << 31])
    if kind == STRING:
        value = source.choice(["2", "x", ""])
    elif kind == ARRAY:
        value = source.choice([
            (U32, [2]), (STRING, ["a"]), (ARRAY, [(U32, [1])]), (I32, []), (F32, [1.0, math.nan])])
    elif kind in (6, 12):
        value = source.choice([2.0, 0.5, math.nan, 1e30])
    elif kind in GGUF_NUMBERS:
        value = source.choice(INTEGERS)
    else:
        value = Literal(b"")
    file.keys[index][1:] = [kind, value]
    return f"{file.keys[index][0]} of type {kind}: {_shown(value)}"


def key_name(source, file):
    index = source.randrange(len(file.keys))
    old = file.keys[index][0]
    kind = source.randrange(4)
    if kind == 0:
        del file.keys[index]
        return f"without {old}"
    if kind == 1:
        file.keys.append(list(source.choice(file.keys)))
        return f"{file.keys[-1][0]} twice"
    if kind == 2:
        new = source.choice([
            "llama.rope.scaling.type", "llama.expert_count", "general.alignment", "x", "",
            "tokenizer.ggml.eot_token_id", "llama.attention.key_length", "llama.vocab_size",
            "llama.rope.dimension_count", "adapter.alora.invocation_tokens", "split.count",
            "general.file_type", "x" + source.choice(TEXTS), "x" * 70000])
        file.keys.append([new, U32, source.choice(INTEGERS)])
        return f"additional {new[:40]!r}: {file.keys[-1][2]}"
    new = source.choice([old + "x", old.upper(), old + source.choice(TEXTS), ""])
    file.keys[index][0] = new
    return f"{old} called {new!r}"


# MARK: the header


def header(source, file):
    kind = source.randrange(5)
    if kind == 0:
        file.magic = source.choice([b"GGUX", b"FUGG", b"GGML", b"\0\0\0\0"])
        return f"magic {file.magic!r}"
    if kind == 1:
        file.version = source.choice([0, 1, 2, 4, 0x03000000, (1 << 32) - 1])
        return f"version {file.version}"
    count = source.choice([0, 1, 1 << 16, 1 << 31, 1 << 40, 1 << 62, (1 << 64) - 1])
    if kind == 2:
        file.key_count = count
        return f"{count} key-values"
    if kind == 3:
        file.entry_count = count
        return f"{count} tensors"
    value = source.choice([0, 1, 3, 8, 31, 64, 4096, 1 << 20, 1 << 31, (1 << 32) - 1])
    file.keys.append(["general.alignment", U32, value])
    if value in (8, 64, 4096):
        file.alignment = value
    return f"alignment {value}"


# MARK: tensors


def entry(source, file):
    if not file.entries:
        return "nothing"
    index = source.randrange(len(file.entries))
    old = file.entries[index]
    kind = source.randrange(10)
    if kind == 0:
        del file.entries[index]
        return f"without {old.name}"
    if kind == 1:
        new = source.choice([
            old.name + "x", old.name + source.choice(TEXTS), "", old.name.replace("0", "7"),
            old.name.upper(), source.choice(file.entries).name, "x" * 70])
        file.entries[index] = old._replace(name=new)
        return f"{old.name} called {new!r}"
    if kind == 2:
        file.entries.append(old._replace(name=source.choice([
            "extra.weight", "blk.5.attn_q.weight", "rope_freqs.weight", "blk.0.attn_q.bias",
            "output.weight", "token_types.weight", "x"])))
        return f"{file.entries[-1].name} added"
    if kind == 3:
        dims = source.choice([
            [], [0], [1 << 62, 4], [1 << 63], [old.dims[0]], old.dims + [1], old.dims + [2],
            list(reversed(old.dims)), [d * 2 for d in old.dims], [1, *old.dims], [1] * 9,
            [product(old.dims)], [old.dims[0] + 1, *old.dims[1:]], [old.dims[0] - 1, *old.dims[1:]],
            [1 << 32, 1 << 32]])
        file.entries[index] = old._replace(dims=dims)
        return f"{old.name} {old.dims} as {dims}"
    if kind == 4:
        new = source.choice([*GGUF_TYPES, 4, 5, 9, 15, 31, 39, 255, 1 << 31])
        file.entries[index] = old._replace(type=new)
        return f"{old.name} of type {new}"
    if kind == 5:
        file.offsets[index] = source.choice([
            0, 1, 31, 32, 1 << 20, 1 << 40, (1 << 63) - 32, (1 << 64) - 32])
        return f"{old.name} at {file.offsets[index]}"
    if kind == 6:
        other = source.randrange(len(file.entries))
        file.entries[index], file.entries[other] = file.entries[other], old
        return "two tensors in another order"
    if kind == 7:
        other = source.randrange(len(file.entries))
        two = file.entries[other]
        file.entries[index] = two._replace(name=old.name)
        file.entries[other] = old._replace(name=two.name)
        return f"{old.name} and {two.name} swapped"
    if kind == 8 and old.dims:
        # One row more or less: the file is valid.
        rows, name = old.dims[-1], GGUF_TYPES[old.type]
        size = len(old.data) // max(rows, 1)
        new = rows + source.choice([1, -1])
        data = (old.data + old.data)[: size * new]
        file.entries[index] = old._replace(dims=[*old.dims[:-1], new], data=data)
        return f"{old.name} with {new} rows of {name[0]}"
    return number(source, file)


def number(source, file):
    """Numbers, or blocks' scales, that are not finite or huge."""
    if not file.entries:
        return "nothing"
    index = source.randrange(len(file.entries))
    old = file.entries[index]
    name, _, size = GGUF_TYPES[old.type]
    if not old.data:
        return "nothing"
    value = source.choice([math.nan, math.inf, -math.inf, 65504.0, 1e30, 1e-40, 0.0])
    if name in ("F32", "F16", "BF16"):
        piece = packed(name, [value])
    elif name.startswith("Q"):
        piece = packed("F16", [value])
    else:
        return "nothing"
    places = range(0, len(old.data), size if name.startswith("Q") else len(piece))
    places = places if source.random() < 0.3 else [source.choice(places)]
    data = bytearray(old.data)
    for place in places:
        data[place : place + len(piece)] = piece
    file.entries[index] = old._replace(data=bytes(data))
    return f"{old.name} ({name}): {len(places)} times {value}"


CHANGES = [
    key_value, key_value, key_value, key_value, key_type, key_name, key_name, header, entry, entry,
    entry, number, number]
