"""Measures how PEFT initializes LoRA's factors, for the facts that the Swift tests state.

usage: .venv/bin/python Tests/Reference/initialize.py

Kaiming uniform with a = sqrt 5 over `in` inputs is U(-1/sqrt in, 1/sqrt in); B is zero.
`gaussian`: A ~ N(0, 1/r²), B zero. An embedding's A is zero and its B standard normal.
"""

import math

import common  # noqa: F401
import torch
from peft import LoraConfig, get_peft_model


class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(400, 300)
        self.embedding = torch.nn.Embedding(2000, 100)


def show(kind, rank):
    torch.manual_seed(0)
    model = get_peft_model(Layers(), LoraConfig(
        r=rank, target_modules=["linear", "embedding"], init_lora_weights=kind))
    for name, value in model.named_parameters():
        if "lora_" in name:
            label = name.split("model.")[-1].replace(".default", "")
            print(f"{kind} rank {rank} {label} {list(value.shape)}: mean {value.mean():+.5f}, "
                  f"std {value.std():.5f}, largest {value.abs().max():.5f}")


for kind, rank in [(True, 8), (True, 64), ("gaussian", 8), ("gaussian", 64)]:
    show(kind, rank)
print(f"expected for Kaiming: largest {1 / math.sqrt(400):.5f}, std {1 / math.sqrt(3 * 400):.5f}; "
      f"gaussian: std {1 / 8:.5f} and {1 / 64:.5f}")
