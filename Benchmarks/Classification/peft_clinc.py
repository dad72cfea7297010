"""PEFT's LoRA on CLINC150 with MiniLM: speed, memory, accuracy; and what PEFT makes of an adapter of lora.

usage: peft_clinc.py train MODEL DATA.json [--steps N] [--seed N] [--output DIR]
       peft_clinc.py check MODEL DATA.json ADAPTER PREDICTIONS.json

train: rank 8, alpha 16, all linear layers and the classifier, 3 epochs of batches of 32, AdamW at 2e-3 with
a decay of 0.01, linear with a sixteenth of warm-up, gradients clipped at 1; float32. --steps stops
earlier (the schedule stays), for a measurement of speed. Prints one JSON object.
check: loads ADAPTER with AutoModelForSequenceClassification and its labels from ADAPTER/config.json, and
compares its predictions and logits on the test texts with those of
`lora classify --data test.jsonl --logits --json`.
"""

import argparse
import json
import random
import resource
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup,
)


def encoded(tokenizer, texts):
    return tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="pt")


def logits(model, tokenizer, texts):
    model.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    rows = [None] * len(texts)
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            some = order[start:start + 64]
            for index, row in zip(some, model(**encoded(tokenizer, [texts[i] for i in some])).logits):
                rows[index] = row
    return torch.stack(rows)


def train(arguments):
    data = json.load(open(arguments.data))
    torch.manual_seed(arguments.seed)
    random.seed(arguments.seed)
    labels = sorted({label for _, label in data["train"]})
    number = {label: index for index, label in enumerate(labels)}
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = get_peft_model(
        AutoModelForSequenceClassification.from_pretrained(
            arguments.model, num_labels=len(labels), dtype=torch.float32),
        LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16,
                   target_modules=["query", "key", "value", "dense"],
                   exclude_modules=["classifier"]))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-3, weight_decay=0.01)
    batch, epochs = 32, 3
    steps = epochs * -(-len(data["train"]) // batch)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 16, steps)
    done, seen, start = 0, 0, time.time()
    model.train()
    for _ in range(epochs):
        rows = list(data["train"])
        random.shuffle(rows)
        for first in range(0, len(rows), batch):
            if arguments.steps and done >= arguments.steps:
                break
            some = rows[first:first + batch]
            loss = model(**encoded(tokenizer, [text for text, _ in some]),
                         labels=torch.tensor([number[label] for _, label in some])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            done, seen = done + 1, seen + len(some)
    seconds = time.time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = dict(steps=done, seconds=seconds, examples_per_second=seen / seconds, loss=loss.item(),
                  peak_rss_bytes=peak, trainable_parameters=sum(p.numel() for p in trained),
                  threads=torch.get_num_threads(), torch=torch.__version__)
    if not arguments.steps:
        found = logits(model, tokenizer, [text for text, _ in data["test"]]).argmax(-1)
        right = sum(labels[a] == b for a, (_, b) in zip(found.tolist(), data["test"]))
        result["test_accuracy"] = right / len(data["test"])
    if arguments.output:
        model.save_pretrained(arguments.output)
    print(json.dumps(result))


def check(arguments):
    data = json.load(open(arguments.data))
    config = AutoConfig.from_pretrained(arguments.adapter)
    base = AutoModelForSequenceClassification.from_pretrained(
        arguments.model, config=config, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, arguments.adapter)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    rows = logits(model, tokenizer, [text for text, _ in data["test"]])
    ours = json.load(open(arguments.predictions))["documents"]
    names = [config.id2label[index] for index in rows.argmax(-1).tolist()]
    same = sum(a == b["label"] for a, b in zip(names, ours))
    right = sum(a == label for a, (_, label) in zip(names, data["test"]))
    difference = (rows - torch.tensor([b["logits"] for b in ours])).abs().max().item()
    print(json.dumps(dict(texts=len(names), same=same, accuracy=right / len(names),
                          largest_logit_difference=difference)))
    assert same == len(names) == len(ours)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train")
    one.add_argument("model")
    one.add_argument("data")
    one.add_argument("--steps", type=int)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--output")
    one.set_defaults(run=train)
    two = commands.add_parser("check")
    for name in ("model", "data", "adapter", "predictions"):
        two.add_argument(name)
    two.set_defaults(run=check)
    arguments = parser.parse_args()
    arguments.run(arguments)
