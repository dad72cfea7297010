"""The learning rates and weight decays that PEFT's LoRA+ optimizer gives an adapter's parameters.

usage: .venv/bin/python Tests/Reference/loraplus.py    -> Tests/Fixtures/training/loraplus.json

A list of {path, learning_rate, weight_decay}; paths are those of this package. The base is an
embedding `embed` and a linear layer `layer`; LoRA with a bias is on both, DoRA on `decomposed`.
"""

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from common import fixture, write_json


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(7, 4)
        self.layer = torch.nn.Linear(4, 5)
        self.decomposed = torch.nn.Linear(5, 3)
        self.config = {"model_type": "custom"}

    def forward(self, ids):
        return self.decomposed(self.layer(self.embed(ids)))


def rates(targets, **options):
    model = get_peft_model(Model(), LoraConfig(r=2, target_modules=targets, **options))
    optimizer = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=0.01, loraplus_lr_ratio=16.0, loraplus_weight_decay=0.1,
        loraplus_lr_embedding=3e-5)
    found = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            found[id(parameter)] = (group["lr"], group["weight_decay"])
    result = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        path = name.removeprefix("base_model.model.").replace(".default", "")
        path = path.replace("lora_embedding_A", "lora_A.weight")
        path = path.replace("lora_embedding_B", "lora_B.weight")
        path = path.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
        rate, decay = found[id(parameter)]
        result.append(dict(path=path, learning_rate=rate, weight_decay=decay))
    return result


write_json(
    fixture("training", "loraplus.json"),
    rates(["embed"]) + rates(["layer"], lora_bias=True) + rates(["decomposed"], use_dora=True))
