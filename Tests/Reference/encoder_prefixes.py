"""Prefix tuning on encoders, which PEFT refuses, as the `adapters` package computes it.

usage: python Tests/Reference/encoder_prefixes.py    -> Tests/Fixtures/encoders/<name>/prefix.safetensors

(after encoders.py) Runs in a virtual environment of its own: adapters 1.3.0 wants transformers 4.57.
  states [4, layers * 2 * size]    flat prefixes as PEFT keeps them: of each layer all keys, then all
                                   values
  logits [5, labels]               of expected.safetensors' ids, under them, by a float64 model
"""

import os
import warnings

import adapters
import torch
from adapters import PrefixTuningConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Fixtures", "encoders")
LENGTH = 4


def make(name, seed):
    folder = os.path.join(FIXTURES, name)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager").eval()
    adapters.init(model)
    model.add_adapter("prefix", config=PrefixTuningConfig(flat=True, prefix_length=LENGTH))
    model.set_active_adapters("prefix")
    config = model.config
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    size = config.hidden_size // heads
    states = torch.randn(
        LENGTH, layers, 2, heads, size, generator=torch.Generator().manual_seed(seed)).double()
    # The package keeps [length, layers * 2, heads, size] in one row.
    prefixes = [p for key, p in model.named_parameters() if "prefix_tunings" in key]
    assert len(prefixes) == 1 and prefixes[0].numel() == states.numel()
    model.double()
    with torch.no_grad():
        prefixes = [p for key, p in model.named_parameters() if "prefix_tunings" in key]
        prefixes[0].copy_(states.flatten().float().double())
        expected = load_file(os.path.join(folder, "expected.safetensors"))
        ids = expected["ids"]
        mask = (torch.arange(ids.shape[1])[None] < expected["lengths"][:, None]).long()
        logits = model(
            input_ids=ids, attention_mask=mask, token_type_ids=expected["types"]).logits
        model.set_active_adapters(None)
        base = model(input_ids=ids, attention_mask=mask, token_type_ids=expected["types"]).logits
    worst = (base - expected["logits"]).abs().max().item()
    assert worst < 1e-4, f"{name}: the package's base differs by {worst}"
    change = (logits - base).abs().max().item()
    assert change > 1e-2, f"{name}: prefixes change logits by {change} only"
    save_file({
        "states": states.reshape(LENGTH, -1).float().contiguous(),
        "logits": logits.float().contiguous(),
    }, os.path.join(folder, "prefix.safetensors"))
    print(f"{name}: base within {worst:.1e}, prefixes change logits by {change:.2f}")


if __name__ == "__main__":
    make("bert-classifier", 301)
    make("bert-former-names", 302)
