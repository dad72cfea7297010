"""Loads an adapter with transformers and PEFT and writes what the model then computes.

usage: .venv/bin/python Tests/Reference/check_peft_adapter.py MODEL ADAPTER IDS OUT.safetensors
           [--expected FILE.safetensors] [--dtype float32|float64]

Shows that PEFT reads what this package writes: every tensor of the adapter file must be used and
none missing. IDS is JSON `[[id, ...], ...]` or FILE.safetensors[#tensor] (`ids` or `eval`).
OUT holds `ids`, `logits` [rows, length, vocabulary] and `nll` [rows, length - 1]. With --expected,
the `logits` and `nll` of that file are compared: exit status 1 above 1e-4.
"""

import argparse

import torch
from safetensors.torch import load_file

from common import read_ids, token_nll, write
from tiny_models import load_adapter, load_model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("model", "adapter", "ids", "out"):
        parser.add_argument(name)
    parser.add_argument("--expected")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    arguments = parser.parse_args()

    ids = read_ids(arguments.ids)
    model = load_model(arguments.model, getattr(torch, arguments.dtype))
    base = token_nll(model, ids)
    model = load_adapter(model, arguments.adapter)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, -ids.shape[1]:]
        result = {"ids": ids, "logits": logits, "nll": token_nll(model, ids)}
    write(arguments.out, result)
    print(f"mean NLL {base.mean():.6f} without, {result['nll'].mean():.6f} with the adapter")
    if arguments.expected:
        expected = load_file(arguments.expected)
        names = sorted(set(expected) & {"logits", "nll"})
        if not names:
            raise SystemExit(f"error: {arguments.expected} holds neither logits nor nll")
        for name in names:
            worst = (expected[name].double() - result[name].double()).abs().max().item()
            print(f"{name}: largest difference {worst:.2e}")
            if not worst <= 1e-4:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
