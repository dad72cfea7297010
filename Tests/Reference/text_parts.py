"""Tiny random models that read images too, and what transformers and PEFT compute of texts with them.

usage: .venv/bin/python Tests/Reference/text_parts.py [NAME ...]    -> Tests/Fixtures/parts/<name>/

Each directory: config.json, model.safetensors with everything (`newer`: under the names that
transformers' modules have), `adapter/` by PEFT on the text part's layers, `adapter-former/` the same
under the names of older versions, and expected.safetensors: ids [2, 20] int64; nll and nll_adapted
[2, 19] of every token but the first, by float64 models.
"""

import json
import os
import shutil
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForImageTextToText

from common import fixture, fresh_folder, token_nll, write, write_json
from compare_architectures import VISION, adapter, newer_name, rename

TEXT = dict(vocab_size=64, hidden_size=24, intermediate_size=28, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=1, max_position_embeddings=64,
            bos_token_id=1, eos_token_id=2, pad_token_id=0)
ROPE = dict(rope_type="default", rope_theta=10000.0)
MODELS = {
    "gemma3": dict(model_type="gemma3", former="language_model.model.", settings=dict(
        text_config=dict(TEXT, head_dim=6, query_pre_attn_scalar=12, sliding_window=4,
                         layer_types=["sliding_attention", "full_attention"]),
        vision_config=VISION, mm_tokens_per_image=4)),
    "mistral3-newer": dict(model_type="mistral3", former="language_model.model.", newer=True,
                           settings=dict(
        text_config=dict(TEXT, model_type="mistral", sliding_window=None, rope_parameters=ROPE),
        vision_config=dict(VISION, model_type="pixtral", head_dim=8), tie_word_embeddings=False)),
    "qwen2-vl": dict(model_type="qwen2_vl", former="model.", settings=dict(
        text_config=dict(TEXT, rope_parameters=dict(ROPE, mrope_section=[1, 1, 2])),
        vision_config=dict(embed_dim=8, hidden_size=24, depth=1, num_heads=2, patch_size=4),
        tie_word_embeddings=True)),
    "qwen2.5-vl-newer": dict(model_type="qwen2_5_vl", former="model.", newer=True, settings=dict(
        text_config=dict(TEXT, rope_parameters=dict(ROPE, mrope_section=[2, 1, 1])),
        vision_config=dict(hidden_size=8, out_hidden_size=24, intermediate_size=12, depth=1,
                           num_heads=2, patch_size=4))),
    "mistral3-ministral3": dict(model_type="mistral3", former="language_model.model.", settings=dict(
        text_config=dict(TEXT, model_type="ministral3", head_dim=6, sliding_window=None,
                         rope_parameters=dict(ROPE, rope_type="yarn", factor=4.0, beta_fast=8.0,
                                              original_max_position_embeddings=5,
                                              llama_4_scaling_beta=0.6)),
        vision_config=dict(VISION, model_type="pixtral", head_dim=8), tie_word_embeddings=False)),
    "gemma4": dict(model_type="gemma4", former="language_model.model.", settings=dict(
        text_config=dict(TEXT, head_dim=6, global_head_dim=8, sliding_window=4, num_hidden_layers=4,
                         num_kv_shared_layers=2, hidden_size_per_layer_input=5,
                         vocab_size_per_layer_input=64,
                         layer_types=["sliding_attention", "full_attention"] * 2),
        vision_config=dict(VISION, head_dim=8, num_key_value_heads=2, position_embedding_size=16))),
}


def make(name, seed, model_type, former, settings, newer=False):
    folder = fresh_folder(fixture("parts", name))
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(model_type, **settings))
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if "language_model" in key or "lm_head" in key:
                is_norm = "norm" in key and model_type != "gemma3"
                parameter.normal_(1.0 if is_norm else 0.0, 0.2)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))
    if newer:
        rename(folder, newer_name)
    place = os.path.join(folder, "adapter")
    adapter("LoRA", model_type, folder, place, seed + 1)
    os.remove(os.path.join(place, "README.md"))
    config = os.path.join(place, "adapter_config.json")
    with open(config) as file:
        described = json.load(file)
    write_json(config, {**described, "base_model_name_or_path": name})
    other = os.path.join(folder, "adapter-former")
    shutil.copytree(place, other)
    path = os.path.join(other, "adapter_model.safetensors")
    write(path, {key.replace("model.language_model.", former): value
                 for key, value in load_file(path).items()}, format="pt")
    config = os.path.join(other, "adapter_config.json")
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:  # its expression names the newer version's layers
        text = text.replace(r"model\\.language_model\\..*_proj", r".*layers\\..*_proj")
        file.write(text.replace(r"model\\.language_model\\..*(_proj|", r".*(_proj|"))
    ids = torch.randint(3, 64, (2, 20), generator=torch.Generator().manual_seed(seed + 2))

    def load():
        return AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float64, attn_implementation="eager").eval()

    with torch.no_grad():
        expected = dict(ids=ids, nll=token_nll(load(), ids))
        adapted = PeftModel.from_pretrained(load(), place).eval()
        expected["nll_adapted"] = token_nll(adapted, ids)
    write(os.path.join(folder, "expected.safetensors"), expected)
    print(f"{name}: nll {expected['nll'].mean():.4f}, adapted {expected['nll_adapted'].mean():.4f}")


if __name__ == "__main__":
    for index, (name, options) in enumerate(MODELS.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        make(name, seed=9000 + 10 * index, **options)
