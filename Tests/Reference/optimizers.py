"""Optimizers over 100 steps and warm-up stable decay, by PyTorch, transformers and bitsandbytes.

usage: .venv/bin/python Tests/Reference/optimizers.py     -> Tests/Fixtures/training/optimizers.safetensors,
                                                             wsd.safetensors

optimizers.safetensors  `<shape>/initial` and `<shape>/gradients` [7, ...] for the shapes `matrix`
                        [15, 20], `vector` [20] and `stack` [2, 3, 5]; the gradient of step s is
                        gradients[s % 7] (0.5 + s % 5 / 4). `<case>/<shape>` [4, ...]: the values after
                        1, 2, 10 and 100 steps; metadata `cases`: [{case, optimizer, shapes, settings}].
                        `map/signed` and `map/unsigned` [256]: the values of bitsandbytes' codes
wsd.safetensors         `<case>` [total + 3]: the factor on the learning rate at optimizer step
                        0, 1, ...; metadata `cases`: [{case, ...arguments of get_wsd_schedule}]

Lion and 8-bit AdamW are bitsandbytes' on the CPU, the latter with codes for every parameter
(min_8bit_size=0) and with the nearest code of each moment, as its CUDA kernels and its backend of
PyTorch operations have it; its CPU library looks codes up in a table that has neighbours of the nearest.
PyTorch's Muon iterates in bfloat16; here it is made to iterate in float32.
"""

import warnings

import bitsandbytes as bnb
import bitsandbytes.backends.cpu.ops as bnb_cpu
import torch
from bitsandbytes.functional import create_dynamic_map
from transformers import get_wsd_schedule
from transformers.optimization import Adafactor as TransformersAdafactor

from common import fixture, write

SHAPES = {"matrix": (15, 20), "vector": (20,), "stack": (2, 3, 5)}
KEPT = [1, 2, 10, 100]
CASES = [
    ("lion", ["matrix", "vector"], bnb.optim.Lion,
     dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)),
    ("lion_slow", ["matrix"], bnb.optim.Lion,
     dict(lr=3e-4, betas=(0.95, 0.98), weight_decay=0.0)),
    ("adamw_8bit", ["matrix", "vector"], bnb.optim.AdamW8bit,
     dict(lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, min_8bit_size=0)),
    ("adafactor", ["matrix", "vector", "stack"], torch.optim.Adafactor,
     dict(lr=1e-2, weight_decay=0.1)),
    ("adafactor_settings", ["matrix", "vector"], torch.optim.Adafactor,
     dict(lr=0.3, beta2_decay=-0.5, eps=(1e-6, 1e-2), d=1.5, weight_decay=0.0)),
    ("adafactor_absolute", ["matrix", "vector", "stack"], TransformersAdafactor,
     dict(lr=1e-3, scale_parameter=False, relative_step=False, weight_decay=0.1)),
    ("muon", ["matrix"], torch.optim.Muon,
     dict(lr=1e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")),
    ("muon_original", ["matrix"], torch.optim.Muon,
     dict(lr=2e-2, weight_decay=0.0, momentum=0.9, nesterov=False, ns_steps=3)),
    ("sgd", ["matrix"], torch.optim.SGD,
     dict(lr=1e-2, momentum=0.9, nesterov=True, weight_decay=0.1)),
]


def in_float32(function):
    """Calls `function` with casts to bfloat16 that change nothing."""
    plain = torch.Tensor.to
    torch.Tensor.to = lambda self, *args, **settings: (
        self.clone() if settings.get("dtype") is torch.bfloat16 else plain(self, *args, **settings))
    try:
        return function()
    finally:
        torch.Tensor.to = plain


def nearest_codes(values, code, absmax_out, codes_out, block):
    """Codes of moments, and the largest magnitude of each block."""
    flat = torch.nn.functional.pad(values.flatten(), (0, -values.numel() % block)).view(-1, block)
    most = flat.abs().amax(1)
    scaled = flat / torch.where(most > 0, most, 1.0)[:, None]
    codes = (scaled[..., None] - code).abs().argmin(-1)
    absmax_out.copy_(most)
    codes_out.copy_(codes.flatten()[:values.numel()].view(values.shape))


def optimizers():
    tensors, cases = {}, []
    for index, (name, shape) in enumerate(SHAPES.items()):
        torch.manual_seed(500 + index)
        tensors[name + "/initial"] = torch.randn(shape) * 0.5
        gradients = torch.randn(7, *shape) * torch.rand(shape).pow(3)
        gradients.view(7, -1)[:, 0] = 0
        tensors[name + "/gradients"] = gradients
    for case, shapes, make, settings in CASES:
        for shape in shapes:
            parameter = torch.nn.Parameter(tensors[shape + "/initial"].clone())
            optimizer = make([parameter], **settings)
            kept = []
            for step in range(100):
                scale = 0.5 + step % 5 / 4
                parameter.grad = tensors[shape + "/gradients"][step % 7] * scale
                in_float32(optimizer.step)
                if step + 1 in KEPT:
                    kept.append(parameter.detach().clone())
            tensors[f"{case}/{shape}"] = torch.stack(kept)
            if case == "adamw_8bit":
                assert optimizer.state[parameter]["state1"].dtype == torch.uint8
        cases.append(dict(case=case, optimizer=make.__name__, shapes=shapes, settings={
            key: list(value) if isinstance(value, tuple) else value
            for key, value in settings.items()}))
    tensors["map/signed"] = create_dynamic_map(signed=True)
    tensors["map/unsigned"] = create_dynamic_map(signed=False)
    write(fixture("training", "optimizers.safetensors"), tensors, cases=cases)


def wsd():
    tensors, cases = {}, []
    for case, total, settings in [
        ("defaults", 20, dict(num_warmup_steps=4, num_decay_steps=6)),
        ("linear", 20, dict(num_warmup_steps=0, num_decay_steps=20, decay_type="linear")),
        ("roots", 30, dict(num_warmup_steps=5, num_decay_steps=10, warmup_type="1-sqrt",
                           decay_type="1-sqrt", min_lr_ratio=0.1)),
        ("cosines", 12, dict(num_warmup_steps=3, num_decay_steps=4, warmup_type="cosine",
                             min_lr_ratio=0.25, num_cycles=1.5)),
        ("no_decay", 9, dict(num_warmup_steps=2, num_decay_steps=0)),
    ]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = get_wsd_schedule(optimizer, num_training_steps=total, **settings)
        factors = []
        for _ in range(total + 3):
            factors.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        tensors[case] = torch.tensor(factors, dtype=torch.float64)
        cases.append(dict(case=case, total=total, **settings))
    write(fixture("training", "wsd.safetensors"), tensors, cases=cases)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    bnb_cpu._quant_blockwise_fp32_direct = nearest_codes
    optimizers()
    wsd()
