"""What an adapter computes, read plainly from its files: for comparing what a command wrote."""

import json
import math
import os
import re

from marks import (
    Adapter, Refusable, Unsure, canonical, hadamard, kronecker, low_rank, numbers)
from tensorfiles import GGUF_TYPES, Malformed, Tensor, read_gguf, read_safetensors


def tensors_of(path):
    try:
        with open(path, "rb") as file:
            return read_safetensors(file.read())
    except OSError as error:
        raise Unsure(str(error)) from error
    except Malformed as error:
        raise Refusable(f"{os.path.basename(path)}: {error}") from error


def grouped(tensors, endings, rename=lambda name: name):
    """Tensors by layer and part; an unknown name is refusable."""
    layers = {}
    for name, t in tensors.items():
        for ending, part in endings:
            if name.endswith(ending) and len(name) > len(ending):
                parts = layers.setdefault(rename(name[: -len(ending)]), {})
                if part in parts:
                    raise Refusable(f"{name!r} is a part that is there already")
                parts[part] = t
                break
        else:
            raise Refusable(f"{name!r} is no part of an adapter")
    if not layers:
        raise Refusable("no factors")
    return layers


def add_low_rank(adapter, path, parts, scale):
    """One layer of A and B, with what stands beside them."""
    if "a" not in parts or "b" not in parts:
        raise Refusable(f"{path} lacks a factor")
    note = "DoRA" if "m" in parts else ""
    adapter.layers[canonical(path)] = low_rank(parts["a"], parts["b"], scale, note)
    for part in parts.keys() - {"a", "b", "alpha"}:
        add_extra(adapter, f"{canonical(path)}.{part}", parts[part])


def add_extra(adapter, name, t):
    adapter.extras[name] = (math.prod(t.shape), math.fsum(v * v for v in numbers(t)))


def peft(path, linear=()):
    with open(os.path.join(path, "adapter_config.json"), "rb") as file:
        try:
            fields = json.load(file)
        except (ValueError, RecursionError) as error:
            raise Refusable(f"adapter_config.json: {error}") from error
    tensors, _ = tensors_of(os.path.join(path, "adapter_model.safetensors"))
    method, prefix = fields.get("peft_type"), "base_model.model."
    adapter, factors = Adapter(), {}
    for name, t in tensors.items():
        if not name.startswith(prefix):
            raise Refusable(f"{name!r} lacks {prefix!r}")
        rest = name[len(prefix) :]
        match = re.fullmatch(
            r"(.+)\.(lora_[AB]\.(?:weight|bias)|lora_embedding_[AB]|lora_magnitude_vector"
            r"|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?|ia3_l)", rest)
        if match:
            factors.setdefault(match[1], {})[match[2]] = t
        elif rest.endswith((".weight", ".bias", ".trainable_tokens_delta")):
            add_extra(adapter, canonical(rest), t)
        else:
            raise Refusable(f"{name!r} is no part of an adapter")
    _check_targets(fields, linear, factors)
    for layer, parts in factors.items():
        scale = _peft_scale(fields, method, layer, parts)
        if method == "LORA":
            names = {
                "lora_A.weight": "a", "lora_B.weight": "b", "lora_embedding_A": "a",
                "lora_embedding_B": "b", "lora_magnitude_vector": "m", "lora_B.bias": "bias"}
            add_low_rank(adapter, layer, {names.get(p, p): t for p, t in parts.items()}, scale)
        elif method == "LOHA":
            adapter.layers[canonical(layer)] = hadamard(_complete(parts, "hada_"), scale)
        elif method == "LOKR":
            adapter.layers[canonical(layer)] = kronecker(_complete(parts, "lokr_"), scale)
        elif method == "IA3" and set(parts) == {"ia3_l"}:
            add_extra(adapter, canonical(layer) + ".ia3", parts["ia3_l"])
        else:
            raise Unsure(f"the method {method!r}")
    return adapter


def _check_targets(fields, linear, factors):
    """Every linear layer of the base that is plainly targeted has factors."""
    targets, saved = fields.get("target_modules"), fields.get("modules_to_save") or []
    if not isinstance(targets, list) or fields.get("exclude_modules"):
        return
    if fields.get("layers_to_transform") is not None:
        return
    for path in linear:
        is_target = any(path == t or path.endswith(f".{t}") for t in targets)
        if is_target and path not in factors and not any(path.endswith(str(m)) for m in saved):
            raise Refusable(f"{path} is targeted and has no factors")


def _complete(parts, kind):
    if not all(p.startswith(kind) for p in parts):
        raise Refusable(f"parts of several methods: {sorted(parts)}")
    for w in ("w1", "w2"):
        if kind + w not in parts and not {f"{kind}{w}_a", f"{kind}{w}_b"} <= parts.keys():
            raise Refusable(f"a part of {kind}{w} is missing")
    return parts


def _peft_scale(fields, method, layer, parts):
    def of(pattern, default):
        for key, value in (fields.get(pattern) or {}).items():
            if re.match(rf"(.*\.)?({key})$", layer):
                return value
        return fields.get(default)

    if method == "IA3":
        return 1.0
    rank = of("rank_pattern", "r")
    alpha = of("alpha_pattern", "lora_alpha" if method == "LORA" else "alpha")
    for value in (rank, alpha):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Unsure("rank or alpha")
    if rank < 1 or not math.isfinite(alpha):
        raise Unsure("rank or alpha")
    if method == "LOKR" and not any(p.endswith("_a") for p in parts):
        # Two whole factors: PEFT's scale is 1 for them in LyCORIS only.
        return alpha / rank
    return alpha / (math.sqrt(rank) if fields.get("use_rslora") else rank)


def mlx(path):
    with open(os.path.join(path, "adapter_config.json"), "rb") as file:
        fields = json.load(file)
    tensors, _ = tensors_of(os.path.join(path, "adapters.safetensors"))
    parameters = fields["lora_parameters"]
    adapter = Adapter()
    layers = grouped(tensors, [(".lora_a", "a"), (".lora_b", "b"), (".m", "m")])
    for layer, parts in layers.items():
        flipped = {p: transposed(t) if p in "ab" else t for p, t in parts.items()}
        add_low_rank(adapter, layer, flipped, float(parameters["scale"]))
    return adapter


def transposed(t):
    if len(t.shape) != 2:
        raise Refusable(f"{t.name!r} is no matrix: {t.shape}")
    height, width = t.shape
    size = len(t.data) // max(height * width, 1)
    cells = [t.data[i : i + size] for i in range(0, len(t.data), size)] if size else []
    data = b"".join(cells[r * width + c] for c in range(width) for r in range(height))
    return t._replace(shape=(width, height), data=data)


def loralib(path, alpha):
    tensors, _ = tensors_of(path)
    factors = {n: t for n, t in tensors.items() if n.endswith((".lora_A", ".lora_B"))}
    adapter, layers = Adapter(), grouped(factors, [(".lora_A", "a"), (".lora_B", "b")])
    # What was trained beside the factors, as the published checkpoints have a classifier's head.
    for name in tensors.keys() - factors.keys():
        module, _, parameter = name.rpartition(".")
        is_saved = parameter == "bias" or parameter == "weight" and module not in layers
        if not module or not is_saved:
            raise Refusable(f"{name!r} is no part of an adapter")
        add_extra(adapter, canonical(name), tensors[name])
    for layer, parts in layers.items():
        if "a" in parts and parts["a"].shape and parts["a"].shape[0]:
            add_low_rank(adapter, layer, parts, alpha / parts["a"].shape[0])
        else:
            raise Refusable(f"{layer} lacks a factor")
    return adapter


def kohya(path):
    tensors, _ = tensors_of(path)
    endings = [(".lora_down.weight", "a"), (".lora_up.weight", "b"), (".alpha", "alpha"),
               (".dora_scale", "m")]
    endings += [("." + p, p) for p in (
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "lokr_w1", "lokr_w2", "lokr_w1_a",
        "lokr_w1_b", "lokr_w2_a", "lokr_w2_b")]

    def rename(name):
        for short, long in (
                ("lora_unet_", "unet_"), ("lora_te_", "text_encoder_"), ("lycoris_", "")):
            if name.startswith(short):
                return canonical(long + name[len(short) :])
        raise Unsure(name)

    adapter = Adapter()
    for layer, parts in grouped(tensors, endings, rename).items():
        alpha = numbers(parts["alpha"])[0] if "alpha" in parts else 0
        if "a" in parts or "b" in parts:
            rank = parts["a"].shape[0] if "a" in parts and parts["a"].shape else 0
            scale = (alpha or rank) / rank if rank else 1
            add_low_rank(adapter, layer, parts, scale)
            continue
        own = {p: t for p, t in parts.items() if p not in ("alpha", "m")}
        if "m" in parts:
            add_extra(adapter, layer + ".m", parts["m"])
        if any(p.startswith("hada") for p in own):
            rank = _complete(own, "hada_")["hada_w1_b"].shape[0]
            mark = hadamard(own, (alpha or rank) / rank)
        elif any(p.startswith("lokr") for p in own):
            pairs = [p for p in ("lokr_w1_b", "lokr_w2_b") if p in _complete(own, "lokr_")]
            rank = own[pairs[-1]].shape[0] if pairs else 0
            mark = kronecker(own, (alpha or rank) / rank if rank else 1)
        else:
            raise Refusable(f"{layer} has no factors")
        mark.note += " DoRA" if "m" in parts else ""
        adapter.layers[canonical(layer)] = mark
    return adapter


def diffusers(path):
    tensors, metadata = tensors_of(path)
    endings = [
        (".lora_A.weight", "a"), (".lora_B.weight", "b"), (".lora_B.bias", "bias"),
        (".lora_linear_layer.down.weight", "a"), (".lora_linear_layer.up.weight", "b"),
        (".lora_magnitude_vector", "m"), (".alpha", "alpha")]
    configuration = json.loads(metadata.get("lora_adapter_metadata") or "{}")
    adapter = Adapter()
    for layer, parts in grouped(tensors, endings).items():
        part, module = layer.split(".", 1)
        fields = {k[len(part) + 1 :]: v for k, v in configuration.items()
                  if k.startswith(part + ".")}
        scale = _peft_scale(fields, "LORA", module, parts) if fields else 1.0
        if not fields and "alpha" in parts and parts["a"].shape[0]:
            scale = numbers(parts["alpha"])[0] / parts["a"].shape[0]
        add_low_rank(adapter, layer, parts, scale)
    return adapter


GGUF_PATHS = {
    "attn_q": "self_attn_q_proj", "attn_k": "self_attn_k_proj", "attn_v": "self_attn_v_proj",
    "attn_output": "self_attn_o_proj", "ffn_gate": "mlp_gate_proj", "ffn_up": "mlp_up_proj",
    "ffn_down": "mlp_down_proj",
}
GGUF_GPT2_PATHS = {
    "attn_qkv": "attn_c_attn", "attn_output": "attn_c_proj", "ffn_up": "mlp_c_fc",
    "ffn_down": "mlp_c_proj",
}


def module_name(name):
    """Hugging Face's name of a block's module that GGUF has a name of its own for."""
    match = re.fullmatch(r"blk\.(\d+)\.(attn_\w+|ffn_\w+)", name)
    if not match or match[2] not in GGUF_PATHS:
        return name
    return f"layers_{match[1]}_{GGUF_PATHS[match[2]]}"


def gguf(path):
    try:
        with open(path, "rb") as file:
            content = read_gguf(file.read())
    except Malformed as error:
        raise Refusable(str(error)) from error
    tensors = {}
    for name, dims, kind, data in content.entries:
        if name in tensors:
            raise Refusable(f"{name!r} is there twice")
        tensors[name] = Tensor(name, GGUF_TYPES[kind][0], tuple(reversed(dims)), data)
    alpha = content.value("adapter.lora.alpha") or 0
    is_gpt2 = content.value("general.architecture") == "gpt2"
    paths = GGUF_GPT2_PATHS if is_gpt2 else GGUF_PATHS

    def rename(name):
        match = re.fullmatch(r"blk\.(\d+)\.(\w+)", name)
        if not match or match[2] not in paths:
            raise Unsure(name)
        return f"{'h' if is_gpt2 else 'layers'}_{match[1]}_{paths[match[2]]}"

    adapter = Adapter()
    endings = [(".weight.lora_a", "a"), (".weight.lora_b", "b")]
    for layer, parts in grouped(tensors, endings, rename).items():
        rank = parts["a"].shape[0] if "a" in parts and parts["a"].shape else 0
        add_low_rank(adapter, layer, parts, alpha / rank if alpha and rank else 1.0)
    return adapter


def components(path):
    """An image adapter in PEFT's folders, one a part of the pipeline."""
    adapter = Adapter()
    for part in sorted(os.listdir(path)):
        inner = peft(os.path.join(path, part))
        for name, mark in inner.layers.items():
            adapter.layers[f"{part}_{name}"] = mark
        for name, value in inner.extras.items():
            adapter.extras[f"{part}_{name}"] = value
    return adapter


def read(format, path, alpha=None, linear=()):
    """The adapter of a format; raises Refusable or Unsure. `linear` are the base's linear layers,
    if there is a base: then the adapter must be complete."""
    try:
        if format == "peft" and not os.path.exists(os.path.join(path, "adapter_config.json")):
            return components(path)
        if format == "peft":
            return peft(path, linear)
        if format == "loralib":
            return loralib(path, alpha)
        return {
            "mlx": mlx, "gguf": gguf, "kohya": kohya, "lycoris": kohya,
            "diffusers": diffusers}[format](path)
    except (OSError, KeyError, IndexError, TypeError, ValueError, ZeroDivisionError, re.error,
            AttributeError, OverflowError, RecursionError) as error:
        raise Unsure(f"{type(error).__name__}: {error}") from error


def absent(before, after):
    """A layer of the first adapter that the second has not; None if there is none."""
    for path, mark in before.layers.items():
        if path not in after.layers and mark.norm > 0:
            return f"the layer {path} is missing"
    return None


def lost(before, after, tolerance=0.02):
    """What the first adapter has and the second has not, or has otherwise; None if nothing."""
    for path, mark in before.layers.items():
        if path not in after.layers:
            return f"the layer {path} is missing"
        problem = mark.differs(after.layers[path], tolerance)
        if problem:
            return f"the layer {path}: {problem}"
    for name, (count, square) in before.extras.items():
        if name not in after.extras:
            return f"{name} is missing"
        other = after.extras[name]
        if other[0] != count or abs(other[1] - square) > tolerance * max(square, other[1]):
            return f"{name}: {count} numbers, {square:.6g}, then {other[0]}, {other[1]:.6g}"
    return None
