"""What transformers' logits processors make of random logits, for SamplerTests.

usage: .venv/bin/python Tests/Reference/sampling.py Tests/Fixtures/generation/sampling.safetensors

Each case is a row of `logits` [cases, vocabulary], of `options` (temperature, top-k, top-p, min-p, typical-p,
repetition penalty) and of `prompts`, tokens that the text has; `probabilities` are those of the next token.
"""

import itertools
import sys

import torch
from safetensors.torch import save_file
from transformers import (
    LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
    TopKLogitsWarper, TopPLogitsWarper, TypicalLogitsWarper,
)

VOCABULARY = 50


def processors(temperature, top_k, top_p, min_p, typical_p, repetition):
    """In the order in which `generate` applies them."""
    some = LogitsProcessorList()
    if repetition != 1:
        some.append(RepetitionPenaltyLogitsProcessor(repetition))
    if temperature != 1:
        some.append(TemperatureLogitsWarper(temperature))
    if top_k:
        some.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        some.append(TopPLogitsWarper(top_p))
    if min_p:
        some.append(MinPLogitsWarper(min_p))
    if typical_p < 1:
        some.append(TypicalLogitsWarper(typical_p))
    return some


def main():
    torch.manual_seed(0)
    logits, options, prompts, probabilities = [], [], [], []
    for row in itertools.product(
            (0.4, 1.0, 2.5), (0, 7), (0.6, 1.0), (0.0, 0.05, 0.5), (0.2, 0.9, 1.0), (1.0, 1.3, 0.8)):
        x = 2.5 * torch.randn(1, VOCABULARY)
        prompt = torch.randint(VOCABULARY, (1, 8))
        y = processors(*row)(prompt, x.clone())
        logits.append(x[0])
        options.append(torch.tensor(row))
        prompts.append(prompt[0])
        probabilities.append(y.softmax(-1)[0])
    save_file({"logits": torch.stack(logits), "options": torch.stack(options),
               "prompts": torch.stack(prompts), "probabilities": torch.stack(probabilities)}, sys.argv[1])


main()
