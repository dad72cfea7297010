"""Mean NLL of each document of a text file, by transformers: the oracle of `lora score --text`.

usage: .venv/bin/python Tests/Reference/stories.py --model MODEL --text FILE
           [--split '<|endoftext|>'] [--adapter ADAPTER] [--expect 1.31599,1.23856,...]

Documents are stripped; the tokenizer puts its BOS first (added where it does not); the first token
is not scored. Prints JSON as `lora score` does. With --expect, exit status 1 where a mean differs
by more than 1e-5.
"""

import argparse
import json
import os

import torch
from tokenizers import Tokenizer

from common import token_nll
from tiny_models import load_adapter, load_model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--split")
    parser.add_argument("--adapter")
    parser.add_argument("--expect")
    arguments = parser.parse_args()

    with open(arguments.text, encoding="utf-8") as file:
        text = file.read()
    documents = text.split(arguments.split) if arguments.split else [text]
    documents = [d.strip() for d in documents if d.strip()]
    tokenizer = Tokenizer.from_file(os.path.join(arguments.model, "tokenizer.json"))
    model = load_model(arguments.model)
    bos = model.config.bos_token_id
    if arguments.adapter:
        model = load_adapter(model, arguments.adapter)
    rows, total, count = [], 0.0, 0
    for document in documents:
        ids = tokenizer.encode(document).ids
        ids = ids if ids[0] == bos else [bos] + ids
        nll = token_nll(model, torch.tensor([ids]))
        rows.append({"tokens": nll.numel(), "nll": nll.mean().item()})
        total, count = total + nll.sum().item(), count + nll.numel()
    print(json.dumps({"documents": rows, "tokens": count, "nll": total / count}, indent=2))
    if arguments.expect:
        expected = [float(x) for x in arguments.expect.split(",")]
        found = [row["nll"] for row in rows]
        # The expected values are written with five decimals.
        if len(expected) != len(found) or any(
                abs(a - b) > 1e-5 for a, b in zip(expected, found)):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
