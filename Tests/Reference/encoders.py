"""Tiny random encoders, adapters of every method on them, and what transformers and PEFT compute.

usage: .venv/bin/python Tests/Reference/encoders.py [--seed N --output FOLDER] [NAME ...]
                                                          -> Tests/Fixtures/encoders/<name>/

Each directory: config.json, model.safetensors, `adapters/<method>/` by PEFT (classifiers only), and
expected.safetensors:
  ids, types [5, 14] int64     padded on the right
  lengths [5] int64            the numbers of tokens before the padding
  hidden [5, 14, size]         after the last block; zero where there is padding
  logits [5, labels]           classifiers only
  logits.<method>              under each adapter
  merged.<method>              with the adapter merged by PEFT, where PEFT merges it
A float64 model computes them from the stored weights. `training` of the first classifier:
training.safetensors has `labels` [5] int64, `losses` [20] of a LoRA training on all rows, a step
each (AdamW, rate 0.01, no decay, no dropout), and `initial/<key>`, `final/<key>`.
"""

import argparse
import json
import os

import common
import torch
from peft import (
    IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model,
    get_peft_model_state_dict,
)
from safetensors.torch import load_file
from transformers import (
    AutoModel, AutoModelForSequenceClassification, BertConfig, BertForMaskedLM,
    BertForSequenceClassification, BertModel, DistilBertConfig, ModernBertConfig,
    ModernBertForMaskedLM, ModernBertForSequenceClassification,
    DistilBertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification,
    XLMRobertaConfig, XLMRobertaForSequenceClassification,
)

from tiny_models import save_random_adapter

BERT = dict(vocab_size=48, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=40, max_position_embeddings=32, type_vocab_size=2)
MODERN = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=20,
              layer_types=["full_attention", "sliding_attention", "full_attention"],
              local_attention=6, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
              sep_token_id=2)
CLASSES = ["attention.self.query", "attention.self.value", "attention.output.dense",
           "intermediate.dense", "output.dense"]
MODELS = {
    "bert-classifier": dict(
        kind=BertForSequenceClassification, settings=dict(
            num_labels=3, id2label={0: "no", 1: "perhaps", 2: "yes"},
            label2id={"no": 0, "perhaps": 1, "yes": 2})),
    # As the first checkpoints name norms, one type of tokens, widths that nothing divides.
    "bert-former-names": dict(
        kind=BertForSequenceClassification, former=True, dtype="bfloat16", settings=dict(
            hidden_size=20, num_attention_heads=2, intermediate_size=27, type_vocab_size=1,
            hidden_act="gelu_new", layer_norm_eps=1e-5, num_labels=2, num_hidden_layers=3)),
    "bert-body": dict(kind=BertModel, settings=dict()),
    "bert-masked": dict(kind=BertForMaskedLM, settings=dict(hidden_act="relu")),
    # Two rows of the table precede the first position's.
    "roberta-classifier": dict(
        kind=RobertaForSequenceClassification, config=RobertaConfig,
        settings=dict(type_vocab_size=1, pad_token_id=1, num_labels=3)),
    "xlm-roberta-classifier": dict(
        kind=XLMRobertaForSequenceClassification, config=XLMRobertaConfig, dtype="bfloat16",
        settings=dict(type_vocab_size=1, pad_token_id=1, num_labels=2, layer_norm_eps=1e-5)),
    "distilbert-classifier": dict(
        kind=DistilBertForSequenceClassification, config=DistilBertConfig, types=False,
        settings=dict(dim=24, n_layers=2, n_heads=3, hidden_dim=40, num_labels=3)),
    "modernbert-classifier": dict(
        kind=ModernBertForSequenceClassification, config=ModernBertConfig, types=False,
        settings=dict(MODERN, num_labels=3)),
    # Every bias, the mean of all tokens, the keys of transformers 4.
    "modernbert-mean-v4": dict(
        kind=ModernBertForSequenceClassification, config=ModernBertConfig, types=False,
        dtype="bfloat16", generation=4, settings=dict(
            MODERN, num_labels=2, attention_bias=True, mlp_bias=True, norm_bias=True,
            classifier_bias=True, classifier_activation="silu", classifier_pooling="mean",
            rope_parameters=dict(full_attention=dict(rope_type="default", rope_theta=500.0),
                                 sliding_attention=dict(rope_type="default", rope_theta=90.0)))),
    "modernbert-masked": dict(
        kind=ModernBertForMaskedLM, config=ModernBertConfig, types=False, settings=MODERN),
}
METHODS = {
    "lora": lambda: LoraConfig(r=3, lora_alpha=6, target_modules=CLASSES, task_type="SEQ_CLS"),
    "lora-all": lambda: LoraConfig(
        r=2, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS"),
    # Of relatives, whose heads PEFT would adapt and save whole at once.
    "lora-blocks": lambda: LoraConfig(
        r=2, lora_alpha=8, task_type="SEQ_CLS",
        target_modules=(
            r".*\.layers?\..*\."
            r"(query|value|dense|q_lin|k_lin|out_lin|lin1|lin2|Wqkv|Wi|Wo)")),
    "dora": lambda: LoraConfig(
        r=2, lora_alpha=6, use_dora=True, target_modules=CLASSES, task_type="SEQ_CLS"),
    "loha": lambda: LoHaConfig(r=2, alpha=4, target_modules=CLASSES, task_type="SEQ_CLS"),
    "lokr": lambda: LoKrConfig(
        r=2, alpha=4, target_modules=CLASSES, decompose_both=True, task_type="SEQ_CLS"),
    "ia3": lambda: IA3Config(
        target_modules=["attention.self.key", "attention.self.value", "output.dense"],
        feedforward_modules=["output.dense"], task_type="SEQ_CLS"),
}


def randomize(model, seed):
    """Weights large enough that attention matters; norms round 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            mean = 1.0 if "LayerNorm.weight" in name or name.endswith("norm.weight") else 0.0
            parameter.copy_(mean + 0.25 * torch.randn(parameter.shape, generator=generator))


def rows(seed, vocabulary, types):
    """Ids, types and lengths of five rows."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([14, 3, 9, 1, 12])
    ids = torch.randint(1, vocabulary, (5, 14), generator=generator)
    kinds = torch.zeros(5, 14, dtype=torch.int64)
    for row, length in enumerate(lengths.tolist()):
        ids[row, length:] = 0
        kinds[row, length // 2:length] = types - 1
    return ids, kinds, lengths


def inputs(ids, types, lengths):
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    result = dict(input_ids=ids, token_type_ids=types, attention_mask=mask.long())
    return {key: value for key, value in result.items() if value is not None}


def rename(folder):
    """Names norms as the first checkpoints do, with the positions that they store."""
    path = os.path.join(folder, "model.safetensors")
    tensors = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in load_file(path).items()}
    tensors["bert.embeddings.position_ids"] = torch.arange(32)[None]
    common.write(path, tensors, format="pt")


def rewrite(folder):
    """config.json of transformers 5 -> ModernBERT's keys of transformers 4."""
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    rope = config.pop("rope_parameters")
    config["global_rope_theta"] = rope["full_attention"]["rope_theta"]
    config["local_rope_theta"] = rope["sliding_attention"]["rope_theta"]
    del config["layer_types"]
    config["global_attn_every_n_layers"] = 2
    config["torch_dtype"] = config.pop("dtype")
    common.write_json(path, config)


class Apart:
    """A ModernBERT that reads each row without its padding: in float64 a row of scores that a window
    and the padding leave nothing of is NaN, which spreads."""

    def __init__(self, model):
        self.model = model

    def __call__(self, input_ids, attention_mask):
        outputs = [self.model(input_ids=ids[None, :mask.sum()], attention_mask=mask[None, :mask.sum()])
                   for ids, mask in zip(input_ids, attention_mask)]
        result = outputs[0]
        if "logits" in result:
            result.logits = torch.cat([output.logits for output in outputs])
        else:
            count, size = input_ids.shape[1], result.last_hidden_state.shape[2]
            hidden = torch.zeros(len(outputs), count, size, dtype=torch.float64)
            for row, output in enumerate(outputs):
                hidden[row, :output.last_hidden_state.shape[1]] = output.last_hidden_state[0]
            result.last_hidden_state = hidden
        return result


def load(folder, kind, dtype=torch.float64):
    if kind.__name__.endswith("Classification"):
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager")
    else:
        model = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval()


def make(folder, name, seed, kind, settings, former=False, dtype="float32", config=BertConfig,
         types=True, generation=5):
    common.fresh_folder(folder)
    base = BERT if config not in (DistilBertConfig, ModernBertConfig) else dict(
        vocab_size=48, max_position_embeddings=32)
    config = config(**{**base, **settings})
    is_bert = kind is BertForSequenceClassification
    model = kind(config)
    randomize(model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    if former:
        rename(folder)
    if generation == 4:
        rewrite(folder)
    has_types = types
    ids, types, lengths = rows(
        seed + 1, config.vocab_size, config.type_vocab_size if has_types else 1)
    if config.pad_token_id == 1:
        # A token of padding has no position of its own in RoBERTa, and stands behind the text alone.
        ids[ids == 1] = 2
        for row, length in enumerate(lengths.tolist()):
            ids[row, length:] = 1
    batch = inputs(ids, types if has_types else None, lengths)
    base = load(folder, kind)
    apart = Apart if config.model_type == "modernbert" else lambda model: model
    body = apart(base.base_model)
    expected = dict(ids=ids, types=types, lengths=lengths)
    with torch.no_grad():
        hidden = body(**batch).last_hidden_state
        expected["hidden"] = hidden * batch["attention_mask"][..., None]
        if kind.__name__.endswith("Classification"):
            expected["logits"] = apart(base)(**batch).logits
            # Seeds of methods that came later follow those of the first ones.
            order = sorted(METHODS.items(), key=lambda item: item[0] == "lora-blocks")
            for index, (method, make_config) in enumerate(order):
                if (method == "lora-blocks") == is_bert or former and method != "lora":
                    continue
                place = os.path.join(folder, "adapters", method)
                with torch.enable_grad():
                    save_random_adapter(load(folder, kind, torch.float32), place, make_config(),
                                        seed + 10 + index, 0.25)
                adapted = PeftModel.from_pretrained(load(folder, kind), place).eval()
                expected["logits." + method] = apart(adapted)(**batch).logits
                merged = adapted.merge_and_unload()
                expected["merged." + method] = apart(merged)(**batch).logits
                change = (expected["logits." + method] - expected["logits"]).abs().mean()
                print(f"{name}: {method} changes the logits by {change:.4f} on average")
    common.write(os.path.join(folder, "expected.safetensors"), expected)
    if name == "bert-classifier":
        train(folder, kind, batch, seed)


def train(folder, kind, batch, seed):
    """Losses of 20 steps of LoRA on all rows."""
    labels = torch.tensor([0, 2, 1, 2, 0])
    torch.manual_seed(seed + 99)
    model = get_peft_model(load(folder, kind, torch.float32), LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS"))
    model.eval()  # no dropout
    tensors = {f"initial/{key}": value.clone()
               for key, value in get_peft_model_state_dict(model).items()}
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    tensors.update({f"final/{key}": value for key, value in
                    get_peft_model_state_dict(model).items()})
    tensors.update(labels=labels, losses=torch.tensor(losses, dtype=torch.float64))
    common.write(os.path.join(folder, "training.safetensors"), tensors)
    print(f"losses from {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--output", default=common.fixture("encoders", "x")[:-2])
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    for index, (name, options) in enumerate(MODELS.items()):
        if arguments.names and name not in arguments.names:
            continue
        make(os.path.join(arguments.output, name), name, arguments.seed + 100 * index, **options)
