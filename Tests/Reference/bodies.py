"""Adapters by PEFT whose names are those of a model's body alone, or of a whole model for its body.

usage: .venv/bin/python Tests/Reference/bodies.py         -> Tests/Fixtures/bodies/<name>/
(after models.py and encoders.py)

PEFT names layers from the model that it is given: `encoder.layer.0...` in BERT's AutoModel,
`bert.encoder.layer.0...` in a model with a head. Each directory has an adapter (adapter_config.json,
adapter_model.safetensors) and expected.safetensors, computed by a float64 model from stored weights:
  bert        made on the AutoModel of encoders/bert-classifier, targets and ranks by patterns:
              `hidden` [5, 14, size] of its ids, zero where there is padding; `logits` [5, labels] of
              the classifier whose body is adapted
  bert-whole  made on encoders/bert-body with the head of a masked model: `hidden` as above
  llama, gpt2 made on the AutoModel of models/llama-grouped and models/gpt2-tied: `nll` [rows, length]
              of the ids of their expected.safetensors, of the language model whose body is adapted
"""

import os

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, BertForMaskedLM

from common import fixture, fresh_folder, read_ids, token_nll, write
from encoders import inputs
from tiny_models import load_model, save_random_adapter

DENSE = r"encoder\.layer\.\d+\.(attention\.self\.(query|value)|output\.dense)"
BERT = LoraConfig(r=3, lora_alpha=6, target_modules=DENSE, task_type="FEATURE_EXTRACTION",
                  rank_pattern={r"^encoder\.layer\.1\.output\.dense": 4})


def load(kind, folder, dtype=torch.float64):
    return kind.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def batch_of(folder):
    stored = load_file(os.path.join(folder, "expected.safetensors"))
    batch = inputs(stored["ids"], stored["types"], stored["lengths"])
    return batch, batch["attention_mask"][..., None]


def report(name, found, base):
    change = (found - base).abs().mean().item()
    assert change > 1e-3, f"{name}: the adapter changes nothing"
    print(f"{name}: the adapter changes the output by {change:.4f} on average")


def bert(name="bert", seed=9000):
    base = fixture("encoders", "bert-classifier")
    folder = fresh_folder(fixture("bodies", name))
    save_random_adapter(load(AutoModel, base, torch.float32), folder, BERT, seed, 0.25)
    batch, mask = batch_of(base)
    body = PeftModel.from_pretrained(load(AutoModel, base), folder).eval()
    classifier = load(AutoModelForSequenceClassification, base)
    with torch.no_grad():
        plain = classifier(**batch).logits
        classifier.bert = body.base_model.model
        expected = dict(hidden=body(**batch).last_hidden_state * mask,
                        logits=classifier(**batch).logits)
    report(name, expected["logits"], plain)
    write(os.path.join(folder, "expected.safetensors"), expected)


def bert_whole(name="bert-whole", seed=9010):
    base = fixture("encoders", "bert-body")
    folder = fresh_folder(fixture("bodies", name))
    # Its head is new and random; the adapter has none of it.
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["query", "key", "intermediate.dense"])
    save_random_adapter(load(BertForMaskedLM, base, torch.float32), folder, config, seed, 0.25)
    batch, mask = batch_of(base)
    whole = PeftModel.from_pretrained(load(BertForMaskedLM, base), folder).eval()
    with torch.no_grad():
        hidden = whole.base_model.model.bert(**batch).last_hidden_state * mask
        plain = load(AutoModel, base)(**batch).last_hidden_state * mask
    report(name, hidden, plain)
    write(os.path.join(folder, "expected.safetensors"), dict(hidden=hidden))


def decoder(name, model, body, targets, seed):
    base = fixture("models", model)
    folder = fresh_folder(fixture("bodies", name))
    config = LoraConfig(r=2, lora_alpha=6, target_modules=targets, task_type="FEATURE_EXTRACTION",
                        fan_in_fan_out=body == "transformer")
    save_random_adapter(load(AutoModel, base, torch.float32), folder, config, seed, 0.2)
    ids = read_ids(os.path.join(base, "expected.safetensors"))
    adapted = load_model(base)
    setattr(adapted, body, PeftModel.from_pretrained(load(AutoModel, base), folder)
            .eval().base_model.model)
    nll = token_nll(adapted, ids)
    report(name, nll, token_nll(load_model(base), ids))
    write(os.path.join(folder, "expected.safetensors"), dict(nll=nll))


if __name__ == "__main__":
    bert()
    bert_whole()
    decoder("llama", "llama-grouped", "model", "all-linear", 9020)
    decoder("gpt2", "gpt2-tied", "transformer", ["c_attn", "mlp.c_proj"], 9030)
