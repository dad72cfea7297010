"""Prompt tuning of classifiers as PEFT computes and saves it.

usage: .venv/bin/python Tests/Reference/encoder_prompts.py    -> Tests/Fixtures/encoders/<name>/prompt/
(after encoders.py)

  adapter_config.json, adapter_model.safetensors    three vectors and the head (SEQ_CLS), by PEFT
  expected.safetensors                              logits [5, labels] of ../expected.safetensors' ids

PEFT leaves the virtual tokens' hidden states in the sequence: a head that reads the first one reads a
virtual token's, and a mean is over both. Every sequence is read alone.
"""

import os
import warnings

import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from common import fixture, fresh_folder

warnings.filterwarnings("ignore")
torch.set_num_threads(1)


def make(name, seed):
    folder = fixture("encoders", name)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    expected = load_file(os.path.join(folder, "expected.safetensors"))

    def logits(of):
        rows = []
        with torch.no_grad():
            for row, length in enumerate(expected["lengths"].tolist()):
                inputs = dict(input_ids=expected["ids"][row:row + 1, :length])
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
                if "types" in expected and model.config.model_type == "bert":
                    inputs["token_type_ids"] = expected["types"][row:row + 1, :length]
                rows.append(of(**inputs).logits[0])
        return torch.stack(rows)

    base = logits(model)
    worst = (base - expected["logits"]).abs().max().item()
    assert worst < 1e-4, f"{name}: the base differs by {worst}"
    adapted = get_peft_model(model, PromptTuningConfig(
        task_type=TaskType.SEQ_CLS, num_virtual_tokens=3, token_dim=model.config.hidden_size,
        num_layers=model.config.num_hidden_layers,
        num_attention_heads=model.config.num_attention_heads)).eval()
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in adapted.named_parameters():
        if parameter.requires_grad and "modules_to_save" not in key:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    change = (logits(adapted) - base).abs().max().item()
    assert change > 1e-2, f"{name}: the prompt changes logits by {change} only"
    place = fresh_folder(os.path.join(folder, "prompt"))
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(place)
    os.remove(os.path.join(place, "README.md"))
    save_file(dict(logits=logits(adapted)), os.path.join(place, "expected.safetensors"))
    print(f"{name}: the base within {worst:.1e}, the prompt changes logits by {change:.2f}")


if __name__ == "__main__":
    for seed, name in enumerate((
            "bert-classifier", "roberta-classifier", "distilbert-classifier",
            "modernbert-classifier", "modernbert-mean-v4")):
        make(name, 320 + seed)
