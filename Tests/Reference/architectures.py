"""Adapters of every method, on attention and feed-forward, on the tiny Qwen3 and Gemma 2.

usage: .venv/bin/python Tests/Reference/architectures.py   -> Tests/Fixtures/architectures/<model>/
(after models.py)

Each directory: `<method>/` by PEFT, and expected.safetensors: `ids` [3, 24] int64, `nll` [3, 23],
`nll.<method>` with the adapter, `merged.<method>` with it merged by PEFT. A float64 model computes
them from the stored weights of Tests/Fixtures/models/<model>.
"""

import os

import torch
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftModel

from common import fixture, fresh_folder, read_ids, token_nll, write
from tiny_models import load_model, save_random_adapter

MODELS = ["qwen3-untied", "gemma2-windows"]
LAYERS = ["q_proj", "k_proj", "o_proj", "gate_proj", "down_proj"]
METHODS = {
    "lora": lambda: LoraConfig(r=3, lora_alpha=6, target_modules=LAYERS, task_type="CAUSAL_LM"),
    "dora": lambda: LoraConfig(
        r=2, lora_alpha=6, use_dora=True, target_modules=LAYERS, task_type="CAUSAL_LM"),
    "loha": lambda: LoHaConfig(r=2, alpha=4, target_modules=LAYERS, task_type="CAUSAL_LM"),
    "lokr": lambda: LoKrConfig(
        r=2, alpha=4, decompose_both=True, target_modules=LAYERS, task_type="CAUSAL_LM"),
    "ia3": lambda: IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"],
        task_type="CAUSAL_LM"),
}


if __name__ == "__main__":
    for index, name in enumerate(MODELS):
        model = fixture("models", name)
        folder = fresh_folder(fixture("architectures", name))
        ids = read_ids(os.path.join(model, "expected.safetensors"))
        expected = dict(ids=ids, nll=token_nll(load_model(model), ids))
        for number, (method, make) in enumerate(METHODS.items()):
            place = os.path.join(folder, method)
            save_random_adapter(
                load_model(model, torch.float32), place, make(), 8000 + 10 * index + number, 0.2)
            adapted = PeftModel.from_pretrained(load_model(model), place).eval()
            expected["nll." + method] = token_nll(adapted, ids)
            expected["merged." + method] = token_nll(adapted.merge_and_unload(), ids)
            change = (expected["nll." + method] - expected["nll"]).abs().mean()
            print(f"{name}: {method} changes the NLL by {change:.4f} on average")
        write(os.path.join(folder, "expected.safetensors"), expected)
