"""What PEFT's adapter methods compute on one linear layer, in float64: outputs, gradients, merges.

usage: .venv/bin/python Tests/Reference/methods.py    -> Tests/Fixtures/methods/methods.safetensors

Tensors `<case>/weight`, `/bias` (perhaps), `/x`, `/dy`, `/out`, `/dx`, `/merged_weight`,
`/merged_bias` (perhaps), and for each adapter `<case>/<adapter>/<parameter>` with its gradient
`<case>/<adapter>/d_<parameter>`. The metadata's `cases` is a JSON list of {name, adapters}, an
adapter being {name, method, scale, rank, input}; `input` says whether IA3 scales inputs.
"""

import torch
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict

from common import fixture, write

generator = torch.Generator().manual_seed(20261122)
INPUTS, OUTPUTS = 12, 10
tensors, cases = {}, []


def normal(*shape, std=1.0):
    return (torch.randn(shape, generator=generator) * std).double()


def state(model, name):
    """The adapter's tensors by the names that they have in a layer; vectors are flat."""
    prefix = "base_model.model.layer."
    found = get_peft_model_state_dict(model, adapter_name=name)
    found = {key.removeprefix(prefix): value.detach().clone() for key, value in found.items()}
    return {key: v.flatten() if key == "ia3_l" else v for key, v in found.items()}


class Model(torch.nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.layer = torch.nn.Linear(INPUTS, OUTPUTS, bias=bias).double()
        self.config = {"model_type": "custom"}

    def forward(self, x):
        return self.layer(x)


def case(name, configs, bias=True):
    model = Model(bias)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(normal(*parameter.shape, std=0.4))
    tensors[f"{name}/weight"] = model.layer.weight.detach().clone()
    if bias:
        tensors[f"{name}/bias"] = model.layer.bias.detach().clone()
    names = [f"a{index}" for index in range(len(configs))]
    for adapter, config in zip(names, configs):
        if adapter == "a0":
            model = get_peft_model(model, config, adapter_name=adapter, autocast_adapter_dtype=False)
        else:
            model.add_adapter(adapter, config)
    model.double().base_model.set_adapter(names)
    layer = model.base_model.model.layer
    adapted = [(key, p) for key, p in layer.named_parameters() if "base_layer" not in key]
    with torch.no_grad():
        for key, parameter in adapted:
            parameter.requires_grad_(True)
            # Away from the initial values; DoRA's magnitudes stay near the norms.
            parameter.copy_((parameter + normal(*parameter.shape, std=0.3)).float().double())
    model.eval()
    x = normal(2, 3, INPUTS).requires_grad_(True)
    dy = normal(2, 3, OUTPUTS)
    out = model(x)
    out.backward(dy)
    entries = []
    for adapter, config in zip(names, configs):
        for key, value in state(model, adapter).items():
            tensors[f"{name}/{adapter}/{key}"] = value
        scaling = layer.scaling[adapter] if hasattr(layer, "scaling") else 1
        entries.append(
            dict(name=adapter, method=str(config.peft_type.value), scale=scaling,
                 rank=getattr(config, "r", 0), input=bool(getattr(layer, "is_feedforward", False))))
    values = [p.detach().clone() for _, p in adapted]
    with torch.no_grad():
        for _, parameter in adapted:
            parameter.copy_(parameter.grad)
    for adapter in names:
        for key, value in state(model, adapter).items():
            tensors[f"{name}/{adapter}/d_{key}"] = value
    with torch.no_grad():
        for (_, parameter), value in zip(adapted, values):
            parameter.copy_(value)
    tensors.update({f"{name}/x": x, f"{name}/dy": dy, f"{name}/out": out, f"{name}/dx": x.grad})
    model.base_model.merge_adapter(names)
    base = layer.get_base_layer()
    assert torch.allclose(model(x), out), name
    tensors[f"{name}/merged_weight"] = base.weight
    if base.bias is not None:
        tensors[f"{name}/merged_bias"] = base.bias
    cases.append(dict(name=name, adapters=entries))


def lora(**options):
    return LoraConfig(**{"r": 3, "lora_alpha": 5, "target_modules": ["layer"], **options})


def ia3(feed_forward):
    return IA3Config(
        target_modules=["layer"], feedforward_modules=["layer"] if feed_forward else [])


def loha(**options):
    return LoHaConfig(**{"r": 3, "alpha": 5, "target_modules": ["layer"], **options})


def lokr(**options):
    return LoKrConfig(**{"r": 2, "alpha": 3, "target_modules": ["layer"], **options})


case("lora_bias", [lora(lora_bias=True)])
case("lora_two", [lora(), lora(r=2, use_rslora=True, lora_bias=True)])
case("dora", [lora(use_dora=True)])
case("dora_nobias", [lora(use_dora=True)], bias=False)
case("dora_rslora", [lora(use_dora=True, use_rslora=True, r=4)])
case("loha", [loha()])
case("loha_two", [loha(), loha(r=2, alpha=1)], bias=False)
case("lokr", [lokr()])
case("lokr_product", [lokr(r=1)])
case("lokr_both", [lokr(r=1, decompose_both=True, decompose_factor=3)], bias=False)
case("lokr_factor", [lokr(r=1, decompose_factor=2)])
case("lokr_whole", [lokr(r=8)])
case("lokr_two", [lokr(), lokr(r=8)])
case("ia3_output", [ia3(False)])
case("ia3_output_nobias", [ia3(False)], bias=False)
case("ia3_input", [ia3(True)])
case("ia3_two_outputs", [ia3(False), ia3(False)])
case("ia3_two_inputs", [ia3(True), ia3(True)])

write(fixture("methods", "methods.safetensors"), tensors, cases=cases)
print(f"{len(cases)} cases, {len(tensors)} tensors")
