"""Bottleneck adapters as the `adapters` package computes and saves them.

usage: python Tests/Reference/bottlenecks.py                 -> Tests/Fixtures/bottlenecks/<name>/
       python Tests/Reference/bottlenecks.py check DIR       compares what BottleneckTests wrote there

(after encoders.py and models.py) Runs in a virtual environment of its own, as encoder_prefixes.py:
adapters 1.3.0 wants transformers 4.57. Each folder:
  adapter/               adapter_config.json and adapter.safetensors by the package
  expected.safetensors   `values`, by a float64 model: logits [5, labels] of a classifier's
                         expected.safetensors' ids, or the NLL of every token of a decoder's
`check` loads each DIR/<name>, an adapter written here, with the package, and compares the same values.
"""

import json
import os
import shutil
import sys
import warnings

import adapters
import torch
from adapters import AdapterModelInterface, BnConfig, DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Fixtures")
# Models that the package knows nothing of, described to it.
GEMMA = AdapterModelInterface(
    adapter_methods=["bottleneck"], model_embeddings="embed_tokens", model_layers="layers",
    layer_self_attn="self_attn", layer_cross_attn=None, attn_q_proj="q_proj", attn_k_proj="k_proj",
    attn_v_proj="v_proj", attn_o_proj="o_proj", layer_intermediate_proj="mlp.up_proj",
    layer_output_proj="mlp.down_proj")
CASES = {
    "bert-houlsby": ("encoders/bert-classifier", DoubleSeqBnConfig(reduction_factor=5)),
    "bert-pfeiffer": ("encoders/bert-classifier", SeqBnConfig(
        reduction_factor=4, non_linearity="gelu", leave_out=[0])),
    "bert-parallel": ("encoders/bert-classifier", ParBnConfig(reduction_factor=8)),
    "llama-houlsby": ("models/llama-tied-v4", DoubleSeqBnConfig(reduction_factor=7)),
    "llama-pfeiffer": ("models/llama-tied-v4", SeqBnConfig(
        reduction_factor={"0": 8, "default": 4}, non_linearity="tanh")),
    "llama-attention": ("models/llama-tied-v4", BnConfig(
        mh_adapter=True, output_adapter=False, reduction_factor=0.5, non_linearity="gelu_new",
        scaling=0.7, original_ln_before=True)),
    "gpt2-pfeiffer": ("models/gpt2-tied", SeqBnConfig(reduction_factor=3)),
    "gpt2-parallel": ("models/gpt2-tied", ParBnConfig(reduction_factor=4, scaling=2.0)),
    "gemma2-houlsby": ("models/gemma2-uncapped-v4", DoubleSeqBnConfig(reduction_factor=8)),
}


def load(folder):
    kind = AutoModelForSequenceClassification if "encoders" in folder else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    if "gemma" in folder:
        adapters.init(model, interface=GEMMA)
    else:
        adapters.init(model)
    return model.double()


def values(model, folder):
    """The values, and those of the base as transformers' newer version has them."""
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    ids = expected["ids"]
    with torch.no_grad():
        if "encoders" in folder:
            mask = (torch.arange(ids.shape[1])[None] < expected["lengths"][:, None]).long()
            out = model(input_ids=ids, attention_mask=mask, token_type_ids=expected["types"]).logits
            return out, expected["logits"]
        logits = model(input_ids=ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return losses, expected["nll"]


def make(name, model_name, config, seed):
    folder = os.path.join(FIXTURES, model_name)
    output = os.path.join(FIXTURES, "bottlenecks", name)
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    model = load(folder)
    base, expected = values(model, folder)
    worst = (base - expected).abs().max().item()
    assert worst < 1e-4, f"{name}: the package's base differs by {worst}"
    model.add_adapter("task", config=config)
    model.set_active_adapters("task")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if ".task." in key:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.float()
    model.save_adapter(os.path.join(output, "adapter"), "task", use_safetensors=True, with_head=False)
    # Where the model lay when it was saved is nobody's business.
    path = os.path.join(output, "adapter", "adapter_config.json")
    with open(path) as file:
        saved = json.load(file)
    saved["model_name"] = os.path.basename(folder)
    with open(path, "w") as file:
        json.dump(saved, file, indent=2, sort_keys=True)
    model = load(folder)
    model.load_adapter(
        os.path.join(output, "adapter"), set_active=True, use_safetensors=True, with_head=False)
    model.double()
    adapted, _ = values(model, folder)
    save_file({"values": adapted.float().contiguous()}, os.path.join(output, "expected.safetensors"))
    print(f"{name}: base within {worst:.1e}, the adapter changes values by "
          f"{(adapted - base).abs().mean():.3f} on average")


def check(folder):
    names = sorted(os.listdir(folder))
    assert names, f"{folder} is empty"
    for name in names:
        base = os.path.join(FIXTURES, CASES[name][0])
        model = load(base)
        info = {}
        model.load_adapter(
            os.path.join(folder, name), set_active=True, use_safetensors=True, with_head=False,
            loading_info=info)
        assert not info["missing_keys"] and not info["unexpected_keys"], (name, info)
        model.double()
        found, _ = values(model, base)
        expected = load_file(os.path.join(FIXTURES, "bottlenecks", name, "expected.safetensors"))
        worst = (found - expected["values"]).abs().max().item()
        assert worst < 1e-4, f"{name}: differs by {worst}"
        print(f"{name}: within {worst:.1e}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(sys.argv[2])
    else:
        for index, (name, (model_name, config)) in enumerate(CASES.items()):
            make(name, model_name, config, 500 + index)
