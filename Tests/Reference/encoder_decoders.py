"""Tiny random T5 and mT5 directories, adapters by PEFT, and what transformers computes.

usage: .venv/bin/python Tests/Reference/encoder_decoders.py [NAME ...]
       -> Tests/Fixtures/encoder_decoders/<name>/
       .venv/bin/python Tests/Reference/encoder_decoders.py --gguf LLAMACPP [NAME ...]
       -> Tests/Fixtures/encoder_decoders/<name>.gguf, by llama.cpp's converter (see gguf_converter.py); only
          t5-published.gguf is committed

Each directory: config.json, weights, `adapter/` by PEFT, and expected.safetensors:
  sources [3, S] int64, targets [3, T] int64   padded with 0 and -100
  nll, nll_adapted [3, T]                      of every token of a target, 0 for padding
  generated, generated_adapted [15] int64      greedy, for the first source
`t5-encoder` is an encoder alone: `states` [3, S, 24] are its hidden states. buckets.safetensors has the
bucket of every distance from -1000 to 1000, as `<buckets>-<longest>-<both|one>`. t5-published has a
tokenizer too, and texts.json what it makes of texts: the ids of source and target, and the mean loss of each
pair.
"""

import json
import os
import pathlib
import sys

import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    MT5Config, MT5ForConditionalGeneration, T5Config, T5EncoderModel, T5ForConditionalGeneration,
)
from transformers.models.t5.modeling_t5 import T5Attention

from common import fixture, fresh_folder, write, write_json
from gguf_converter import converter

SMALL = dict(vocab_size=64, d_model=24, d_kv=6, d_ff=44, num_layers=2, num_heads=4,
             relative_attention_num_buckets=8, relative_attention_max_distance=20,
             decoder_start_token_id=0)
TASK = "SEQ_2_SEQ_LM"
MODELS = {
    # As the first T5 was published: no word of the head, tables three times, a bias that is never added.
    "t5-published": dict(
        classes=(T5Config, T5ForConditionalGeneration), settings=dict(), published=True,
        adapter=LoraConfig(r=4, lora_alpha=8, task_type=TASK)),
    # As T5 1.1 and FLAN are.
    "t5-gated": dict(
        classes=(T5Config, T5ForConditionalGeneration), own_head=True,
        settings=dict(feed_forward_proj="gated-gelu", num_layers=3, num_decoder_layers=2, tie_word_embeddings=False),
        rewritten=dict(tie_word_embeddings=False, scale_decoder_outputs=None),
        adapter=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True,
                           task_type=TASK)),
    # As transformers 5 saves one: it says that the head is tied, and stores it.
    "mt5": dict(
        classes=(MT5Config, MT5ForConditionalGeneration), own_head=True,
        settings=dict(feed_forward_proj="gated-gelu", num_heads=3, d_kv=10),
        adapter=IA3Config(task_type=TASK)),
    "mt5-tied": dict(
        classes=(MT5Config, MT5ForConditionalGeneration),
        settings=dict(feed_forward_proj="gated-silu", relative_attention_num_buckets=32,
                      relative_attention_max_distance=128),
        adapter=LoraConfig(r=2, lora_alpha=4, target_modules=["k", "wo", "wi_0"], task_type=TASK)),
    "t5-encoder": dict(classes=(T5Config, T5EncoderModel), settings=dict()),
}


def randomize(module, seed, own_head, std=0.2):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            parameter.normal_(1.0 if "layer_norm" in name else 0.0, std)
            if name == "shared.weight" and own_head:
                parameter.mul_(5)  # as large as T5's; a tied one would only repeat the last token
            if "relative_attention_bias" in name:
                parameter.mul_(10)


PAIRS = [("translate: the house is red", "das haus ist rot"), ("what is it?", "a sentence, the end."),
         ("", "e"), ("sum: a<extra_id_0>b", "<extra_id_0> c Z")]


def add_tokenizer(folder):
    pieces = ["<pad>", "</s>", "<unk>", "\u2581"] + list("abcdefghijklmnopqrstuvwxyz.,:?")
    pieces += ["\u2581the", "\u2581a", "\u2581is", "er", "in", "on", "an", "re", "\u2581s", "en", "st", "as",
               "te", "tra", "\u2581ha", "us", "\u2581i", "ence", "\u2581h", "ot", "he", "\u2581e", "nd", "at",
               "su", "la"]
    pieces = pieces[:63]
    tokenizer = Tokenizer(models.Unigram(
        [(piece, 0.0 if index < 3 else -2.0 - index / 50) for index, piece in enumerate(pieces)],
        unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    while tokenizer.get_vocab_size() < 63:
        tokenizer.add_tokens([f"<filler_{tokenizer.get_vocab_size()}>"])
    tokenizer.add_special_tokens(["<extra_id_0>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    write_json(os.path.join(folder, "tokenizer_config.json"), dict(
        tokenizer_class="T5Tokenizer", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_ids=1, model_max_length=512))
    write_json(os.path.join(folder, "generation_config.json"), dict(
        decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, transformers_version="5.0.0"))


def write_texts(folder, model):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    texts = []
    for prompt, completion in PAIRS:
        source, target = tokenizer.encode(prompt).ids, tokenizer.encode(completion).ids
        losses = nll(model, torch.tensor([source]), torch.ones(1, len(source), dtype=torch.long),
                     torch.tensor([target]))
        texts.append(dict(prompt=prompt, completion=completion, source=source, target=target,
                          nll=float(losses.mean()), decoded=tokenizer.decode(target)))
    write_json(os.path.join(folder, "texts.json"), texts)


def nll(model, sources, mask, targets):
    with torch.no_grad():
        logits = model(input_ids=sources, attention_mask=mask, labels=targets.clamp(min=0)).logits
    return torch.nn.functional.cross_entropy(
        logits.double().transpose(1, 2), targets, ignore_index=-100, reduction="none")


def greedy(model, source, count=15):
    """Each token the largest logit of a pass over all, and the same by transformers' own generation."""
    ids = [0]
    with torch.no_grad():
        for _ in range(count):
            logits = model(input_ids=source[None], decoder_input_ids=torch.tensor([ids])).logits[0, -1]
            best = logits.topk(2).values
            assert best[0] - best[1] > 1e-3, "a near tie"
            ids.append(int(logits.argmax()))
        again = model.generate(
            input_ids=source[None], max_new_tokens=count, do_sample=False, eos_token_id=None,
            pad_token_id=0)
    assert again[0].tolist() == ids, (again, ids)
    return torch.tensor(ids[1:])


def publish(folder):
    path = os.path.join(folder, "model.safetensors")
    tensors = load_file(path)
    for stack in ("encoder", "decoder"):
        tensors[f"{stack}.embed_tokens.weight"] = tensors["shared.weight"].clone()
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    tensors[name] = torch.ones(8, 4)
    write(path, tensors, format="pt")
    rewrite(folder, dict(tie_word_embeddings=None, scale_decoder_outputs=None, is_gated_act=None,
                         dense_act_fn=None, n_positions=512))


def rewrite(folder, changes):
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        else:
            config[key] = value
    with open(path, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")


def make(name, seed, classes, settings, adapter=None, own_head=False, published=False,
         rewritten=None):
    folder = fixture("encoder_decoders", name)
    fresh_folder(folder)
    configuration = classes[0](**{**SMALL, **settings})
    model = classes[1](configuration).eval()
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(torch.empty(64, 24))
    randomize(model, seed, own_head)
    model.save_pretrained(folder)
    path = os.path.join(folder, "generation_config.json")
    if published:
        publish(folder)
    if rewritten:
        rewrite(folder, rewritten)
    random = torch.Generator().manual_seed(seed + 1)
    sources = torch.randint(3, 64, (3, 40), generator=random)
    targets = torch.randint(3, 64, (3, 26), generator=random)
    for row, (source, target) in enumerate(((40, 26), (17, 9), (5, 14))):
        sources[row, source - 1] = targets[row, target - 1] = 1
        sources[row, source:], targets[row, target:] = 0, -100
    mask = (sources != 0).long()
    if adapter is None:
        base = classes[1].from_pretrained(folder).double().eval()
        with torch.no_grad():
            states = base(input_ids=sources, attention_mask=mask).last_hidden_state
        write(os.path.join(folder, "expected.safetensors"), dict(sources=sources, states=states))
        return
    if os.path.exists(path):
        os.remove(path)
    adapted = get_peft_model(model, adapter)
    randomize_adapter(adapted, seed + 2)
    adapted.save_pretrained(os.path.join(folder, "adapter"))
    readme = os.path.join(folder, "adapter", "README.md")
    if os.path.exists(readme):
        os.remove(readme)
    rewrite_adapter(os.path.join(folder, "adapter"))
    base = classes[1].from_pretrained(folder).double().eval()
    expected = dict(sources=sources, targets=targets, nll=nll(base, sources, mask, targets),
                    generated=greedy(base, sources[0]))
    adapted = PeftModel.from_pretrained(base, os.path.join(folder, "adapter")).double().eval()
    expected["nll_adapted"] = nll(adapted, sources, mask, targets)
    expected["generated_adapted"] = greedy(adapted, sources[0])
    write(os.path.join(folder, "expected.safetensors"), expected)
    if published:
        add_tokenizer(folder)
        base = classes[1].from_pretrained(folder).double().eval()
        write_texts(folder, base)
    print(f"{name}: nll {expected['nll'].mean():.4f}, adapted {expected['nll_adapted'].mean():.4f}, "
          f"{len(set(expected['generated'].tolist()))} different ids")


def randomize_adapter(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_B" in name:
                parameter.normal_(0, 0.15)
            elif "ia3_l" in name:
                parameter.normal_(1, 0.3)
            elif "lora_magnitude" in name:
                parameter.mul_(1.2)


def rewrite_adapter(folder):
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = None
    for key, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[key] = sorted(value)
    with open(path, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)


def buckets():
    distances = torch.arange(-1000, 1001)
    tables = {}
    for count, longest in ((32, 128), (8, 20), (64, 300)):
        for both in (True, False):
            tables[f"{count}-{longest}-{'both' if both else 'one'}"] = (
                T5Attention._relative_position_bucket(distances, both, count, longest))
    write(fixture("encoder_decoders", "buckets.safetensors"), tables)


def gguf(source, names):
    write_gguf = converter(source)
    for name in names or ["t5-published"]:
        folder = fixture("encoder_decoders", name)
        write_gguf(pathlib.Path(folder), folder + ".gguf")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--gguf"]:
        sys.exit(gguf(sys.argv[2], sys.argv[3:]))
    buckets()
    for index, (name, options) in enumerate(MODELS.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, seed=7000 + 10 * index, **options)
