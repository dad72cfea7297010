"""Compares `lora score` with transformers and PEFT on fresh random models.

usage: .venv/bin/python Tests/Reference/compare_models.py --binary .build/release/lora
           [--seed 0] [--count 20] [--tolerance 1e-4] [--keep FOLDER]

Every model has its own family, shape, rotary kind, biases, head, configuration generation, dtype,
number of shards and adapter. Prints the largest difference of a token's NLL with and without the
adapter; exit status 1 above the tolerance or where the command fails. Without --binary only the
Python half runs. The comparison is in float32 (`lora score` computes a stored bfloat16 or float16
model from the same widened weights).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

import torch

from common import token_nll, write_json
from tiny_models import load_adapter, load_model, save_adapter, save_model


def random_model(choose):
    """Arguments for save_model, and the length of the token rows."""
    family = choose.choice(["llama", "llama", "qwen2", "mistral"])
    heads = choose.choice([1, 2, 3, 4, 6, 8])
    head_dim = choose.choice([2, 4, 6, 8, 10, 16, 32])
    groups = choose.choice([k for k in range(1, heads + 1) if heads % k == 0])
    length = choose.choice([2, 9, 24, 50, 90])
    settings = dict(
        vocab_size=choose.randint(20, 300), hidden_size=heads * head_dim,
        intermediate_size=choose.randint(5, 130), num_hidden_layers=choose.randint(1, 4),
        num_attention_heads=heads, num_key_value_heads=groups,
        max_position_embeddings=choose.choice([90, 128, 2048]),
        rms_norm_eps=choose.choice([1e-5, 1e-6, 1e-3]),
        tie_word_embeddings=choose.random() < 0.5, bos_token_id=1, eos_token_id=2)
    rope = dict(rope_type="default", rope_theta=choose.choice([500.0, 10000.0, 500000.0, 1e6]))
    kind = choose.choice(["default", "linear", "llama3"])
    if kind == "linear":
        rope.update(rope_type="linear", factor=choose.choice([2.0, 3.5, 8.0]))
    elif kind == "llama3":
        rope.update(rope_type="llama3", factor=choose.choice([2.0, 8.0, 32.0]),
                    low_freq_factor=1.0, high_freq_factor=choose.choice([2.0, 4.0]),
                    original_max_position_embeddings=choose.choice([8, 32, 64]))
    settings["rope_parameters"] = rope
    window = choose.choice([1, 3, 8, 40])
    if family == "llama":
        settings.update(attention_bias=choose.random() < 0.3, mlp_bias=choose.random() < 0.3)
    elif family == "qwen2" and choose.random() < 0.5:
        settings.update(use_sliding_window=True, sliding_window=window,
                        max_window_layers=choose.randint(0, settings["num_hidden_layers"]))
    elif family == "mistral":
        settings.update(sliding_window=choose.choice([None, window]))
    if family != "qwen2" and choose.random() < 0.4:
        settings.update(head_dim=choose.choice([2, 6, 12, 20]))
    shards = choose.choice([1, 1, 2, 3])
    arguments = dict(
        family=family, settings=settings, generation=choose.choice([4, 5]), shards=shards,
        dtype=choose.choice(["float32", "float32", "bfloat16", "float16"]),
        std=0.9 / settings["hidden_size"] ** 0.5)
    return arguments, length


def random_adapter(choose):
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    rank = choose.choice([1, 2, 3, 4, 8, 16])
    settings = dict(r=rank, lora_alpha=choose.choice([1, 4, 16, 2 * rank]),
                    use_rslora=choose.random() < 0.3, target_modules="all-linear")
    if choose.random() < 0.5:
        settings["target_modules"] = choose.sample(targets, choose.randint(1, 4))
    if settings["target_modules"] != "all-linear":
        targets = settings["target_modules"]
    if choose.random() < 0.3:
        settings["rank_pattern"] = {choose.choice(targets): choose.choice([1, 5])}
        settings["alpha_pattern"] = {choose.choice(targets): choose.choice([2, 9])}
    return settings


def score(binary, model, ids, adapter=None, text_only=False):
    """Token NLLs as `lora score` prints them."""
    command = [binary, "score", "--model", model, "--ids", ids, "--per-token", "--json"]
    command += ["--text-only"] if text_only else []
    command += ["--adapter", adapter] if adapter else []
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}: {process.stderr.strip()}")
    documents = json.loads(process.stdout)["documents"]
    return torch.tensor([d["token_nlls"] for d in documents], dtype=torch.float64)


def save_some_model(folder, choose, seed):
    """Writes a random model (one that the requested shards fit); its arguments and row length."""
    arguments, length = random_model(choose)
    try:
        save_model(folder, seed=seed, **arguments)
    except AssertionError:  # one tensor is too large a part of so small a model
        arguments["shards"] = 1
        save_model(folder, seed=seed, **arguments)
    return arguments, length


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--keep", help="write the models here and leave them")
    arguments = parser.parse_args()

    failures, largest = 0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for index in range(arguments.count):
            seed = arguments.seed * 10_000 + index
            choose = random.Random(seed)
            folder = os.path.join(arguments.keep or scratch, f"model-{seed}")
            adapter = os.path.join(folder, "adapter")
            made, length = save_some_model(folder, choose, seed)
            options = random_adapter(choose)
            save_adapter(folder, adapter, seed, b_std=0.3 / made["settings"]["hidden_size"] ** 0.5,
                         **options)
            generator = torch.Generator().manual_seed(seed)
            ids = torch.randint(0, made["settings"]["vocab_size"], (2, length), generator=generator)
            file = os.path.join(folder, "ids.json")
            write_json(file, ids.tolist())

            model = load_model(folder)
            expected = [token_nll(model, ids)]
            expected.append(token_nll(load_adapter(model, adapter), ids))
            rope = made["settings"]["rope_parameters"]["rope_type"]
            line = (f"{seed}: {made['family']} v{made['generation']} {made['dtype']} {rope} "
                    f"rank {options['r']}, NLL {expected[0].mean():.3f}, {expected[1].mean():.3f}")
            if arguments.binary:
                try:
                    found = [score(arguments.binary, folder, file),
                             score(arguments.binary, folder, file, adapter)]
                    differences = [(a - b).abs().max().item() for a, b in zip(found, expected)]
                    worst = max(differences)
                    failed = not worst <= arguments.tolerance  # a NaN fails too
                    largest = max(largest, worst) if worst == worst else float("nan")
                    line += f", differences {differences[0]:.1e}, {differences[1]:.1e}"
                except (RuntimeError, ValueError, KeyError) as error:
                    failed, line = True, f"{line}: {error}"
                if failed:
                    failures += 1
                    line += f"\n  FAILED {json.dumps(made)} {json.dumps(options)}"
            print(line, flush=True)
    if arguments.binary:
        print(f"largest difference {largest:.2e}, {failures} of {arguments.count} models failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
