"""Image adapters as diffusers and LyCORIS know them: the oracle of DialectTests.

    .venv/bin/python Tests/Reference/image_adapters.py     writes Tests/Fixtures/dialects/

Needs diffusers and lycoris-lora besides requirements.txt. Files:

- names.json: for SD1.5 and SDXL, number and digest of the paths of all linear layers and convolutions
  of diffusers' own UNets; number and digest of "kohya name TAB diffusers key" of every one of them,
  by diffusers' own converters (SDXL in the original code's names, as kohya writes them). A digest is
  FNV-1a, 64 bits, of the sorted lines, each with its line break
- kohya-sd15.safetensors, kohya-sdxl.safetensors: a layer of every kind in kohya's names, float16,
  with alphas and metadata; one alpha is 0 and one is missing
- diffusers-sd15.safetensors, diffusers-sdxl.safetensors: the same tensors under the names that
  diffusers' converters give them; alphas.json: their alphas by path
- lycoris.safetensors: LoCon, LoHa and LoKr of linear layers and convolutions, with cores and
  dora_scale, by LyCORIS's modules; lycoris-weights.safetensors: the changes that they add up to
- diffusers-old.safetensors: the attention processors' names of early diffusers
"""

import json
import re

from common import fixture, write_json

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from safetensors.torch import save_file

RANDOM = torch.Generator().manual_seed(4)


class Blocks:
    layers_per_block = 2


def random(*shape, kind=torch.float16):
    return torch.randn(*shape, generator=RANDOM).to(kind)


def digest(lines):
    value = 0xCBF29CE484222325
    for byte in "".join(line + "\n" for line in sorted(lines)).encode():
        value = ((value ^ byte) * 0x100000001B3) % (1 << 64)
    return {"count": len(lines), "fnv1a": str(value)}


def unets():
    with torch.device("meta"):
        sd15 = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        sdxl = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10], attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048, addition_embed_type="text_time",
            addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
            use_linear_projection=True)
    return {"sd15": sd15, "sdxl": sdxl}


def paths(model):
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


def original(path):
    """SDXL's name for a module in the original code, which kohya's file names are made of."""
    fixed = {
        "conv_in": "input_blocks.0.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    }
    if path in fixed:
        return fixed[path]
    path = path.replace("conv_shortcut", "skip_connection").replace("conv1", "in_layers.2")
    path = path.replace("conv2", "out_layers.3").replace("time_emb_proj", "emb_layers.1")
    m = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", path)
    if m is None:
        m = re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", path)
        block = 1 if m[1] == "attentions" else 2 * int(m[2])
        return f"middle_block.{block}.{m[3]}"
    side, i, kind, j, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{3 * i + 3}.0.op"
        return f"input_blocks.{3 * i + j + 1}.{int(kind == 'attentions')}.{rest}"
    if kind == "upsamplers":
        return f"output_blocks.{3 * i + 2}.{2 if i < 2 else 1}.conv"
    return f"output_blocks.{3 * i + j}.{int(kind == 'attentions')}.{rest}"


def converted(tensors):
    """diffusers' names for kohya's, and alphas by path."""
    state = _maybe_map_sgm_blocks_to_diffusers(dict(tensors), Blocks)
    state, _ = _convert_non_diffusers_lora_to_diffusers(state)
    result = {}
    for part in ["unet", "text_encoder", "text_encoder_2"]:
        own = {k[len(part) + 1:]: v for k, v in state.items() if k.startswith(part + ".")}
        if part == "unet":
            own = convert_unet_state_dict_to_peft(own)
        elif own:
            own = convert_state_dict_to_peft(own)
        result.update({f"{part}.{k}": v for k, v in own.items()})
    return result


def names():
    result = {}
    for name, model in unets().items():
        modules = paths(model)
        pairs = {}
        for path in modules:
            kohya = "lora_unet_" + (original(path) if name == "sdxl" else path).replace(".", "_")
            pairs[kohya] = path
        tensors = {}
        for i, kohya in enumerate(pairs):
            # The values tell the layers apart after the conversion.
            tensors[kohya + ".lora_down.weight"] = torch.full((1, 1), float(i))
            tensors[kohya + ".lora_up.weight"] = torch.full((1, 1), float(i))
        keys = converted(tensors)
        by_value = {int(v): k for k, v in keys.items() if k.endswith("lora_A.weight")}
        lines = [f"{kohya}\t{by_value[i]}" for i, kohya in enumerate(pairs)]
        # diffusers' converters lose nothing and invent nothing.
        assert len(by_value) == len(modules), name
        wrong = [
            (k, p, by_value[i]) for i, (k, p) in enumerate(pairs.items())
            if by_value[i] != f"unet.{p}.lora_A.weight"
        ]
        for line in wrong[:20]:
            print("diffusers converts differently:", *line)
        result[name] = {"modules": digest(modules), "kohya": digest(lines), "wrong": len(wrong)}
    return result


def save(name, tensors, metadata=None):
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    save_file(tensors, fixture("dialects", name), metadata=metadata)


def kohya_layers(prefix_names, kind):
    tensors, alphas = {}, {}
    for i, (name, path, shape) in enumerate(prefix_names):
        rank = 2 + i % 3
        out, into, *kernel = shape
        tensors[name + ".lora_down.weight"] = random(rank, into, *kernel, kind=kind)
        tensors[name + ".lora_up.weight"] = random(out, rank, *[1] * len(kernel), kind=kind)
        alpha = [1.0, 0.0, None, 4.0, float(rank)][i % 5]
        if alpha is not None:
            tensors[name + ".alpha"] = torch.tensor(alpha, dtype=kind)
        alphas[path] = alpha or float(rank)
    return tensors, alphas


def samples(name, model):
    """One layer of every kind, and text encoders."""
    chosen, seen = [], set()
    for path in paths(model):
        kind = re.sub(r"\d+", "N", path.split(".attentions.")[-1])
        kind = (path.split("_blocks")[0].split("_block")[0], re.sub(r"^resnets.N", "r", kind))
        if kind not in seen:
            seen.add(kind)
            chosen.append(path)
    layers = []
    convolutions = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    for path in chosen:
        kohya = "lora_unet_" + (original(path) if name == "sdxl" else path).replace(".", "_")
        weight = model.get_submodule(path).weight.shape
        kernel = list(weight[2:]) if path in convolutions else []
        layers.append((kohya, "unet." + path, [3, 4] + kernel))
    texts = [("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2")]
    for prefix, part in texts if name == "sdxl" else [("lora_te_", "text_encoder")]:
        for path in ["self_attn.q_proj", "self_attn.out_proj", "mlp.fc1"]:
            path = "text_model.encoder.layers.11." + path
            layers.append((prefix + path.replace(".", "_"), f"{part}.{path}", [5, 3]))
    return layers


def files():
    alphas = {}
    for name, model in unets().items():
        tensors, alphas[name] = kohya_layers(samples(name, model), torch.float16)
        save(
            f"kohya-{name}.safetensors", tensors,
            {"ss_network_module": "networks.lora"})
        keys = converted({k: v for k, v in tensors.items()})
        save(f"diffusers-{name}.safetensors", keys)
        assert len(keys) == 2 * len(alphas[name])
    write_json(fixture("dialects", "alphas.json"), alphas)
    write_json(fixture("dialects", "names.json"), names())


def fill(module):
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "module" not in name:
                value.copy_(torch.randn(value.shape, generator=RANDOM) * 0.5)


def lycoris():
    linear = lambda: torch.nn.Linear(12, 8, bias=False)
    square = lambda: torch.nn.Conv2d(6, 4, 3, padding=1, bias=False)
    base = "mid_block.attentions.0.transformer_blocks.0."
    cases = [
        ("mid_block.resnets.0.conv1", square, LoConModule, dict(lora_dim=2, alpha=1)),
        ("mid_block.resnets.0.conv2", square, LoConModule,
         dict(lora_dim=2, alpha=1, use_tucker=True)),
        (base + "attn1.to_q", linear, LoConModule,
         dict(lora_dim=3, alpha=2, weight_decompose=True)),
        (base + "attn1.to_k", linear, LoConModule,
         dict(lora_dim=3, alpha=2, weight_decompose=True, wd_on_out=False)),
        (base + "attn1.to_v", linear, LohaModule, dict(lora_dim=2, alpha=3)),
        (base + "attn1.to_out.0", linear, LohaModule,
         dict(lora_dim=2, alpha=3, weight_decompose=True)),
        ("mid_block.resnets.1.conv1", square, LohaModule, dict(lora_dim=2, alpha=1)),
        ("mid_block.resnets.1.conv2", square, LohaModule,
         dict(lora_dim=2, alpha=1, use_tucker=True)),
        (base + "attn2.to_q", linear, LokrModule, dict(lora_dim=1, alpha=2)),
        (base + "attn2.to_k", linear, LokrModule, dict(lora_dim=1, alpha=2, full_matrix=True)),
        (base + "attn2.to_v", lambda: torch.nn.Linear(36, 36, bias=False), LokrModule,
         dict(lora_dim=2, alpha=1, decompose_both=True)),
        (base + "attn2.to_out.0", linear, LokrModule,
         dict(lora_dim=1, alpha=2, weight_decompose=True, wd_on_out=False)),
        ("up_blocks.1.resnets.0.conv1", square, LokrModule, dict(lora_dim=1, alpha=2, factor=2)),
        ("up_blocks.1.resnets.0.conv2", square, LokrModule,
         dict(lora_dim=1, alpha=2, factor=2, use_tucker=True)),
    ]
    tensors, weights = {}, {}
    for path, make, kind, options in cases:
        torch.manual_seed(7)
        base_layer = make()
        module = kind("layer", base_layer, **options)
        fill(module)
        name = "lora_unet_" + path.replace(".", "_")
        for part, value in module.custom_state_dict().items():
            tensors[f"{name}.{part}"] = value.detach().float()
        if kind is LoConModule:
            change = module.make_weight() * module.scale
        else:
            change = module.get_weight(module.shape)
        weights["unet." + path] = change.detach().float().reshape(base_layer.weight.shape)
        # What the layer really adds, where nothing else is in between.
        if isinstance(base_layer, torch.nn.Linear) and not options.get("weight_decompose"):
            x = torch.eye(base_layer.in_features)
            module.bypass_mode = False
            module.apply_to() if hasattr(module, "apply_to") else None
            added = module(x).T - base_layer.weight
            torch.testing.assert_close(
                added, weights["unet." + path].reshape(added.shape), atol=1e-5, rtol=1e-5)
    save("lycoris.safetensors", tensors, {"ss_network_module": "lycoris.kohya"})
    save("lycoris-weights.safetensors", weights)


def old():
    tensors, base = {}, "mid_block.attentions.0.transformer_blocks.0.attn1.processor."
    for part in ["to_q", "to_k", "to_v", "to_out"]:
        tensors[f"unet.{base}{part}_lora.down.weight"] = random(2, 4, kind=torch.float32)
        tensors[f"unet.{base}{part}_lora.up.weight"] = random(3, 2, kind=torch.float32)
    text = "text_model.encoder.layers.0."
    for part in ["self_attn.to_q_lora", "self_attn.to_out_lora", "mlp.fc1.lora_linear_layer"]:
        tensors[f"text_encoder.{text}{part}.down.weight"] = random(2, 4, kind=torch.float32)
        tensors[f"text_encoder.{text}{part}.up.weight"] = random(3, 2, kind=torch.float32)
    save("diffusers-old.safetensors", tensors)
    result = {}
    unet = {k[5:]: v for k, v in tensors.items() if k.startswith("unet.")}
    for k, v in convert_unet_state_dict_to_peft(unet).items():
        result["unet." + k] = v
    own = {k[13:]: v for k, v in tensors.items() if k.startswith("text_encoder.")}
    for k, v in convert_state_dict_to_peft(own).items():
        result["text_encoder." + k] = v
    save("diffusers-old-now.safetensors", result)


if __name__ == "__main__":
    files()
    lycoris()
    old()
