"""Real PEFT adapters over tiny random models, one for each feature of PEFT's configuration.

usage: .venv/bin/python Tests/Reference/conformance.py [--output FOLDER] [--seed 0]
           [--family NAME ...]      -> Tests/Fixtures/conformance/ with seed 0

Llama, Qwen2, Mistral and GPT-2, whose weights lie transposed; another seed gives other weights and
other shapes. Below FOLDER/<family>/:
  model/                  the model's directory
  <feature>/              the adapter as PEFT saves it, all its factors random and not zero
  expected.safetensors    ids [2, 20] int64; base, <feature>/adapted and <feature>/merged [2, 19],
                          the NLL of every token but the first, by float64 models
and FOLDER/rows.json: for each row the family, the feature, its options, whether PEFT merges it (and
why not), or why PEFT refuses it altogether. conformance_check.py compares `lora` with it.
"""

import argparse
import json
import os
import random
import shutil

import torch

import common
from common import fixture, fresh_folder, token_nll, write, write_json
from peft import (
    IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model,
)
from tiny_models import load_model, save_model

FAMILIES = ["llama", "qwen2", "mistral", "gpt2"]


def shapes(family, seed):
    """The model's options; with seed 0 always the same, else drawn."""
    choose = random.Random(f"{family}-{seed}")
    heads, head, groups, inner, tied = 4, 4, 2, 24, family in ("qwen2", "gpt2")
    if seed:
        heads, head = choose.choice([2, 3, 4]), choose.choice([4, 6, 8])
        groups = choose.choice([k for k in (1, 2, 3, 4) if heads % k == 0])
        inner, tied = choose.randint(9, 60), choose.random() < 0.5
    size = heads * head
    if family == "gpt2":
        return dict(vocab_size=64, n_embd=size, n_inner=inner, n_layer=2, n_head=heads,
                    n_positions=32, bos_token_id=1, eos_token_id=2, tie_word_embeddings=tied)
    settings = dict(
        vocab_size=64, hidden_size=size, intermediate_size=inner, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=groups, max_position_embeddings=32,
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=tied,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0))
    if family == "llama":  # with something for `bias` to train
        settings.update(attention_bias=True, mlp_bias=True)
    if family == "mistral":
        settings.update(sliding_window=8)
    return settings


def features(family):
    """Name, configuration class, options."""
    gpt2 = family == "gpt2"
    two = ["c_attn", "mlp.c_proj"] if gpt2 else ["q_proj", "down_proj"]
    stack, embedding, norm = ("h", "wte", "ln_f") if gpt2 else ("layers", "embed_tokens", "norm")
    regex = r".*\.h\.(0|1)\.mlp\.c_(fc|proj)" if gpt2 else r".*\.(0|1)\.mlp\.(up|down)_proj"
    out = ["attn.c_proj"] if gpt2 else ["o_proj", "gate_proj"]
    ranks = ({"mlp.c_proj": 5, "h.1.attn.c_attn": 3} if gpt2
             else {"down_proj": 5, "layers.1.self_attn.q_proj": 3})
    alphas = ({"c_attn": 1, r".*\.1\.mlp\.c_proj": 16} if gpt2
              else {"down_proj": 1, r".*\.0\.self_attn\.q_proj": 16})
    feed = ["mlp.c_proj"] if gpt2 else ["down_proj"]
    scaled = ["c_attn", "mlp.c_proj"] if gpt2 else ["k_proj", "v_proj", "down_proj"]

    def lora(**options):
        base = dict(r=2, lora_alpha=6, target_modules=two, fan_in_fan_out=gpt2)
        return LoraConfig, {**base, **options}

    def other(kind, **options):
        return kind, dict(r=2, alpha=3, target_modules=two, **options)

    rows = {
        "target-list": lora(),
        "regex": lora(target_modules=regex),
        "all-linear": lora(target_modules="all-linear"),
        "exclude-list": lora(target_modules="all-linear", exclude_modules=out),
        "exclude-regex": lora(exclude_modules=r".*\.0\..*"),
        "layers": lora(layers_to_transform=[1]),
        "layers-pattern": lora(layers_to_transform=[0], layers_pattern=stack),
        "rank-pattern": lora(rank_pattern=ranks),
        "alpha-pattern": lora(alpha_pattern=alphas),
        "rslora": lora(r=3, use_rslora=True),
        "dora": lora(use_dora=True, r=3),
        "dora-all-linear": lora(use_dora=True, target_modules="all-linear"),
        "bias-all": lora(bias="all"),
        "bias-lora-only": lora(bias="lora_only"),
        "lora-bias": lora(lora_bias=True),
        "saved-head": lora(modules_to_save=["lm_head"]),
        "saved-norm": lora(modules_to_save=[norm]),
        "saved-embedding": lora(modules_to_save=[embedding]),
        "embedding": lora(target_modules=[embedding] + two),
        "head": lora(target_modules=["lm_head"] + two),
        "tokens": lora(trainable_token_indices=[3, 7, 20]),
        "tokens-of-embedding": lora(trainable_token_indices={embedding: [60, 5]}),
        "pissa": lora(init_lora_weights="pissa"),
        "pissa-fast": lora(init_lora_weights="pissa_niter_4"),
        "olora": lora(init_lora_weights="olora"),
        "orthogonal": lora(init_lora_weights="orthogonal"),
        "loha": other(LoHaConfig),
        "lokr": other(LoKrConfig),
        "lokr-both": other(LoKrConfig, decompose_both=True, decompose_factor=2),
        "ia3": (IA3Config, dict(target_modules=scaled[:-1], feedforward_modules=[],
                                fan_in_fan_out=gpt2)),
        "ia3-feedforward": (IA3Config, dict(target_modules=scaled, feedforward_modules=feed,
                                            fan_in_fan_out=gpt2)),
        "several": lora(
            target_modules="all-linear", exclude_modules=out, use_rslora=True, use_dora=True,
            rank_pattern=ranks, alpha_pattern=alphas, modules_to_save=[norm]),
        "several-more": lora(
            bias="all", layers_to_transform=[1], layers_pattern=stack,
            use_rslora=True, trainable_token_indices=[9, 2], modules_to_save=[norm]),
        "embedding-and-patterns": lora(
            target_modules=[embedding] + two, rank_pattern={embedding: 4, **ranks},
            alpha_pattern={embedding: 2}, use_rslora=True),
    }
    if gpt2:
        rows["fan-in-fan-out"] = lora(target_modules="all-linear", use_rslora=True)
        rows["positions"] = lora(target_modules=["wpe", "c_fc"])
    else:
        rows["embedding-dora"] = lora(target_modules=[embedding] + two, use_dora=True)
    return rows


def randomize(model):
    """Moves every trained number away from where it starts."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if not parameter.requires_grad:
                continue
            noise = torch.randn_like(parameter)
            if "magnitude" in name or "ia3_l" in name:
                parameter.mul_(1 + 0.2 * noise)
            else:
                parameter.add_(0.15 * noise)


def save_adapter(base, folder, seed, kind, options):
    """Makes the adapter with PEFT and saves it, a changed base's as a plain adapter."""
    torch.manual_seed(seed)
    model = get_peft_model(load_model(base, torch.float32),
                           kind(task_type="CAUSAL_LM", **options))
    converts = str(options.get("init_lora_weights", "")).split("_")[0] in ("pissa", "olora")
    start = folder + "-start"
    if converts:
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(start)
        model.peft_config["default"].init_lora_weights = options["init_lora_weights"]
    randomize(model)
    model.peft_config["default"].base_model_name_or_path = "model"
    fresh_folder(folder)
    if converts:
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=start)
        shutil.rmtree(start)
    else:
        model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    for key, value in config.items():  # sets have no order
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value.sort()
    common.write_json(path, config)


def make(folder, family, seed):
    """The rows of one family."""
    folder = fresh_folder(os.path.join(folder, family))
    base = os.path.join(folder, "model")
    save_model(base, family, seed + 11, shapes(family, seed))
    generation = os.path.join(base, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    ids = torch.randint(3, 64, (2, 20), generator=torch.Generator().manual_seed(seed + 12))
    ids[0, 3:6] = torch.tensor([3, 7, 20])  # tokens that adapters train
    ids[1, 3:7] = torch.tensor([60, 5, 9, 2])
    expected = dict(ids=ids, base=token_nll(load_model(base), ids))
    rows = []
    for index, (name, (kind, options)) in enumerate(features(family).items()):
        row = dict(family=family, feature=name, type=kind.__name__, options=options)
        rows.append(row)
        adapter = os.path.join(folder, name)
        try:
            save_adapter(base, adapter, seed + 100 + index, kind, options)
            adapted = PeftModel.from_pretrained(load_model(base), adapter).eval()
            expected[f"{name}/adapted"] = token_nll(adapted, ids)
        except Exception as error:
            row["refused"] = first_line(error)
            shutil.rmtree(adapter, ignore_errors=True)
            shutil.rmtree(adapter + "-start", ignore_errors=True)
            print(f"{family} {name}: PEFT refuses: {row['refused']}")
            continue
        change = (expected[f"{name}/adapted"] - expected["base"]).abs().max().item()
        assert change > 5e-3, f"{family} {name} changes the NLL by {change} only"
        try:
            merged = adapted.merge_and_unload()
            expected[f"{name}/merged"] = token_nll(merged, ids)
            difference = (expected[f"{name}/merged"] - expected[f"{name}/adapted"]).abs().max()
            row["merging_changes_by"] = float(f"{difference.item():.1e}")
        except Exception as error:
            row["not_merged"] = first_line(error)
        print(f"{family} {name}: changes the NLL by up to {change:.3f}, "
              f"merging by {row.get('merging_changes_by', row.get('not_merged'))}", flush=True)
    write(os.path.join(folder, "expected.safetensors"), expected)
    return rows


def first_line(error):
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default=fixture("conformance", "."))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", nargs="*", choices=FAMILIES, default=FAMILIES)
    arguments = parser.parse_args()
    rows = []
    for family in arguments.family:
        rows += make(arguments.output, family, arguments.seed)
    write_json(os.path.join(arguments.output, "rows.json"), rows)


if __name__ == "__main__":
    main()
