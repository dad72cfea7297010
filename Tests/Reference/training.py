"""AdamW, gradient clipping, learning-rate schedules and two whole trainings, by PyTorch and PEFT.

usage: .venv/bin/python Tests/Reference/training.py       -> Tests/Fixtures/training/*.safetensors
(after models.py)

adamw.safetensors      `<case>/initial` [7, 5], `<case>/gradients` and `<case>/parameters`
                       [10, 7, 5] (after each step); metadata `cases`: [{case, learning_rate,
                       betas, eps, weight_decay}]; float32, as torch.optim.AdamW computes
clip.safetensors       `<case>/gradient<i>`, `<case>/clipped<i>`, `<case>/norm` [1] (before
                       clipping); metadata `cases`: [{case, max_norm, gradients: count}]
schedules.safetensors  `<case>` [total + 3]: the factor on the learning rate at optimizer step
                       0, 1, ...; metadata `cases`: [{case, schedule, warmup, total}]
lora.safetensors       LoRA on models/llama-grouped: `ids` [40, 24], `losses`, `gradient_norms`
                       (before clipping) and `learning_rates` [10], `initial/<key>` and
                       `final/<key>` under PEFT's keys, `nll` [3, 23] after it on the model's
                       expected ids; metadata `run`: the settings
full-untied.safetensors, full-tied.safetensors    5 steps of full fine-tuning, the same without
                       adapters: `final/<name>` holds two parameters only
Step s takes rows s * batch * accumulation ... in order; a step's loss is the mean over its rows.
"""

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import (
    get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from common import fixture, read_ids, token_nll, write
from tiny_models import load_model

SCHEDULES = {
    "constant": lambda optimizer, warmup, total: get_constant_schedule_with_warmup(
        optimizer, warmup),
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
}


def adamw():
    tensors, cases = {}, []
    for index, (case, settings) in enumerate({
        "defaults": dict(learning_rate=1e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01),
        "no_decay": dict(learning_rate=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0),
        "language_model": dict(learning_rate=3e-3, betas=[0.9, 0.95], eps=1e-6, weight_decay=0.1),
        "no_momentum": dict(learning_rate=5e-2, betas=[0.0, 0.5], eps=1e-3, weight_decay=0.3),
        "small_gradients": dict(learning_rate=1e-3, betas=[0.9, 0.999], eps=1e-8,
                                weight_decay=0.01),
    }.items()):
        torch.manual_seed(40 + index)
        gradients = torch.randn(10, 7, 5) * (1e-8 if case == "small_gradients" else 1.0)
        gradients[:, 0, 0] = 0  # a parameter that never has a gradient still decays
        parameter = torch.nn.Parameter(torch.randn(7, 5))
        tensors[case + "/initial"] = parameter.detach().clone()
        optimizer = torch.optim.AdamW(
            [parameter], lr=settings["learning_rate"], betas=settings["betas"],
            eps=settings["eps"], weight_decay=settings["weight_decay"])
        trajectory = []
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            trajectory.append(parameter.detach().clone())
        tensors[case + "/gradients"] = gradients
        tensors[case + "/parameters"] = torch.stack(trajectory)
        cases.append(dict(case=case, **settings))
    write(fixture("training", "adamw.safetensors"), tensors, cases=cases)


def clip():
    tensors, cases = {}, []
    for index, (case, shapes, std, max_norm) in enumerate([
        ("above", [(4, 5), (7,)], 3.0, 1.0), ("below", [(3, 3), (2, 2)], 0.01, 1.0),
        ("one", [(11,)], 1.0, 0.5), ("zero", [(4,), (2, 3)], 0.0, 1.0),
        ("barely", [(5, 2), (3,), (1,)], 1.0, 3.0),
    ]):
        torch.manual_seed(60 + index)
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.randn(parameter.shape) * std
            tensors[f"{case}/gradient{i}"] = parameter.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        tensors[case + "/norm"] = norm.reshape(1)
        for i, parameter in enumerate(parameters):
            tensors[f"{case}/clipped{i}"] = parameter.grad
        cases.append(dict(case=case, max_norm=max_norm, gradients=len(shapes)))
    write(fixture("training", "clip.safetensors"), tensors, cases=cases)


def schedules():
    tensors, cases = {}, []
    for schedule, make in SCHEDULES.items():
        for warmup, total in [(0, 10), (3, 10), (1, 7), (10, 10), (5, 40)]:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            scheduler = make(optimizer, warmup, total)
            factors = []
            for _ in range(total + 3):  # a few beyond the end
                factors.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            case = f"{schedule}.warmup{warmup}.total{total}"
            tensors[case] = torch.tensor(factors, dtype=torch.float64)
            cases.append(dict(case=case, schedule=schedule, warmup=warmup, total=total))
    write(fixture("training", "schedules.safetensors"), tensors, cases=cases)


def train(model, ids, run):
    """Losses, gradient norms and learning rates of `run["steps"]` optimizer steps."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=run["learning_rate"], betas=run["betas"],
                                  eps=run["eps"], weight_decay=run["weight_decay"])
    scheduler = SCHEDULES[run["schedule"]](optimizer, run["warmup"], run["steps"])
    batches = iter(ids.split(run["batch"]))
    losses, norms, rates = [], [], []
    for _ in range(run["steps"]):
        optimizer.zero_grad()
        mean = 0.0
        for _ in range(run["accumulate"]):
            batch = next(batches)
            loss = model(input_ids=batch, labels=batch).loss / run["accumulate"]
            loss.backward()
            mean += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(trainable, run["clip_norm"]).item())
        losses.append(mean)
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert max(norms) > run["clip_norm"]
    return {"ids": ids, "losses": torch.tensor(losses, dtype=torch.float64),
            "gradient_norms": torch.tensor(norms, dtype=torch.float64),
            "learning_rates": torch.tensor(rates, dtype=torch.float64)}


def rows(count, seed):
    """Rows with a pattern to learn: every id follows from the one before, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.empty(count, 24, dtype=torch.int64)
    ids[:, 0] = 1
    for column in range(1, 24):
        noise = torch.randint(3, 64, (count,), generator=generator)
        follow = (ids[:, column - 1] * 5 + 7) % 61 + 3
        keep = torch.rand(count, generator=generator) < 0.7
        ids[:, column] = torch.where(keep, follow, noise)
    return ids


def lora():
    run = dict(model="llama-grouped", steps=10, batch=2, accumulate=2, learning_rate=1e-2,
               betas=[0.9, 0.999], eps=1e-8, weight_decay=0.1, clip_norm=0.5, schedule="cosine",
               warmup=2, r=4, lora_alpha=8, target_modules="all-linear")
    folder = fixture("models", run["model"])
    torch.manual_seed(80)
    model = get_peft_model(load_model(folder, torch.float32), LoraConfig(
        task_type="CAUSAL_LM", r=run["r"], lora_alpha=run["lora_alpha"],
        target_modules=run["target_modules"]))
    initial = {"initial/" + k: v.clone() for k, v in get_peft_model_state_dict(model).items()}
    result = train(model, rows(40, seed=81), run)
    final = {"final/" + k: v.clone() for k, v in get_peft_model_state_dict(model).items()}
    nll = token_nll(model, read_ids(fixture("models", run["model"], "expected.safetensors")))
    write(fixture("training", "lora.safetensors"), {**result, **initial, **final, "nll": nll},
          run=run)
    report("lora", result)


def full(name, model_name, seed):
    run = dict(model=model_name, steps=5, batch=4, accumulate=1, learning_rate=2e-3,
               betas=[0.9, 0.95], eps=1e-8, weight_decay=0.1, clip_norm=1.0, schedule="linear",
               warmup=1)
    model = load_model(fixture("models", model_name), torch.float32)
    result = train(model, rows(20, seed), run)
    parameters = dict(model.named_parameters())
    final = {"final/" + key: parameters[key] for key in (
        "model.embed_tokens.weight", "model.layers.1.post_attention_layernorm.weight")}
    nll = token_nll(model, read_ids(fixture("models", model_name, "expected.safetensors")))
    write(fixture("training", f"{name}.safetensors"), {**result, **final, "nll": nll}, run=run)
    report(name, result)


def report(name, result):
    print(f"{name}: losses {[round(x, 3) for x in result['losses'].tolist()]}, "
          f"norms {[round(x, 2) for x in result['gradient_norms'].tolist()]}")


if __name__ == "__main__":
    adamw()
    clip()
    schedules()
    lora()
    full("full-untied", "llama-grouped", seed=90)
    full("full-tied", "llama-tied-v4", seed=91)
