"""Tiny random classifiers of tokens, adapters on them, and what transformers and PEFT compute.

usage: .venv/bin/python Tests/Reference/token_classifiers.py [--seed N --output FOLDER] [NAME ...]
                                                          -> Tests/Fixtures/tokens/<name>/
       .venv/bin/python Tests/Reference/token_classifiers.py check --binary .build/debug/lora
                                                          [--seed N] [MODEL_TYPE ...]

Each directory: config.json, model.safetensors, `adapter/` by PEFT (TOKEN_CLS, LoRA) and expected.safetensors:
  ids, types [4, 12] int64     padded on the right
  lengths [4] int64            the numbers of tokens before the padding
  logits [4, 12, labels]       of every token; zero where there is padding
  adapted, merged [4, 12, labels]   under the adapter, and with it merged by PEFT
A float64 model computes them from the stored weights, each row alone. Beside them:
  bert/training.safetensors    `labels` [4, 12] int64 (-100: ignored), `losses` [20] of a LoRA training on all
                               rows, a step each (AdamW, rate 0.01, no decay, no dropout), `initial/<key>`,
                               `final/<key>`
  words.json                   words and what tokenizers of Tests/Fixtures/text make of them
                               (is_split_into_words), with the place of each word's first token; byte pairs
                               with add_prefix_space, as transformers wants it
  entities.json                random BIO labels, wanted and found, and precision, recall and F1 of entities
                               as seqeval counts them (mode="strict", scheme=IOB2)

`check` makes a random body of every architecture, trains a head and a LoRA on it with `lora train`, and
compares the logits of `lora classify` with those of PEFT, which loads the adapter, and of transformers, which
loads what `lora merge` wrote; then the other way round an adapter that PEFT saved. Prints the largest
difference of a logit.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import common
import torch
from encoders import BERT, MODERN, randomize
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from tokenizers import Tokenizer
from transformers import (
    AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForTokenClassification,
    BertConfig, DistilBertConfig, GPT2Config, LlamaConfig, ModernBertConfig, RobertaConfig,
    XLMRobertaConfig,
)

from tiny_models import save_random_adapter

LABELS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
NAMED = dict(id2label=dict(enumerate(LABELS)), label2id={x: i for i, x in enumerate(LABELS)})
MODELS = {
    "bert": dict(config=BertConfig, settings=dict(BERT, **NAMED)),
    "roberta": dict(config=RobertaConfig, settings=dict(
        BERT, type_vocab_size=1, pad_token_id=1, num_labels=3)),
    # With more of an adapter even PyTorch's float32 is 6e-5 off.
    "xlm-roberta": dict(config=XLMRobertaConfig, dtype="bfloat16", deviation=0.1, settings=dict(
        BERT, type_vocab_size=1, pad_token_id=1, **NAMED)),
    "distilbert": dict(config=DistilBertConfig, settings=dict(
        vocab_size=48, max_position_embeddings=32, dim=24, n_layers=2, n_heads=3, hidden_dim=40,
        num_labels=4)),
    "modernbert": dict(config=ModernBertConfig, settings=dict(
        MODERN, vocab_size=48, max_position_embeddings=32, classifier_pooling="mean", **NAMED)),
    "llama": dict(config=LlamaConfig, settings=dict(
        vocab_size=48, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
        tie_word_embeddings=True, **NAMED)),
    "gpt2": dict(config=GPT2Config, settings=dict(
        vocab_size=48, n_embd=24, n_layer=2, n_head=3, n_positions=32, bos_token_id=1,
        eos_token_id=2, num_labels=3)),
}
BLOCKS = (r".*\.(layers?|h)\..*\.(query|value|dense|q_lin|k_lin|out_lin|lin1|lin2|Wqkv|Wi|Wo|"
          r"q_proj|v_proj|down_proj|c_attn|c_fc)")
TOKENIZERS = ["bert", "bert-cased", "gpt2", "gpt2-prefix", "llama-prepend", "metaspace-always-split",
              "metaspace-first-split"]
TEXTS = [["Ada", "Lovelace", "'s", "lived", "in", "London", "."], ["naïve", "東京", "don't", "U.S.", "42nd"],
         ["hello"], ["a", "", "b", "Supercalifragilistic", "!?"]]


def load(folder, dtype=torch.float64, config=None):
    options = {} if config is None else dict(config=config)
    settings = config or AutoConfig.from_pretrained(folder)
    if getattr(settings, "num_experts_per_tok", None):
        options["experts_implementation"] = "eager"  # grouped products have no float64
    return AutoModelForTokenClassification.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa" if getattr(settings, "alibi", 0) else "eager",
        **options).eval()


def logits(model, ids, lengths, types=None):
    """Of every token, each row alone; zero where there is padding."""
    rows = []
    with torch.no_grad():
        for row, length in enumerate(lengths.tolist()):
            more = {} if types is None else dict(token_type_ids=types[row:row + 1, :length])
            found = model(input_ids=ids[row:row + 1, :length], **more).logits[0]
            rows.append(torch.nn.functional.pad(found, (0, 0, 0, ids.shape[1] - length)))
    return torch.stack(rows)


def make(folder, seed, config, settings, dtype="float32", deviation=0.25):
    common.fresh_folder(folder)
    config = config(**settings)
    model = AutoModelForTokenClassification.from_config(config)
    randomize(model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    generator = torch.Generator().manual_seed(seed + 1)
    lengths = torch.tensor([12, 3, 1, 8])
    ids = torch.randint(3, config.vocab_size, (4, 12), generator=generator)
    kinds = torch.zeros_like(ids)
    for row, length in enumerate(lengths.tolist()):
        ids[row, length:] = config.pad_token_id or 0
        kinds[row, length // 2:length] = getattr(config, "type_vocab_size", 1) - 1
    types = kinds if hasattr(config, "type_vocab_size") else None
    place = os.path.join(folder, "adapter")
    save_random_adapter(
        load(folder, torch.float32), place, LoraConfig(
            r=2, lora_alpha=8, task_type="TOKEN_CLS", target_modules=BLOCKS,
            fan_in_fan_out=config.model_type == "gpt2"), seed + 10, deviation)
    expected = dict(ids=ids, types=kinds, lengths=lengths)
    expected["logits"] = logits(load(folder), ids, lengths, types)
    adapted = PeftModel.from_pretrained(load(folder), place).eval()
    expected["adapted"] = logits(adapted, ids, lengths, types)
    expected["merged"] = logits(adapted.merge_and_unload(), ids, lengths, types)
    change = (expected["adapted"] - expected["logits"]).abs().mean()
    print(f"{folder}: the adapter changes the logits by {change:.4f} on average")
    common.write(os.path.join(folder, "expected.safetensors"), expected)
    if config.model_type == "bert":
        train(folder, ids, types, lengths, seed)


def train(folder, ids, types, lengths, seed):
    """Losses of 20 steps of LoRA on all rows; the first and last tokens, and some others, have no label."""
    generator = torch.Generator().manual_seed(seed + 2)
    labels = torch.randint(0, len(LABELS), ids.shape, generator=generator)
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    labels[~mask | (torch.rand(ids.shape, generator=generator) < 0.3)] = -100
    labels[:, 0] = torch.tensor([-100, -100, 4, -100])
    torch.manual_seed(seed + 99)
    model = get_peft_model(load(folder, torch.float32), LoraConfig(
        r=4, lora_alpha=8, target_modules=BLOCKS, task_type="TOKEN_CLS"))
    model.eval()  # no dropout
    state = lambda: {k: v.clone() for k, v in get_peft_model_state_dict(model).items()}
    tensors = {f"initial/{key}": value for key, value in state().items()}
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(input_ids=ids, token_type_ids=types, attention_mask=mask.long(),
                     labels=labels).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    tensors.update({f"final/{key}": value for key, value in state().items()})
    tensors.update(labels=labels, losses=torch.tensor(losses, dtype=torch.float64))
    common.write(os.path.join(folder, "training.safetensors"), tensors)
    print(f"losses from {losses[0]:.4f} to {losses[-1]:.4f}")


def with_prefix(definition):
    """A tokenizer's definition with add_prefix_space wherever byte pairs have it."""
    if isinstance(definition, list):
        return [with_prefix(part) for part in definition]
    if isinstance(definition, dict):
        changed = {key: with_prefix(value) for key, value in definition.items()}
        if changed.get("type") == "ByteLevel" and "add_prefix_space" in changed:
            changed["add_prefix_space"] = True
        return changed
    return definition


def words(path):
    result = {}
    for name in TOKENIZERS:
        with open(common.fixture("text", name + ".json")) as file:
            definition = json.load(file)
        definition["pre_tokenizer"] = with_prefix(definition["pre_tokenizer"])
        tokenizer = Tokenizer.from_str(json.dumps(definition))
        cases = []
        for text in TEXTS:
            encoding = tokenizer.encode(text, is_pretokenized=True)
            places = encoding.word_ids
            cases.append(dict(words=text, ids=encoding.ids, starts=[
                places.index(index) if index in places else None for index in range(len(text))]))
        result[name] = cases
    common.write_json(path, result)


def entities(tags):
    """(type, first, end) of each entity: a B, and the I's of its type right behind it."""
    return {(tag[2:], start, next((end for end in range(start + 1, len(tags))
                                   if tags[end] != "I-" + tag[2:]), len(tags)))
            for start, tag in enumerate(tags) if tag.startswith("B-")}


def scores(path, seed):
    choose = random.Random(seed)
    wanted, found = [], []
    for _ in range(40):
        tags = [choose.choice(LABELS + ["O"]) for _ in range(choose.randint(1, 12))]
        wanted.append(tags)
        found.append([tag if choose.random() < 0.8 else choose.choice(LABELS) for tag in tags])
    common_count = sum(len(entities(a) & entities(b)) for a, b in zip(wanted, found))
    count, guessed = (sum(len(entities(tags)) for tags in all_tags) for all_tags in (wanted, found))
    result = dict(precision=common_count / guessed, recall=common_count / count,
                  f1=2 * common_count / (count + guessed), count=count)
    try:
        from seqeval.metrics import f1_score, precision_score, recall_score
        from seqeval.scheme import IOB2
        for name, measure in dict(precision=precision_score, recall=recall_score, f1=f1_score).items():
            value = measure(wanted, found, mode="strict", scheme=IOB2)
            assert abs(value - result[name]) < 1e-12, (name, value, result[name])
        print("seqeval counts the same")
    except ImportError:
        print("seqeval is not installed; the scores are this script's")
    common.write_json(path, dict(labels=LABELS, wanted=wanted, found=found, **result))


# Both ways on random models

DATA = [(["my", "parcel", "arrived"], ["O", "B-LOC", "O"]), (["lost", "card"], ["B-PER", "I-PER"]),
        (["block", "my", "card", "please"], ["O", "O", "B-PER", "O"]),
        (["money", "parcel", "balance", "is", "broken"], ["B-LOC", "I-LOC", "O", "O", "O"])]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def found(binary, model, ids, *adapter):
    path = os.path.join(tempfile.mkdtemp(), "ids.json")
    common.write_json(path, ids.tolist())
    result = json.loads(run(
        binary, "classify", "--model", model, "--ids", path, "--logits", "--json", *adapter))
    return torch.tensor([[token["logits"] for token in document["tokens"]]
                         for document in result["documents"]], dtype=torch.float64)


def check(binary, model_type, seed, place):
    from compare_architectures import ENCODERS, VARIANTS
    choose = random.Random(f"{model_type} {seed}")
    settings = {**{**VARIANTS, **ENCODERS}[model_type](choose)}
    settings.pop("num_labels", None)
    settings.update(vocab_size=104)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type.split("-norms")[0], **settings)
    kind = AutoModelForMaskedLM if model_type in ENCODERS else AutoModelForCausalLM
    base = os.path.join(place, "base")
    model = kind.from_config(config)
    randomize(model, seed)
    model.save_pretrained(common.fresh_folder(base))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(common.fixture("sentences/cls", name), base)
    data = os.path.join(place, "data.jsonl")
    with open(data, "w") as file:
        for tokens, tags in DATA:
            file.write(json.dumps(dict(tokens=tokens, tags=tags)) + "\n")
    ids = torch.randint(5, 104, (2, 15), generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor([15, 15])
    ours, merged, theirs = (os.path.join(place, name) for name in ("ours", "merged", "theirs"))
    run(binary, "train", "--task", "token-classification", "--model", base, "--data", data, "--steps", 5,
        "--learning-rate", 0.02, "--rank", 2, "--output", ours, "--force")
    config = AutoConfig.from_pretrained(ours)
    assert [config.id2label[i] for i in range(len(config.id2label))] == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"][
        :len(config.id2label)], config.id2label
    adapted = found(binary, base, ids, "--adapter", ours)
    expected = logits(PeftModel.from_pretrained(load(base, config=config), ours).eval(), ids, lengths)
    worst = [(adapted - expected).abs().max().item()]
    run(binary, "merge", "--model", base, "--adapter", ours, "--output", merged, "--force")
    expected = logits(load(merged), ids, lengths)
    worst += [(found(binary, merged, ids) - expected).abs().max().item(),
              (adapted - expected).abs().max().item()]
    save_random_adapter(
        load(base, torch.float32, config), common.fresh_folder(theirs), LoraConfig(
            r=2, lora_alpha=8, task_type="TOKEN_CLS", target_modules=BLOCKS + r"|.*\.query_key_value",
            fan_in_fan_out=model_type == "gpt2"), seed + 10, 0.25)
    expected = logits(PeftModel.from_pretrained(load(base, config=config), theirs).eval(), ids, lengths)
    worst.append((found(binary, base, ids, "--adapter", theirs) - expected).abs().max().item())
    return worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--output", default=common.fixture("tokens", "x")[:-2])
    parser.add_argument("--binary", default=".build/debug/lora")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names
    if names[:1] == ["check"]:
        for name in names[1:] or [
                "bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "llama", "ministral",
                "mistral", "ministral3", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "mixtral", "qwen3_moe",
                "phi", "phi3", "starcoder2", "stablelm", "gpt2", "gpt_neox", "falcon", "bloom", "gpt_neo"]:
            with tempfile.TemporaryDirectory() as place:
                worst = check(arguments.binary, name, arguments.seed, place)
            print(f"{name}: in PEFT {worst[0]:.1e}, merged {worst[1]:.1e}, merged and adapted "
                  f"{worst[2]:.1e}, PEFT's {worst[3]:.1e}", flush=True)
            if max(worst) > 1e-4:
                sys.exit(f"error: {name}: {max(worst)}")
    else:
        for index, (name, options) in enumerate(MODELS.items()):
            if not names or name in names:
                make(os.path.join(arguments.output, name), arguments.seed + 100 * index, **options)
        if not names:
            words(os.path.join(arguments.output, "words.json"))
            scores(os.path.join(arguments.output, "entities.json"), arguments.seed)
