"""Adapters of every kind that PEFT saves and this package reads and writes: LoRAFormatsTests' oracle.

    .venv/bin/python Tests/Reference/peft_formats.py            writes Tests/Fixtures/formats/peft/
    .venv/bin/python Tests/Reference/peft_formats.py check DIR  PEFT loads DIR/<name>/ for each name

Tests/Fixtures/formats/peft/<name>/ is what PEFT saves of an adapter with random values on a tiny
random model. deltas.safetensors beside them holds `<name>/<path>`: what PEFT adds to the weight of
the module at <path>, or for IA3 its vector; the value of a parameter that is replaced, by its path;
and `<name>/<path>.rows`, trained rows of an embedding. `check` loads adapters that LoRAFormatsTests wrote onto
the same models, wants every tensor of the file to be used and none to be missing, and compares the
same changes: exit status 1 if one differs by more than 1e-6.
"""

import json
import os
import shutil
import sys

from common import fixture, fresh_folder, write

import peft
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper
from safetensors.torch import load_file


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.plane = torch.nn.Conv2d(3, 6, 3)
        self.line = torch.nn.Conv1d(4, 6, 3)
        self.point = torch.nn.Conv2d(4, 8, 1)
        self.full = torch.nn.Linear(6, 5)

    def forward(self, x):
        return x


def llama(**options):
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=11, attention_bias=True, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, **options)
    return transformers.LlamaForCausalLM(config)


def gpt2():
    config = transformers.GPT2Config(
        n_embd=8, n_layer=1, n_head=2, vocab_size=11, n_positions=16, bos_token_id=1,
        eos_token_id=2)
    return transformers.GPT2LMHeadModel(config)


MODELS = {
    "llama": llama,
    "tied": lambda: llama(tie_word_embeddings=True),
    "gpt2": gpt2,
    "convolutions": Convolutions,
}
LORA, LOHA, LOKR, IA3 = peft.LoraConfig, peft.LoHaConfig, peft.LoKrConfig, peft.IA3Config
ALL = ["plane", "line", "point", "full"]
# name: model, configuration's class, options; those of saving in "save".
ADAPTERS = {
    "list": ("llama", LORA, dict(r=2, lora_alpha=3, target_modules=["q_proj", "down_proj"])),
    "pattern": ("llama", LORA, dict(
        r=2, target_modules=r"model\.layers\.\d+\.(self_attn\.v|mlp\.up)_proj", use_rslora=True,
        lora_alpha=5, exclude_modules=r".*layers\.0.*up_proj", rank_pattern={"up_proj": 3},
        alpha_pattern={r"layers\.1\.self_attn\.v_proj": 0.7})),
    "all-linear": ("llama", LORA, dict(
        r=1, target_modules="all-linear", exclude_modules=["gate_proj", "o_proj"])),
    "layers": ("llama", LORA, dict(
        r=2, target_modules=["o_proj", "gate_proj"], layers_to_transform=1,
        layers_pattern="layers", init_lora_weights="gaussian", lora_dropout=0.1)),
    "dora": ("llama", LORA, dict(
        r=2, target_modules=["embed_tokens", "q_proj", "lm_head"], use_dora=True)),
    "bias-all": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"], bias="all", modules_to_save=["k_proj"])),
    "bias-lora-only": ("llama", LORA, dict(
        r=2, target_modules=["q_proj", "gate_proj"], bias="lora_only")),
    "lora-bias": ("llama", LORA, dict(
        r=2, target_modules=["q_proj", "o_proj"], lora_bias=True, init_lora_weights=False)),
    "saved": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"], modules_to_save=["lm_head", "input_layernorm"])),
    "saved-tied": ("tied", LORA, dict(
        r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"],
        ensure_weight_tying=True)),
    "embedding": ("llama", LORA, dict(r=2, target_modules=["embed_tokens", "v_proj"])),
    "embedding-pattern": ("tied", LORA, dict(r=2, target_modules=r".*(embed_tokens|v_proj)")),
    "resized": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"], save=dict(save_embedding_layers=True))),
    "resized-saved": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"], modules_to_save=["lm_head"],
        save=dict(save_embedding_layers=True))),
    "resized-tokens": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"], trainable_token_indices=[3, 1],
        save=dict(save_embedding_layers=True))),
    "tokens": ("tied", LORA, dict(
        r=2, target_modules=["q_proj"], trainable_token_indices=[5, 3, 10])),
    "tokens-by-module": ("llama", LORA, dict(
        r=2, target_modules=["q_proj"],
        trainable_token_indices={"embed_tokens": [3, 1], "lm_head": [2]})),
    "tokens-tied": ("tied", LORA, dict(
        r=2, target_modules=["q_proj"],
        trainable_token_indices={"embed_tokens": [3, 1], "lm_head": [3, 1]})),
    "converted": ("llama", LORA, dict(r=2, target_modules=["q_proj"], init_lora_weights="olora")),
    "gpt2": ("gpt2", LORA, dict(
        r=2, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "convolutions": ("convolutions", LORA, dict(r=2, target_modules=ALL, use_dora=True)),
    "convolutions-bias": ("convolutions", LORA, dict(r=2, target_modules=ALL, lora_bias=True)),
    "bfloat16": ("llama", LORA, dict(
        r=2, target_modules=["q_proj", "v_proj"], use_dora=True, modules_to_save=["lm_head"])),
    "loha": ("llama", LOHA, dict(
        r=2, alpha=3, target_modules=["q_proj", "down_proj"], rank_dropout=0.1, module_dropout=0.2,
        rank_pattern={"down_proj": 1}, alpha_pattern={"layers.1.mlp.down_proj": 0.5})),
    "loha-convolutions": ("convolutions", LOHA, dict(r=2, target_modules=ALL)),
    "loha-tucker": ("convolutions", LOHA, dict(
        r=2, target_modules=ALL, use_effective_conv2d=True, init_weights=False)),
    "lokr": ("llama", LOKR, dict(
        r=2, alpha=3, target_modules=["q_proj", "down_proj"], init_weights="lycoris",
        rank_pattern={"down_proj": 1})),
    "lokr-both": ("llama", LOKR, dict(
        r=1, alpha=0.5, target_modules=["gate_proj", "v_proj", "down_proj"], decompose_both=True,
        decompose_factor=4, modules_to_save=["lm_head"])),
    "lokr-convolutions": ("convolutions", LOKR, dict(r=1, target_modules=ALL)),
    "lokr-tucker": ("convolutions", LOKR, dict(
        r=1, target_modules=["plane", "point", "full"], use_effective_conv2d=True)),
    "ia3": ("llama", IA3, dict(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])),
    "ia3-pattern": ("gpt2", IA3, dict(
        target_modules=r".*(c_attn|mlp\.c_proj)", feedforward_modules=r".*mlp\.c_proj",
        fan_in_fan_out=True, modules_to_save=["ln_f"])),
}


def base(name):
    torch.manual_seed(1)
    return MODELS[name]()


def randomize(model, seed):
    """Gives every parameter that is trained, and every factor, a random value."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator)
            with torch.no_grad():
                parameter.copy_(0.3 * noise + (1.0 if "magnitude" in name else 0.0))


def changes(model):
    """What the adapter adds to each weight, and the parameters that it replaces."""
    found = {}
    config = model.peft_config["default"]
    for name, module in model.named_modules():
        path = name.removeprefix("base_model.model.")
        if isinstance(module, ModulesToSaveWrapper):
            saved = module.modules_to_save["default"]
            found.update({f"{path}.{key}": value for key, value in saved.state_dict().items()})
        elif isinstance(module, TrainableTokensWrapper):
            found[path + ".rows"] = module.token_adapter.trainable_tokens_delta["default"].detach()
        if not isinstance(module, BaseTunerLayer) or "token_adapter" in name:
            continue
        base_layer = module.get_base_layer()
        if getattr(config, "bias", "none") != "none" and base_layer.bias is not None:
            found[path + ".bias"] = base_layer.bias.detach()
        if hasattr(module, "ia3_l"):
            found[path] = module.ia3_l["default"].detach().flatten()
        else:
            delta = module.get_delta_weight("default").detach()
            if getattr(module, "fan_in_fan_out", False):
                delta = delta.T
            # Convolutions: all but the outputs in one axis.
            found[path] = delta.reshape(delta.shape[0], -1).contiguous()
    return found


def adapted(name):
    model_name, kind, options = ADAPTERS[name]
    options = dict(options)
    save = options.pop("save", {})
    task = {} if model_name == "convolutions" else {"task_type": "CAUSAL_LM"}
    model = base(model_name)
    if name == "bfloat16":
        model = model.to(torch.bfloat16)
    config = kind(**options, **task)
    return peft.get_peft_model(
        model, config, autocast_adapter_dtype=name != "bfloat16"), save


def make():
    root = fixture("formats", "peft")
    fresh_folder(root)
    deltas = {}
    for index, name in enumerate(ADAPTERS):
        model, save = adapted(name)
        folder = os.path.join(root, name)
        if name == "converted":
            start = os.path.join(root, "start")
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(start)
            randomize(model, index)
            save = dict(path_initial_model_for_weight_conversion=start)
        randomize(model, index)
        model.save_pretrained(folder, **save)
        if os.path.exists(os.path.join(folder, "README.md")):
            os.remove(os.path.join(folder, "README.md"))
        if name != "converted":
            deltas.update({f"{name}/{path}": value for path, value in changes(model).items()})
        else:
            shutil.rmtree(start)
            loaded = peft.PeftModel.from_pretrained(base("llama"), folder)
            deltas.update({f"{name}/{path}": value for path, value in changes(loaded).items()})
        # PEFT writes sets in an order that changes from run to run.
        sort_lists(os.path.join(folder, "adapter_config.json"))
        print(name, sum(len(file) for _, _, file in os.walk(folder)), "files")
    write(os.path.join(root, "deltas.safetensors"), deltas)


def sort_lists(path):
    with open(path) as file:
        config = json.load(file)
    for key in ("target_modules", "exclude_modules", "feedforward_modules"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    with open(path, "w") as file:
        file.write(json.dumps(config, indent=2, sort_keys=True))


def check(folder):
    expected = load_file(fixture("formats", "peft", "deltas.safetensors"))
    failed = False
    for name in sorted(os.listdir(folder)):
        source = name.removesuffix("-described")
        if source not in ADAPTERS:
            continue
        model = base(ADAPTERS[source][0])
        if source == "bfloat16":
            model = model.to(torch.bfloat16)
        path = os.path.join(folder, name)
        model = peft.PeftModel.from_pretrained(
            model, path, autocast_adapter_dtype=source != "bfloat16")
        # Loaded once more to see what is left over: from_pretrained does not say.
        weights = peft.utils.load_peft_weights(path)
        result = peft.set_peft_model_state_dict(model, weights)
        missing = [key for key in result.missing_keys
                   if any(part in key for part in ("lora_", "hada_", "lokr_", "ia3_"))]
        if result.unexpected_keys or missing:
            print(f"{name}: unexpected {result.unexpected_keys}, missing {missing}")
            failed = True
        found = {f"{source}/{path}": value for path, value in changes(model).items()}
        wanted = {key for key in expected if key.startswith(source + "/")}
        if source.startswith("resized"):
            # PEFT's own file says nothing of the tables that it holds; a configuration that was
            # made for it names them, so that they are parameters that are replaced.
            stored = load_file(fixture("formats", "peft", source, "adapter_model.safetensors"))
            for key in set(found) - wanted:
                value = stored["base_model.model." + key.removeprefix(source + "/")]
                if torch.equal(found[key], value):
                    del found[key]
        if set(found) != wanted:
            print(f"{name}: layers differ: {sorted(set(found) ^ wanted)}")
            failed = True
        for key in wanted & set(found):
            worst = (found[key].float() - expected[key].float()).abs().max().item()
            if not worst <= 1e-6:
                print(f"{name}: {key} differs by {worst:.2e}")
                failed = True
        print(name, "loaded")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    check(sys.argv[2]) if len(sys.argv) == 3 and sys.argv[1] == "check" else make()
