"""Blocks of GGUF's quantized formats and what gguf-py makes of them.

quantized/blocks.safetensors, for each format F:
  F.blocks  [4, bytes of a row] uint8    random blocks with finite scales of every magnitude
  F.values  [4, columns]                 gguf.quants.dequantize of them
and for those that gguf-py can write:
  F.source  [40, 64]                     numbers: normal, constant, zero, tiny, with ties
  F.stored  [40, bytes of a row] uint8   gguf.quants.quantize of them
"""

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

from common import fixture, write

FORMATS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_K", "q5_K", "q6_K", "mxfp4"]
SCALES = {"q4_1": [0, 2], "q5_1": [0, 2], "q4_K": [0, 2], "q5_K": [0, 2], "q6_K": [208]}


def random_blocks(random, name):
    kind = GGMLQuantizationType[name.upper()]
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (4 * max(2, 512 // elements), size), dtype=np.uint8)
    for offset in SCALES.get(name, [] if name == "mxfp4" else [0]):
        scale = blocks[:, offset : offset + 2].copy().view(np.uint16)
        scale[(scale & 0x7C00) == 0x7C00] &= 0xBBFF  # neither infinite nor NaN
        blocks[:, offset : offset + 2] = scale.view(np.uint8)
    if name == "mxfp4":
        blocks[:, 0] = random.integers(0, 253, len(blocks))  # larger exponents overflow float32
        blocks[:2, 0] = 0, 1  # whose powers of two are not normal
    return kind, blocks.reshape(4, -1)


def source(random):
    x = random.normal(size=(40, 64))
    x *= 10.0 ** random.integers(-9, 5, (40, 1))
    x[0] = 0
    x[1] = 1
    x[2] = -1e-30
    x[3, 5:] = 0
    x[4] = np.arange(64) - 32
    x[5:20] = np.round(random.normal(size=(15, 64)) * random.integers(1, 20, (15, 1))) * 0.5 + 0.0
    return x.astype(np.float32)


def main():
    random = np.random.default_rng(4)
    tensors = {}
    for name in FORMATS:
        kind, blocks = random_blocks(random, name)
        tensors[f"{name}.blocks"] = torch.from_numpy(blocks)
        tensors[f"{name}.values"] = torch.from_numpy(dequantize(blocks, kind))
        if not name.endswith("_K") and name != "mxfp4":
            x = source(random)
            tensors[f"{name}.source"] = torch.from_numpy(x)
            tensors[f"{name}.stored"] = torch.from_numpy(quantize(x, kind))
    write(fixture("quantized", "blocks.safetensors"), tensors)


if __name__ == "__main__":
    main()
