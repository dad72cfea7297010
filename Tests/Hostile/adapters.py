"""Valid adapters of every format and method, as {path: bytes}."""

import json

from inputs import linear_shapes, tensor, text
from tensorfiles import BOOL, Entry, F32, GGUF, STRING, U32, Tensor, packed, write_safetensors

RANK, ALPHA = 2, 4


def peft_configuration(method, **fields):
    common = {
        "peft_type": method, "base_model_name_or_path": "tiny", "task_type": "CAUSAL_LM",
        "inference_mode": True, "r": RANK, "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": None, "revision": None,
        "peft_version": "0.17.0", "layers_to_transform": None, "layers_pattern": None,
        "auto_mapping": None, "exclude_modules": None,
    }
    if method == "LORA":
        common |= {
            "lora_alpha": ALPHA, "lora_dropout": 0.0, "bias": "none", "use_rslora": False,
            "use_dora": False, "fan_in_fan_out": False, "init_lora_weights": True,
            "lora_bias": False, "layer_replication": None, "loftq_config": {},
            "megatron_config": None, "trainable_token_indices": None, "use_qalora": False,
        }
    elif method == "IA3":
        common = {k: v for k, v in common.items() if not k.endswith("_pattern") and k != "r"}
        common |= {"feedforward_modules": ["down_proj"], "init_ia3_weights": True,
                   "fan_in_fan_out": False}
    else:
        common |= {"alpha": ALPHA, "rank_dropout": 0.0, "module_dropout": 0.0,
                   "init_weights": True, "use_effective_conv2d": False}
        if method == "LOKR":
            common |= {"decompose_both": False, "decompose_factor": -1,
                       "rank_dropout_scale": False}
    return common | fields


def targeted(kind, names):
    return {
        path: shape for path, shape in linear_shapes(kind).items()
        if path.rsplit(".", 1)[1] in names}


def factors(path, outputs, inputs, dtype, rank=RANK, ends=(".lora_A.weight", ".lora_B.weight")):
    return [
        tensor(path + ends[0], (rank, inputs), dtype, 0.3),
        tensor(path + ends[1], (outputs, rank), dtype, 0.3),
    ]


def peft(variant, kind="llama", dtype="F32", vocabulary=280):
    """PEFT's folder of a variant; see `PEFT_VARIANTS`."""
    names = ["c_attn", "c_fc"] if kind == "gpt2" else ["q_proj", "down_proj"]
    fields, tensors, prefix = {"target_modules": names}, [], "base_model.model."
    fields["fan_in_fan_out"] = kind == "gpt2"
    method = {"loha": "LOHA", "lokr": "LOKR", "lokr-both": "LOKR", "ia3": "IA3"}.get(variant, "LORA")
    if method in ("LOHA", "LOKR"):
        del fields["fan_in_fan_out"]
    fields |= {
        "rslora": {"use_rslora": True}, "dora": {"use_dora": True},
        "bias": {"lora_bias": True}, "saved": {"modules_to_save": ["lm_head"]},
        "norms": {"modules_to_save": ["input_layernorm"]},
        "patterns": {
            "rank_pattern": {"down_proj": 3}, "alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 7}},
        "tokens": {"trainable_token_indices": [3, 7]},
        "embedding": {"target_modules": names + ["embed_tokens"]},
        "expression": {"target_modules": r".*\.(q_proj|down_proj)"},
        "all": {"target_modules": "all-linear"},
        "lokr-both": {"decompose_both": True},
    }.get(variant, {})
    if variant == "all":
        names = [p.rsplit(".", 1)[1] for p in linear_shapes(kind)]
    for path, (outputs, inputs) in targeted(kind, names).items():
        full = prefix + path
        if method == "LOHA":
            tensors += [
                tensor(f"{full}.hada_w{i}_{s}", shape, dtype, 0.3)
                for i in (1, 2)
                for s, shape in (("a", (outputs, RANK)), ("b", (RANK, inputs)))]
        elif method == "LOKR":
            first, second = (2, 4), (outputs // 2, inputs // 4)
            if variant == "lokr-both":
                tensors += [tensor(full + ".lokr_w1_a", (2, RANK), dtype),
                            tensor(full + ".lokr_w1_b", (RANK, 4), dtype)]
            else:
                tensors.append(tensor(full + ".lokr_w1", first, dtype))
            tensors += [tensor(full + ".lokr_w2_a", (second[0], RANK), dtype),
                        tensor(full + ".lokr_w2_b", (RANK, second[1]), dtype)]
        elif method == "IA3":
            down = path.endswith("down_proj")
            shape = (1, inputs) if down else (outputs, 1)
            tensors.append(tensor(full + ".ia3_l", shape, dtype, 0.3, around=1.0))
        else:
            rank = 3 if variant == "patterns" and path.endswith("down_proj") else RANK
            tensors += factors(full, outputs, inputs, dtype, rank)
            if variant == "dora":
                tensors.append(
                    tensor(full + ".lora_magnitude_vector", (outputs,), dtype, 0.1, around=0.3))
            if variant == "bias":
                tensors.append(tensor(full + ".lora_B.bias", (outputs,), dtype))
    if variant == "saved":
        tensors.append(tensor(prefix + "lm_head.weight", (vocabulary, 16), dtype))
    if variant == "norms":
        tensors += [
            tensor(f"{prefix}model.layers.{i}.input_layernorm.weight", (16,), dtype, 0.1, around=1.0)
            for i in range(2)]
    if variant == "tokens":
        tensors.append(tensor(
            prefix + "model.embed_tokens.token_adapter.trainable_tokens_delta", (2, 16), dtype))
    if variant == "embedding":
        tensors += [
            tensor(prefix + "model.embed_tokens.lora_embedding_A", (RANK, vocabulary), dtype),
            tensor(prefix + "model.embed_tokens.lora_embedding_B", (16, RANK), dtype)]
    return {
        "adapter_config.json": text(peft_configuration(method, **fields)),
        "adapter_model.safetensors": write_safetensors(sorted(tensors), {"format": "pt"}),
    }


PEFT_VARIANTS = [
    "lora", "rslora", "dora", "bias", "saved", "norms", "patterns", "tokens", "embedding",
    "expression", "all", "loha", "lokr", "lokr-both", "ia3",
]


def mlx(method="lora", kind="llama", dtype="F32"):
    tensors = []
    names = ["c_attn"] if kind == "gpt2" else ["q_proj", "v_proj"]
    for path, (outputs, inputs) in targeted(kind, names).items():
        path = path.replace("transformer.", "model.")
        tensors += [tensor(path + ".lora_a", (inputs, RANK), dtype, 0.3),
                    tensor(path + ".lora_b", (RANK, outputs), dtype, 0.3)]
        if method == "dora":
            tensors.append(tensor(path + ".m", (outputs,), dtype, 0.1, around=0.3))
    keys = ["attn.c_attn"] if kind == "gpt2" else ["self_attn.q_proj", "self_attn.v_proj"]
    return {
        "adapter_config.json": text({
            "fine_tune_type": method, "num_layers": -1, "model": "tiny", "iters": 100,
            "learning_rate": 1e-5, "lora_parameters": {
                "rank": RANK, "scale": 2.0, "dropout": 0.0, "keys": keys}}),
        "adapters.safetensors": write_safetensors(sorted(tensors), {"format": "mlx"}),
    }


def loralib(dtype="F32"):
    tensors = []
    for path, (outputs, inputs) in targeted("llama", ["q_proj", "v_proj"]).items():
        tensors += factors(path, outputs, inputs, dtype, ends=(".lora_A", ".lora_B"))
    return write_safetensors(sorted(tensors))


# Modules of Stable Diffusion: path in diffusers and the shape of a small stand-in.
IMAGE_MODULES = {
    "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q": (8, 12),
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0": (8, 12),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj": (16, 8),
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj": (8, 8),
}


def kohya_name(path):
    part, rest = path.split(".", 1)
    return {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + rest.replace(".", "_")


def kohya(dtype="F16"):
    tensors = []
    for path, (outputs, inputs) in IMAGE_MODULES.items():
        name = kohya_name(path)
        tensors += factors(name, outputs, inputs, dtype, ends=(".lora_down.weight", ".lora_up.weight"))
        tensors.append(Tensor(name + ".alpha", dtype, (), packed(dtype, [1.0])))
    name = "lora_unet_mid_block_resnets_0_conv1"
    tensors += [tensor(name + ".lora_down.weight", (2, 4, 3, 3), dtype, 0.3),
                tensor(name + ".lora_up.weight", (5, 2, 1, 1), dtype, 0.3)]
    return write_safetensors(sorted(tensors), {"ss_network_module": "networks.lora",
                                               "ss_network_dim": "2"})


def lycoris(dtype="F32"):
    tensors = []
    for index, (path, (outputs, inputs)) in enumerate(IMAGE_MODULES.items()):
        name = kohya_name(path)
        if index == 0:
            tensors += [tensor(f"{name}.hada_w{i}_{s}", shape, dtype, 0.3) for i in (1, 2)
                        for s, shape in (("a", (outputs, RANK)), ("b", (RANK, inputs)))]
        elif index == 1:
            tensors += [tensor(name + ".lokr_w1", (2, 3), dtype),
                        tensor(name + ".lokr_w2_a", (outputs // 2, RANK), dtype),
                        tensor(name + ".lokr_w2_b", (RANK, inputs // 3), dtype)]
        else:
            tensors += factors(
                name, outputs, inputs, dtype, ends=(".lora_down.weight", ".lora_up.weight"))
            if index == 3:
                tensors.append(tensor(name + ".dora_scale", (outputs, 1), dtype, 0.1, around=1.0))
        tensors.append(Tensor(name + ".alpha", dtype, (), packed(dtype, [1.0])))
    return write_safetensors(sorted(tensors), {"ss_network_module": "lycoris.kohya"})


def diffusers(dtype="F16", old=False, metadata=True):
    tensors, parts = [], {}
    ends = ((".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight") if old
            else (".lora_A.weight", ".lora_B.weight"))
    for path, (outputs, inputs) in IMAGE_MODULES.items():
        tensors += factors(path, outputs, inputs, dtype, ends=ends)
        part, module = path.split(".", 1)
        parts.setdefault(part, []).append(module)
    configuration = {}
    for part, modules in parts.items():
        fields = {"r": RANK, "lora_alpha": ALPHA, "target_modules": modules, "use_rslora": False,
                  "use_dora": False, "lora_bias": False, "rank_pattern": {}, "alpha_pattern": {}}
        configuration |= {f"{part}.{key}": value for key, value in fields.items()}
    header = {"format": "pt"}
    if metadata and not old:
        header["lora_adapter_metadata"] = json.dumps(configuration)
    return write_safetensors(sorted(tensors), header)


def gguf_adapter(dtype=0):
    """An adapter of the GGUF llama of `inputs.gguf_model`."""
    keys = [
        ["general.architecture", STRING, "llama"], ["general.type", STRING, "adapter"],
        ["adapter.type", STRING, "lora"], ["adapter.lora.alpha", F32, float(ALPHA)],
        ["llama.attention.head_count", U32, 2], ["llama.attention.head_count_kv", U32, 1],
        ["general.quantized", BOOL, False],
    ]
    entries = []
    name = {0: "F32", 1: "F16"}[dtype]
    for path, (outputs, inputs) in {
            "blk.0.attn_q": (32, 32), "blk.0.attn_v": (16, 32), "blk.0.ffn_down": (32, 64)}.items():
        for part in factors(path, outputs, inputs, name, ends=(".weight.lora_a", ".weight.lora_b")):
            entries.append(Entry(part.name, list(reversed(part.shape)), dtype, part.data))
    return GGUF(keys, entries).encoded()


def gguf_peft():
    """A PEFT adapter of the same model."""
    tensors = []
    for path, (outputs, inputs) in {
            "self_attn.q_proj": (32, 32), "mlp.down_proj": (32, 64)}.items():
        tensors += factors("base_model.model.model.layers.0." + path, outputs, inputs, "F32")
    return {
        "adapter_config.json": text(peft_configuration("LORA")),
        "adapter_model.safetensors": write_safetensors(sorted(tensors), {"format": "pt"}),
    }
