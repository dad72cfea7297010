"""GGUF files by llama.cpp's own converter of the tiny directories, against the directories.

usage: .venv/bin/python Tests/Reference/gguf_converter.py --source LLAMACPP --binary .build/debug/lora
           [--build LLAMACPP/build] [--table FILE] [NAME ...]

LLAMACPP is llama.cpp's source, `vendor/llama.cpp` of the llama-cpp-python source archive (0.3.36): its
package `conversion` holds the classes of convert_hf_to_gguf.py. Of each directory of Fixtures/models and
Fixtures/parts whose class that has, a GGUF file in float32 and without a tokenizer is written; then
`lora score --ids` of the file is compared with the directory's: base, with the directory's adapter read
as it is, and with the adapter that `lora convert` writes as GGUF. Prints the largest difference of a
token's NLL, or who refuses what; exit status 1 above 1e-4, or where `lora` does not read a file for a
reason that is not in UNREADABLE. With --build, a build of llama.cpp's library (`cmake --build LLAMACPP/build
--target llama`), llama.cpp scores the files too, base and with the adapter that `lora convert` writes: two
columns more, exit status 1 above 1e-3 or where it does not load what is not in NOT_IN_LLAMA_CPP. It looks
GELU up in a table of float16, which is 2e-3 off; a build without `#define GGML_GELU_FP16` in
ggml/src/ggml-cpu/vec.h computes it.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch

from compare_models import score
from common import fixture, write_json
from safetensors.torch import load_file, save_file
from tiny_models import save_adapter, save_model

TOLERANCE, LLAMA_TOLERANCE = 1e-4, 1e-3
# What files can't say, and llama.cpp doesn't compute: the directory is changed to what they say, and the
# table says so.
UNSAID = {
    "mistral": ("no windows", lambda c: c.update(sliding_window=None)),
    "qwen2": ("no windows", lambda c: (c.update(use_sliding_window=False), c.pop("layer_types", 0))),
    "qwen3": ("no windows", lambda c: (c.update(use_sliding_window=False), c.pop("layer_types", 0))),
    "gemma2": ("scores by the head's size, windows in even layers, caps", lambda c: c.update(
        query_pre_attn_scalar=c["head_dim"],
        attn_logit_softcapping=c["attn_logit_softcapping"] or 50.0,
        final_logit_softcapping=c["final_logit_softcapping"] or 30.0)),
    "gemma3_text": ("scores by the head's size, windows in five of six layers", lambda c: (
        c.update(query_pre_attn_scalar=c["head_dim"]), c.pop("layer_types"),
        c["rope_parameters"]["sliding_attention"].update(rope_theta=10000.0))),
    # Where a file says nothing llama.cpp caps at 30.
    "gemma4_text": ("a cap", lambda c: c.update(
        final_logit_softcapping=c["final_logit_softcapping"] or 30.0)),
    "mixtral": ("no windows", lambda c: c.update(sliding_window=None)),
    "qwen3_moe": ("no windows, probabilities of the chosen experts over their sum", lambda c: c.update(
        sliding_window=None, use_sliding_window=False, norm_topk_prob=True)),
    "olmoe": ("probabilities of the chosen experts as they are", lambda c: c.update(
        norm_topk_prob=False)),
    "gpt_oss": ("gates limited to 7", lambda c: c.update(swiglu_limit=7.0)),
    "phi3": ("no windows", lambda c: c.update(sliding_window=None)),
    "cohere2": ("windows in three of four layers", lambda c: c.pop("layer_types")),
    "starcoder2": ("no windows", lambda c: c.update(sliding_window=None)),
    "smollm3": ("positions in three of four layers", lambda c: c.update(
        no_rope_layer_interval=4, no_rope_layers=[1] * c["num_hidden_layers"])),
}
# What llama.cpp multiplies without adapters, so that `lora convert` refuses adapters of it by name: left
# out of the directory's.
WITHOUT_ADAPTERS = "per_layer_model_projection"
# What a converted file does not say, so that it is another model's: by name, with the reason.
UNREADABLE = {
    "falcon-one-key-head": "its networks are not four times as wide as it, which files say of all",
    "gemma2-uncapped-v4": "its head is not its embedding, which it is in every Gemma",
    "gemma2-untied-bfloat16": "its head is not its embedding, which it is in every Gemma",
    "gpt2-bfloat16": "its networks are not four times as wide as it, which files say of all",
    "gpt2-tied": "its networks are not four times as wide as it, which files say of all",
    "gpt2-untied-sharded": "its networks are not four times as wide as it, which files say of all",
    "phi-partial": "its key heads are fewer than its query heads, which no Phi-2 is and no file says",
}
# What llama.cpp does not load, or computes otherwise: by name, with the reason.
NOT_IN_LLAMA_CPP = {
    "cohere-head-norms": "it reads norms by head in models of 64 layers alone",
    "falcon of one key head": "it takes GELU by tanh",
    "falcon-grouped-v4": "it takes GELU by tanh",
    "gpt-neox-v4": "it takes GELU by tanh",
    "gpt-oss-mxfp4-v4": "its gpt-oss has biases",
    "olmo2-grouped-tied": "its OLMo 2 has a head of its own",
    "olmo2-linear-biases-bfloat16": "its OLMo 2 has no biases",
    "olmoe-grouped": "its OLMoE has as many key heads as query heads",
    "olmoe-v4-sharded": "its OLMoE has no biases",
    "phi3-longrope": "it takes the long factors: its shortest context is 256",
    "qwen2-vl": "it does not read the epsilon of the norms (0 instead)",
    "qwen2.5-vl-newer": "it does not read the epsilon of the norms (0 instead)",
    "qwen3-moe-v4": "its Qwen3-MoE has no biases",
    "qwen3-window-bfloat16": "its Qwen3 has no biases",
}

ROPE = dict(rope_type="default", rope_theta=10000.0)
# Directories that fixtures are none of: whose networks are four times as wide, which files say of all.
MADE = {
    "falcon of one key head": ("falcon", dict(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        rope_parameters=ROPE)),
    "gpt2 of four widths": ("gpt2", dict(
        vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1,
        eos_token_id=2)),
    "phi of equal heads": ("phi", dict(
        vocab_size=64, hidden_size=32, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, layer_norm_eps=1e-5,
        rope_parameters=dict(ROPE, partial_rotary_factor=0.5))),
}


def make(folder, family, settings, seed):
    """A directory with an adapter, and ids to score."""
    save_model(folder, family, seed, settings)
    targets = ["c_attn", "c_proj", "c_fc"] if family == "gpt2" else "all-linear"
    save_adapter(folder, os.path.join(folder, "adapter"), seed + 1, r=4, lora_alpha=8,
                 target_modules=targets, fan_in_fan_out=family == "gpt2")
    ids = torch.randint(3, 64, (3, 24), generator=torch.Generator().manual_seed(seed + 2))
    save_file(dict(ids=ids), os.path.join(folder, "expected.safetensors"))


def converter(source):
    sys.path.insert(0, source)
    sys.path.insert(0, os.path.join(source, "gguf-py"))
    import conversion
    import gguf
    import logging
    logging.disable(logging.WARNING)

    def without_vocabulary(self):
        # What llama.cpp needs to load a file that has none.
        self.gguf_writer.add_tokenizer_model("no_vocab")
        if f"{self.gguf_writer.arch}.vocab_size" not in self.gguf_writer.kv_data[0]:
            self.gguf_writer.add_vocab_size(self.hparams["vocab_size"])

    def write(folder, path, file_type="ALL_F32"):
        folder = pathlib.Path(folder)
        hparams = conversion.ModelBase.load_hparams(folder, False)
        # The keys that published files have, which the converter asks for and transformers 5 drops.
        with open(folder / "config.json") as file:
            hparams = {**hparams, **json.load(file)}
        kind = hparams["model_type"]
        if kind == "gpt2":
            hparams["n_ctx"] = hparams["n_positions"]
        if kind == "cohere2":
            hparams["rotary_pct"] = 1.0
        if "layer_norm_eps" in hparams or "norm_epsilon" in hparams:
            hparams.pop("rms_norm_eps", None)  # models.py gives it to all
        if kind == "falcon" and hparams["multi_query"] and not hparams["new_decoder_architecture"]:
            del hparams["num_kv_heads"]  # transformers 5 writes it where it does not count
        text = hparams.get("text_config", hparams)
        if text["model_type"] == "ministral3":  # 0 where files say nothing
            for key in "rope_parameters", "rope_scaling":
                if text.get(key):
                    text[key].setdefault("mscale_all_dim", 0.0)
        if kind in ("gemma3_text", "gemma3", "gemma4_text", "gemma4"):  # counted
            size = hparams.get("text_config", hparams)["vocab_size"]
            write_json(folder / "tokenizer.json", dict(
                model=dict(vocab={str(i): i for i in range(size)}), added_tokens=[]))
        name = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
        cls = conversion.get_model_class(name)
        cls.set_vocab = without_vocabulary
        if kind in ("mistral3", "ministral3"):
            cls.Ministral3Model.set_vocab = without_vocabulary
        cls(folder, gguf.LlamaFileType[file_type], pathlib.Path(path), eager=True,
            hparams=hparams).write()

    return write


def prepare(folder, place):
    """The directory as its GGUF file can say it, for `lora`; the same for the converter; what changed."""
    copy, note = os.path.join(place, "model"), ""
    shutil.copytree(folder, copy)
    path = os.path.join(copy, "config.json")
    with open(path) as file:
        config = json.load(file)
    before = json.dumps(config, sort_keys=True)
    described = config.get("text_config", config)
    if described["model_type"] in UNSAID:
        text, change = UNSAID[described["model_type"]]
        change(described)
        note = text if json.dumps(config, sort_keys=True) != before else ""
    write_json(path, config)
    source = os.path.join(place, "source")
    shutil.copytree(copy, source)
    return copy, source, note


def takeable(adapter, place):
    """The adapter as llama.cpp can take it, and what is left out."""
    tensors = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    if not any(WITHOUT_ADAPTERS in name for name in tensors):
        return adapter, ""
    copy = os.path.join(place, "adapter")
    shutil.copytree(adapter, copy)
    save_file({name: x for name, x in tensors.items() if WITHOUT_ADAPTERS not in name},
              os.path.join(copy, "adapter_model.safetensors"))
    path = os.path.join(copy, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    write_json(path, {**config, "exclude_modules": [WITHOUT_ADAPTERS]})
    return copy, f"the adapter without {WITHOUT_ADAPTERS}"


def compare(write, binary, folder, place, llama):
    model, source, note = prepare(folder, place)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    ids = os.path.join(place, "ids.json")
    write_json(ids, expected["ids"].tolist())
    path = os.path.join(place, "model.gguf")
    try:
        write(source, path)
    except BaseException as error:  # the converter's, whatever it is
        return None, f"the converter: {type(error).__name__}: {str(error)[:90]}".replace(place, "")
    adapter, left_out = takeable(os.path.join(folder, "adapter"), place)
    note = ", ".join(filter(None, [note, left_out]))
    as_gguf = os.path.join(place, "adapter.gguf")
    try:
        base = score(binary, model, ids, text_only=True)
        found = [(score(binary, path, ids) - base).abs().max()]
        want = score(binary, model, ids, adapter, text_only=True)
        found.append((score(binary, path, ids, adapter) - want).abs().max())
        run = subprocess.run(
            [binary, "convert", "--input", adapter, "--to", "gguf", "--base", path, "--output", as_gguf],
            capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stderr.strip())
        found.append((score(binary, path, ids, as_gguf) - want).abs().max())
    except RuntimeError as error:
        return None, f"lora: {error}".replace(place + "/", "")
    if llama:
        for wanted, file in (base, None), (want, as_gguf):
            try:
                given = llama.nll(path, expected["ids"], file)
                found.append((torch.from_numpy(given) - wanted).abs().max())
            except SystemExit as error:
                found.append(torch.tensor(torch.nan))
                print(str(error)[-500:], file=sys.stderr)
    return [x.item() for x in found], note


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--build")
    parser.add_argument("--table")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    made = tempfile.mkdtemp()
    write, llama = converter(os.path.abspath(options.source)), None
    if options.build:
        from check_llama_cpp import LlamaCpp  # after the converter: both take its gguf
        llama = LlamaCpp(os.path.abspath(options.build), options.source, made)
    columns = ["base", "adapter", "adapter as GGUF"]
    columns += ["llama.cpp", "llama.cpp with the adapter"] if llama else []
    failed, lines = False, [f"| directory | {' | '.join(columns)} | changed to what files say |",
                           "| --- |" + " --- |" * (len(columns) + 1)]
    roots = [fixture("models", "x")[:-2], fixture("parts", "x")[:-2],
             os.path.join(made, "directories")]
    for index, (name, (family, settings)) in enumerate(MADE.items()):
        make(os.path.join(made, "directories", name), family, settings, 500 + 10 * index)
    for root in roots:
        for name in sorted(os.listdir(root)):
            if options.names and name not in options.names:
                continue
            place = tempfile.mkdtemp()
            found, problem = None, "lora: not compared"
            if name not in UNREADABLE:
                found, problem = compare(
                    write, options.binary, os.path.join(root, name), place, llama)
            shutil.rmtree(place)
            if found is None:
                reason = UNREADABLE.get(name)
                failed |= problem.startswith("lora") and reason is None
                lines.append(f"| {name} |{' |' * len(columns)} {reason or problem} |")
            else:
                failed |= max(found[:3]) > TOLERANCE
                # Not a number: llama.cpp does not load it.
                reason = NOT_IN_LLAMA_CPP.get(name) if llama else None
                failed |= reason is None and not all(x <= LLAMA_TOLERANCE for x in found[3:])
                problem = ", ".join([problem] * bool(problem) + [f"llama.cpp: {reason}"] * bool(reason))
                lines.append(f"| {name} | " + " | ".join(f"{x:.1e}" for x in found) + f" | {problem} |")
            print(lines[-1], flush=True)
    shutil.rmtree(made)
    if options.table:
        with open(options.table, "w") as file:
            file.write("\n".join(lines) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
