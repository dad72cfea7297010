"""Compares the memory that is predicted for training with the peak that the system reports.

usage: .venv/bin/python Tests/Reference/memory.py LORA [--model-type TYPE ...] [--length 768]

LORA is the command built for release. For every decoder: a model of random bfloat16 weights with eight
layers of 512 and a vocabulary of 49,152, written by transformers; then `lora bench train`, an adapter of
rank 16, batches of one. For every encoder: a model of random float32 weights with six layers of 512 and a
tokenizer of whole words; then `lora train`, an adapter of rank 8, batches of 32: a classifier of texts of one
length, the same of many lengths, batched by length, and an embedding of pairs. Each with and without
checkpointing. Prints a table; a difference above 10 % fails.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM,
)

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
    "gemma4_text": dict(LLAMA, head_dim=64, global_head_dim=128, sliding_window=256,
                        num_kv_shared_layers=4, hidden_size_per_layer_input=64,
                        vocab_size_per_layer_input=49152, layer_types=[
                            "sliding_attention", "full_attention"] * 4),
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
    "gpt_oss": dict(LLAMA, head_dim=64, intermediate_size=512, sliding_window=128,
                    num_local_experts=4, num_experts_per_tok=2),
    "qwen3_moe": dict(LLAMA, head_dim=64, moe_intermediate_size=512, num_experts=8,
                      num_experts_per_tok=2),
    "olmoe": dict(LLAMA, num_experts=8, num_experts_per_tok=2),
    "opt": dict(vocab_size=49152, hidden_size=512, ffn_dim=1408, num_hidden_layers=8,
                num_attention_heads=8, max_position_embeddings=2048, word_embed_proj_dim=512),
    "t5": dict(vocab_size=49152, d_model=512, d_ff=1408, num_layers=8, num_heads=8, d_kv=64,
               decoder_start_token_id=0),
    "mt5": dict(vocab_size=49152, d_model=512, d_ff=1408, num_layers=8, num_heads=8, d_kv=64),
}


# What classifies and embeds: six layers of 512, a small vocabulary.
BERT = dict(vocab_size=8192, hidden_size=512, intermediate_size=2048, num_hidden_layers=6,
            num_attention_heads=8, max_position_embeddings=514, pad_token_id=1)
ENCODERS = {
    "bert": BERT, "roberta": BERT, "xlm-roberta": BERT,
    "distilbert": dict(vocab_size=8192, dim=512, hidden_dim=2048, n_layers=6, n_heads=8,
                       max_position_embeddings=514, pad_token_id=1),
    "modernbert": dict(BERT, intermediate_size=1408, local_attention=128, bos_token_id=2,
                       eos_token_id=3, cls_token_id=2, sep_token_id=3, global_attn_every_n_layers=3),
}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    report = json.loads(result.stdout)
    return report["predicted_peak_bytes"], report["peak_rss_bytes"]


def checkpointing_flag(checkpointing):
    return "--checkpointing" if checkpointing else "--no-checkpointing"


def decoder(binary, folder, model_type, length):
    """The measurement of a decoder: a name, and a function of whether it is checkpointed."""
    config = CONFIG_MAPPING[model_type](**SETTINGS[model_type])
    kind = AutoModelForSeq2SeqLM if model_type in ("t5", "mt5") else AutoModelForCausalLM
    kind.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    yield model_type, lambda checkpointing: run(
        [binary, "bench", "train", "--model", folder, "--sequence-length", str(length), "--steps", "3",
         "--json", checkpointing_flag(checkpointing)])


def write_tokenizer(folder):
    """Words are `w4`, `w5`, ...; two special tokens stand round a text."""
    names = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"] + [f"w{index}" for index in range(4, 8192)]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def encoder(binary, folder, model_type, length):
    config = CONFIG_MAPPING[model_type](**ENCODERS[model_type])
    AutoModel.from_config(config, dtype=torch.float32).save_pretrained(folder)
    write_tokenizer(folder)
    draw = random.Random(0)
    longest = length // 6

    def text(count):
        return " ".join(f"w{draw.randrange(4, 8192)}" for _ in range(count - 2))

    def write(name, records):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        return path

    lengths = [longest] + [draw.randrange(8, longest + 1) for _ in range(95)]
    tasks = {
        "one length": ("classification", [
            dict(text=text(longest), label=str(index % 4)) for index in range(64)]),
        "many lengths": ("classification", [
            dict(text=text(count), label=str(index % 4)) for index, count in enumerate(lengths)]),
        "pairs": ("embedding", [
            dict(text=text(longest), text_pair=text(longest)) for _ in range(32)]),
    }
    for name, (task, records) in tasks.items():
        data = write(f"{task}.jsonl", records)

        def measure(checkpointing, task=task, data=data):
            return run(
                [binary, "train", "--task", task, "--model", folder, "--data", data, "--batch",
                 "32" if task == "classification" else "16", "--epochs", "1", "--output",
                 os.path.join(folder, "output"), "--force", "--json", checkpointing_flag(checkpointing)])

        yield f"{model_type}, {name}", measure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lora")
    parser.add_argument("--model-type", nargs="*", default=list(SETTINGS) + list(ENCODERS))
    parser.add_argument("--length", type=int, default=768)
    arguments = parser.parse_args()
    failures = 0
    print("| model type | predicted MiB | peak MiB | ratio | with checkpointing: predicted | peak | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model_type in arguments.model_type:
        torch.manual_seed(0)
        make = decoder if model_type in SETTINGS else encoder
        with tempfile.TemporaryDirectory() as folder:
            for name, measure in make(arguments.lora, folder, model_type, arguments.length):
                cells = [name]
                for checkpointing in (False, True):
                    predicted, peak = measure(checkpointing)
                    ratio = predicted / peak
                    failures += abs(ratio - 1) > 0.1
                    cells += [str(predicted >> 20), str(peak >> 20), f"{ratio:.3f}"]
                print("| " + " | ".join(cells) + " |", flush=True)
    if failures:
        sys.exit(f"{failures} predictions are more than 10 % off")


if __name__ == "__main__":
    main()
