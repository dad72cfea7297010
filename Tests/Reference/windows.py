"""Scores of a long row by windows with a stride: Tests/Fixtures/training/windows.json.

The recipe of "Perplexity of fixed-length models" in the documentation of transformers, with the mean
taken over the tokens instead of over the windows' means.

    .venv/bin/python Tests/Reference/windows.py
"""
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

FIXTURES = pathlib.Path(__file__).parent.parent / "Fixtures"
model = AutoModelForCausalLM.from_pretrained(
    FIXTURES / "models/llama-grouped", dtype=torch.float32, attn_implementation="eager")
model.eval()
generator = torch.Generator().manual_seed(7)
ids = torch.randint(0, model.config.vocab_size, (150,), generator=generator)


@torch.no_grad()
def score(length, stride):
    losses, previous = [], 0
    for begin in range(0, len(ids), stride):
        end = min(begin + length, len(ids))
        window = ids[begin:end][None]
        targets = window.clone()
        targets[:, : -(end - previous)] = -100
        logits = model(window).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(logits, targets[0, 1:], reduction="none")
        losses += each[targets[0, 1:] != -100].tolist()
        previous = end
        if end == len(ids):
            break
    return losses


settings = [(16, 8), (16, 1), (16, 16), (64, 32), (7, 3), (2, 1), (64, 63), (64, 64)]
results = [
    {"window": length, "stride": stride, "token_nlls": [round(x, 5) for x in score(length, stride)]}
    for length, stride in settings
]
path = FIXTURES / "training/windows.json"
path.write_text(json.dumps({"ids": ids.tolist(), "results": results}) + "\n")
print({(r["window"], r["stride"]): (len(r["token_nlls"]), sum(r["token_nlls"])) for r in results})
