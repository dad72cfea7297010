"""safetensors and GGUF files in plain Python, read strictly and written as asked."""

import json
import math
import struct
from array import array
from collections import namedtuple

Tensor = namedtuple("Tensor", "name dtype shape data")

WIDTH = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8,
}


class Malformed(Exception):
    """A file that breaks its format's rules."""


def product(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


def floats(dtype, data):
    """The numbers of a float tensor."""
    if dtype == "F32":
        return array("f", data)
    if dtype == "F64":
        return array("d", data)
    if dtype == "F16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    if dtype == "BF16":
        wide = array("I", (h << 16 for h in array("H", data)))
        return array("f", wide.tobytes())
    raise Malformed(f"no float type: {dtype}")


def packed(dtype, values):
    """The bytes of numbers as a float type; what does not fit becomes infinite."""
    if dtype == "F32":
        return array("f", (_narrow(v, 3.4028234e38) for v in values)).tobytes()
    if dtype == "F64":
        return array("d", values).tobytes()
    if dtype == "F16":
        return b"".join(struct.pack("<e", _narrow(v, 65504.0)) for v in values)
    if dtype == "BF16":
        wide = array("I", array("f", (_narrow(v, 3.3e38) for v in values)).tobytes())
        return array("H", (w >> 16 for w in wide)).tobytes()
    if dtype == "I64":
        return array("q", (int(v) for v in values)).tobytes()
    raise ValueError(dtype)


def _narrow(value, limit):
    return value if not math.isfinite(value) or abs(value) <= limit else math.copysign(limit, value)


def is_finite(dtype, data):
    """Whether all numbers of a tensor are finite; integers are."""
    if dtype in ("F32", "F64", "F16"):
        return all(map(math.isfinite, floats(dtype, data)))
    if dtype == "BF16":
        return all(h & 0x7F80 != 0x7F80 for h in array("H", data))
    return True


# MARK: safetensors


def _no_duplicates(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("a key stands twice")
    return result


def read_safetensors(content):
    """The tensors by name and the metadata; raises Malformed for what the format does not allow."""
    if len(content) < 8:
        raise Malformed("shorter than its header's length")
    (length,) = struct.unpack("<Q", content[:8])
    if length > len(content) - 8:
        raise Malformed("the header is longer than the file")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise Malformed("the header is no object")
    data = content[8 + length :]
    metadata = header.pop("__metadata__", None) or {}
    tensors, ranges = {}, []
    for name, entry in header.items():
        try:
            dtype, shape = entry["dtype"], entry["shape"]
            begin, end = entry["data_offsets"]
            if not all(type(n) is int for n in (begin, end, *shape)):
                raise ValueError("a number that is not whole")
            fits = dtype in WIDTH and end - begin == product(shape) * WIDTH[dtype]
            fits = fits and 0 <= begin <= end <= len(data) and all(e >= 0 for e in shape)
        except (TypeError, KeyError, ValueError) as error:
            raise Malformed(f"the entry of {name!r} is incomplete") from error
        if not fits:
            raise Malformed(f"the extents of {name!r} do not fit")
        ranges.append((begin, end))
        tensors[name] = Tensor(name, dtype, tuple(shape), data[begin:end])
    place = 0
    for begin, end in sorted(ranges):
        if begin != place:
            raise Malformed("holes or overlaps")
        place = end
    if place != len(data):
        raise Malformed("bytes behind the tensors")
    return tensors, metadata


def write_safetensors(tensors, metadata=None):
    """The file of the tensors, in order."""
    header, place, parts = {}, 0, []
    if metadata is not None:
        header["__metadata__"] = metadata
    for t in tensors:
        end = place + len(t.data)
        header[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [place, end]}
        parts.append(t.data)
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


# MARK: GGUF

# Number of a value's type: struct code; strings are 8, arrays 9.
GGUF_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}
U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10

# Name, elements and bytes of a block, by the number of a tensor's type.
GGUF_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 24: ("I8", 1, 1), 26: ("I32", 1, 4),
    28: ("F64", 1, 8), 30: ("BF16", 1, 2),
}

# A tensor with its type's number and its extents in GGUF's order, innermost first.
Entry = namedtuple("Entry", "name dims type data")


class GGUF:
    """A file's key-values, as [key, type, value], and its tensors; arrays are (type, values)."""

    def __init__(self, keys, entries):
        self.keys, self.entries = keys, entries
        # What a damaged file says instead of the truth.
        self.magic, self.version = b"GGUF", 3
        self.key_count = self.entry_count = self.alignment = None
        self.offsets = {}
        #: Where the last encoding's pieces ended.
        self.boundaries = []

    def value(self, key):
        return next((v for k, _, v in self.keys if k == key), None)

    def encoded(self):
        parts = [
            self.magic,
            struct.pack(
                "<IQQ", self.version,
                len(self.entries) if self.entry_count is None else self.entry_count,
                len(self.keys) if self.key_count is None else self.key_count),
        ]
        for key, kind, value in self.keys:
            parts.append(_text(key))
            parts.append(struct.pack("<I", kind))
            parts.append(_value(kind, value))
        alignment = self.alignment or 32
        place = 0
        for index, (name, dims, kind, data) in enumerate(self.entries):
            parts.append(_text(name))
            parts.append(struct.pack(f"<I{len(dims)}Q", len(dims), *dims))
            parts.append(struct.pack("<IQ", kind, self.offsets.get(index, place)))
            place += len(data) + -len(data) % alignment
        head = b"".join(parts)
        parts.append(b"\0" * (-len(head) % alignment))
        for _, _, _, data in self.entries:
            parts.append(data + b"\0" * (-len(data) % alignment))
        self.boundaries, end = [], 0
        for part in parts:
            end += len(part)
            self.boundaries.append(end)
        return b"".join(parts)


def _text(text):
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(content)) + content


def _value(kind, value):
    if isinstance(value, Literal):
        return value.content
    if kind == STRING:
        return _text(value)
    if kind == ARRAY:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(_value(inner, v) for v in values)
    code = GGUF_NUMBERS[kind]
    if code in "fd":
        return struct.pack("<" + code, value)
    bits = 8 * struct.calcsize(code)
    return (int(value) % (1 << bits)).to_bytes(bits // 8, "little")


class Literal:
    """Bytes in a value's place."""

    def __init__(self, content):
        self.content = content


def read_gguf(content):
    """The file, strictly read."""
    try:
        return _read_gguf(content)
    except RecursionError as error:
        raise Malformed("arrays in arrays without end") from error


def _read_gguf(content):
    place = 0

    def take(code):
        nonlocal place
        size = struct.calcsize("<" + code)
        if place + size > len(content):
            raise Malformed("the file ends early")
        (value,) = struct.unpack_from("<" + code, content, place)
        place += size
        return value

    def text():
        nonlocal place
        length = take("Q")
        if place + length > len(content):
            raise Malformed("the file ends within a string")
        place += length
        return content[place - length : place].decode("utf-8", "surrogateescape")

    def value(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner, count = take("I"), take("Q")
            if count > len(content):
                raise Malformed("an array is longer than the file")
            return inner, [value(inner) for _ in range(count)]
        if kind not in GGUF_NUMBERS:
            raise Malformed(f"no type of a value: {kind}")
        return take(GGUF_NUMBERS[kind])

    if content[:4] != b"GGUF":
        raise Malformed("no GGUF")
    place = 4
    version, entry_count, key_count = take("I"), take("Q"), take("Q")
    if version not in (2, 3) or max(entry_count, key_count) > len(content):
        raise Malformed("version or counts")
    keys = []
    for _ in range(key_count):
        key = text()
        kind = take("I")
        keys.append([key, kind, value(kind)])
    entries = []
    for _ in range(entry_count):
        name = text()
        dims = [take("Q") for _ in range(min(take("I"), 9))]
        entries.append((name, dims, take("I"), take("Q")))
    alignment = next((v for k, _, v in keys if k == "general.alignment"), 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise Malformed("alignment")
    start = place + -place % alignment
    result = []
    for name, dims, kind, offset in entries:
        if kind not in GGUF_TYPES:
            raise Malformed(f"no type of a tensor: {kind}")
        _, elements, size = GGUF_TYPES[kind]
        length = product(dims) // elements * size
        if start + offset + length > len(content):
            raise Malformed(f"{name!r} ends behind the file")
        begin = start + offset
        entries_data = content[begin : begin + length]
        result.append(Entry(name, dims, kind, entries_data))
    return GGUF(keys, result)


def entry_is_finite(entry):
    """Whether a tensor's numbers, or the scales of its blocks, are finite."""
    name, _, size = GGUF_TYPES[entry.type]
    if name in WIDTH:
        return is_finite(name, entry.data)
    # The float16 numbers of a block: its scale, and its minimum if it has one.
    places = {
        "Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2],
        "Q5_K": [0, 2], "Q6_K": [208],
    }[name]
    for begin in range(0, len(entry.data), size):
        for place in places:
            (h,) = struct.unpack_from("<H", entry.data, begin + place)
            if h & 0x7C00 == 0x7C00:
                return False
    return True
