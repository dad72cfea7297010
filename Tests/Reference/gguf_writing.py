"""Whole models as GGUF files: `lora convert --to gguf` beside llama.cpp's converter.

usage: .venv/bin/python Tests/Reference/gguf_writing.py --source LLAMACPP --binary .build/debug/lora
           [--build LLAMACPP/build] [--table FILE] [NAME ...]

LLAMACPP is as in gguf_converter.py, and so are the directories: those of Fixtures/models and Fixtures/parts
and some that are made, changed to what GGUF files can say. Each is written in F32, F16, BF16 and Q8_0 by
`lora` and by llama.cpp's classes, without a tokenizer. Compared are the names of tensors, their shapes,
types and bits, and the key-values of the architecture; then the NLLs that `lora` computes with its F32 file
and with the directory, which must be the same but for what ROUNDED lists, and with --build those that llama.cpp computes with it. Prints
a table; exit status 1 where something differs that no list below explains.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file

from common import fixture, write_json
from compare_models import score
from gguf_converter import (
    LLAMA_TOLERANCE, MADE, NOT_IN_LLAMA_CPP, UNREADABLE, converter, make, prepare,
)

KINDS = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
# Architectures that llama.cpp has no models of.
WITHOUT_NAME = ("gptj", "opt", "gpt-neo-", "ministral-windows")
# What is not compared: names, and what a file without a tokenizer says of one.
NOT_COMPARED = ("general.name", "general.basename", "general.finetune", "general.version",
                "general.organization", "general.size_label", "tokenizer.", "GGUF.", "general.tags",
                "general.languages", "general.base_model", "general.license")
# What only one of the two writes, and what llama.cpp takes for granted then.
OURS_ALONE = {
    "attention.key_length": "the embedding's length over the heads",
    "attention.value_length": "the same",
    "attention.head_count_kv": "as many as heads",
    "rope.dimension_count": "the length of keys",
    "rope.freq_base": "10000",
    "vocab_size": "the number of tokens",
    "rope.scaling.yarn_beta_fast": "32",
    "rope.scaling.yarn_beta_slow": "1",
    "feed_forward_length": "four times the embedding's length, for all that it knows",
    "rope.scaling.attn_factor": "1",
    "expert_feed_forward_length": "the length of networks",
    "decoder_block_count": "as many as the encoder's",
}
THEIRS_ALONE = {
    "rope.scaling.type": "none, which is what no key means",
    "rope.scaling.original_context_length": "of Phi-3, which counts with factors alone",
    "rope.scaling.yarn_log_multiplier": "0, which is what no key means",
    "attention.layer_norm_epsilon": "the same number beside that of RMS norms, which counts",
    "attention.layer_norm_rms_epsilon": "the same number beside that of layer norms, which counts",
    "tensor_data_layout": "a name of an order that readers do not look at",
    "attention.max_alibi_bias": "8, which llama.cpp takes for granted in BLOOM",
}


# Numbers that files have as float32, or as weights plus one, and directories otherwise.
ROUNDED = {"ministral3": "the factor of YaRN", "mistral3": "the same", "phi3-longrope": "the factor of LongRoPE",
           "gemma": "norms plus one"}


# What the converter writes of all models of an architecture, and we of this one: what llama.cpp reads.
OTHERWISE = {"bloom.context_length", "falcon.context_length", "falcon.feed_forward_length",
             "gpt2.feed_forward_length", "phi2.feed_forward_length", "phi2.attention.head_count_kv"}
# Tensors that are no weights' bits: blocks of MXFP4 here become what is asked for.
NUMBERS_OF_BLOCKS = "gpt-oss-mxfp4-v4"


def read(gguf, path):
    reader = gguf.GGUFReader(path)
    values = {name: field.contents() for name, field in reader.fields.items()
              if not name.startswith(NOT_COMPARED)}
    tensors = {t.name: ([int(x) for x in t.shape], t.tensor_type.name, t.data) for t in reader.tensors}
    return values, tensors


def differences(ours, theirs):
    """What differs between two files, by name."""
    (values, tensors), (their_values, their_tensors) = ours, theirs
    found = []
    for name in sorted(set(tensors) | set(their_tensors)):
        if name not in tensors or name not in their_tensors:
            found.append(f"{name} only in {'ours' if name in tensors else 'theirs'}")
            continue
        (shape, kind, data), (their_shape, their_kind, their_data) = tensors[name], their_tensors[name]
        if (shape, kind) != (their_shape, their_kind):
            found.append(f"{name} {kind} {shape}, theirs {their_kind} {their_shape}")
        elif data.tobytes() != their_data.tobytes():
            a, b = np.asarray(data), np.asarray(their_data)
            ulps = ""
            if kind == "F32":
                ulps = f", at most {np.abs(a.view(np.int32).astype(int) - b.view(np.int32)).max()} units"
            found.append(f"{name} {kind}: {np.count_nonzero(a != b)} of {a.size} numbers{ulps}")
    for name in sorted(set(values) | set(their_values)):
        key = name.split(".", 1)[1]
        if name not in values:
            if key not in THEIRS_ALONE:
                found.append(f"{name} {their_values[name]} only in theirs")
        elif name not in their_values:
            if key not in OURS_ALONE and name != "general.file_type":
                found.append(f"{name} {values[name]} only in ours")
        elif values[name] != their_values[name] and name not in OTHERWISE:
            found.append(f"{name} {values[name]}, theirs {their_values[name]}")
    return found


def compare(gguf, write, binary, folder, place, llama):
    """A row of the table, and whether it is as it should be."""
    name = os.path.basename(folder)
    model, source, note = prepare(folder, place)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    ids = os.path.join(place, "ids.json")
    write_json(ids, expected["ids"].tolist())
    problems, cells = [], []
    paths = {}
    for kind, theirs in KINDS.items():
        path = paths[kind] = os.path.join(place, f"ours-{kind}.gguf")
        run = subprocess.run([binary, "convert", "--input", model, "--to", "gguf", "--dtype", kind,
                              "--output", path, "--text-only"], capture_output=True, text=True)
        if run.returncode:
            # Whole, so that an error of another kind does not pass for a refusal.
            text = run.stderr.strip().replace(place + "/", "").removeprefix("error: ")
            known = name.startswith(WITHOUT_NAME) or name in UNREADABLE or any(x in text for x in ("a GGUF file can say only", "have no name for it", "the output head"))
            return f"| {name} | | | | | | | refused: {text} |", known
        other = os.path.join(place, f"theirs-{kind}.gguf")
        try:
            write(source, other, theirs)
        except BaseException as error:  # the converter's, whatever it is
            cells.append("")
            if kind == "f32":
                problems.append(f"the converter: {type(error).__name__}: {str(error)[:90]}")
            continue
        found = differences(read(gguf, path), read(gguf, other))
        count = len(read(gguf, path)[1])
        cells.append(f"{count} equal" if not found else "; ".join(found))
        if found:
            problems.append(f"{kind} differs")
    base, again = (score(binary, x, ids, text_only=True) for x in (model, paths["f32"]))
    difference = (base - again).abs().max().item()
    cells.append(f"{difference:.1e}")
    rounded = name.startswith(tuple(ROUNDED))
    if name == NUMBERS_OF_BLOCKS:
        cells = ["experts as numbers, not as MXFP4"] * 4 + cells[4:]
        problems = [x for x in problems if "differs" not in x]
    good = difference <= (1e-5 if rounded else 0) and not any("differs" in x for x in problems)
    if llama:
        try:
            given = torch.from_numpy(llama.nll(paths["f32"], expected["ids"], None))
            difference = (given - base).abs().max().item()
        except SystemExit as error:
            difference = float("nan")
            print(str(error)[-300:], file=sys.stderr)
        cells.append(f"{difference:.1e}")
        if not difference <= LLAMA_TOLERANCE:
            reason = NOT_IN_LLAMA_CPP.get(name)
            good &= reason is not None
            problems.append(f"llama.cpp: {reason or 'differs'}")
    else:
        cells.append("")
    notes = ", ".join(filter(None, [note] + problems))
    return "| " + " | ".join([name] + cells + [notes]) + " |", good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--build")
    parser.add_argument("--table")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    write, llama = converter(os.path.abspath(options.source)), None
    import gguf  # the converter's
    made = tempfile.mkdtemp()
    if options.build:
        from check_llama_cpp import LlamaCpp
        llama = LlamaCpp(os.path.abspath(options.build), options.source, made)
    roots = [fixture("models", "x")[:-2], fixture("parts", "x")[:-2], os.path.join(made, "directories")]
    for index, (name, (family, settings)) in enumerate(MADE.items()):
        make(os.path.join(made, "directories", name), family, settings, 500 + 10 * index)
    lines = ["| directory | F32 | F16 | BF16 | Q8_0 | read again | llama.cpp | |",
             "| --- |" + " --- |" * 7]
    failed = False
    for root in roots:
        for name in sorted(os.listdir(root)):
            if options.names and name not in options.names:
                continue
            place = tempfile.mkdtemp()
            line, good = compare(gguf, write, options.binary, os.path.join(root, name), place, llama)
            shutil.rmtree(place)
            failed |= not good
            lines.append(line)
            print(("" if good else "FAILED ") + line, flush=True)
    shutil.rmtree(made)
    if options.table:
        with open(options.table, "w") as file:
            file.write("\n".join(lines) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
