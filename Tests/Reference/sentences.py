"""Tiny sentence encoders as sentence-transformers lays them out, and their embeddings by transformers.

usage: .venv/bin/python Tests/Reference/sentences.py [--seed N --output FOLDER]
                                                          -> Tests/Fixtures/sentences/<name>/

Each directory: config.json, model.safetensors, tokenizer.json, tokenizer_config.json, modules.json,
1_Pooling/config.json, sentence_bert_config.json, texts.json and expected.safetensors with
`embeddings` [4, size] float32: what the pooling of `modules.json` makes of the hidden states of a float64
AutoModel, one text at a time, so that no padding is involved. The last text is longer than
`max_seq_length`. Labels of the texts, for classifiers that are trained on them, are in texts.jsonl.
"""

import argparse
import json
import os

import common
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, decoders
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = ("the a is my where parcel card money please lost send to how much do i have in account block "
         "it was stolen track order when will arrive hello there thanks for help transfer from balance "
         "need new broken arrived late and package number what").split()
TEXTS = ["Where is my parcel?", "my card was stolen, please block it", "hello",
         "how much money do I have in my account, and when will the new card arrive to block it"]
LABELLED = [
    ("where is my parcel", "delivery"), ("when will my order arrive", "delivery"),
    ("track my package please", "delivery"), ("my package arrived broken and late", "delivery"),
    ("my card was stolen", "card"), ("please block my card", "card"), ("i lost my card", "card"),
    ("i need a new card", "card"), ("how much money do i have", "balance"),
    ("what is my balance", "balance"), ("how much is in my account", "balance"),
    ("transfer money from my account", "balance"),
]
MODES = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens",
         "lasttoken"]
MODELS = {
    "mean-normalized": dict(mode="mean_tokens", normalized=True, limit=16),
    "cls": dict(mode="cls_token", normalized=False, limit=512),
    "mean-root": dict(mode="mean_sqrt_len_tokens", normalized=False, limit=16),
    "last": dict(mode="lasttoken", normalized=False, limit=16),
}


def write_json(value, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    with open(os.path.join(*path), "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def save_tokenizer(folder):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list("?,.!") + WORDS
    tokens += ["##" + letter for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokens += [letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in WORDS]
    tokenizer = Tokenizer(models.WordPiece(
        {token: index for index, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]", mask_token="[MASK]", model_max_length=40).save_pretrained(folder)
    return len(tokens)


def pooled(hidden, mode):
    """Hidden states [tokens, size] of one text to its embedding."""
    if mode == "cls_token":
        return hidden[0]
    if mode == "lasttoken":
        return hidden[-1]
    if mode == "mean_tokens":
        return hidden.mean(0)
    return hidden.sum(0) / len(hidden) ** 0.5


def make(folder, seed, mode, normalized, limit):
    common.fresh_folder(folder)
    vocabulary = save_tokenizer(folder)
    torch.manual_seed(seed)
    model = BertModel(BertConfig(
        vocab_size=vocabulary, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=40, max_position_embeddings=40, initializer_range=0.3))
    model.save_pretrained(folder)
    modules = [dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer"),
               dict(idx=1, name="1", path="1_Pooling", type="sentence_transformers.models.Pooling")]
    if normalized:
        modules.append(dict(
            idx=2, name="2", path="2_Normalize", type="sentence_transformers.models.Normalize"))
    write_json(modules, folder, "modules.json")
    write_json(dict(word_embedding_dimension=24, **{
        f"pooling_mode_{name}": name == mode for name in MODES}), folder, "1_Pooling", "config.json")
    write_json(dict(max_seq_length=limit, do_lower_case=False), folder, "sentence_bert_config.json")
    write_json(TEXTS, folder, "texts.json")
    with open(os.path.join(folder, "texts.jsonl"), "w") as file:
        for text, label in LABELLED:
            file.write(json.dumps(dict(text=text, label=label)) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    rows = []
    with torch.no_grad():
        for text in TEXTS:
            batch = tokenizer(
                [text], truncation=True, max_length=min(limit, 40), return_tensors="pt")
            row = pooled(model(**batch).last_hidden_state[0], mode)
            rows.append(torch.nn.functional.normalize(row, dim=0) if normalized else row)
    common.write(os.path.join(folder, "expected.safetensors"),
                 dict(embeddings=torch.stack(rows).float()))
    print(f"{folder}: {[round(row.norm().item(), 4) for row in rows]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=8100)
    parser.add_argument("--output", default=common.fixture("sentences", "x")[:-2])
    arguments = parser.parse_args()
    for index, (name, options) in enumerate(MODELS.items()):
        make(os.path.join(arguments.output, name), arguments.seed + index, **options)
