"""Combines adapters with PEFT and with `lora combine`, and compares the models that come out.

usage: .venv/bin/python Tests/Reference/compare_combinations.py --binary .build/release/lora [--model DIR]

Makes adapters of equal and different ranks, scales, rank patterns and layers for a model (the fixture
`llama-grouped` unless another is given), combines them with every type and prints a Markdown table:
the largest difference of any token's NLL between PEFT and `lora score` with the folder that `lora
combine` wrote, the same where PEFT reads that folder, and who refuses. Random types (dare_*) are
compared at a density of 1, where nothing is random.
"""

import argparse
import json
import os
import subprocess
import tempfile

import torch
from common import fixture, read_ids, token_nll
from peft import PeftModel
from tiny_models import load_adapter, load_model, save_adapter

ADAPTERS = {
    "a": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]),
    "b": dict(r=4, lora_alpha=2, target_modules=["q_proj", "v_proj", "down_proj"]),
    "small": dict(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]),
    "other": dict(r=4, lora_alpha=4, target_modules=["q_proj", "up_proj", "o_proj"]),
    "patterns": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
                     rank_pattern={"down_proj": 3}, alpha_pattern={"q_proj": 5}),
    "stabilized": dict(r=4, lora_alpha=4, use_rslora=True, target_modules=["q_proj", "v_proj"]),
}
SETS = {
    "equal ranks": [("a", 0.7), ("b", 0.4)],
    "negative weight": [("a", 1.0), ("b", -0.6)],
    "different layers": [("a", 0.5), ("other", 0.8)],
    "three": [("a", 0.5), ("other", 1.5), ("b", -0.25)],
    "different ranks": [("a", 0.7), ("small", 0.4)],
    "rank pattern": [("a", 0.7), ("patterns", 0.4)],
    "rsLoRA second": [("a", 0.7), ("stabilized", 0.4)],
}
TYPES = ["cat", "linear", "svd", "ties", "ties_svd", "magnitude_prune", "magnitude_prune_svd",
         "dare_linear", "dare_linear_svd", "dare_ties", "dare_ties_svd"]


def by_peft(model_folder, folders, chosen, kind, density, ids):
    """The NLL of every token with PEFT's combination; None where PEFT refuses."""
    first = chosen[0][0]
    model = PeftModel.from_pretrained(load_model(model_folder), folders[first], adapter_name=first)
    for name, _ in chosen[1:]:
        model.load_adapter(folders[name], adapter_name=name)
    try:
        model.add_weighted_adapter([name for name, _ in chosen], [w for _, w in chosen], "new",
                                   combination_type=kind, density=density)
    except (ValueError, RuntimeError):
        return None
    model.set_adapter("new")
    return token_nll(model.eval(), ids)


def by_lora(binary, model_folder, folders, chosen, kind, density, ids_path, output):
    """The same with `lora combine` and `lora score`; None where it refuses."""
    options = [] if density is None else ["--density", str(density)]
    for name, weight in chosen:
        options += ["--adapter", f"{folders[name]}:{weight}"]
    made = subprocess.run([binary, "combine", "--type", kind.replace("_", "-"), "--output", output,
                           *options], capture_output=True, text=True)
    if made.returncode == 1:
        return None
    assert made.returncode == 0, made.stderr
    scored = subprocess.run([binary, "score", "--model", model_folder, "--adapter", output, "--ids",
                             ids_path, "--per-token", "--json"], capture_output=True, text=True,
                            check=True)
    documents = json.loads(scored.stdout)["documents"]
    return torch.tensor([document["token_nlls"] for document in documents], dtype=torch.float64)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", default=fixture("models", "llama-grouped"))
    options = parser.parse_args()
    ids_path = os.path.join(fixture("models", "llama-grouped"), "expected.safetensors#ids")
    ids = read_ids(ids_path)
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for index, (name, settings) in enumerate(ADAPTERS.items()):
            folders[name] = os.path.join(scratch, name)
            save_adapter(options.model, folders[name], seed=900 + index, **settings)
        print("| adapters | " + " | ".join(TYPES) + " |")
        print("| --- |" + " --- |" * len(TYPES))
        for title, chosen in SETS.items():
            cells = []
            for kind in TYPES:
                density = None if kind in ("cat", "linear", "svd") else 0.5
                if kind.startswith("dare"):
                    density = 1.0
                output = os.path.join(scratch, f"{title}-{kind}".replace(" ", "-"))
                expected = by_peft(options.model, folders, chosen, kind, density, ids)
                found = by_lora(options.binary, options.model, folders, chosen, kind, density,
                                ids_path, output)
                if expected is None or found is None:
                    both = expected is None and found is None
                    cells.append("both refuse" if both else
                                 f"only {'PEFT' if expected is None else 'lora'} refuses")
                    worst = worst if both else float("inf")
                    continue
                read = token_nll(load_adapter(load_model(options.model), output), ids)
                ours = (found - expected).abs().max().item()
                theirs = (read - expected).abs().max().item()
                worst = max(worst, ours, theirs)
                cells.append(f"{ours:.0e} / {theirs:.0e}")
            print(f"| {title} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nlargest difference: {worst:.1e}")
    raise SystemExit(worst > 1e-4)


if __name__ == "__main__":
    main()
