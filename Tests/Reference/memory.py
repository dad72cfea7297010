"""Compares the memory that is predicted for training with the peak that the system reports.

usage: .venv/bin/python Tests/Reference/memory.py LORA [--model-type TYPE ...] [--length 768]

LORA is the command built for release. For every decoder: a model of random bfloat16 weights with eight
layers of 512 and a vocabulary of 49,152, written by transformers; then `lora bench train`, an adapter of
rank 16, batches of one, with and without checkpointing. Prints a table; a difference above 10 % fails.
"""

import argparse
import json
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

transformers.utils.logging.disable_progress_bar()

LLAMA = dict(vocab_size=49152, hidden_size=512, intermediate_size=1408, num_hidden_layers=8,
             num_attention_heads=8, num_key_value_heads=2, max_position_embeddings=2048,
             bos_token_id=1, eos_token_id=2, pad_token_id=0)
NEOX = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
GPT2 = dict(vocab_size=49152, n_embd=512, n_inner=1408, n_layer=8, n_head=8, n_positions=2048,
            bos_token_id=1, eos_token_id=2, pad_token_id=0)
SETTINGS = {
    "llama": LLAMA, "mistral": dict(LLAMA, sliding_window=256), "qwen2": LLAMA,
    "ministral": dict(LLAMA, head_dim=64), "qwen3": dict(LLAMA, head_dim=64), "smollm3": LLAMA,
    "ministral3": dict(LLAMA, head_dim=64), "gemma": dict(LLAMA, head_dim=64),
    "gemma2": dict(LLAMA, head_dim=64, sliding_window=256),
    "gemma3_text": dict(LLAMA, head_dim=64, sliding_window=256), "olmo2": LLAMA, "granite": LLAMA,
    "cohere": LLAMA, "cohere2": dict(LLAMA, sliding_window=256), "phi": LLAMA, "phi3": LLAMA,
    "starcoder2": LLAMA, "stablelm": LLAMA, "gpt2": GPT2, "gptj": dict(GPT2, rotary_dim=32),
    "gpt_neox": NEOX,
    "bloom": dict(vocab_size=49152, hidden_size=512, n_layer=8, n_head=8),
    "falcon": dict(vocab_size=49152, hidden_size=512, num_hidden_layers=8, num_attention_heads=8,
                   multi_query=True, parallel_attn=True, bias=False, max_position_embeddings=2048),
    "gpt_neo": dict(vocab_size=49152, hidden_size=512, intermediate_size=1408, num_layers=8, num_heads=8,
                    max_position_embeddings=2048, attention_types=[[["global", "local"], 4]],
                    bos_token_id=1, eos_token_id=2),
    "mixtral": dict(LLAMA, num_local_experts=4, num_experts_per_tok=2),
    "qwen3_moe": dict(LLAMA, head_dim=64, moe_intermediate_size=512, num_experts=8,
                      num_experts_per_tok=2),
    "olmoe": dict(LLAMA, num_experts=8, num_experts_per_tok=2),
    "opt": dict(vocab_size=49152, hidden_size=512, ffn_dim=1408, num_hidden_layers=8,
                num_attention_heads=8, max_position_embeddings=2048, word_embed_proj_dim=512),
}


def measure(binary, folder, length, checkpointing):
    flags = ["--checkpointing" if checkpointing else "--no-checkpointing"]
    result = subprocess.run(
        [binary, "bench", "train", "--model", folder, "--sequence-length", str(length), "--steps", "3",
         "--json"] + flags, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    report = json.loads(result.stdout)
    return report["predicted_peak_bytes"], report["peak_rss_bytes"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lora")
    parser.add_argument("--model-type", nargs="*", default=list(SETTINGS))
    parser.add_argument("--length", type=int, default=768)
    arguments = parser.parse_args()
    failures = 0
    print("| model type | predicted MiB | peak MiB | ratio | with checkpointing: predicted | peak | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model_type in arguments.model_type:
        torch.manual_seed(0)
        config = CONFIG_MAPPING[model_type](**SETTINGS[model_type])
        with tempfile.TemporaryDirectory() as folder:
            AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
            cells = [model_type]
            for checkpointing in (False, True):
                predicted, peak = measure(arguments.lora, folder, arguments.length, checkpointing)
                ratio = predicted / peak
                failures += abs(ratio - 1) > 0.1
                cells += [str(predicted >> 20), str(peak >> 20), f"{ratio:.3f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    if failures:
        sys.exit(f"{failures} predictions are more than 10 % off")


if __name__ == "__main__":
    main()
