"""GGUF adapters as llama.cpp lays them out, and what it calls tensors: the oracle of GGUFAdapterTests.

    .venv/bin/python Tests/Reference/gguf_adapters.py

Files below Tests/Fixtures/gguf/:

- names.json: {architecture: {Hugging Face's parameter: GGUF's tensor}} for two blocks, by gguf-py's
  tensor map
- adapter.gguf: an adapter of ranks 3 and 2 for a Llama of 4 query and 2 key heads of 6, hidden 10,
  vocabulary 7, alpha 12; with the embedding's factors, the head's, and a query and a key projection
  in bfloat16. Written by gguf-py, rows permuted as convert_hf_to_gguf.py does
- adapter.safetensors: the same factors under PEFT's names, before any of that
"""

import json
import os

import gguf
import numpy as np
from safetensors.numpy import save_file

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Fixtures", "gguf")

LLAMA = [
    "model.embed_tokens", "model.layers.{}.input_layernorm", "model.layers.{}.self_attn.q_proj",
    "model.layers.{}.self_attn.k_proj", "model.layers.{}.self_attn.v_proj",
    "model.layers.{}.self_attn.o_proj", "model.layers.{}.post_attention_layernorm",
    "model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj",
    "model.layers.{}.mlp.down_proj", "model.norm", "lm_head",
]
GPT2 = [
    "transformer.wte", "transformer.wpe", "transformer.h.{}.ln_1", "transformer.h.{}.attn.c_attn",
    "transformer.h.{}.attn.c_proj", "transformer.h.{}.ln_2", "transformer.h.{}.mlp.c_fc",
    "transformer.h.{}.mlp.c_proj", "transformer.ln_f", "lm_head",
]
QWEN3 = LLAMA + ["model.layers.{}.self_attn.q_norm", "model.layers.{}.self_attn.k_norm"]
STABLELM = LLAMA + ["model.layers.{}.self_attn.q_layernorm", "model.layers.{}.self_attn.k_layernorm"]
GEMMA2 = LLAMA[:-1] + [  # its head is the embedding, always
    "model.layers.{}.pre_feedforward_layernorm", "model.layers.{}.post_feedforward_layernorm",
]
OLMO2 = [name for name in QWEN3 if not name.endswith("input_layernorm")] + [
    "model.layers.{}.post_feedforward_layernorm",
]
HEADLESS = LLAMA[:-1]  # its head is the embedding
BLOCKS = [name for name in LLAMA if not name.startswith("model.layers")]
PHI2 = ["model.embed_tokens", "model.final_layernorm", "lm_head"] + [
    "model.layers.{}." + name for name in (
        "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
        "self_attn.dense", "mlp.fc1", "mlp.fc2")]
PHI3 = BLOCKS + [
    "model.layers.{}." + name for name in (
        "input_layernorm", "self_attn.qkv_proj", "self_attn.o_proj", "post_attention_layernorm",
        "mlp.gate_up_proj", "mlp.down_proj")]
STARCODER2 = [name for name in LLAMA if ".mlp." not in name] + [
    "model.layers.{}.mlp.c_fc", "model.layers.{}.mlp.c_proj"]
# Names of checkpoints; of experts, one tensor of all.
EXPERTS = ["gate_proj", "up_proj", "down_proj"]
QWEN3_MOE = [name for name in QWEN3 if ".mlp." not in name] + ["model.layers.{}.mlp.gate"] + [
    "model.layers.{}.mlp.experts." + name for name in EXPERTS]
MIXTRAL = ["model.layers.{}.block_sparse_moe.gate"] + [
    "model.layers.{}.block_sparse_moe.experts." + name for name in ["w1", "w3", "w2"]]
NEOX = ["gpt_neox.embed_in", "gpt_neox.final_layer_norm", "embed_out"] + [
    "gpt_neox.layers.{}." + name for name in (
        "input_layernorm", "attention.query_key_value", "attention.dense",
        "post_attention_layernorm", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")]
FUSED = ["transformer.word_embeddings", "transformer.ln_f", "lm_head"] + [
    "transformer.h.{}." + name for name in (
        "input_layernorm", "self_attention.query_key_value", "self_attention.dense",
        "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")]
BLOOM = FUSED + ["transformer.word_embeddings_layernorm", "transformer.h.{}.post_attention_layernorm"]
FALCON = FUSED + ["transformer.h.{}.ln_attn", "transformer.h.{}.ln_mlp"]
# Of models that read images too: llama.cpp has their text part under the plain names.
PART = [name.replace("model.", "model.language_model.") for name in LLAMA]
GEMMA4 = GEMMA2 + QWEN3[-2:] + [
    "lm_head", "model.embed_tokens_per_layer", "model.per_layer_model_projection",
    "model.per_layer_projection_norm"] + ["model.layers.{}." + name for name in (
        "per_layer_input_gate", "per_layer_projection", "post_per_layer_input_norm")]
T5 = ["shared", "lm_head"] + [
    f"{stack}.block.{{}}.layer.{name}" for stack, network in (("encoder", 1), ("decoder", 2)) for name in (
        [f"0.SelfAttention.{part}" for part in ("q", "k", "v", "o", "relative_attention_bias")]
        + [f"1.EncDecAttention.{part}" for part in "qkvo" if network == 2]
        + [f"{network}.DenseReluDense.{part}" for part in ("wi", "wi_0", "wi_1", "wo")]
        + [f"{place}.layer_norm" for place in range(network + 1)])
] + ["encoder.final_layer_norm", "decoder.final_layer_norm"]
# But for the experts, whose stacks gguf-py does not know by these names.
GPT_OSS = [name for name in LLAMA if "mlp" not in name] + ["model.layers.{}.mlp.router"]
# What checkpoints have no ".weight" of.
PARAMETERS = {"gemma4": ["model.layers.{}.layer_scalar"], "gpt-oss": ["model.layers.{}.self_attn.sinks"]}
ARCHITECTURES = {
    "t5": (gguf.MODEL_ARCH.T5, T5), "qwen2vl": (gguf.MODEL_ARCH.QWEN2VL, PART),
    "mistral3": (gguf.MODEL_ARCH.MISTRAL3, PART + [name for name in LLAMA if name not in PART]),
    "gemma4": (gguf.MODEL_ARCH.GEMMA4, GEMMA4), "gpt-oss": (gguf.MODEL_ARCH.GPT_OSS, GPT_OSS),
    "gptneox": (gguf.MODEL_ARCH.GPTNEOX, NEOX), "bloom": (gguf.MODEL_ARCH.BLOOM, BLOOM),
    "falcon": (gguf.MODEL_ARCH.FALCON, FALCON),
    "qwen3moe": (gguf.MODEL_ARCH.QWEN3MOE, QWEN3_MOE),
    "olmoe": (gguf.MODEL_ARCH.OLMOE, QWEN3_MOE),
    "smollm3": (gguf.MODEL_ARCH.SMOLLM3, LLAMA), "gemma": (gguf.MODEL_ARCH.GEMMA, HEADLESS),
    "gemma3": (gguf.MODEL_ARCH.GEMMA3, GEMMA2 + QWEN3[-2:]),
    "granite": (gguf.MODEL_ARCH.GRANITE, LLAMA),
    "command-r": (gguf.MODEL_ARCH.COMMAND_R,
                  [name for name in HEADLESS if "post_attention" not in name] + QWEN3[-2:]),
    "cohere2": (gguf.MODEL_ARCH.COHERE2,
                [name for name in HEADLESS if "post_attention" not in name]),
    "phi2": (gguf.MODEL_ARCH.PHI2, PHI2), "phi3": (gguf.MODEL_ARCH.PHI3, PHI3),
    "starcoder2": (gguf.MODEL_ARCH.STARCODER2, STARCODER2),
    "stablelm": (gguf.MODEL_ARCH.STABLELM, STABLELM),
    "llama": (gguf.MODEL_ARCH.LLAMA, LLAMA + MIXTRAL), "qwen2": (gguf.MODEL_ARCH.QWEN2, LLAMA),
    "qwen3": (gguf.MODEL_ARCH.QWEN3, QWEN3), "gemma2": (gguf.MODEL_ARCH.GEMMA2, GEMMA2),
    "gpt2": (gguf.MODEL_ARCH.GPT2, GPT2), "olmo2": (gguf.MODEL_ARCH.OLMO2, OLMO2),
}


def names():
    result = {}
    for name, (architecture, modules) in ARCHITECTURES.items():
        table = gguf.get_tensor_name_map(architecture, 2)
        result[name] = {}
        parameters = PARAMETERS.get(name, [])
        for module in modules + parameters:
            for path in dict.fromkeys(module.format(block) for block in range(2)):
                plain = path.replace("model.language_model.", "model.")
                found = table.get_name(plain + ".weight", try_suffixes=(".weight",))
                # gguf-py knows GPT-2's outermost module only for some tensors.
                found = found or table.get_name(
                    path.removeprefix("transformer.") + ".weight", try_suffixes=(".weight",))
                assert found, path
                result[name][path + ("" if module in parameters else ".weight")] = found
    with open(os.path.join(FIXTURES, "names.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def permuted(rows, heads):
    """Rows as convert_hf_to_gguf.py orders those of Llama's query and key projections."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def bfloat16(x):
    """float32 numbers that bfloat16 holds."""
    return (x.view(np.uint32) & 0xFFFF0000).view(np.float32)


def adapter():
    random = np.random.default_rng(3)

    def factors(rank, inputs, outputs, narrow=False):
        pair = [
            random.standard_normal(shape, dtype=np.float32)
            for shape in [(rank, inputs), (outputs, rank)]
        ]
        return [bfloat16(x) for x in pair] if narrow else pair

    hidden, vocabulary, heads, key_heads, size = 10, 7, 4, 2, 6
    layers = {
        # path: (tensor, factors, heads)
        "model.embed_tokens": ("token_embd", factors(2, vocabulary, hidden), None),
        "model.layers.0.self_attn.q_proj": (
            "blk.0.attn_q", factors(3, hidden, heads * size, narrow=True), heads),
        "model.layers.0.self_attn.k_proj": (
            "blk.0.attn_k", factors(3, hidden, key_heads * size, narrow=True), key_heads),
        "model.layers.0.self_attn.v_proj": (
            "blk.0.attn_v", factors(2, hidden, key_heads * size), None),
        "model.layers.0.self_attn.o_proj": (
            "blk.0.attn_output", factors(3, heads * size, hidden), None),
        "model.layers.11.mlp.down_proj": ("blk.11.ffn_down", factors(3, 14, hidden), None),
        "lm_head": ("output", factors(3, hidden, vocabulary), None),
    }
    writer = gguf.GGUFWriter(os.path.join(FIXTURES, "adapter.gguf"), "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 12)
    writer.add_name("seven layers")
    plain = {}
    for path, (tensor, (a, b), count) in layers.items():
        plain[f"{path}.lora_A"], plain[f"{path}.lora_B"] = a, b
        stored = [
            np.ascontiguousarray(a.T) if tensor == "token_embd" else a,
            np.ascontiguousarray(permuted(b, count)) if count else b,
        ]
        for name, x in zip(["lora_a", "lora_b"], stored):
            name = f"{tensor}.weight.{name}"
            if count:
                kind = gguf.GGMLQuantizationType.BF16
                writer.add_tensor(name, gguf.quants.quantize(x, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, x)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(plain, os.path.join(FIXTURES, "adapter.safetensors"))


if __name__ == "__main__":
    os.makedirs(FIXTURES, exist_ok=True)
    names()
    adapter()
