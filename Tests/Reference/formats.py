"""What safetensors, transformers and PEFT make of files: the oracle of LoRAFormatsTests.

    .venv/bin/python Tests/Reference/formats.py            writes Tests/Fixtures/formats/
    .venv/bin/python Tests/Reference/formats.py check DIR  reads what LoRAFormatsTests wrote into DIR

Files below Tests/Fixtures/formats/:

- types.safetensors: a tensor of every element type that this package holds, a scalar, an empty
  tensor, names that need escapes; one metadata entry
- float8.safetensors: an F8_E4M3 tensor beside an F32 one
- configurations.json: [{"name", "config", "expected"}], the second as a config.json has it, the
  third what transformers makes of it
- peft.json: [{"config", "paths", "matches", "ranks", "alphas"}], what PEFT makes of the targets and
  patterns of an adapter_config.json
- adapter/: an adapter of a tiny Llama as PEFT saves it, in bfloat16, with patterns and rsLoRA
"""

import json
import os
import sys

from common import fixture, fresh_folder, write_json

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def types():
    kinds = [
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8,
    ]
    tensors = {}
    for kind in kinds:
        values = torch.arange(6).reshape(2, 3) + 1
        if kind.is_floating_point:
            values = values.to(torch.float64) / 4
        elif kind.is_signed:
            values = -values
        tensors["values." + str(kind).split(".")[1]] = values.to(kind)
    tensors["values.bool"] = torch.tensor([[True, False, True]])
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 3)
    tensors['名前 "quoted" \\ \t'] = torch.tensor([7], dtype=torch.int64)
    save_file(tensors, fixture("formats", "types.safetensors"), metadata={"format": "pt"})
    mixed = {"narrow": torch.ones(4).to(torch.float8_e4m3fn), "plain": torch.ones(2)}
    save_file(mixed, fixture("formats", "float8.safetensors"))


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
TINY = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4}
CONFIGURATIONS = {
    "llama defaults": {"model_type": "llama"},
    "qwen2 defaults": {"model_type": "qwen2"},
    "mistral defaults": {"model_type": "mistral"},
    "llama heads": {**TINY, "model_type": "llama", "num_key_value_heads": 2, "head_dim": None},
    "llama null kv": {**TINY, "model_type": "llama", "num_key_value_heads": None},
    "llama head_dim": {**TINY, "model_type": "llama", "head_dim": 32, "attention_bias": True},
    "llama mlp bias": {**TINY, "model_type": "llama", "mlp_bias": True, "torch_dtype": "float16"},
    "llama v4 linear": {
        **TINY, "model_type": "llama", "rope_theta": 5e5,
        "rope_scaling": {"type": "linear", "factor": 4},
    },
    "llama v4 llama3": {
        **TINY, "model_type": "llama", "rope_theta": 500000,
        "rope_scaling": {
            **LLAMA3, "rope_type": "llama3", "original_max_position_embeddings": 256},
    },
    "llama v4 null scaling": {
        **TINY, "model_type": "llama", "rope_theta": 1234.0, "rope_scaling": None},
    "llama v5 llama3": {
        **TINY, "model_type": "llama", "max_position_embeddings": 4096, "dtype": "bfloat16",
        "rope_parameters": {**LLAMA3, "rope_type": "llama3", "rope_theta": 500000.0},
    },
    "llama v5 outer original": {
        **TINY, "model_type": "llama", "original_max_position_embeddings": 128,
        "rope_parameters": {
            **LLAMA3, "rope_type": "llama3", "original_max_position_embeddings": 256,
            "rope_theta": 500000.0},
    },
    "llama v5 only outer original": {
        **TINY, "model_type": "llama", "original_max_position_embeddings": 128,
        "rope_parameters": {**LLAMA3, "rope_type": "llama3", "rope_theta": 500000.0},
    },
    "llama v5 linear": {
        **TINY, "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0},
    },
    "llama both generations": {
        **TINY, "model_type": "llama", "rope_theta": 7.0,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
    },
    "llama type and rope_type": {
        **TINY, "model_type": "llama",
        "rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0},
    },
    "llama tokens": {
        **TINY, "model_type": "llama", "bos_token_id": None, "eos_token_id": [5, 6],
        "tie_word_embeddings": True, "pad_token_id": 3,
    },
    "qwen2 window": {
        **TINY, "model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": True,
        "sliding_window": 8, "max_window_layers": 2,
    },
    "qwen2 unused window": {
        **TINY, "model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": False,
        "sliding_window": 8, "max_window_layers": 0,
    },
    "qwen2 default window": {
        **TINY, "model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": True,
        "max_window_layers": 3,
    },
    "qwen2 layer types": {
        **TINY, "model_type": "qwen2", "num_key_value_heads": 1, "use_sliding_window": True,
        "sliding_window": 16, "max_window_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "mistral window": {**TINY, "model_type": "mistral", "num_key_value_heads": 4,
                       "sliding_window": 12},
    "mistral no window": {**TINY, "model_type": "mistral", "num_key_value_heads": 2,
                          "sliding_window": None, "head_dim": 8},
}


def expected(config):
    """The values that ModelConfiguration holds, by its names."""
    layers = config.num_hidden_layers
    rope = config.rope_parameters
    if config.model_type == "qwen2":
        windows = [config.sliding_window if kind == "sliding_attention" else None
                   for kind in config.layer_types]
    else:
        windows = [getattr(config, "sliding_window", None)] * layers
    eos = config.eos_token_id
    return {
        "hiddenSize": config.hidden_size,
        "intermediateSize": config.intermediate_size,
        "layerCount": layers,
        "headCount": config.num_attention_heads,
        "keyValueHeadCount": config.num_key_value_heads,
        "headSize": getattr(config, "head_dim", None)
        or config.hidden_size // config.num_attention_heads,
        "vocabularySize": config.vocab_size,
        "normEpsilon": config.rms_norm_eps,
        "tiesWordEmbeddings": config.tie_word_embeddings,
        "attentionBias": config.model_type == "qwen2" or getattr(config, "attention_bias", False),
        "mlpBias": getattr(config, "mlp_bias", False),
        "hiddenActivation": config.hidden_act,
        "maximumPositions": config.max_position_embeddings,
        "base": float(rope["rope_theta"]),
        "kind": rope["rope_type"],
        "factor": rope.get("factor") if rope["rope_type"] != "default" else None,
        "original": rope.get("original_max_position_embeddings")
        if rope["rope_type"] == "llama3" else None,
        "windows": windows,
        "storedType": str(config.dtype).removeprefix("torch.") if config.dtype else None,
        "bos": config.bos_token_id,
        "eos": eos if isinstance(eos, list) else [] if eos is None else [eos],
        "pad": config.pad_token_id,
    }


def configurations():
    folder = fresh_folder(fixture("formats", "scratch"))
    cases = []
    for name, text in CONFIGURATIONS.items():
        write_json(os.path.join(folder, "config.json"), text)
        config = transformers.AutoConfig.from_pretrained(folder)
        config.standardize_rope_params()  # as a model does when it is made
        cases.append({"name": name, "config": text, "expected": expected(config)})
    os.remove(os.path.join(folder, "config.json"))
    os.rmdir(folder)
    write_json(fixture("formats", "configurations.json"), cases)


PATHS = [
    "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj",
    "model.layers.11.self_attn.q_proj", "model.layers.1.mlp.down_proj", "lm_head",
    "model.layers.1.block_sparse_moe.experts.0.w1", "blocks.0.inner.q_proj", "q_proj",
    "model.layers.0.self_attn.my_q_proj", "encoder.h.2.attn.c_attn", "layers.3.q_proj",
]
PEFT = [
    {"target_modules": ["q_proj"]},
    {"target_modules": ["self_attn.q_proj", "lm_head"]},
    {"target_modules": ["model.layers.0.self_attn.q_proj", "down_proj"]},
    {"target_modules": r".*\.self_attn\.(q|v)_proj"},
    {"target_modules": r"q|q_proj|model\.layers\.\d+\.mlp.*"},
    {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "v_proj"], "exclude_modules": r"model\.layers\.1+\..*"},
    {"target_modules": ["q_proj", "w1", "c_attn"], "layers_to_transform": [0, 2]},
    {"target_modules": ["q_proj", "v_proj", "w1"], "layers_to_transform": 1},
    {"target_modules": ["q_proj", "q_proj"], "layers_to_transform": [3, 11],
     "layers_pattern": "layers"},
    {"target_modules": ["q_proj", "c_attn", "inner.q_proj"], "layers_to_transform": [0, 2],
     "layers_pattern": ["h", "blocks"]},
    {"target_modules": ["q_proj"], "rank_pattern": {"q_proj": 4, "self_attn.q_proj": 2},
     "alpha_pattern": {r"layers\.1.\..*": 3, "^model.layers.0.self_attn.q_proj": 5}},
    {"target_modules": ["q_proj"], "rank_pattern": {r"model.layers.[0-5].*": 6, "proj": 1},
     "alpha_pattern": {r"layers\.1\.(self_attn|mlp)\..*_proj": 2.5, "w1|c_attn": 7}},
]


def peft_cases():
    from peft import LoraConfig
    from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
    from peft.utils.other import get_pattern_key

    cases = []
    for text in PEFT:
        config = LoraConfig(r=8, lora_alpha=16, **text)
        found = [check_target_module_exists(config, path) for path in PATHS]
        cases.append({
            "config": {"peft_type": "LORA", "r": 8, "lora_alpha": 16, **text},
            "paths": PATHS,
            "matches": [not isinstance(one, _ExcludedModule) and bool(one) for one in found],
            "ranks": [config.rank_pattern.get(get_pattern_key(config.rank_pattern, path), 8)
                      for path in PATHS],
            "alphas": [config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, path), 16)
                       for path in PATHS],
        })
    # Not write_json: the order of the patterns counts.
    with open(fixture("formats", "peft.json"), "w") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


def adapter():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=11, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=16)
    recipe = LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], use_rslora=True,
        rank_pattern={"layers.10.mlp.down_proj": 2}, alpha_pattern={"q_proj": 3},
        init_lora_weights=False, task_type="CAUSAL_LM", lora_dropout=0.125,
        base_model_name_or_path="tiny")
    model = get_peft_model(transformers.LlamaForCausalLM(config), recipe).to(torch.bfloat16)
    folder = fresh_folder(fixture("formats", "adapter"))
    model.save_pretrained(folder)
    recipe = json.load(open(os.path.join(folder, "adapter_config.json")))
    recipe["base_model_name_or_path"] = "tiny"
    recipe["target_modules"].sort()
    write_json(os.path.join(folder, "adapter_config.json"), recipe)
    scales = {
        name.removeprefix("base_model.model."): module.scaling["default"]
        for name, module in model.named_modules() if hasattr(module, "lora_A")}
    write_json(os.path.join(folder, "scales.json"), scales)
    readme = os.path.join(folder, "README.md")
    if os.path.exists(readme):
        os.remove(readme)


def check(folder):
    """Reads what LoRAFormatsTests wrote: the same tensors, a loadable adapter, the same config."""
    from peft import PeftConfig, PeftModel

    path = os.path.join(folder, "types.safetensors")
    written, reference = load_file(path), load_file(fixture("formats", "types.safetensors"))
    assert written.keys() == reference.keys()
    for name, tensor in reference.items():
        assert tensor.dtype == written[name].dtype and torch.equal(tensor, written[name]), name
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"}

    model = transformers.AutoModelForCausalLM.from_pretrained(os.path.join(folder, "model"))
    config = expected(model.config)
    with open(os.path.join(folder, "expected.json")) as file:
        for key, value in json.load(file).items():
            assert config[key] == value, (key, config[key], value)
    generation = model.generation_config
    assert generation.eos_token_id == [2, 3] and generation.max_new_tokens == 7, generation

    target = os.path.join(folder, "adapter")
    recipe = PeftConfig.from_pretrained(target)
    assert (recipe.r, recipe.lora_alpha, recipe.use_rslora) == (3, 6, True), recipe
    loaded = PeftModel.from_pretrained(model, target)
    weights = load_file(os.path.join(target, "adapter_model.safetensors"))
    state = {name.replace(".default", ""): value for name, value in loaded.state_dict().items()
             if "lora_" in name}
    assert state.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(state[name], value), name
    print("checked")


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(sys.argv[2])
    else:
        types()
        configurations()
        peft_cases()
        adapter()
