"""Preference training over 100 steps, the losses by TRL's trainers.

usage: .venv/bin/python Tests/Reference/preferences.py     -> Tests/Fixtures/training/preferences.safetensors

LoRA on models/llama-grouped (`initial/<key>` under PEFT's keys), AdamW without clipping, batches of
four examples in order. `<case>/losses`, `<case>/gradient_norms` and `<case>/margins` [100],
`<case>/final/<key>` after them. Metadata `run`: the settings, the examples (`pairs`, [prompt,
chosen, rejected]; `judged`, [prompt, completion, label]) and the `cases`. The losses are those of the methods
of TRL's DPOTrainer, KTOTrainer and (experimental) ORPOTrainer; that of `dpo_smoothed` is computed from
the first one's log-probabilities, since TRL 1.16 has no smoothed sigmoid any more.
"""

import collections
import types
from unittest import mock

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from trl.experimental.orpo.orpo_trainer import ORPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference, KTOTrainer
from trl.trainer.utils import add_fused_lm_head

from common import fixture, write
from tiny_models import load_model

STEPS, BATCH = 100, 4
CASES = [
    dict(case="dpo", form="dpo", beta=0.1),
    dict(case="dpo_smoothed", form="dpo", beta=0.5, label_smoothing=0.2),
    dict(case="ipo", form="ipo", beta=0.3),
    dict(case="orpo", form="orpo", beta=0.25),
    dict(case="kto", form="kto", beta=0.2, desirable_weight=1.5, undesirable_weight=0.75),
]


def sequences():
    generator = torch.Generator().manual_seed(700)

    def ids(low, high):
        length = torch.randint(low, high + 1, (1,), generator=generator).item()
        return torch.randint(3, 64, (length,), generator=generator).tolist()

    pairs = [[[1] + ids(2, 6), ids(1, 6) + [2], ids(1, 6) + [2]] for _ in range(8)]
    judged = [[prompt, (chosen, rejected)[index % 3 == 1], index % 3 != 1]
              for index, (prompt, chosen, rejected) in enumerate(pairs)]
    return pairs, judged


def stub(trainer, model, **settings):
    """As much of a trainer as its losses use."""
    accelerator = mock.MagicMock(device=torch.device("cpu"))
    accelerator.gather_for_metrics.side_effect = accelerator.gather.side_effect = lambda x: x
    accelerator.unwrap_model.side_effect = lambda x: x
    state = dict(
        model=model, ref_model=None, accelerator=accelerator, aux_loss_enabled=False,
        precompute_ref_logps=False, args=types.SimpleNamespace(gradient_checkpointing_kwargs=None),
        _metrics={key: collections.defaultdict(list) for key in ("train", "eval")},
        _total_train_tokens=0, _tp_size=1, is_encoder_decoder=False, padding_value=0,
        ld_alpha=None, f_divergence_type="reverse_kl", loss_weights=[1.0], use_weighting=False,
        label_smoothing=0.0, calculate_KL=True, loss_type="kto")
    state.update(settings)
    result = types.SimpleNamespace(**state)
    for name in dir(trainer):
        function = trainer.__dict__.get(name)
        if isinstance(function, types.FunctionType) and not hasattr(result, name):
            setattr(result, name, types.MethodType(function, result))
        elif isinstance(function, staticmethod):
            setattr(result, name, function.__func__)
    return result


def pair_loss(model, case, examples):
    batch = DataCollatorForPreference(pad_token_id=0)([
        dict(prompt_ids=prompt, chosen_ids=chosen, rejected_ids=rejected)
        for prompt, chosen, rejected in examples])
    trainer = stub(DPOTrainer, model, beta=case["beta"],
                   loss_types=["ipo" if case["form"] == "ipo" else "sigmoid"])
    if not case.get("label_smoothing"):
        return trainer._compute_loss(model, batch, False), trainer._metrics["train"]
    # -log sigmoid(x) as TRL passes it on, and -log sigmoid(-x) beside it.
    kept = []
    plain = F.logsigmoid
    with mock.patch("torch.nn.functional.logsigmoid", lambda x: kept.append(x) or plain(x)):
        trainer._compute_loss(model, batch, False)
    smoothing = case["label_smoothing"]
    loss = -(1 - smoothing) * plain(kept[0]) - smoothing * plain(-kept[0])
    return loss.mean(), trainer._metrics["train"]


def odds_loss(model, case, examples):
    def padded(rows, value):
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    batch = {}
    for name, index in [("chosen", 1), ("rejected", 2)]:
        rows = [example[0] + example[index] for example in examples]
        batch[name + "_input_ids"] = padded(rows, 0)
        batch[name + "_attention_mask"] = padded([[1] * len(row) for row in rows], 0)
        batch[name + "_labels"] = padded(
            [[-100] * len(example[0]) + example[index] for example in examples], -100)
    batch["prompt_input_ids"] = padded([example[0] for example in examples], 0)
    batch["prompt_attention_mask"] = padded([[1] * len(example[0]) for example in examples], 0)
    trainer = stub(ORPOTrainer, model, beta=case["beta"])
    return trainer.get_batch_loss_metrics(model, batch)


def judged_loss(model, case, examples):
    batch = DataCollatorForUnpairedPreference(pad_token_id=0)([
        dict(prompt_ids=prompt, completion_ids=completion, label=label,
             KL_completion_ids=examples[index - 1][1])
        for index, (prompt, completion, label) in enumerate(examples)])
    trainer = stub(KTOTrainer, model, beta=case["beta"],
                   desirable_weight=case["desirable_weight"],
                   undesirable_weight=case["undesirable_weight"])
    return trainer._compute_loss(model, batch, False), trainer._metrics["train"]


def adapted():
    torch.manual_seed(701)
    model = load_model(fixture("models", "llama-grouped"), torch.float32)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def main():
    pairs, judged = sequences()
    tensors = {"initial/" + key: value.clone()
               for key, value in get_peft_model_state_dict(adapted()).items()}
    for case in CASES:
        examples = judged if case["form"] == "kto" else pairs
        compute = {"kto": judged_loss, "orpo": odds_loss}.get(case["form"], pair_loss)
        model = adapted()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
        losses, norms, margins = [], [], []
        for step in range(STEPS):
            start = step * BATCH % len(examples)
            loss, metrics = compute(model, case, examples[start:start + BATCH])
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item())
            norms.append(torch.nn.utils.clip_grad_norm_(trained, float("inf")).item())
            margin = metrics["rewards/margins"]
            margins.append(float(margin[-1] if isinstance(margin, list) else margin))
            optimizer.step()
        for name, values in [("losses", losses), ("gradient_norms", norms), ("margins", margins)]:
            tensors[f"{case['case']}/{name}"] = torch.tensor(values)
        for key, value in get_peft_model_state_dict(model).items():
            tensors[f"{case['case']}/final/{key}"] = value.clone()
        print(case["case"], [round(x, 4) for x in (losses[0], losses[1], losses[-1])],
              round(margins[0], 5), round(margins[-1], 5))
    write(fixture("training", "preferences.safetensors"), tensors, run=dict(
        model="llama-grouped", steps=STEPS, batch=BATCH, learning_rate=1e-3, r=2, lora_alpha=8,
        target_modules=["q_proj", "v_proj", "down_proj"], pairs=pairs, judged=judged, cases=CASES))


if __name__ == "__main__":
    main()
