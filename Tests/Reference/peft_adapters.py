"""Adapters that use PEFT's options, on the fixture model `llama-grouped`, and the NLL they give.

usage: .venv/bin/python Tests/Reference/peft_adapters.py      -> Tests/Fixtures/peft/<name>/
(after models.py)

Each directory is what PEFT saves: adapter_config.json and adapter_model.safetensors. The file
Tests/Fixtures/peft/expected.safetensors holds `ids` [3, 24] int64, `base/nll` and `<name>/nll`
[3, 23]; its metadata's `adapters` maps each name to the options it was made with.
"""

import os

from common import fixture, read_ids, token_nll, write
from tiny_models import load_adapter, load_model, save_adapter

MODEL = fixture("models", "llama-grouped")
ADAPTERS = {
    "rslora": dict(r=3, lora_alpha=6, use_rslora=True, target_modules="all-linear"),
    "patterns": dict(
        r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"],
        rank_pattern={"down_proj": 5, "layers.1.self_attn.q_proj": 3},
        alpha_pattern={"down_proj": 1, r".*\.0\.self_attn\.v_proj": 16}),
    "regex": dict(r=2, lora_alpha=3, target_modules=r".*\.(0|1)\.mlp\.(up|gate)_proj"),
    "suffix": dict(r=2, lora_alpha=8, target_modules=["1.self_attn.o_proj", "k_proj"]),
    "excluded": dict(r=2, lora_alpha=8, target_modules="all-linear",
                     exclude_modules=["gate_proj", "0.self_attn.q_proj"]),
    "one-layer": dict(r=2, lora_alpha=8, target_modules=["q_proj", "up_proj"],
                      layers_to_transform=[1], layers_pattern="layers"),
    "rank-above-side": dict(r=40, lora_alpha=20, target_modules=["k_proj"]),
    "head": dict(r=2, lora_alpha=8, target_modules=["lm_head", "v_proj"]),
    "lora-bias": dict(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"], lora_bias=True),
    "dora": dict(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"], use_dora=True),
    "embedding": dict(r=2, lora_alpha=8, target_modules=["embed_tokens", "o_proj"]),
    "saved-modules": dict(r=2, lora_alpha=8, target_modules=["q_proj"],
                          modules_to_save=["lm_head"]),
}


def main():
    ids = read_ids(os.path.join(MODEL, "expected.safetensors"))
    expected = {"ids": ids, "base/nll": token_nll(load_model(MODEL), ids)}
    for index, (name, options) in enumerate(ADAPTERS.items()):
        folder = fixture("peft", name)
        save_adapter(MODEL, folder, seed=500 + index, **options)
        expected[name + "/nll"] = token_nll(load_adapter(load_model(MODEL), folder), ids)
        change = (expected[name + "/nll"] - expected["base/nll"]).abs().mean()
        print(f"{name}: changes the NLL by {change:.4f} on average")
        assert change > 0.01
    write(fixture("peft", "expected.safetensors"), expected, adapters=ADAPTERS)


if __name__ == "__main__":
    main()
