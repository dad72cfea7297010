"""Compares `lora score` and `lora classify` with transformers and PEFT on random models of every kind.

usage: .venv/bin/python Tests/Reference/compare_architectures.py --binary .build/release/lora
           [--only NAME] [--count 3] [--seed 0] [--tolerance 1e-4] [--keep FOLDER] [--table FILE]

Of each architecture `--count` random configurations (sizes, grouped heads, windows, tied heads, biases
and whatever else `VARIANTS` draws), in both generations of config.json where they differ, one file or
shards: the NLL of every token of the base, with an adapter on all linear layers, and of the model that
`lora merge` writes, in transformers too; of encoders the logits of a classifier, of encoder-decoders the
NLLs of a target. The method is LoRA for
seed 0, and the next of `METHODS` for the next. Prints the largest difference of each; exit status 1 above
the tolerance. `--table` writes Documentation/Architectures.md.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import (
    IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftModel, VeraConfig, get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM, AutoModelForSequenceClassification,
)

from common import token_nll, write_json
from compare_models import score

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def bert_like(choose, **more):
    return dict(
        vocab_size=choose.randint(30, 70), hidden_size=24, intermediate_size=choose.randint(9, 70),
        num_hidden_layers=choose.randint(1, 3), num_attention_heads=choose.choice([2, 3, 4]),
        max_position_embeddings=48, layer_norm_eps=epsilon(choose), hidden_act=choose.choice(["gelu", "relu"]),
        num_labels=choose.randint(2, 5), pad_token_id=0, **more)


def llama_like(choose, **more):
    heads = choose.choice([2, 4, 6])
    size = choose.choice([4, 8, 12])
    groups = choose.choice([k for k in range(1, heads + 1) if heads % k == 0])
    return dict(
        vocab_size=choose.randint(40, 120), hidden_size=heads * size,
        intermediate_size=choose.randint(9, 70), num_hidden_layers=choose.randint(2, 4),
        num_attention_heads=heads, num_key_value_heads=groups, max_position_embeddings=64,
        tie_word_embeddings=choose.random() < 0.5, bos_token_id=1, eos_token_id=2,
        pad_token_id=0, **more)


def epsilon(choose):
    return choose.choice([1e-5, 1e-6, 1e-3])


def rope(choose, **more):
    return dict(rope_type="default", rope_theta=choose.choice([500.0, 10000.0, 1e6]), **more)


def scaled(choose):
    """Every kind of scaling but LongRoPE, whose factors are as many as frequencies."""
    kind = choose.choice(["default", "linear", "dynamic", "llama3", "yarn", "yarn"])
    more = dict(
        default={}, linear=dict(factor=2.5), dynamic=dict(factor=2.0),
        llama3=dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=16),
        yarn=dict(factor=choose.choice([2.0, 4.0]), original_max_position_embeddings=16,
                  **choose.choice([
                      {}, dict(attention_factor=1.3), dict(beta_fast=8.0, beta_slow=2.0),
                      dict(mscale=0.8, mscale_all_dim=0.5), dict(truncate=False)])))[kind]
    return dict(rope(choose), rope_type=kind, **more)


def query_scaled(choose):
    """Ministral 3's: queries grow with their position."""
    return dict(
        choose.choice([
            rope(choose),
            dict(rope(choose), rope_type="yarn", factor=4.0, beta_fast=8.0, mscale=1.0,
                 mscale_all_dim=choose.choice([0.5, 1.0]))]),
        original_max_position_embeddings=choose.choice([3, 8]),
        llama_4_scaling_beta=choose.choice([0.1, 0.7]))


def gemma4_like(choose):
    """Heads by the type of layer, shared keys, vectors of tokens for each layer."""
    settings = llama_like(choose, rms_norm_eps=epsilon(choose))
    layers = choose.choice([3, 4, 6])
    heads = settings["num_attention_heads"]
    types = [choose.choice(["sliding_attention", "full_attention"]) for _ in range(layers - 2)]
    types = ["sliding_attention", "full_attention"] + types
    types[-1] = "full_attention"
    one = dict(rope_type="default", rope_theta=choose.choice([100.0, 10000.0]))
    return dict(
        settings, num_hidden_layers=layers, layer_types=types, head_dim=choose.choice([6, 8]),
        global_head_dim=choose.choice([8, 12, 16]), sliding_window=choose.choice([3, 5]),
        num_global_key_value_heads=choose.choice([None, 1, heads]),
        attention_k_eq_v=flip(choose), num_kv_shared_layers=choose.choice([0, 1, layers - 2]),
        use_double_wide_mlp=flip(choose), hidden_size_per_layer_input=choose.choice([0, 5, 8]),
        vocab_size_per_layer_input=settings["vocab_size"],
        attention_bias=flip(choose), final_logit_softcapping=choose.choice([None, 5.0]),
        rope_parameters=dict(sliding_attention=one, full_attention=choose.choice([
            dict(rope_type="proportional", partial_rotary_factor=choose.choice([0.25, 0.5]),
                 rope_theta=1e6),
            dict(rope_type="proportional", factor=2.0, rope_theta=1e4), rope(choose)])))


def long_rope(choose, settings):
    """Phi-3's long models, half of them rotating three quarters of a head."""
    fraction = choose.choice([0.5, 1.0])
    size = settings["hidden_size"] // settings["num_attention_heads"]
    count = int(size * fraction) // 2
    return dict(
        settings, max_position_embeddings=64, original_max_position_embeddings=32,
        rope_parameters=dict(
            rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=fraction,
            short_factor=[round(choose.uniform(1, 2), 3) for _ in range(count)],
            long_factor=[round(choose.uniform(2, 9), 3) for _ in range(count)]))


def flip(choose):
    return choose.random() < 0.5


def experts(choose, key):
    count = choose.choice([3, 4, 6])
    return {key: count, "num_experts_per_tok": choose.randint(1, count)}


def gpt_like(choose):
    heads = choose.choice([2, 4])
    return dict(vocab_size=choose.randint(40, 120), n_embd=heads * choose.choice([8, 12]),
                n_layer=choose.randint(2, 4), n_head=heads, n_positions=64, bos_token_id=1,
                eos_token_id=2, n_inner=choose.choice([None, 50]),
                tie_word_embeddings=flip(choose), layer_norm_epsilon=epsilon(choose))


def without_groups(settings):
    del settings["num_key_value_heads"]
    return settings


def falcon_like(choose):
    """7B, 40B and 11B, and RW."""
    heads = choose.choice([2, 4, 6])
    style = choose.choice([
        dict(), dict(new_decoder_architecture=True, num_kv_heads=choose.choice([1, 2])),
        dict(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1),
        dict(alibi=True, multi_query=False, parallel_attn=False, bias=True),
        dict(multi_query=False, parallel_attn=flip(choose), bias=flip(choose))])
    return dict(
        vocab_size=choose.randint(40, 120), hidden_size=heads * choose.choice([4, 8, 12]),
        num_hidden_layers=choose.randint(2, 4), num_attention_heads=heads,
        ffn_hidden_size=choose.choice([None, 40]), layer_norm_epsilon=epsilon(choose),
        tie_word_embeddings=flip(choose), max_position_embeddings=64, bos_token_id=1,
        eos_token_id=2, rope_parameters=rope(choose), **style)


def neo_like(choose):
    layers = choose.choice([2, 4])
    heads = choose.choice([2, 4])
    return dict(
        vocab_size=choose.randint(40, 120), hidden_size=heads * choose.choice([4, 8]),
        num_layers=layers, num_heads=heads, max_position_embeddings=64,
        intermediate_size=choose.choice([None, 50]), window_size=choose.choice([3, 5]),
        attention_types=choose.choice([[[["global", "local"], layers // 2]], [[["local"], layers]]]),
        layer_norm_epsilon=epsilon(choose), tie_word_embeddings=flip(choose), bos_token_id=1,
        eos_token_id=2)


def bloom_like(choose):
    heads = choose.choice([2, 3, 4, 6])
    return dict(
        vocab_size=choose.randint(40, 120), hidden_size=heads * choose.choice([4, 8, 12]),
        n_layer=choose.randint(2, 4), n_head=heads, layer_norm_epsilon=epsilon(choose),
        tie_word_embeddings=flip(choose), bos_token_id=1, eos_token_id=2)


VISION = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=2,
              image_size=16, patch_size=4)


def with_images(choose, text, vision, **more):
    ties = text.pop("tie_word_embeddings")
    return dict(text_config=text, vision_config=vision, tie_word_embeddings=ties, **more)


def qwen_vl(choose, vision):
    text = llama_like(choose, rms_norm_eps=epsilon(choose), use_sliding_window=flip(choose),
                      sliding_window=5, max_window_layers=1)
    pairs = text["hidden_size"] // text["num_attention_heads"] // 2
    sections = [pairs // 2, 0, pairs - pairs // 2]
    return with_images(choose, dict(text, rope_parameters=rope(choose, mrope_section=sections)),
                       dict(vision, depth=1, num_heads=2, patch_size=4))


VARIANTS = {
    "bloom": bloom_like,
    "falcon": falcon_like,
    "gpt_neo": neo_like,
    "cohere-norms": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), rope_parameters=rope(c), use_qk_norm=True,
        logit_scale=c.choice([0.5, 1.5])),
    "stablelm-norms": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), use_qkv_bias=flip(c), use_parallel_residual=flip(c),
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0])), qk_layernorm=True),
    "phi-norms": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), qk_layernorm=True,
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0]))),
    "gemma3": lambda c: with_images(c, dict(
        llama_like(c, rms_norm_eps=epsilon(c), head_dim=c.choice([6, 16]), sliding_window=4,
                   query_pre_attn_scalar=c.choice([8, 20])), layer_types=None), VISION,
        mm_tokens_per_image=4),
    "gemma4_text": gemma4_like,
    "gemma4": lambda c: with_images(c, gemma4_like(c), dict(
        VISION, head_dim=8, num_key_value_heads=2, position_embedding_size=16)),
    "mistral3": lambda c: with_images(c, dict(
        llama_like(c, rms_norm_eps=epsilon(c), rope_parameters=rope(c),
                   sliding_window=c.choice([None, 5])), model_type="mistral"),
        dict(VISION, model_type="pixtral", head_dim=8)),
    "mistral3-long": lambda c: with_images(c, dict(
        llama_like(c, rms_norm_eps=epsilon(c), rope_parameters=query_scaled(c),
                   head_dim=c.choice([4, 6, 10]), sliding_window=c.choice([None, 5])),
        model_type="ministral3"), dict(VISION, model_type="pixtral", head_dim=8)),
    "ministral3": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=query_scaled(c), head_dim=c.choice([4, 6, 10]),
        sliding_window=c.choice([None, 5])),
    "qwen2_vl": lambda c: qwen_vl(c, dict(embed_dim=16, hidden_size=32)),
    "qwen2_5_vl": lambda c: qwen_vl(c, dict(hidden_size=16, out_hidden_size=32,
                                            intermediate_size=20)),
    "llama": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=scaled(c), attention_bias=flip(c),
        mlp_bias=flip(c)),
    "ministral": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), head_dim=c.choice([6, 10]),
        sliding_window=c.choice([3, 5])),
    "mistral": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), sliding_window=c.choice([None, 5])),
    "qwen2": lambda c: llama_like(c, rms_norm_eps=epsilon(c), rope_parameters=scaled(c)),
    "qwen3": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), head_dim=c.choice([6, 10]),
        attention_bias=flip(c)),
    "smollm3": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c),
        mlp_bias=flip(c), no_rope_layer_interval=c.choice([2, 3, 4])),
    "gemma": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), head_dim=c.choice([6, 16])),
    "gemma2": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), head_dim=c.choice([6, 16]),
        sliding_window=5, query_pre_attn_scalar=c.choice([8, 20]), attn_logit_softcapping=2.0,
        final_logit_softcapping=c.choice([None, 5.0])),
    "gemma3_text": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), head_dim=c.choice([6, 16]), sliding_window=c.choice([3, 6]),
        query_pre_attn_scalar=c.choice([8, 20]), final_logit_softcapping=c.choice([None, 5.0]),
        rope_parameters=dict(
            full_attention=c.choice([
                rope(c), dict(rope_type="linear", factor=4.0, rope_theta=1e6)]),
            sliding_attention=dict(rope_type="default", rope_theta=100.0)),
        layer_types=None, sliding_window_pattern=c.choice([2, 3, 6])),
    "olmo2": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c)),
    "mixtral": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), sliding_window=c.choice([None, 5]),
        **experts(c, "num_local_experts")),
    "gpt_oss": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=scaled(c), head_dim=c.choice([6, 10]),
        attention_bias=flip(c), sliding_window=c.choice([3, 5]), swiglu_limit=c.choice([0.7, 7.0]),
        swiglu_alpha=c.choice([1.0, 1.702]), **experts(c, "num_local_experts")),
    "qwen3_moe": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), head_dim=c.choice([6, 10]),
        attention_bias=flip(c), use_sliding_window=flip(c), sliding_window=5,
        moe_intermediate_size=c.randint(5, 20), norm_topk_prob=flip(c),
        decoder_sparse_step=c.choice([1, 2]), mlp_only_layers=c.choice([[], [0]]),
        **experts(c, "num_experts")),
    "olmoe": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c),
        norm_topk_prob=flip(c), **experts(c, "num_experts")),
    "granite": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c),
        mlp_bias=flip(c), embedding_multiplier=c.choice([1.0, 6.0]),
        attention_multiplier=c.choice([0.2, 0.4]), residual_multiplier=c.choice([0.22, 0.7]),
        logits_scaling=c.choice([1.0, 3.0])),
    "cohere": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c),
        logit_scale=c.choice([0.5, 1.5])),
    "cohere2": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), rope_parameters=rope(c), attention_bias=flip(c),
        logit_scale=c.choice([0.5, 1.5]), sliding_window=5),
    "phi": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c),
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0]))),
    "phi3": lambda c: llama_like(
        c, rms_norm_eps=epsilon(c), sliding_window=c.choice([None, 5]),
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0]))),
    "phi3-long": lambda c: long_rope(c, llama_like(c, rms_norm_eps=epsilon(c))),
    "starcoder2": lambda c: llama_like(
        c, norm_epsilon=epsilon(c), rope_parameters=rope(c), use_bias=flip(c),
        sliding_window=c.choice([None, 5])),
    "stablelm": lambda c: llama_like(
        c, layer_norm_eps=epsilon(c), use_qkv_bias=flip(c), use_parallel_residual=flip(c),
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0]))),
    "gpt2": gpt_like,
    "gptj": lambda c: dict(gpt_like(c), rotary_dim=c.choice([2, 4, 8])),
    "gpt_neox": lambda c: without_groups(llama_like(
        c, layer_norm_eps=epsilon(c), use_parallel_residual=flip(c), attention_bias=flip(c),
        rope_parameters=rope(c, partial_rotary_factor=c.choice([0.5, 1.0])))),
    "opt": lambda c: dict(
        {k: v for k, v in without_groups(llama_like(c)).items() if k != "intermediate_size"},
        ffn_dim=c.randint(9, 70), do_layer_norm_before=flip(c), enable_bias=flip(c),
        word_embed_proj_dim=c.choice([None, 6, 10]),
        activation_function=c.choice(["relu", "gelu"])),
}
# Encoders with a classifier of several labels.
ENCODERS = {
    "bert": lambda c: bert_like(c, type_vocab_size=c.choice([1, 2])),
    "roberta": lambda c: bert_like(c, type_vocab_size=1),
    "xlm-roberta": lambda c: bert_like(c, type_vocab_size=1),
    "modernbert": lambda c: dict(
        vocab_size=c.randint(30, 70), hidden_size=24, intermediate_size=c.randint(9, 40),
        num_hidden_layers=c.randint(2, 4), num_attention_heads=c.choice([2, 3]),
        max_position_embeddings=48, norm_eps=epsilon(c), local_attention=c.choice([4, 8]),
        norm_bias=flip(c), attention_bias=flip(c), mlp_bias=flip(c), classifier_bias=flip(c),
        classifier_pooling=c.choice(["cls", "mean"]), classifier_activation=c.choice(["gelu", "silu"]),
        num_labels=c.randint(2, 5), pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
        sep_token_id=2, rope_parameters=dict(full_attention=rope(c), sliding_attention=rope(c))),
    "distilbert": lambda c: dict(
        vocab_size=c.randint(30, 70), dim=24, hidden_dim=c.randint(9, 70), n_layers=c.randint(1, 3),
        n_heads=c.choice([2, 3, 4]), max_position_embeddings=48, activation=c.choice(["gelu", "relu"]),
        num_labels=c.randint(2, 5), pad_token_id=0),
}
VARIANTS.update(ENCODERS)


def t5_like(choose):
    heads = choose.choice([2, 3, 4])
    return dict(
        vocab_size=choose.randint(40, 120), d_model=choose.choice([16, 24, 30]), num_heads=heads,
        d_kv=choose.choice([4, 7, 12]), d_ff=choose.randint(9, 70), num_layers=choose.randint(1, 4),
        num_decoder_layers=choose.choice([None, 1, 3]), layer_norm_epsilon=epsilon(choose),
        relative_attention_num_buckets=choose.choice([8, 16, 32]),
        relative_attention_max_distance=choose.choice([20, 40, 128]),
        feed_forward_proj=choose.choice(["relu", "gelu", "gated-gelu", "gated-silu"]),
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        tie_word_embeddings=flip(choose))


# Models that read a source and write a target, behind this many tokens of the former.
ENCODER_DECODERS = {"t5": t5_like, "mt5": t5_like}
SOURCE = 11
VARIANTS.update(ENCODER_DECODERS)
METHODS = {
    "LoRA": lambda s, f: LoraConfig(r=3, lora_alpha=6, **s, **f),
    "DoRA": lambda s, f: LoraConfig(r=3, lora_alpha=6, use_dora=True, **s, **f),
    "LoHa": lambda s, f: LoHaConfig(r=3, alpha=6, **s),
    "LoKr": lambda s, f: LoKrConfig(r=3, alpha=6, decompose_both=True, **s),
    "IA3": lambda s, f: IA3Config(feedforward_modules=[], **s, **f),
    "VeRA": lambda s, f: VeraConfig(r=6, save_projection=True, d_initial=0.5, **s, **f),
    "rsLoRA": lambda s, f: LoraConfig(r=4, lora_alpha=6, use_rslora=True, bias="all", **s, **f),
}
COLUMNS = ["base", "adapted", "merged", "merged, in transformers"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# Where PEFT's `all-linear` leaves out what is no `nn.Linear`, or takes the head too.
TARGETS = {
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "modernbert": ["Wqkv", "Wi", "Wo"],
    "distilbert": ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
}
# Models that read images too: their text part is compared.
WITH_IMAGES = ("gemma3", "gemma4", "mistral3", "qwen2_vl", "qwen2_5_vl")
TARGETS.update({name: r"model\.language_model\..*_proj" for name in WITH_IMAGES})
TARGETS["gemma4"] = r"model\.language_model\..*(_proj|_gate|_projection)"


def rename(folder, names):
    """Weights under other names, as another version of transformers writes them."""
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            path = os.path.join(folder, name)
            save_file({names(key): value for key, value in load_file(path).items()}, path,
                      metadata={"format": "pt"})
    path = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(path):
        with open(path) as file:
            index = json.load(file)
        index["weight_map"] = {names(key): value for key, value in index["weight_map"].items()}
        write_json(path, index)


def newer_name(name):
    """The names of transformers' own modules, which its newer files have."""
    for old, new in (("language_model.model.", "model.language_model."),
                     ("language_model.lm_head.", "lm_head."),
                     ("vision_tower.", "model.vision_tower."),
                     ("multi_modal_projector.", "model.multi_modal_projector."),
                     ("visual.", "model.visual."), ("model.language_model.", None),
                     ("model.", "model.language_model.")):
        if name.startswith(old):
            return name if new is None else new + name[len(old):]
    return name


def auto(model_type):
    if model_type in WITH_IMAGES:
        return AutoModelForImageTextToText
    if model_type in ENCODER_DECODERS:
        return AutoModelForSeq2SeqLM
    return AutoModelForSequenceClassification if model_type in ENCODERS else AutoModelForCausalLM


def rewrite(path, model_type):
    """config.json of transformers 5 -> the keys of transformers 4; whether they differ."""
    with open(path) as file:
        config = json.load(file)
    config["torch_dtype"] = config.pop("dtype", "float32")
    if model_type == "gemma4_text":
        return older_gemma4(config, path)
    if model_type == "gemma4":
        return older_gemma4(config["text_config"], path, config)
    if model_type in WITH_IMAGES:
        rename(os.path.dirname(path), newer_name)
        return True
    if model_type in ENCODER_DECODERS:
        for key in ("is_gated_act", "dense_act_fn"):
            config.pop(key, None)
        config["tie_word_embeddings"] = config.pop("scale_decoder_outputs", False)
        write_json(path, config)
        return True
    parameters = config.pop("rope_parameters", None)
    if not parameters:
        return False
    if model_type == "modernbert":
        config["global_rope_theta"] = parameters["full_attention"]["rope_theta"]
        config["local_rope_theta"] = parameters["sliding_attention"]["rope_theta"]
        config["global_attn_every_n_layers"] = 3
        del config["layer_types"]
        write_json(path, config)
        return True
    if "full_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
    parameters = dict(parameters)
    config["rope_theta"] = parameters.pop("rope_theta")
    fraction = parameters.pop("partial_rotary_factor", None)
    if fraction is not None:
        config["partial_rotary_factor"] = fraction
    if model_type == "gpt_neox":
        config["rotary_emb_base"] = config.pop("rope_theta")
        config["rotary_pct"] = config.pop("partial_rotary_factor")
    kind = parameters.pop("rope_type")
    plain = kind == "default" and "llama_4_scaling_beta" not in parameters
    plain = plain and model_type != "gpt_oss"  # without a scaling it is YaRN
    config["rope_scaling"] = None if plain else {"rope_type": kind, **parameters}
    if model_type == "qwen3_moe":
        config["num_experts"] = config.pop("num_local_experts")
    if model_type not in ("gemma3_text", "ministral"):
        config.pop("layer_types", None)
    write_json(path, config)
    return True


def older_gemma4(text, path, whole=None):
    """Heads as the first files of Gemma 4 say them; False where those cannot."""
    layers = text.pop("per_layer_config", {})
    full = [str(i) for i, kind in enumerate(text["layer_types"]) if kind == "full_attention"]
    text["global_head_dim"] = layers.get(full[0], {}).get("head_dim", text["head_dim"])
    text["num_global_key_value_heads"] = layers.get(full[0], {}).get("num_key_value_heads")
    write_json(path, whole or text)
    return True


def make(folder, model_type, settings, seed, dtype):
    config = AutoConfig.for_model(model_type, **settings)
    torch.manual_seed(seed)
    model = auto(model_type).from_config(config)
    if model_type in ENCODER_DECODERS and seed % 2:
        # A head of its own.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "vision" in name or "visual" in name or "projector" in name:
                continue
            is_norm = any(part in name for part in ("norm", "ln_")) and name.endswith("weight")
            plus_one = "gemma" in model_type and "gemma4" not in model_type
            parameter.normal_(1.0 if is_norm and not plus_one else 0.0, 0.2)
        for name, factor in sorted(model.named_buffers()):
            if "layer_scalar" in name:
                factor.uniform_(0.5, 1.5)
    model.to(dtype)
    model.config.dtype = dtype
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    model.save_pretrained(folder, max_shard_size=max(size // (1 + seed % 3), 4096))


def adapter(method, model_type, folder, place, seed):
    torch.manual_seed(seed)
    model = auto(model_type).from_pretrained(folder, dtype=torch.float32)
    settings = dict(task_type="SEQ_CLS" if model_type in ENCODERS else
                    "SEQ_2_SEQ_LM" if model_type in ENCODER_DECODERS else "CAUSAL_LM",
                    target_modules=TARGETS.get(model_type, "all-linear"))
    if model_type == "gpt2" and method in ("LoHa", "LoKr"):
        method = "LoRA"  # PEFT has these two for no Conv1D.
    if model_type in ("mixtral", "qwen3_moe", "olmoe") and method == "DoRA":
        settings["target_modules"] = ["q_proj", "v_proj"]  # PEFT has no DoRA of parameters.
    if model_type == "gpt_oss" and method == "rsLoRA":
        method = "LoRA"  # `bias="all"` trains those of experts too, which is refused.
    if model_type in WITH_IMAGES and method == "rsLoRA":
        method = "LoRA"  # `bias="all"` trains what reads images too, which is refused.
    peft = get_peft_model(model, METHODS[method](settings, dict(fan_in_fan_out=model_type == "gpt2")))
    with torch.no_grad():
        for name, parameter in sorted(peft.named_parameters()):
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    peft.save_pretrained(place)


def found(binary, model_type, folder, ids, place, adapter=None):
    """What `lora` computes: NLLs, or an encoder's logits."""
    path = os.path.join(place, "ids.json")
    write_json(path, ids.tolist())
    if model_type not in ENCODERS:
        return score(binary, folder, path, adapter, text_only=True)
    run = subprocess.run(
        [binary, "classify", "--model", folder, "--ids", path, "--logits", "--json"]
        + (["--adapter", adapter] if adapter else []), capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr.strip())
    return torch.tensor([d["logits"] for d in json.loads(run.stdout)["documents"]], dtype=torch.float64)


def expected(model_type, model, ids):
    """The same by a model of transformers."""
    with torch.no_grad():
        if model_type in ENCODERS:
            return model.eval()(ids).logits
        if model_type in ENCODER_DECODERS:
            source, target = ids[:, :SOURCE], ids[:, SOURCE + 1:].contiguous()
            logits = model.eval()(input_ids=source, labels=target).logits.transpose(1, 2)
            return torch.nn.functional.cross_entropy(logits, target, reduction="none")
        return token_nll(model.eval(), ids)


def compare(binary, model_type, seed, place):
    choose = random.Random(f"{model_type} {seed}")
    settings = VARIANTS[model_type](choose)
    model_type = model_type.removesuffix("-long").removesuffix("-norms")
    folder, adapted = os.path.join(place, "model"), os.path.join(place, "adapter")
    dtype = torch.bfloat16 if seed % 4 == 3 else torch.float32
    make(folder, model_type, settings, seed, dtype)
    generator = torch.Generator().manual_seed(seed)
    vocabulary = settings.get("text_config", settings)["vocab_size"]
    ids = torch.randint(3, vocabulary, (2, 20), generator=generator)
    if model_type in ENCODER_DECODERS:
        ids[:, SOURCE] = 0
    adapter(list(METHODS)[seed % len(METHODS)], model_type, folder, adapted, seed + 1)

    # Grouped matrix products, the rule for experts, know no float64.
    implementation = (
        dict(experts_implementation="eager") if "num_experts_per_tok" in settings else {})

    def reference():
        return auto(model_type).from_pretrained(
            folder, dtype=torch.float64,
            # Falcon's eager attention adds ALiBi twice.
            attn_implementation="sdpa" if settings.get("alibi") else "eager", **implementation)

    base = expected(model_type, reference(), ids)
    other = expected(model_type, PeftModel.from_pretrained(reference(), adapted), ids)
    worst = dict.fromkeys(COLUMNS, 0.0)

    def differ(column, ours, theirs):
        worst[column] = max(worst[column], (ours - theirs).abs().max().item())

    for generation in (5, 4):
        if generation == 4 and not rewrite(os.path.join(folder, "config.json"), model_type):
            break
        differ("base", found(binary, model_type, folder, ids, place), base)
        differ("adapted", found(binary, model_type, folder, ids, place, adapted), other)
    merged = os.path.join(place, "merged")
    run = subprocess.run(
        [binary, "merge", "--model", folder, "--adapter", adapted, "--output", merged, "--dtype",
         "float32", "--text-only"], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr.strip())
    differ("merged", found(binary, model_type, merged, ids, place), other)
    read = auto(model_type).from_pretrained(merged, dtype=torch.float64, **implementation)
    differ("merged, in transformers", expected(model_type, read, ids), other)
    return worst, settings


def table(results, count):
    """Documentation/Architectures.md, from the differences of each decoder and the sources."""
    sources, named = {}, {}
    folder = os.path.join(ROOT, "Sources/LoRAArchitectures/Architectures")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as file:
            text = file.read()
        for own, maker, model_type, more in re.findall(
                r'public static let (\w+)(?:: Architecture = \{\s*var result)? = ([\w.]+)\(\s*(?:of: )?'
                r'"([\w-]+)"(.{0,160})', text, re.DOTALL):
            gguf = re.search(r'ggufName: "([^"]+)"', more.split("keys:")[0])
            # A text part has the name of the model alone, unless it says another.
            gguf = gguf.group(1) if gguf else named.get(maker.removesuffix(".textPart"), "")
            named[own] = gguf
            sources[model_type] = (name, text.count("\n"), gguf)
    lines = [
        "# Architectures", "",
        "What is read, by `model_type` of `config.json`: the file that describes it with its lines, and",
        "its name in GGUF files. Then the largest difference of any token's NLL (of encoders, any logit) from",
        f"that of transformers and PEFT (float64) in {count} random models each, with both generations of",
        "`config.json` and an adapter on all linear layers: "
        + ", ".join(list(METHODS)[:count]) + ". Written by", "",
        "```sh",
        ".venv/bin/python Tests/Reference/compare_architectures.py --binary .build/release/lora \\",
        f"  --count {count} --table Documentation/Architectures.md", "```", "",
        "| model type | file | lines | GGUF | " + " | ".join(COLUMNS) + " |",
        "| --- | --- | --- | --- | " + " | ".join("---" for _ in COLUMNS) + " |",
    ]
    for model_type, (name, length, gguf) in sorted(sources.items()):
        worst = results.get(model_type)
        cells = [f"{worst[c]:.0e}" if worst else "" for c in COLUMNS]
        lines.append("| " + " | ".join([model_type, name, str(length), gguf] + cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", action="append")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--keep")
    parser.add_argument("--table")
    options = parser.parse_args()
    failed = False
    results = {}
    for model_type in options.only or VARIANTS:
        worst = results.setdefault(model_type.removesuffix("-long"), dict.fromkeys(COLUMNS, 0.0))
        for seed in range(options.seed, options.seed + options.count):
            place = tempfile.mkdtemp()
            try:
                differences, settings = compare(options.binary, model_type, seed, place)
                for column in COLUMNS:
                    worst[column] = max(worst[column], differences[column])
                if max(differences.values()) > options.tolerance:
                    failed = True
                    print(f"  {model_type} {seed}: {differences}\n    {settings}")
            except RuntimeError as error:
                failed = True
                print(f"  {model_type} {seed}: {error}")
            if options.keep:
                shutil.copytree(place, os.path.join(options.keep, f"{model_type}-{seed}"))
            shutil.rmtree(place)
        print(f"{model_type}: {max(worst.values()):.1e}", flush=True)
    if options.table and not failed:
        with open(options.table, "w") as file:
            file.write(table(results, options.count))
    sys.exit(failed)


if __name__ == "__main__":
    main()
