"""Adapters of PEFT's methods beyond LoRA on tiny models: what they compute, and whole trainings.

usage: .venv/bin/python Tests/Reference/peft_runs.py [NAME ...]   -> Tests/Fixtures/runs/<name>/
(after models.py)

start/                 the adapter before training, as PEFT saves it
trained/               the adapter after it, all its numbers moved a little more at random
run.safetensors        `ids` [100, 24], `losses`, `gradient_norms` and `learning_rates` [50] of the
                       training, step s with rows 2 s and 2 s + 1; `nll` [rows, length - 1]: what
                       trained/ gives for the model's expected ids, `generated` [12]: the greedy ids
                       after its prompt; metadata `run`: the settings
"""

import json
import os
import sys

import common
import torch
from common import fixture, fresh_folder, read_ids, token_nll, write
from peft import (
    PeftModel, PrefixTuningConfig, PromptTuningConfig, VeraConfig, get_peft_model,
)
from tiny_models import load_model
from training import rows, train

RUNS = {
    "vera": ("llama-grouped", VeraConfig, dict(
        r=6, target_modules=["q_proj", "v_proj", "down_proj"], projection_prng_key=3), 3e-2),
    "vera-drawn": ("gpt2-tied", VeraConfig, dict(
        r=5, target_modules=["c_attn", "c_fc", "mlp.c_proj"], save_projection=False,
        projection_prng_key=11, d_initial=0.2, fan_in_fan_out=True), 3e-2),
    "prompt": ("llama-grouped", PromptTuningConfig, dict(num_virtual_tokens=5), 3e-2),
    "prompt-gpt2": ("gpt2-tied", PromptTuningConfig, dict(num_virtual_tokens=4), 3e-2),
    "prefix": ("llama-grouped", PrefixTuningConfig, dict(num_virtual_tokens=5), 3e-2),
    "prefix-gpt2": ("gpt2-tied", PrefixTuningConfig, dict(num_virtual_tokens=4), 1e-2),
}


def save(model, folder, base):
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(fresh_folder(folder))
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    for value in config.values():  # sets have no order
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value.sort()
    common.write_json(path, config)


def greedy(model, prompt, count):
    ids = prompt[None]
    for _ in range(count):
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
        best = logits.topk(2).values
        assert best[0] - best[1] > 1e-3, "two logits too close for a greedy choice"
        ids = torch.cat((ids, logits.argmax()[None, None]), 1)
    return ids[0, len(prompt):]


def make(name, seed):
    base, kind, options, rate = RUNS[name]
    folder = fixture("models", base)
    torch.manual_seed(seed)
    model = get_peft_model(
        load_model(folder, torch.float32), kind(task_type="CAUSAL_LM", **options))
    save(model, fixture("runs", name, "start"), base)
    run = dict(model=base, steps=50, batch=2, accumulate=1, learning_rate=rate,
               betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, clip_norm=0.05,
               schedule="linear", warmup=5)
    result = train(model, rows(100, seed + 1), run)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    trained = fixture("runs", name, "trained")
    save(model, trained, base)
    model = PeftModel.from_pretrained(load_model(folder), trained).double().eval()
    expected = read_ids(fixture("models", base, "expected.safetensors"))
    nll = token_nll(model, expected)
    change = (nll - token_nll(load_model(folder), expected)).abs().max().item()
    assert change > 1e-2, f"{name} changes the NLL by {change} only"
    write(fixture("runs", name, "run.safetensors"),
          {**result, "nll": nll, "generated": greedy(model, expected[0, :6], 12)}, run=run)
    losses = result["losses"].tolist()
    print(f"{name}: losses {losses[0]:.3f} ... {losses[-1]:.3f}, changes the NLL by {change:.2f}")


if __name__ == "__main__":
    for index, name in enumerate(RUNS):
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            make(name, 200 + 10 * index)
