"""GGUF files as gguf-py writes them: the oracle of GGUFTests.

    .venv/bin/python Tests/Reference/gguf_container.py            writes Tests/Fixtures/gguf/types.gguf
    .venv/bin/python Tests/Reference/gguf_container.py check FILE compares FILE, read by gguf-py, with it

types.gguf: a key-value of each of the format's thirteen types (with extreme values), arrays of each
type, an empty one and a nested one; a tensor of each plain element type with the elements 1 to 6
over 4 (floating point) or negative (integers), [2, 3]; `values.q8_0` and `values.q4_K`, [2, 256],
random numbers and random blocks; `values.four`, [1, 2, 3, 4]; alignment 64.
"""

import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as V

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Fixtures")
PATH = os.path.normpath(os.path.join(FIXTURES, "gguf", "types.gguf"))

VALUES = [
    ("test.uint8", 255, V.UINT8), ("test.int8", -128, V.INT8), ("test.uint16", 65535, V.UINT16),
    ("test.int16", -32768, V.INT16), ("test.uint32", 2**32 - 1, V.UINT32),
    ("test.int32", -(2**31), V.INT32), ("test.float32", -0.15625, V.FLOAT32),
    ("test.bool", True, V.BOOL), ("test.string", "na\u00efve \u6f22\u5b57 \"\\\n", V.STRING),
    ("test.uint64", 2**64 - 1, V.UINT64), ("test.int64", -(2**63), V.INT64),
    ("test.float64", 0.1, V.FLOAT64), ("test.empty string", "", V.STRING),
]
ARRAYS = [
    ("test.array.uint8", [0, 255], V.UINT8), ("test.array.int8", [-128, 127], V.INT8),
    ("test.array.uint16", [0, 65535], V.UINT16), ("test.array.int16", [-32768, 5], V.INT16),
    ("test.array.uint32", [2**32 - 1], V.UINT32), ("test.array.int32", [-7, 7, 8], V.INT32),
    ("test.array.float32", [0.5, -2.0], V.FLOAT32), ("test.array.bool", [True, False], V.BOOL),
    ("test.array.string", ["", "a", "\u2581the"], V.STRING),
    ("test.array.uint64", [2**64 - 1], V.UINT64), ("test.array.int64", [-(2**63)], V.INT64),
    ("test.array.float64", [0.1], V.FLOAT64),
]


class Nested(gguf.GGUFWriter):
    """gguf-py takes arrays of arrays only if each of them has a type that it can guess."""

    def add_nested(self, key, value):
        self.add_key_value(key, value, V.ARRAY, sub_type=V.ARRAY)


def write():
    os.makedirs(os.path.dirname(PATH), exist_ok=True)
    writer = Nested(PATH, "test")
    writer.add_custom_alignment(64)
    for key, value, kind in VALUES:
        writer.add_key_value(key, value, kind)
    for key, value, kind in ARRAYS:
        writer.add_key_value(key, value, V.ARRAY, sub_type=kind)
    writer.add_nested("test.array.array", [[1, 2], [3]])
    plain = {
        "f32": np.float32, "f16": np.float16, "f64": np.float64,
        "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
    }
    for name, kind in plain.items():
        values = np.arange(1, 7).reshape(2, 3)
        values = values / 4 if name.startswith("f") else -values
        writer.add_tensor("values." + name, values.astype(kind))
    wide = (np.arange(1, 7, dtype=np.float32) / 4).reshape(2, 3)
    writer.add_tensor("values.bf16", gguf.quants.quantize(wide, Q.BF16), raw_dtype=Q.BF16)
    random = np.random.default_rng(1).standard_normal((2, 256), dtype=np.float32)
    writer.add_tensor("values.q8_0", gguf.quants.quantize(random, Q.Q8_0), raw_dtype=Q.Q8_0)
    blocks = np.random.default_rng(2).integers(0, 256, (2, 144), dtype=np.uint8)
    writer.add_tensor("values.q4_K", blocks, raw_dtype=Q.Q4_K)
    writer.add_tensor("values.four", np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(path):
    ours, theirs = gguf.GGUFReader(path), gguf.GGUFReader(PATH)
    assert list(ours.fields) == list(theirs.fields)
    for key, field in theirs.fields.items():
        assert ours.fields[key].types == field.types, key
        assert ours.fields[key].contents() == field.contents(), key
    assert [t.name for t in ours.tensors] == [t.name for t in theirs.tensors]
    for a, b in zip(ours.tensors, theirs.tensors):
        assert a.tensor_type == b.tensor_type and a.shape.tolist() == b.shape.tolist(), a.name
        assert a.data.tobytes() == b.data.tobytes(), a.name


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1:2] == ["check"] else write()
