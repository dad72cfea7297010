"""The multiple-negatives loss of a tiny sentence encoder by PyTorch, and a step of full training on it.

usage: .venv/bin/python Tests/Reference/contrastive.py    -> Tests/Fixtures/sentences/contrastive.safetensors

On Tests/Fixtures/sentences/mean-normalized (run sentences.py first): the texts of texts.jsonl in pairs
(0, 1), (2, 3), (4, 5), ... of float64 embeddings one text at a time. `losses` [6] float32: the
cross-entropy of each pair's second text under 20 times the cosines with all second texts; `masked` [6]: the
same without those of pairs of the same label. `gradient.<name>`: the gradient of the mean of `losses`.
"""

import json
import os

import common
import torch
from transformers import AutoModel, AutoTokenizer

FOLDER = common.fixture("sentences", "mean-normalized")
NAMES = ["encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.bias"]

if __name__ == "__main__":
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModel.from_pretrained(FOLDER, dtype=torch.float64, attn_implementation="eager").eval()
    examples = [json.loads(line) for line in open(os.path.join(FOLDER, "texts.jsonl"))]
    rows = []
    for example in examples:
        batch = tokenizer([example["text"]], return_tensors="pt")
        rows.append(torch.nn.functional.normalize(model(**batch).last_hidden_state[0].mean(0), dim=0))
    vectors = torch.stack(rows)
    scores = 20 * vectors[0::2] @ vectors[1::2].T
    targets = torch.arange(6)
    labels = [example["label"] for example in examples[0::2]]
    same = torch.tensor([[a == b and i != j for j, b in enumerate(labels)]
                         for i, a in enumerate(labels)])
    losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
    masked = torch.nn.functional.cross_entropy(
        scores.masked_fill(same, -torch.inf), targets, reduction="none")
    losses.mean().backward()
    tensors = dict(losses=losses, masked=masked)
    for name in NAMES:
        tensors["gradient." + name] = dict(model.named_parameters())[name].grad
    common.write(common.fixture("sentences", "contrastive.safetensors"), tensors)
    print(losses.tolist(), masked.tolist())
