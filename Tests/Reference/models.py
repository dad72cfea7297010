"""Tiny random directories of every architecture, their adapters and what transformers computes.

usage: .venv/bin/python Tests/Reference/models.py [NAME ...]   -> Tests/Fixtures/models/<name>/

Each directory: config.json (of transformers 5, or rewritten as transformers 4 wrote it),
generation_config.json, weights, `adapter/` by PEFT, and expected.safetensors:
  ids [3, 24] int64            token rows
  nll, nll_adapted [3, 23]     of every token but the first, without and with the adapter
  generated, generated_adapted [20] int64   greedy, after the first 5 ids of row 0, no stop token
  stopped [n] int64            greedy without adapter, ending with the first stop token of
                               generation_config.json (which is kept as the last id)
A float64 model computes them from the stored weights (bfloat16 and float16 ones widened).
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file

from common import fixture, token_nll, write, write_json
from tiny_models import (
    LLAMA3, NearTie, generate, greedy, load_adapter, load_model, quantize_experts, save_adapter,
    save_model,
)

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=44, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
ALL = dict(r=4, lora_alpha=8, target_modules="all-linear")
TWO = dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
GPT2 = dict(vocab_size=64, n_embd=32, n_inner=44, n_layer=2, n_head=4, n_positions=64,
            bos_token_id=1, eos_token_id=2)
GEMMA2 = dict(head_dim=8, query_pre_attn_scalar=12, sliding_window=6, attn_logit_softcapping=2.0,
              final_logit_softcapping=5.0)
GEMMA4 = dict(hidden_size=24, intermediate_size=20, head_dim=6, global_head_dim=8, sliding_window=5,
              vocab_size_per_layer_input=64, hidden_size_per_layer_input=6, pad_token_id=0,
              rope_parameters=dict(
                  full_attention=dict(rope_type="proportional", partial_rotary_factor=0.5,
                                      rope_theta=1e6),
                  sliding_attention=dict(rope_type="default", rope_theta=10000.0)))
GPT_OSS = dict(sliding_window=5, num_local_experts=3, num_experts_per_tok=2, pad_token_id=0,
               swiglu_limit=0.7)
DEFAULT = dict(rope_type="default", rope_theta=10000.0)

MODELS = {
    "llama-grouped": dict(family="llama", settings=dict()),
    "llama-tied-v4": dict(
        family="llama", generation=4, adapter=TWO,
        settings=dict(num_key_value_heads=4, tie_word_embeddings=True, rms_norm_eps=1e-6)),
    "llama-head-dim-biases": dict(
        family="llama",
        settings=dict(head_dim=12, hidden_size=24, attention_bias=True, mlp_bias=True,
                      rope_parameters=dict(rope_type="default", rope_theta=500000.0))),
    "llama-linear-sharded": dict(
        family="llama", shards=3,
        settings=dict(rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=1000.0))),
    "llama-linear-v4": dict(
        family="llama", generation=4, adapter=dict(ALL, use_rslora=True),
        settings=dict(hidden_size=20, num_attention_heads=2, num_key_value_heads=1,
                      rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0))),
    "llama-llama3-bfloat16": dict(
        family="llama", dtype="bfloat16",
        settings=dict(rope_parameters=dict(LLAMA3, rope_theta=500.0))),
    "llama-llama3-v4-float16-sharded": dict(
        family="llama", generation=4, dtype="float16", shards=3,
        settings=dict(tie_word_embeddings=True, num_hidden_layers=3,
                      rope_parameters=dict(LLAMA3, rope_theta=10000.0))),
    "qwen2-untied": dict(family="qwen2", settings=dict(rms_norm_eps=1e-6)),
    "qwen2-tied-v4-bfloat16": dict(
        family="qwen2", generation=4, dtype="bfloat16", adapter=TWO,
        settings=dict(tie_word_embeddings=True, num_key_value_heads=1,
                      rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen2-window": dict(
        family="qwen2",
        settings=dict(use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen2-window-v4": dict(
        family="qwen2", generation=4,
        settings=dict(use_sliding_window=True, sliding_window=5, max_window_layers=1,
                      tie_word_embeddings=True)),
    "mistral-window": dict(family="mistral", settings=dict(sliding_window=8)),
    "mistral-v4": dict(
        family="mistral", generation=4,
        settings=dict(sliding_window=None, head_dim=10, num_attention_heads=3,
                      num_key_value_heads=1, hidden_size=24)),
    "mistral-window-v4-tied": dict(
        family="mistral", generation=4, shards=2,
        settings=dict(sliding_window=8, tie_word_embeddings=True,
                      rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "gpt2-tied": dict(family="gpt2", settings=dict()),
    "gpt2-body-v4": dict(
        family="gpt2", generation=4, body=True,
        adapter=dict(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True),
        settings=dict(n_inner=None, n_embd=20, activation_function="gelu",
                      scale_attn_by_inverse_layer_idx=True)),
    "gpt2-untied-sharded": dict(
        # transformers computes scores apart in float32 only where that is the model's type: the
        # same numbers, and the flag is set afterwards.
        family="gpt2", shards=3, afterwards=dict(reorder_and_upcast_attn=True),
        settings=dict(tie_word_embeddings=False, scale_attn_weights=False,
                      layer_norm_epsilon=1e-3)),
    "gpt2-bfloat16": dict(family="gpt2", dtype="bfloat16", settings=dict(n_layer=3)),
    # Each head's size is a setting of its own.
    "qwen3-untied": dict(family="qwen3", settings=dict(head_dim=8)),
    "qwen3-window-bfloat16": dict(
        family="qwen3", dtype="bfloat16", adapter=TWO,
        settings=dict(head_dim=12, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                      attention_bias=True, tie_word_embeddings=True)),
    # Caps low enough that most scores and logits feel them.
    "gemma2-windows": dict(
        family="gemma2", settings=dict(GEMMA2, num_hidden_layers=3, intermediate_size=32)),
    "gemma2-untied-bfloat16": dict(
        family="gemma2", dtype="bfloat16", adapter=TWO,
        settings=dict(GEMMA2, head_dim=12, query_pre_attn_scalar=20, sliding_window=5,
                      attn_logit_softcapping=None, tie_word_embeddings=False)),
    "gemma2-uncapped-v4": dict(
        family="gemma2", generation=4,
        settings=dict(GEMMA2, final_logit_softcapping=None, sliding_window=40,
                      tie_word_embeddings=False)),
    "olmo2-grouped-tied": dict(family="olmo2", settings=dict(tie_word_embeddings=True)),
    "olmo2-linear-biases-bfloat16": dict(
        family="olmo2", dtype="bfloat16", adapter=TWO,
        settings=dict(num_key_value_heads=4, attention_bias=True,
                      rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=1000.0))),
    "olmo2-v4": dict(
        family="olmo2", generation=4,
        settings=dict(num_key_value_heads=1, rms_norm_eps=1e-6,
                      rope_parameters=dict(rope_type="default", rope_theta=500000.0))),
    "smollm3-v4": dict(
        family="smollm3", generation=4, settings=dict(no_rope_layer_interval=2, pad_token_id=0)),
    "gemma-v4": dict(
        family="gemma", generation=4, adapter=TWO, settings=dict(head_dim=6, intermediate_size=32)),
    "gemma3-windows": dict(
        family="gemma3_text", adapter=TWO,
        settings=dict(head_dim=6, query_pre_attn_scalar=12, sliding_window=4, num_hidden_layers=3,
                      intermediate_size=32, sliding_window_pattern=2,
                      rope_parameters=dict(
                          full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1e6),
                          sliding_attention=dict(rope_type="default", rope_theta=100.0)))),
    "granite-v4": dict(
        family="granite", generation=4,
        settings=dict(embedding_multiplier=3.0, attention_multiplier=0.3, residual_multiplier=0.6,
                      logits_scaling=0.5, attention_bias=True)),
    "cohere-v4": dict(
        family="cohere", generation=4,
        settings=dict(layer_norm_eps=1e-5, logit_scale=1.5, pad_token_id=0)),
    "phi-partial": dict(
        family="phi", settings=dict(layer_norm_eps=1e-5, rope_parameters=dict(
            DEFAULT, partial_rotary_factor=0.5))),
    "phi3-window": dict(
        family="phi3", settings=dict(sliding_window=6, pad_token_id=0, rope_parameters=dict(
            DEFAULT, partial_rotary_factor=0.75))),
    "starcoder2-window": dict(
        family="starcoder2", settings=dict(norm_epsilon=1e-5, sliding_window=6)),
    "stablelm-v4": dict(
        family="stablelm", generation=4,
        settings=dict(layer_norm_eps=1e-5, use_qkv_bias=True, use_parallel_residual=True,
                      rope_parameters=dict(DEFAULT, partial_rotary_factor=0.25))),
    "gptj-tied": dict(family="gptj", settings=dict(rotary_dim=4)),
    "gpt-neox-v4": dict(
        family="gpt_neox", generation=4,
        settings=dict(layer_norm_eps=1e-5, rope_parameters=dict(
            DEFAULT, partial_rotary_factor=0.25))),
    "opt-untied": dict(
        family="opt", settings=dict(ffn_dim=44, tie_word_embeddings=False)),
    "ministral-windows": dict(
        family="ministral", adapter=TWO,
        settings=dict(sliding_window=5, head_dim=6, layer_types=[
            "sliding_attention", "full_attention"])),
    "cohere2-windows": dict(
        family="cohere2",
        settings=dict(layer_norm_eps=1e-5, logit_scale=1.5, pad_token_id=0, sliding_window=5,
                      layer_types=["sliding_attention", "full_attention"])),
    "llama-yarn-v4": dict(
        family="llama", generation=4, adapter=TWO,
        settings=dict(rope_parameters=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0,
            rope_theta=10000.0))),
    "phi3-longrope": dict(
        family="phi3",
        settings=dict(pad_token_id=0, original_max_position_embeddings=32, rope_parameters=dict(
            rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=1.0,
            short_factor=[1.0, 1.1, 1.3, 1.9], long_factor=[2.0, 3.0, 5.0, 8.0]))),
    "opt-norms-after": dict(
        family="opt", adapter=TWO, settings=dict(
            ffn_dim=40, do_layer_norm_before=False, tie_word_embeddings=False)),
    "mixtral-window": dict(
        family="mixtral", adapter=dict(r=4, lora_alpha=8, target_modules=[
            "q_proj", "k_proj", "v_proj", "o_proj"]),
        settings=dict(intermediate_size=16, num_local_experts=4, sliding_window=6)),
    # What PEFT makes of experts: one parameter of all of them, as transformers 5 has it.
    "mixtral-v4-bfloat16": dict(
        family="mixtral", generation=4, dtype="bfloat16",
        adapter=dict(r=3, lora_alpha=4, target_modules=["q_proj"], target_parameters=[
            "experts.gate_up_proj", "experts.down_proj", "gate.weight"]),
        settings=dict(intermediate_size=12, num_local_experts=5, num_experts_per_tok=3,
                      tie_word_embeddings=True)),
    "qwen3-moe-dense-layers": dict(
        family="qwen3_moe", settings=dict(
            head_dim=8, hidden_size=20, intermediate_size=24, moe_intermediate_size=12, num_experts=4,
            num_experts_per_tok=2, num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[3],
            norm_topk_prob=True)),
    "qwen3-moe-v4": dict(
        family="qwen3_moe", generation=4, adapter=dict(
            r=2, lora_alpha=6, target_modules=["v_proj"],
            target_parameters=["mlp.experts.gate_up_proj"]),
        settings=dict(head_dim=6, moe_intermediate_size=10, num_experts=6, num_experts_per_tok=2,
                      attention_bias=True, use_sliding_window=True, sliding_window=5)),
    "olmoe-grouped": dict(
        family="olmoe", adapter=TWO,
        settings=dict(intermediate_size=12, num_experts=4, num_experts_per_tok=2, pad_token_id=0)),
    "olmoe-v4-sharded": dict(
        family="olmoe", generation=4, shards=2, adapter=dict(
            r=2, lora_alpha=4, target_modules=[], target_parameters=["experts.down_proj"]),
        settings=dict(intermediate_size=12, num_experts=5, num_experts_per_tok=3, pad_token_id=0,
                      num_key_value_heads=4, attention_bias=True, norm_topk_prob=True)),
    # Three heads: ALiBi's slopes are not those of a power of two alone.
    "bloom-body-v4": dict(
        family="bloom", generation=4, body=True, settings=dict(hidden_size=24, n_head=3)),
    "bloom-untied-bfloat16": dict(
        family="bloom", dtype="bfloat16", adapter=dict(
            r=4, lora_alpha=8, target_modules=["query_key_value"]),
        settings=dict(tie_word_embeddings=False, layer_norm_epsilon=1e-3)),
    "falcon-one-key-head": dict(family="falcon", settings=dict(ffn_hidden_size=40)),
    "falcon-grouped-v4": dict(
        family="falcon", generation=4,
        settings=dict(new_decoder_architecture=True, num_kv_heads=2, tie_word_embeddings=False)),
    "falcon-alibi": dict(
        family="falcon", adapter=dict(r=4, lora_alpha=8, target_modules=["query_key_value"]),
        settings=dict(alibi=True, multi_query=False, parallel_attn=False, bias=True)),
    "gpt-neo-windows": dict(
        family="gpt_neo", settings=dict(window_size=4, attention_types=[[["global", "local"], 1]])),
    "cohere-head-norms": dict(
        family="cohere", adapter=TWO,
        settings=dict(layer_norm_eps=1e-5, logit_scale=1.5, pad_token_id=0, use_qk_norm=True)),
    "stablelm-head-norms": dict(
        family="stablelm", settings=dict(layer_norm_eps=1e-5, qk_layernorm=True,
                                         rope_parameters=dict(DEFAULT, partial_rotary_factor=0.25))),
    "phi-head-norms": dict(
        family="phi", settings=dict(layer_norm_eps=1e-5, qk_layernorm=True, rope_parameters=dict(
            DEFAULT, partial_rotary_factor=0.5))),
    "opt-projected": dict(
        family="opt", settings=dict(
            ffn_dim=40, do_layer_norm_before=False, word_embed_proj_dim=20)),
    # The queries of most positions are scaled.
    "ministral3-v4": dict(
        family="ministral3", generation=4, settings=dict(head_dim=6, pad_token_id=0, rope_parameters=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=5, beta_fast=8.0,
            rope_theta=10000.0, mscale=1.0, mscale_all_dim=0.5, llama_4_scaling_beta=0.6))),
    "gemma4-shared-keys": dict(
        family="gemma4_text", settings=dict(
            GEMMA4, num_hidden_layers=4, num_kv_shared_layers=2, use_double_wide_mlp=True,
            layer_types=["sliding_attention", "full_attention"] * 2)),
    "gemma4-v4-bfloat16": dict(
        family="gemma4_text", generation=4, dtype="bfloat16", adapter=TWO, settings=dict(
            GEMMA4, num_hidden_layers=3, attention_k_eq_v=True, num_global_key_value_heads=1,
            hidden_size_per_layer_input=0, final_logit_softcapping=5.0, tie_word_embeddings=False,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"])),
    "gpt-oss": dict(
        family="gpt_oss", settings=dict(
            GPT_OSS, intermediate_size=12, hidden_size=24, head_dim=6, rope_parameters=dict(
                rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0,
                rope_theta=10000.0, truncate=False))),
    "gpt-oss-mxfp4-v4": dict(
        family="gpt_oss", generation=4, dtype="bfloat16", mxfp4=True, adapter=TWO, settings=dict(
            GPT_OSS, intermediate_size=32, head_dim=8, attention_bias=False)),
}


class TooDull(Exception):
    """A model that generates too few different ids to tell a right implementation from a wrong."""


def strip_prefix(folder):
    """Names tensors as the first GPT-2's checkpoint does, with the causal masks that it stores."""
    path = os.path.join(folder, "model.safetensors")
    tensors = {key.removeprefix("transformer."): value for key, value in load_file(path).items()}
    mask = torch.tril(torch.ones(1, 1, 64, 64, dtype=torch.bool))
    if "wte.weight" in tensors:
        tensors.update({f"h.{index}.attn.bias": mask.clone() for index in range(2)})
    write(path, tensors, format="pt")


def make(name, seed, family, settings, generation=5, dtype="float32", shards=1, adapter=ALL,
         body=False, afterwards=None, mxfp4=False):
    folder = fixture("models", name)
    common = GPT2 if family in ("gpt2", "gptj") else {**SMALL, "rope_parameters": DEFAULT}
    if family in ("gpt_neox", "opt"):
        del common["num_key_value_heads"]
    if family == "opt":
        del common["rope_parameters"]
    if family in ("bloom", "falcon", "gpt_neo"):
        common = dict(
            vocab_size=64, hidden_size=32, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
        common.update({"bloom": dict(n_layer=2, n_head=4),
                       "falcon": dict(num_hidden_layers=2, num_attention_heads=4,
                                      rope_parameters=DEFAULT),
                       "gpt_neo": dict(num_layers=2, num_heads=4)}[family])
        if family == "bloom":
            del common["max_position_embeddings"]
    settings = {**common, **settings}
    save_model(folder, family, seed, settings, generation, dtype, shards)
    if body:
        strip_prefix(folder)
    source = quantize_experts(folder) if mxfp4 else folder
    save_adapter(source, os.path.join(folder, "adapter"), seed + 1, base=name, **adapter)

    ids = torch.randint(3, settings["vocab_size"], (3, 24),
                        generator=torch.Generator().manual_seed(seed + 2))
    ids[:, 0] = 1
    prompt = ids[0, :5]
    base = load_model(source)
    expected = dict(ids=ids, nll=token_nll(base, ids), generated=greedy(base, prompt, 20, 1e-3))
    assert torch.equal(expected["generated"], generate(base, prompt, 20))
    if len(set(expected["generated"].tolist())) < 7:
        raise TooDull

    # A stop token that comes up: the first id that appears for the first time at index 3 or later.
    run = expected["generated"].tolist()
    new = [token for i, token in enumerate(run) if i >= 3 and token not in run[:i]]
    stop = new[0] if new else run[-1]
    stops = stop if generation == 4 else [2, stop]
    expected["stopped"] = generate(base, prompt, 20, stops)
    write_json(os.path.join(folder, "generation_config.json"),
               dict(bos_token_id=1, do_sample=False, eos_token_id=stops,
                    transformers_version="4.40.0" if generation == 4 else "5.0.0"))

    adapted = load_adapter(base, os.path.join(folder, "adapter"))
    expected["nll_adapted"] = token_nll(adapted, ids)
    expected["generated_adapted"] = greedy(adapted, prompt, 20, 1e-3)
    assert torch.equal(expected["generated_adapted"], generate(adapted, prompt, 20))
    if mxfp4:
        shutil.rmtree(source)
    write(os.path.join(folder, "expected.safetensors"), expected)
    if afterwards:
        path = os.path.join(folder, "config.json")
        with open(path) as file:
            config = json.load(file)
        write_json(path, {**config, **afterwards})
    print(f"{name}: nll {expected['nll'].mean():.4f}, "
          f"adapted {expected['nll_adapted'].mean():.4f}, {len(set(run))} different ids "
          f"generated, stops after {len(expected['stopped'])}")


if __name__ == "__main__":
    for index, (name, options) in enumerate(MODELS.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        for attempt in range(20):
            try:
                make(name, seed=1000 + 100 * index + 10 * attempt, **options)
                break
            except (NearTie, TooDull):
                continue
        else:
            raise SystemExit(f"error: no seed suits {name}")
