"""Tiny random models in Hugging Face directories, with adapters by PEFT and the values they give.

Used by models.py, peft_adapters.py, training.py and compare_models.py.
"""

import json
import os
import shutil

import common  # noqa: F401  (sets threads and warnings before torch is used)
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM, BloomConfig, CohereConfig, Cohere2Config, FalconConfig, GPT2Config, GptOssConfig, GPTJConfig, GPTNeoConfig, GPTNeoXConfig,
    GemmaConfig, Gemma2Config, Gemma3TextConfig, Gemma4TextConfig, GenerationConfig, GraniteConfig, LlamaConfig,
    MinistralConfig, Ministral3Config, MistralConfig, MixtralConfig, OPTConfig, Olmo2Config, OlmoeConfig, Phi3Config, PhiConfig, Qwen2Config,
    Qwen3Config, Qwen3MoeConfig, SmolLM3Config, StableLmConfig, Starcoder2Config,
)
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
CONFIGURATIONS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "mistral": MistralConfig,
                  "gpt2": GPT2Config, "qwen3": Qwen3Config, "gemma2": Gemma2Config,
                  "olmo2": Olmo2Config, "smollm3": SmolLM3Config, "gemma": GemmaConfig,
                  "gemma3_text": Gemma3TextConfig, "gemma4_text": Gemma4TextConfig, "granite": GraniteConfig,
                  "cohere": CohereConfig,
                  "cohere2": Cohere2Config, "ministral": MinistralConfig,
                  "ministral3": Ministral3Config, "phi": PhiConfig, "phi3": Phi3Config,
                  "starcoder2": Starcoder2Config, "stablelm": StableLmConfig,
                  "mixtral": MixtralConfig, "gpt_oss": GptOssConfig, "qwen3_moe": Qwen3MoeConfig, "olmoe": OlmoeConfig,
                  "gptj": GPTJConfig, "gpt_neox": GPTNeoXConfig, "opt": OPTConfig,
                  "bloom": BloomConfig, "falcon": FalconConfig, "gpt_neo": GPTNeoConfig}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)


def save_model(folder, family, seed, settings, generation=5, dtype="float32", shards=1, std=0.2):
    """Writes a random model to `folder`, with weights large enough that attention matters.

    generation 4 rewrites config.json as transformers 4 wrote it. Norm weights lie round 1, Gemma's,
    to which one is added, round 0.
    """
    common.fresh_folder(folder)
    torch.manual_seed(seed)
    config = CONFIGURATIONS[family](**settings)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            norm = name.endswith("norm.weight") or ".norms." in name or "ln_" in name and name.endswith(".weight")
            plus_one = family.startswith("gemma") and family != "gemma4_text"
            parameter.normal_(1.0 if norm and not plus_one else 0.0, std)
            if name in ("model.embed_tokens.weight", "transformer.wte.weight") and not config.tie_word_embeddings:
                parameter.mul_(2)  # a tied one of this size would only repeat the last token
            if "word_embeddings_layernorm" in name:
                parameter.mul_(0.15)  # else tied heads would only repeat the last token
            if name == "model.embed_tokens.weight" and family.startswith("gemma"):
                parameter.mul_(0.4)  # Gemma multiplies by the root of the hidden size
        for name, factor in sorted(model.named_buffers()):
            if "layer_scalar" in name:
                factor.uniform_(0.5, 1.5)
    model.to(DTYPES[dtype])
    model.config.dtype = dtype
    size = sum(tensor.nbytes for tensor in {
        tensor.data_ptr(): tensor for tensor in model.state_dict().values()}.values())
    limit = size if shards == 1 else size // shards
    model.save_pretrained(folder, max_shard_size=limit)
    while shards > 1 and shard_count(folder) != shards:
        limit += max(limit // 50, 64)
        assert limit < size, f"no shard size gives {shards} shards"
        model.save_pretrained(common.fresh_folder(folder), max_shard_size=limit)
    if generation == 4:
        rewrite_config(os.path.join(folder, "config.json"))


def quantize_experts(folder):
    """Stores the experts of a gpt-oss directory in MXFP4, as OpenAI's checkpoints do.

    Returns a folder beside it with the same numbers unquantized, which transformers computes from.
    """
    plain = folder + "-plain"
    shutil.copytree(folder, common.fresh_folder(plain), dirs_exist_ok=True)
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    path = os.path.join(folder, "model.safetensors")
    tensors, exact = load_file(path), load_file(path)
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "experts.down_proj"))]:
        weight = tensors.pop(name).transpose(1, 2).float()  # [experts, out, in]
        groups = weight.reshape(*weight.shape[:2], -1, 32)
        scales = (groups.abs().amax(-1) / 6).log2().ceil().clamp(-126, 127)
        scaled = groups / torch.exp2(scales)[..., None]
        codes = (scaled[..., None] - values).abs().argmin(-1)
        tensors[name + "_blocks"] = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
        tensors[name + "_scales"] = (scales + 127).to(torch.uint8)
        numbers = values[codes] * torch.exp2(scales)[..., None]
        exact[name] = numbers.reshape(weight.shape).transpose(1, 2).contiguous().to(exact[name].dtype)
    common.write(path, tensors, format="pt")
    common.write(os.path.join(plain, "model.safetensors"), exact, format="pt")
    config = os.path.join(folder, "config.json")
    with open(config) as file:
        settings = json.load(file)
    common.write_json(config, {**settings, "quantization_config": {
        "quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}})
    return plain


def shard_count(folder):
    return sum(name.endswith(".safetensors") for name in os.listdir(folder))


def rewrite_config(path):
    """config.json of transformers 5 -> the keys of transformers 4."""
    with open(path) as file:
        config = json.load(file)
    config["torch_dtype"] = config.pop("dtype")
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]
        config["transformers_version"] = "4.40.0"
        return common.write_json(path, config)
    if config["model_type"] == "bloom":
        for new, old in (("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head")):
            config[new] = config.pop(old)
        config["n_embed"] = config.pop("hidden_size")
        config["transformers_version"] = "4.20.0"
        return common.write_json(path, config)
    if config["model_type"] == "gemma4_text":
        # The first files say the heads of all layers without a window.
        layers = config.pop("per_layer_config")
        one = layers[str(config["layer_types"].index("full_attention"))]
        config["global_head_dim"] = one["head_dim"]
        config["num_global_key_value_heads"] = one.get("num_key_value_heads")
        return common.write_json(path, config)
    rope = dict(config.pop("rope_parameters"))
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    fraction = rope.pop("partial_rotary_factor", None)
    if fraction is not None:
        config["partial_rotary_factor"] = fraction
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    # "type" came first, "rope_type" later; both are in the wild.
    key = "type" if kind == "linear" else "rope_type"
    config["rope_scaling"] = None if kind == "default" else {key: kind, **rope}
    config.pop("layer_types", None)
    if config["model_type"] == "gpt_neox":
        config["rotary_emb_base"] = config.pop("rope_theta")
        config["rotary_pct"] = config.pop("partial_rotary_factor")
    config["transformers_version"] = "4.40.0"
    if config["model_type"] == "qwen3_moe":
        config["num_experts"] = config.pop("num_local_experts")
    if config["model_type"] == "llama" and config["num_key_value_heads"] == \
            config["num_attention_heads"]:
        del config["num_key_value_heads"]  # absent in the first Llama's files
    if config["model_type"] in ("llama", "qwen2", "mistral") and \
            config.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
        del config["head_dim"]
    if config["model_type"] == "qwen2" and not config["use_sliding_window"]:
        config["sliding_window"] = 4  # Qwen2's files name a window that they do not use
    common.write_json(path, config)


def load_model(folder, dtype=torch.float64):
    """The model of a directory, in evaluation mode, eager attention.

    In float64 transformers still normalizes and takes the attention's softmax in float32.
    """
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    # Grouped matrix products, the rule for experts, know no float64.
    options = dict(experts_implementation="eager") if "num_experts_per_tok" in config else {}
    # Falcon's eager attention adds ALiBi twice.
    kind = "sdpa" if config.get("alibi") else "eager"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=kind, local_files_only=True, **options)
    return model.eval()


def load_adapter(model, folder):
    """`model` with the adapter in `folder`; every tensor of the file must have been used."""
    adapted = PeftModel.from_pretrained(model, folder).eval()
    with safe_open(os.path.join(folder, "adapter_model.safetensors"), "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}
    used = get_peft_model_state_dict(adapted)
    if set(used) != set(stored):
        raise SystemExit(f"error: PEFT does not use {sorted(set(stored) - set(used))}, "
                         f"misses {sorted(set(used) - set(stored))}")
    for name, value in stored.items():
        if not torch.equal(used[name].to(value.dtype), value):
            raise SystemExit(f"error: PEFT holds other values than the file for {name}")
    return adapted


def save_adapter(model_folder, folder, seed, b_std=0.15, base=None, **settings):
    """Writes a PEFT LoRA adapter with non-zero B (B = 0 where b_std is 0) for a model directory."""
    common.fresh_folder(folder)
    torch.manual_seed(seed)
    model = get_peft_model(load_model(model_folder, torch.float32),
                           LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name and parameter.requires_grad:
                if "lora_B" in name or "lora_embedding" in name:
                    parameter.normal_(0.0, b_std)
            elif "magnitude" in name:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * b_std)
    model.peft_config["default"].base_model_name_or_path = base or os.path.basename(model_folder)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    for key in ("target_modules", "exclude_modules", "modules_to_save"):  # sets have no order
        if isinstance(config[key], list):
            config[key].sort()
    common.write_json(path, config)


def save_random_adapter(model, folder, config, seed, std):
    """Writes an adapter of random numbers of any of PEFT's methods, as PEFT saves it."""
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in sorted(adapted.named_parameters()):
            if not parameter.requires_grad:
                continue
            if "magnitude" in name or "ia3" in name:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
            else:
                parameter.add_(std * torch.randn_like(parameter))
    adapted.peft_config["default"].base_model_name_or_path = "base"
    adapted.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        settings = json.load(file)
    for key in ("target_modules", "exclude_modules", "modules_to_save", "feedforward_modules"):
        if isinstance(settings.get(key), list):
            settings[key].sort()
    common.write_json(path, settings)


class NearTie(Exception):
    """Two logits too close for a greedy choice that every implementation makes alike."""


def greedy(model, prompt, count, margin=None):
    """The `count` ids after `prompt`, each the largest logit of a pass over everything so far.

    With `margin`, refuses a run where the second largest logit comes closer than that.
    """
    ids = prompt[None]
    for _ in range(count):
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0, -1]
        best = logits.topk(2).values
        if margin is not None and best[0] - best[1] < margin:
            raise NearTie(best.tolist())
        ids = torch.cat((ids, logits.argmax()[None, None]), 1)
    return ids[0, len(prompt):]


def generate(model, prompt, count, stop=None):
    """The same through transformers' generation with its key/value cache and stop tokens."""
    model.generation_config.eos_token_id = None  # it would fill in for `stop` None
    config = GenerationConfig(
        max_new_tokens=count, do_sample=False, eos_token_id=stop, pad_token_id=0, bos_token_id=1)
    ids = prompt[None]
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids),
                             generation_config=config)
    return out[0, len(prompt):]
