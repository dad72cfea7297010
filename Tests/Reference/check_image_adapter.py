"""Loads image adapters that `lora convert` wrote with diffusers itself, and compares what they compute.

    .venv/bin/python Tests/Reference/check_image_adapter.py --binary .build/debug/lora

A tiny UNet of SD1.5's structure with random weights, and a random adapter in kohya's names on every
linear layer and convolution, ranks and alphas mixed. What diffusers computes with the file that
`lora convert` makes of it, and PEFT with the folder, is compared with the UNet whose weights were
changed by hand, scale alpha / rank. The kohya file that comes back must hold the same tensors.

diffusers itself is not asked for the kohya file: version 0.42.1 does not find the alphas of attention
layers in one where alphas differ (it warns of keys that end with `.processor.to_q_lora.down.weight`).
"""

import argparse
import os
import subprocess
import tempfile

import common  # noqa: F401  (settings)

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import PeftModel
from safetensors.torch import load_file, save_file


def unet():
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=16, block_out_channels=(32, 64, 64, 64), cross_attention_dim=24,
        attention_head_dim=2, norm_num_groups=8).eval()


def run(model):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, 4, 16, 16, generator=generator)
    text = torch.randn(1, 5, 24, generator=generator)
    with torch.no_grad():
        return model(x, 7, text).sample


def kohya(path):
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    modules = [(n, m) for n, m in unet().named_modules() if isinstance(m, kinds)]
    for i, (name, module) in enumerate(modules):
        out, into, *kernel = module.weight.shape
        rank, key = 2 + i % 3, "lora_unet_" + name.replace(".", "_")
        tensors[key + ".lora_down.weight"] = torch.randn(rank, into, *kernel, generator=generator)
        tensors[key + ".lora_up.weight"] = 0.05 * torch.randn(
            out, rank, *[1] * len(kernel), generator=generator)
        tensors[key + ".alpha"] = torch.tensor([1.0, 2.0, 3.0, 0.5][i % 4])
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)


def by_hand(path):
    model, tensors = unet(), load_file(path)
    with torch.no_grad():
        for name, module in model.named_modules():
            key = "lora_unet_" + name.replace(".", "_")
            if key + ".alpha" not in tensors:
                continue
            down, up = tensors[key + ".lora_down.weight"], tensors[key + ".lora_up.weight"]
            scale = tensors[key + ".alpha"] / down.shape[0]
            change = up.flatten(1) @ down.flatten(1)
            module.weight += scale * change.reshape(module.weight.shape)
    return run(model)


def diffusers(path):
    model = unet()
    state, alphas, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(
        path, unet_config=model.config, return_lora_metadata=True)
    model.load_lora_adapter(
        state, prefix="unet", network_alphas=alphas or None, metadata=metadata)
    return run(model)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    binary = parser.parse_args().binary
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)

        def convert(source, kind, target):
            subprocess.run(
                [binary, "convert", "--input", path(source), "--to", kind, "--output",
                 path(target)], check=True, stdout=subprocess.DEVNULL)

        kohya(path("kohya.safetensors"))
        convert("kohya.safetensors", "diffusers", "diffusers.safetensors")
        convert("diffusers.safetensors", "peft", "peft")
        convert("peft", "kohya", "back.safetensors")
        expected, bare = by_hand(path("kohya.safetensors")), run(unet())
        print("effect of the adapter", (expected - bare).abs().max().item())
        assert (expected - bare).abs().max() > 0.1
        found = {
            "diffusers": diffusers(path("diffusers.safetensors")),
            "PEFT": run(PeftModel.from_pretrained(unet(), path("peft/unet"))),
        }
        for name, output in found.items():
            difference = (output - expected).abs().max().item()
            print(name, difference)
            assert difference < 1e-4, name
        old, new = load_file(path("kohya.safetensors")), load_file(path("back.safetensors"))
        assert old.keys() == new.keys()
        assert all(torch.equal(old[k], new[k]) for k in old)
        print("kohya again: the same", len(old), "tensors")


if __name__ == "__main__":
    main()
