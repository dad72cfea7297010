"""Adapters converted to GGUF, in a real llama.cpp: is it the same function?

    .venv/bin/python Tests/Reference/check_llama_cpp.py --build LLAMACPP/build --source LLAMACPP \\
        --lora .build/release/lora --shared ../shared

The build folder needs llama-perplexity and llama-export-lora:

    cmake -S LLAMACPP -B LLAMACPP/build -DCMAKE_BUILD_TYPE=Release
    cmake --build LLAMACPP/build --target llama-perplexity llama-export-lora

Prints the table of Documentation/Conformance.md, section GGUF, and exits with 1 if a number is out
of bounds. Uses stories260k, its GGUF file and the adapter trained on it (below --shared), and makes
adapters with random factors by PEFT.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from safetensors.numpy import load_file

from common import read_ids, token_nll

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANKS = {"q_proj": 4, "down_proj": 13}
MADE = {
    # name: (configuration, standard deviation of random factors, type)
    "rsLoRA": (dict(r=8, lora_alpha=16, use_rslora=True, target_modules=ALL), 0.02, "float32"),
    "rank pattern": (dict(r=8, lora_alpha=16, target_modules=ALL, rank_pattern=RANKS), 0.02, "float32"),
    "alpha pattern": (
        dict(r=8, lora_alpha=16, target_modules=ALL, alpha_pattern={"v_proj": 3, "k_proj": 5}),
        0.02, "float32"),
    "rsLoRA, rank and alpha pattern": (
        dict(r=8, lora_alpha=16, use_rslora=True, target_modules=ALL, rank_pattern=RANKS,
             alpha_pattern={"v_proj": 3}), 0.02, "float32"),
    "stored in bfloat16": (dict(r=8, lora_alpha=16, target_modules=ALL), 0.02, "bfloat16"),
    "embedding": (dict(r=4, lora_alpha=8, target_modules=["embed_tokens", "q_proj"]), 0.05, "float32"),
}

SMALL = dict(vocab_size=96, num_hidden_layers=2, hidden_size=32, num_attention_heads=4)
NARROW = dict(SMALL, intermediate_size=48, num_key_value_heads=2, max_position_embeddings=64)
RANDOM = {
    # architecture: (transformers' configuration, the adapter's modules)
    "mistral": (transformers.MistralConfig(**NARROW, tie_word_embeddings=False), ALL + ["lm_head"]),
    "qwen2": (transformers.Qwen2Config(**NARROW, tie_word_embeddings=False), ALL + ["embed_tokens"]),
    "gpt2": (
        transformers.GPT2Config(vocab_size=96, n_layer=2, n_embd=32, n_head=4, n_positions=64),
        ["c_attn", "c_proj", "c_fc"]),
}

failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


def run(*command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def make_adapter(model, path, configuration, deviation, kind):
    torch.manual_seed(len(path))
    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **configuration))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "lora_embedding" in name:
            parameter.data.normal_(0, deviation)
        if "lora_" in name:
            parameter.data = parameter.data.to(getattr(torch, kind))
    adapted.save_pretrained(path)


def peft_nll(model, path, ids):
    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return token_nll((PeftModel.from_pretrained(base, path) if path else base).eval(), ids).numpy()


class LlamaCpp:
    def __init__(self, build, source, work):
        self.bin = os.path.join(build, "bin")
        self.program = os.path.join(work, "llama_nll")
        run("g++", "-O2", "-std=c++17", os.path.join(HERE, "llama_nll.cpp"), f"-I{source}/include",
            f"-I{source}/ggml/include", f"-L{self.bin}", "-lllama", "-lggml", "-lggml-base",
            f"-Wl,-rpath,{self.bin}", "-o", self.program)
        self.work = work

    def nll(self, model, ids, adapter=None):
        rows = os.path.join(self.work, "rows.txt")
        with open(rows, "w") as file:
            for row in ids.tolist():
                print(*row, file=file)
        text = run(self.program, model, rows, *([adapter, 1] if adapter else []))
        return np.array([[float(number) for number in line.split()] for line in text.splitlines()])

    def perplexity(self, model, text, context, adapter=None):
        """How many chunks llama-perplexity reports, and their mean NLL."""
        command = [os.path.join(self.bin, "llama-perplexity"), "-m", model, "-f", text, "-c", context,
                   "-b", context, "-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-warmup"]
        result = subprocess.run(
            [str(x) for x in command + (["--lora", adapter] if adapter else [])],
            capture_output=True, text=True)
        # The estimate after each chunk, as in "[13]7.3455,[14]6.8453,". Its logger loses the last ones
        # now and then.
        estimates = re.findall(r"\[(\d+)\]([0-9.]+),", result.stdout)
        if result.returncode == 0 and estimates:
            return int(estimates[-1][0]), np.log(float(estimates[-1][1]))
        sys.exit(f"error: llama-perplexity, status {result.returncode}: {result.stderr[-2000:]}")

    def merge(self, model, adapter, output):
        run(os.path.join(self.bin, "llama-export-lora"), "-m", model, "--lora", adapter, "-o", output)


def our_nll(binary, model, ids, work, adapter=None):
    rows = os.path.join(work, "rows.json")
    with open(rows, "w") as file:
        json.dump(ids.tolist(), file)
    text = run(binary, "score", "--model", model, "--ids", rows, "--per-token", "--json",
               *(["--adapter", adapter] if adapter else []))
    return np.array([document["token_nlls"] for document in json.loads(text)["documents"]])


def in_float16(source, path):
    """A copy of a GGUF file with its matrices in float16."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        sub = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        data = tensor.data.reshape(tensor.shape[::-1].tolist())
        writer.add_tensor(tensor.name, data.astype(np.float16) if data.ndim == 2 else data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_model(architecture, folder):
    """A random model, as a directory and as a GGUF file without a vocabulary."""
    configuration, _ = RANDOM[architecture]
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(configuration, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        parameter.data.normal_(1 if name.endswith(("norm.weight", "ln_1.weight")) else 0, 0.2)
    model.save_pretrained(folder)
    kind = {"mistral": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2,
            "gpt2": gguf.MODEL_ARCH.GPT2}[architecture]
    writer = gguf.GGUFWriter(folder + ".gguf", gguf.MODEL_ARCH_NAMES[kind])
    writer.add_vocab_size(96)
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_head_count(4)
    if architecture == "gpt2":
        writer.add_feed_forward_length(128)
        writer.add_layer_norm_eps(configuration.layer_norm_epsilon)
    else:
        writer.add_feed_forward_length(48)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(configuration.rms_norm_eps)
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_dimension_count(8)
    names = gguf.get_tensor_name_map(kind, 2)
    tied = configuration.tie_word_embeddings
    for path, x in model.state_dict().items():
        if tied and path == "lm_head.weight":
            continue
        x = x.numpy()
        name = names.get_name(path, try_suffixes=(".weight", ".bias"))
        name = name or names.get_name(
            path.removeprefix("transformer."), try_suffixes=(".weight", ".bias"))
        if architecture == "gpt2" and x.ndim == 2 and ".h." in path:
            x = x.T
        heads = {"q_proj": 4, "k_proj": 2}.get(path.split(".")[-2])
        if architecture == "mistral" and heads:
            x = x.reshape(heads, 2, x.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(x.shape)
        writer.add_tensor(name, np.ascontiguousarray(x))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_architecture(architecture, arguments, llama, work):
    folder = os.path.join(work, architecture)
    random_model(architecture, folder)
    modules = RANDOM[architecture][1]
    adapter, converted = folder + "-adapter", folder + "-adapter.gguf"
    configuration = dict(r=4, lora_alpha=8, target_modules=modules, rank_pattern={"c_fc": 3})
    make_adapter(folder, adapter, configuration, 0.2, "float32")
    run(arguments.lora, "convert", "--input", adapter, "--to", "gguf", "--base", folder + ".gguf",
        "--output", converted)
    ids = torch.randint(0, 96, (2, 40), generator=torch.Generator().manual_seed(2))
    for path, file in [(None, None), (adapter, converted)]:
        name = architecture + (", adapted" if path else "")
        theirs = llama.nll(folder + ".gguf", ids, file)
        peft = peft_nll(folder, path, ids)
        ours = our_nll(arguments.lora, folder, ids, work, path)
        largest, to_peft = np.abs(ours - theirs).max(), np.abs(ours - peft).max()
        expect(max(largest, to_peft) < 1e-3, f"{name}: a token's NLL differs by {largest}, {to_peft}")
        print(f"| {name} | {theirs.mean():.6f} | {ours.mean():.6f} | {largest:.1e} | {to_peft:.1e} "
              "| - | - |", flush=True)


def compare_merges(model, ours, theirs, heads):
    """The largest difference of a weight, in halves of float16's spacing at the base's weight and at
    the merged one: what rounding both once may cost."""
    weights = load_file(os.path.join(ours, "model.safetensors"))
    before = load_file(os.path.join(model, "model.safetensors"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 64)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(theirs).tensors}
    worst = 0.0
    for path, x in weights.items():
        tensor = tensors[names.get_name(path, try_suffixes=(".weight",))]
        y = tensor.data.astype(np.float64).reshape(tensor.shape[::-1].tolist())
        for module, count in heads.items():
            if module in path:
                # Back from pairs side by side to pairs half a head apart.
                y = y.reshape(count, y.shape[0] // count // 2, 2, -1).swapaxes(1, 2).reshape(y.shape)
        bound = sum(
            np.spacing(np.abs(z).astype(np.float16)).astype(np.float64) / 2 for z in [y, before[path]])
        worst = max(worst, float((np.abs(x.astype(np.float64) - y) / bound).max()))
    return worst


def compare_converters(source, model, adapter, ours, work):
    """Whether convert_lora_to_gguf.py writes the same tensors; None if it does not run here."""
    theirs = os.path.join(work, "theirs.gguf")
    result = subprocess.run(
        [sys.executable, os.path.join(source, "convert_lora_to_gguf.py"), "--base", model, "--outfile",
         theirs, "--outtype", "f32", adapter], capture_output=True, text=True)
    if result.returncode != 0:
        print(f"convert_lora_to_gguf.py does not run: {result.stderr[-300:]}", file=sys.stderr)
        return None
    a, b = ({t.name: t for t in gguf.GGUFReader(path).tensors} for path in (ours, theirs))
    return a.keys() == b.keys() and all(a[n].data.tobytes() == b[n].data.tobytes() for n in a)


def main():
    parser = argparse.ArgumentParser()
    for name in ["build", "source", "lora", "shared"]:
        parser.add_argument("--" + name, required=True, type=os.path.abspath)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--only", help="the name of one adapter")
    arguments = parser.parse_args()
    model = os.path.join(arguments.shared, "models", "stories260k")
    base = model + ".gguf"
    reference = os.path.join(arguments.shared, "reference", "stories260k-lora")
    ids = read_ids(os.path.join(reference, "inputs.safetensors") + "#eval")[: arguments.rows]

    with tempfile.TemporaryDirectory() as work:
        llama = LlamaCpp(arguments.build, arguments.source, work)
        narrow = os.path.join(work, "f16.gguf")
        in_float16(base, narrow)
        with open(os.path.join(arguments.shared, "data", "tinystories_sample.txt")) as file:
            text = file.read(12000)
        sample = os.path.join(work, "sample.txt")
        with open(sample, "w") as file:
            file.write(text)
        chunks = perplexity_chunks(model, text, 128)

        adapters = {"none": None, "trained": os.path.join(reference, "final")}
        for name, (configuration, deviation, kind) in MADE.items():
            adapters[name] = os.path.join(work, name.replace(" ", "-").replace(",", ""))
            make_adapter(model, adapters[name], configuration, deviation, kind)
        print("| adapter | mean NLL, llama.cpp | mean NLL, lora | a token's largest difference "
              "| to PEFT | llama-perplexity to lora | merged: float32 base, float16 base |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, adapter in adapters.items():
            if arguments.only and name != arguments.only:
                continue
            check(name, adapter, arguments, llama, model, base, narrow, ids, sample, chunks, work)
        for architecture in RANDOM:
            if not arguments.only or arguments.only == architecture:
                check_architecture(architecture, arguments, llama, work)
    for failure in failures:
        print("FAILED:", failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


def perplexity_chunks(model, text, context):
    """The rows that llama-perplexity scores: pieces of the text, each begun with the first token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokens = tokenizer(text, add_special_tokens=True)["input_ids"]
    count = len(tokens) // context
    rows = torch.tensor(tokens[: count * context]).reshape(count, context)
    rows[:, 0] = tokenizer.bos_token_id
    return rows


def check(name, adapter, arguments, llama, model, base, narrow, ids, sample, chunks, work):
    converted = None
    if adapter:
        converted = os.path.join(work, "adapter.gguf")
        run(arguments.lora, "convert", "--input", adapter, "--to", "gguf", "--base", base,
            "--output", converted)
    theirs = llama.nll(base, ids, converted)
    ours = our_nll(arguments.lora, model, ids, work, adapter)
    peft = peft_nll(model, adapter, ids)
    largest = np.abs(ours - theirs).max()
    # llama.cpp rounds the activations that it multiplies by narrow factors: one token shows it.
    bound = 1e-3 if MADE.get(name, [None, None, "float32"])[2] == "float32" else 5e-2
    expect(largest < bound, f"{name}: a token's NLL differs by {largest}")
    expect(abs(theirs.mean() - ours.mean()) < 1e-3, f"{name}: the mean NLL differs")
    to_peft = np.abs(ours - peft).max()
    expect(to_peft < 1e-3, f"{name}: a token's NLL differs from PEFT's by {to_peft}")

    # llama-perplexity scores the later half of each chunk.
    half = chunks.shape[1] // 2
    scored = our_nll(arguments.lora, model, chunks, work, adapter)[:, half:]
    count, reported = llama.perplexity(base, sample, chunks.shape[1], converted)
    expect(count > 5, f"{name}: llama-perplexity reports {count} of {len(chunks)} chunks")
    whole = reported - scored[:count].mean()
    expect(abs(whole) < 1e-3, f"{name}: llama-perplexity differs by {whole}")

    merged = "-"
    if adapter and name != "embedding":
        folder, file = os.path.join(work, "merged"), os.path.join(work, "merged.gguf")
        run("rm", "-rf", folder)
        run(arguments.lora, "merge", "--model", model, "--adapter", adapter, "--output", folder)
        worst = []
        for source in (base, narrow):
            llama.merge(source, converted, file)
            worst.append(compare_merges(model, folder, file, {"q_proj": 8, "k_proj": 4}))
        expect(worst[0] < 0.5 and worst[1] < 1.01, f"{name}: merged weights differ by {worst}")
        merged = f"{worst[0]:.1g}, {worst[1]:.2f}"
    print(f"| {name} | {theirs.mean():.6f} | {ours.mean():.6f} | {largest:.1e} | {to_peft:.1e} "
          f"| {whole:+.1e} | {merged} |", flush=True)
    if name == "trained":
        same = compare_converters(arguments.source, model, adapter, converted, work)
        expect(same is not False, "convert_lora_to_gguf.py writes other tensors")
        if same:
            print("(the tensors are those that convert_lora_to_gguf.py writes)", file=sys.stderr)


if __name__ == "__main__":
    main()
