"""Fingerprints of tiny models by the definition in Documentation/Fingerprint.md, from their files alone:
Fixtures/fingerprints.json."""

import glob
import hashlib
import os
import re

import torch
from common import FIXTURES, fixture, load_file, write_json

# Directories whose names and layouts of tensors are those of the definition, and of GPT-2, which has
# its matrices as [in, out].
MODELS = [
    "gpt2-bfloat16", "gpt2-tied", "llama-linear-sharded", "llama-llama3-v4-float16-sharded",
    "mixtral-v4-bfloat16", "qwen2-untied", "qwen3-window-bfloat16", "starcoder2-window",
]
TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


def matrices(folder):
    """Name -> matrix [out, in] as stored: those in blocks and the table of token embeddings."""
    tensors = {}
    for file in glob.glob(os.path.join(folder, "*.safetensors")):
        if os.path.basename(file).startswith("model"):
            tensors.update(load_file(file))
    result = {}
    for name, tensor in tensors.items():
        bare = re.sub(r"^(model|transformer)\.", "", name)
        if tensor.dim() != 2 or not re.match(r"(layers\.|h\.|embed_tokens\.|wte\.)", bare):
            continue
        is_conv = re.search(r"\.(c_attn|c_proj|c_fc)\.weight$", bare) and bare.startswith("h.")
        result[bare] = tensor.t().contiguous() if is_conv else tensor
    return result


def bits(values, type_):
    return values.to(type_).view(torch.int16 if type_ == torch.bfloat16 else torch.int32).tolist()


def tolerance(value, type_):
    """How far the number may lie that was rounded to `value`, up to the next bfloat16."""
    size = torch.tensor(abs(value), dtype=torch.float32)
    if type_ == torch.bfloat16:
        size = size * 2.0**-8
    elif type_ == torch.float16:
        size = size * 2.0**-11 + 2.0**-25
    else:
        size = size * 0
    return (size.view(torch.int32).item() + 0xFFFF) >> 16


def fingerprint(folder):
    found = sorted(matrices(folder).items(), key=lambda item: item[0].encode())
    lines = "".join(f"{name} {m.shape[0]} {m.shape[1]}\n" for name, m in found)
    structure = hashlib.sha256(lines.encode()).hexdigest()[:32]
    count = min(len(found), 256)
    chosen = [found[i * len(found) // count] for i in range(count)]
    each = max(1, 256 // count)
    digest = hashlib.sha256(f"lora base fingerprint 1\n{structure}\n".encode())
    samples = ""
    for index, (_, matrix) in enumerate(chosen):
        row = ((index + 1) * 2654435769 % 2**32) * matrix.shape[0] >> 32
        values = matrix[row, :1024].float()
        rounded = [b & 0xFFFF for b in bits(values, torch.bfloat16)]
        for b in rounded:
            digest.update((0 if b == 0x8000 else b).to_bytes(2, "little"))
        n = min(each, len(values))
        for i in range(n):
            value = values[(2 * i + 1) * len(values) // (2 * n)]
            samples += f"{value.view(torch.int32).item() & 0xFFFFFFFF:08x}"
            samples += f"{tolerance(value.item(), matrix.dtype):04x}"
    types = [TYPES[m.dtype] for _, m in chosen]
    return {"version": 1, "digest": digest.hexdigest(), "structure": structure,
            "type": max(sorted(set(types)), key=types.count), "samples": samples}


def main():
    write_json(fixture("fingerprints.json"), {
        name: fingerprint(os.path.join(FIXTURES, "models", name)) for name in MODELS})


if __name__ == "__main__":
    main()
