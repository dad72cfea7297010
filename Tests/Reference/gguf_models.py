"""Tiny GGUF bases, quantized and not, and what transformers computes with their numbers.

gguf/models/NAME.gguf              written by gguf-py; q and k rows in pairs for "llama"
gguf/models/NAME.safetensors:
  ids        [3, 12] int64
  nll        [3, 11]               of a transformers model whose weights gguf-py dequantized
  nll_adapted                      with the adapter in NAME-adapter merged in float64
gguf/models/NAME-adapter           a PEFT adapter for it

llama-quantized   every quantized type; untied; SentencePiece tokenizer inside
llama3-bfloat16   BF16, tied, factors of rotary frequencies as llama.cpp's converter writes them
qwen2-float16     F16 and Q8_0, biases, tied; byte-level tokenizer inside
gpt2-quantized    Q8_0, Q4_0 and F16, tied; what Conv1D has transposed is stored as [out, in]
qwen3-quantized   Q8_0 and F16, norms on queries and keys
mixtral-quantized Q8_0, Q4_0 and F16, experts stacked; Mixtral under Llama's name
qwen3moe-float16  F16 and Q8_0, experts stacked, norms on queries and keys
olmoe-float32     F32 and F16, experts stacked, norms over all queries and all keys
gemma4-float16    F16 and Q8_0, tied; keys of earlier layers, heads and networks by layer, vectors of tokens
                  for each layer; SentencePiece's tokenizer with merges inside
ministral3-float16  F16 and Q8_0; YaRN, queries scaled by their position
gpt-oss-mxfp4     MXFP4 and F16, sinks, experts with biases; YaRN
gemma2-float16    F16 and Q8_0, tied; norms stored plus one, windows, capped scores and logits
"""

import json
import math
import os
import types

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM, GPT2Config, Gemma2Config, Gemma4TextConfig, GptOssConfig, LlamaConfig,
    Ministral3Config, MixtralConfig, OlmoeConfig, Qwen2Config, Qwen3Config, Qwen3MoeConfig,
)

from common import FIXTURES, fixture, fresh_folder, token_nll, write, write_json

Type = gguf.GGMLQuantizationType
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm", "ln_1": "attn_norm", "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
}
GEMMA2 = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


GEMMA4 = {
    **GEMMA2, "model.embed_tokens_per_layer": "per_layer_token_embd",
    "model.per_layer_model_projection": "per_layer_model_proj",
    "model.per_layer_projection_norm": "per_layer_proj_norm",
    "per_layer_input_gate": "inp_gate", "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
}
GPT_OSS = {"post_attention_layernorm": "post_attention_norm", "mlp.router": "ffn_gate_inp"}
OWN_NAMES = {"gemma2": GEMMA2, "gemma4": GEMMA4, "gpt-oss": GPT_OSS}
# What checkpoints have no ".weight" of.
PARAMETERS = {"layer_scalar": "layer_output_scale", "sinks": "attn_sinks"}


ARCHITECTURES = {"mixtral": "llama", "qwen3_moe": "qwen3moe", "ministral3": "mistral3",
                 "gemma4_text": "gemma4", "gpt_oss": "gpt-oss"}
PERMUTED = "llama", "mistral3"
STACKS = {"gate_up_proj": ["ffn_gate_exps", "ffn_up_exps"], "down_proj": ["ffn_down_exps"]}


def stored_name(name, architecture):
    names = {**NAMES, **OWN_NAMES.get(architecture, {})}
    stem, leaf = name.rsplit(".", 1)
    if leaf in PARAMETERS:
        return f"blk.{stem.split('.')[2]}.{PARAMETERS[leaf]}.weight"
    if stem.startswith(("model.layers.", "transformer.h.")):
        _, _, index, module = stem.split(".", 3)
        return f"blk.{index}.{names[module]}.{leaf}"
    return f"{names[stem]}.{leaf}"


def in_pairs(weight, heads):
    """Rows as llama.cpp's files have them: the pairs that rotary embedding turns side by side."""
    return (weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


def in_halves(weight, heads):
    return (weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


def blocks(random, shape, kind, std):
    """Blocks of a type that gguf-py only reads: random bits, scales that give about `std`."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (shape[0] * shape[1] // elements, size), dtype=np.uint8)

    def put(offset, value):
        scale = (value * random.uniform(0.5, 1.5, len(data))).astype(np.float16)
        data[:, offset : offset + 2] = scale.view(np.uint8).reshape(-1, 2)

    if kind == Type.Q6_K:
        put(208, std / 1300)
    else:
        step = std / (200 if kind == Type.Q4_K else 400)
        put(0, step)
        put(2, step * (7.5 if kind == Type.Q4_K else 15.5))
    return data.reshape(shape[0], -1)


def encode(random, value, kind, std):
    """The bytes of a matrix in a type, and its numbers."""
    if kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
        data = blocks(random, value.shape, kind, std)
        return data, dequantize(data, kind)
    if kind == Type.F32:
        return value, value
    data = quantize(value, kind)
    return data, dequantize(data, kind)


def sentencepiece(writer, count):
    """A vocabulary with scores: bytes, letters, and pieces of them."""
    letters = ["\u2581"] + [chr(ord("a") + i) for i in range(26)] + list(".,!'")
    pieces = ["\u2581t", "he", "\u2581the", "an", "in", "\u2581a", "ing", "er", "\u2581an", "nd",
              "\u2581and", "\u2581\u2581", "ll", "lll"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + letters + pieces
    tokens.append("<|user|>")
    assert len(tokens) <= count, len(tokens)
    tokens += [f"<unused{i}>" for i in range(count - len(tokens))]
    scores = [0.0] * 259 + [-1000.0 - i for i in range(len(letters))]
    scores += [-float(i // 2) for i in range(len(pieces))]  # some of them equal
    scores += [0.0] * (count - len(scores))
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(letters) + len(pieces)) + [4]
    kinds += [5] * (count - len(kinds))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def merged(writer, count):
    """SentencePiece's pieces with merges instead of scores: Gemma 4's."""
    letters = ["\u2581"] + [chr(ord("a") + i) for i in range(26)] + list(".,!'") + ["\n"]
    merges = ["t h", "\u2581 a", "th e", "\u2581 the", "a n", "i n", "in g", "e r", "\u2581a n",
              "an d", "\u2581 \u2581", "l l", "\n \n"]
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{i:02X}>" for i in range(256)] + letters
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|turn>"]
    assert len(tokens) <= count, len(tokens)
    kinds = [3, 3, 3, 2] + [6] * 256 + [1] * (len(letters) + len(merges)) + [3]
    kinds += [5] * (count - len(kinds))
    tokens += [f"<unused{i}>" for i in range(count - len(tokens))]
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * count)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)


def byte_level(writer, count):
    """A byte-level vocabulary with merges, cut as Qwen2 cuts."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    alphabet = sorted(bytes_to_unicode().values())
    merges = ["t h", "th e", "\u0120 a", "i n", "in g", "\u0120 the", "a n", "an d"]
    tokens = alphabet + [merge.replace(" ", "") for merge in merges]
    tokens += ["<|endoftext|>", "<|im_end|>"]
    assert len(tokens) <= count, len(tokens)
    kinds = [1] * (len(tokens) - 2) + [3, 3] + [5] * (count - len(tokens))
    end = len(tokens) - 1
    tokens += [f"[PAD{i}]" for i in range(count - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(end - 1)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def rope_factors(config):
    """`rope_freqs.weight` of Llama 3's scaling, as convert_hf_to_gguf.py computes it."""
    rope = config.rope_parameters
    frequencies = 1.0 / (rope["rope_theta"] ** (
        torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim))
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    original = rope["original_max_position_embeddings"]
    factors = []
    for frequency in frequencies:
        wavelength = 2 * math.pi / frequency
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(float(1 / ((1 - smooth) / rope["factor"] + smooth)))
    return np.array(factors, dtype=np.float32)


def stacks(random, key, shape, kinds, std, writer):
    """Writes the tensors of all experts that a parameter of transformers 5 is; its numbers."""
    block, leaf = key.split(".")[2], key.rsplit(".", 1)[1]
    parts = []
    for stem in STACKS[leaf]:
        rows = shape[1] // len(STACKS[leaf])
        value = (random.normal(size=(shape[0] * rows, shape[2])) * std).astype(np.float32)
        kind = kinds(key)
        data, value = encode(random, value, kind, std)
        writer.add_tensor(
            f"blk.{block}.{stem}.weight", data.reshape(shape[0], rows, -1),
            raw_dtype=None if kind == Type.F32 else kind)
        parts.append(value.reshape(shape[0], rows, shape[2]))
    return np.concatenate(parts, axis=1)


def interleaved(random, key, shape, kinds, std, writer):
    """The same of gpt-oss, [experts, in, out], whose gates and ups lie in turn, in memory and checkpoints."""
    block, leaf = key.split(".")[2], key.rsplit(".", 1)[1]
    stems = STACKS[leaf]
    value = np.empty((shape[0], shape[2], shape[1]), dtype=np.float32)
    for index, stem in enumerate(stems):
        rows = shape[2] // len(stems)
        part = (random.normal(size=(shape[0] * rows, shape[1])) * std).astype(np.float32)
        data, part = encode(random, part, kinds(key), std)
        writer.add_tensor(
            f"blk.{block}.{stem}.weight", data.reshape(shape[0], rows, -1), raw_dtype=kinds(key))
        value[:, index :: len(stems)] = part.reshape(shape[0], rows, shape[1])
    return value.swapaxes(1, 2)


def biases(random, key, shape, std, writer):
    """Those of all experts."""
    block, leaf = key.split(".")[2], key.rsplit(".", 1)[1].removesuffix("_bias")
    value = (random.normal(size=shape) * std).astype(np.float32)
    for index, stem in enumerate(STACKS[leaf]):
        writer.add_tensor(
            f"blk.{block}.{stem}.bias", np.ascontiguousarray(value[:, index :: len(STACKS[leaf])]))
    return value


def with_scalars(model):
    """The parameters, and what checkpoints have of the buffers."""
    return list(model.named_parameters()) + [
        item for item in model.named_buffers() if item[0].endswith("layer_scalar")]


def add_gemma4(writer, config):
    """What Gemma4Model of convert_hf_to_gguf.py writes."""
    config = types.SimpleNamespace(**config.to_dict())  # a layer's own or those of most
    layers, shared = config.num_hidden_layers, config.num_kv_shared_layers
    sliding = [kind == "sliding_attention" for kind in config.layer_types]
    full = config.per_layer_config[str(sliding.index(False))]["head_dim"]
    writer.add_key_length(full)
    writer.add_value_length(full)
    writer.add_key_length_swa(config.head_dim)
    writer.add_value_length_swa(config.head_dim)
    writer.add_rope_dimension_count(full)
    writer.add_rope_dimension_count_swa(config.head_dim)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["full_attention"]["rope_theta"])
    writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_sliding_window(config.sliding_window)
    writer.add_sliding_window_pattern(sliding)
    writer.add_shared_kv_layers(shared)
    writer.add_embedding_length_per_layer_input(config.hidden_size_per_layer_input)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_feed_forward_length(
        [config.intermediate_size * (1 if layer < layers - shared else 2) for layer in range(layers)])
    turned = int(full * rope["full_attention"]["partial_rotary_factor"] / 2)
    writer.add_tensor("rope_freqs.weight", np.array(
        [1] * turned + [1e30] * (full // 2 - turned), dtype=np.float32))


def add_yarn(writer, config):
    rope = config.rope_parameters
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if "llama_4_scaling_beta" in rope:
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])


def make(name, seed, config, kinds, tokenizer, targets, parameters=()):
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    architecture = ARCHITECTURES.get(config.model_type, config.model_type)
    experts = getattr(config, "num_experts_per_tok", None) is not None
    # Grouped matrix products, the rule for experts, know no float64.
    options = dict(experts_implementation="eager") if experts else {}
    model = AutoModelForCausalLM.from_config(config, **options).eval()
    path = fixture("gguf", "models", f"{name}.gguf")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    elif architecture == "gemma4":
        add_gemma4(writer, config)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        head = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads)
        writer.add_key_length(head)
        writer.add_value_length(head)
        writer.add_rope_dimension_count(head)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        if config.rope_parameters["rope_type"] == "yarn":
            add_yarn(writer, config)
        if architecture == "gpt-oss":
            writer.add_sliding_window(config.sliding_window)
            writer.add_expert_feed_forward_length(config.intermediate_size)
        if experts:
            writer.add_expert_count(getattr(config, "num_experts", None) or config.num_local_experts)
            writer.add_expert_used_count(config.num_experts_per_tok)
        if architecture == "qwen3moe":
            writer.add_expert_feed_forward_length(config.moe_intermediate_size)
        if architecture == "gemma2":
            writer.add_sliding_window(config.sliding_window)
            writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
        if config.rope_parameters["rope_type"] == "llama3":
            writer.add_tensor("rope_freqs.weight", rope_factors(config))
    tokenizer(writer, config.vocab_size)
    numbers = {}
    for key, parameter in with_scalars(model):
        norm = key.endswith("layer_scalar") or key.endswith("norm.weight") or ("ln_" in key and key.endswith("weight"))
        std = 0.3 if "embed" in key or "wte" in key else 0.08
        if ".experts." in key and key.endswith("_bias"):
            numbers[key] = biases(random, key, tuple(parameter.shape), std, writer)
            continue
        if parameter.ndim == 3:
            numbers[key] = (interleaved if architecture == "gpt-oss" else stacks)(random, key, tuple(parameter.shape), kinds, std, writer)
            continue
        turned = architecture == "gpt2" and ".c_" in key and parameter.ndim == 2
        shape = tuple(parameter.shape)[::-1] if turned else tuple(parameter.shape)
        value = (random.normal(size=shape) * std + norm).astype(np.float32)
        kind = Type.F32 if value.ndim == 1 else kinds(key)
        if value.ndim == 1:
            data, value = value, value
        else:
            data, value = encode(random, value, kind, std)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(
            key.split(".")[-2]) if architecture in PERMUTED else None
        # What was drawn are the rows in the file's order.
        numbers[key] = in_halves(value, heads) if heads else value.T if turned else value
        if architecture == "gemma2" and norm:
            numbers[key] = value - np.float32(1)
        writer.add_tensor(
            stored_name(key, architecture), data, raw_dtype=None if kind == Type.F32 else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if architecture in PERMUTED:
        probe = random.normal(size=(8, 3))
        assert np.array_equal(in_pairs(in_halves(probe, 2), 2), probe)

    model = model.double()
    with torch.no_grad():
        for key, parameter in with_scalars(model):
            parameter.copy_(torch.from_numpy(numbers[key]))
    ids = torch.from_numpy(random.integers(0, config.vocab_size, (3, 12)))
    result = {"ids": ids, "nll": token_nll(model, ids)}
    adapter = fresh_folder(fixture("gguf", "models", f"{name}-adapter"))
    rank, alpha = 4, 6
    tensors = {}
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if not any(key.endswith(f"{target}.weight") for target in targets):
                continue
            out, inner = parameter.shape[::-1] if architecture == "gpt2" else parameter.shape
            a = torch.from_numpy(random.normal(size=(rank, inner)) * 0.1).float()
            b = torch.from_numpy(random.normal(size=(out, rank)) * 0.1).float()
            stem = f"base_model.model.{key.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = a, b
            change = alpha / rank * b.double() @ a.double()
            parameter.add_(change.T if architecture == "gpt2" else change)
        # PEFT's adapters of parameters, the inner one of a module's first.
        for key, parameter in model.named_parameters():
            if not key.endswith(tuple(parameters)) or not parameters:
                continue
            count, out, inner = parameter.shape
            a = torch.from_numpy(random.normal(size=(count * rank, inner)) * 0.1).float()
            b = torch.from_numpy(random.normal(size=(out, rank * count)) * 0.1).float()
            inside = len(parameters) > 1 and key.endswith("gate_up_proj")
            stem = f"base_model.model.{key.rsplit('.', 1)[0]}{'.base_layer' if inside else ''}"
            tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = a, b
            parameter.add_(alpha / rank * torch.einsum(
                "ore,eri->eoi", b.double().reshape(out, rank, count),
                a.double().reshape(count, rank, inner)))
    save_file(tensors, os.path.join(adapter, "adapter_model.safetensors"))
    write_json(os.path.join(adapter, "adapter_config.json"), {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha,
        "target_modules": targets, "bias": "none", "base_model_name_or_path": name,
        "fan_in_fan_out": architecture == "gpt2",
        **({"target_parameters": list(parameters)} if parameters else {})})
    result["nll_adapted"] = token_nll(model, ids)
    assert (result["nll"] - result["nll_adapted"]).abs().max() > 0.05
    write(fixture("gguf", "models", f"{name}.safetensors"), result)


def quantized_kinds(key):
    for end, kind in {"embed_tokens.weight": Type.Q6_K, "q_proj.weight": Type.Q4_K,
                      "k_proj.weight": Type.Q5_K, "v_proj.weight": Type.Q6_K,
                      "o_proj.weight": Type.Q8_0, "gate_proj.weight": Type.Q4_K,
                      "up_proj.weight": Type.Q5_0, "down_proj.weight": Type.Q4_0,
                      "lm_head.weight": Type.Q5_1}.items():
        if key.endswith(end):
            return kind
    raise KeyError(key)


def main():
    make("llama-quantized", 1, LlamaConfig(
        vocab_size=320, hidden_size=256, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=32, rms_norm_eps=1e-5,
        max_position_embeddings=128, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        quantized_kinds, sentencepiece, ["q_proj", "k_proj", "o_proj", "down_proj"])
    make("llama3-bfloat16", 2, LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5,
        max_position_embeddings=128, tie_word_embeddings=True,
        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 16}),
        lambda key: Type.BF16, sentencepiece, ["q_proj", "v_proj"])
    make("qwen2-float16", 3, Qwen2Config(
        vocab_size=288, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=128, tie_word_embeddings=True, use_sliding_window=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
        lambda key: Type.Q8_0 if "mlp" in key else Type.F16, byte_level, ["q_proj", "up_proj"])
    make("gpt2-quantized", 4, GPT2Config(
        vocab_size=288, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0,
        eos_token_id=0),
        lambda key: (Type.F32 if "wpe" in key else Type.F16 if "wte" in key
                     else Type.Q4_0 if "c_fc" in key else Type.Q8_0),
        byte_level, ["attn.c_attn", "mlp.c_proj"])
    make("qwen3-quantized", 5, Qwen3Config(
        vocab_size=288, hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=16,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=128, tie_word_embeddings=True, use_sliding_window=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
        lambda key: Type.Q8_0 if "mlp" in key else Type.F16, byte_level, ["q_proj", "down_proj"])
    make("gemma2-float16", 6, Gemma2Config(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=3, head_dim=8,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6, query_pre_attn_scalar=8,
        max_position_embeddings=128, tie_word_embeddings=True, sliding_window=5,
        attn_logit_softcapping=2.0, final_logit_softcapping=5.0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        lambda key: Type.Q8_0 if "mlp" in key else Type.F16, sentencepiece, ["q_proj", "up_proj"])
    shape = dict(vocab_size=288, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=128, num_experts_per_tok=2,
                 rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    make("mixtral-quantized", 7, MixtralConfig(
        **{**shape, "vocab_size": 320}, intermediate_size=32, num_local_experts=4,
        rms_norm_eps=1e-5),
        lambda key: (Type.F32 if "mlp.gate." in key else Type.Q4_0 if "down_proj" in key
                     else Type.Q8_0 if "mlp" in key else Type.F16), sentencepiece,
        ["q_proj", "k_proj"], ["experts.gate_up_proj", "experts.down_proj"])
    make("qwen3moe-float16", 8, Qwen3MoeConfig(
        **shape, intermediate_size=48, moe_intermediate_size=32, num_experts=4, head_dim=8,
        norm_topk_prob=True, tie_word_embeddings=True),
        lambda key: (Type.F32 if "mlp.gate." in key else Type.Q8_0 if "gate_up_proj" in key
                     else Type.F16), byte_level, ["v_proj"], ["experts.down_proj"])
    make("olmoe-float32", 9, OlmoeConfig(
        **shape, intermediate_size=24, num_experts=4, tie_word_embeddings=True),
        lambda key: Type.F32 if "mlp" in key else Type.F16, byte_level, ["q_proj", "o_proj"])
    make("gemma4-float16", 10, Gemma4TextConfig(
        vocab_size=320, hidden_size=32, intermediate_size=32, num_hidden_layers=4, head_dim=8,
        global_head_dim=16, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=128, tie_word_embeddings=True, sliding_window=5,
        hidden_size_per_layer_input=8, vocab_size_per_layer_input=320, num_kv_shared_layers=2,
        use_double_wide_mlp=True, final_logit_softcapping=5.0,
        layer_types=["sliding_attention", "full_attention"] * 2, rope_parameters={
            "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0,
                               "partial_rotary_factor": 0.25},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        lambda key: (Type.Q8_0 if "mlp" in key else Type.F32 if "model_proj" in key
                     else Type.F16), merged,
        ["q_proj", "v_proj", "down_proj", "per_layer_input_gate"])
    make("ministral3-float16", 11, Ministral3Config(
        **{**shape, "num_experts_per_tok": None, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 8.0,
            "original_max_position_embeddings": 5, "mscale": 1.0, "mscale_all_dim": 0.5,
            "llama_4_scaling_beta": 0.6}},
        head_dim=8, intermediate_size=32, tie_word_embeddings=True),
        lambda key: Type.Q8_0 if "mlp" in key else Type.F16, byte_level, ["q_proj", "k_proj"])
    make("gpt-oss-mxfp4", 12, GptOssConfig(
        **{**shape, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 8.0,
            "original_max_position_embeddings": 16, "truncate": False}},
        head_dim=8, intermediate_size=32, num_local_experts=4, sliding_window=5,
        swiglu_limit=7.0),
        lambda key: (Type.F32 if "router" in key else Type.MXFP4 if "experts" in key
                     else Type.F16), byte_level, ["q_proj", "k_proj", "o_proj"])


if __name__ == "__main__":
    main()
