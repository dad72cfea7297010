"""Small valid inputs of every kind the program reads, as {path: bytes}."""

import json
import random

from tensorfiles import (
    ARRAY, BOOL, Entry, F32, GGUF, I32, STRING, Tensor, U32, floats, packed, product,
    write_safetensors)

HIDDEN, INTER, HEADS, KV_HEADS, LAYERS = 16, 24, 2, 1, 2


def numbers(seed, count, spread=0.1):
    source = random.Random(seed)
    return [source.uniform(-spread, spread) for _ in range(count)]


def tensor(name, shape, dtype="F32", spread=0.1, around=0.0):
    values = numbers(name, product(shape), spread)
    if around:
        values = [v + around for v in values]
    return Tensor(name, dtype, tuple(shape), packed(dtype, values))


def text(value):
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


# MARK: tokenizers

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3_PATTERN = QWEN_PATTERN.replace(r"\p{N}|", r"\p{N}{1,3}|")
WORDS = "the an in er on re at en nd st he ou ing and".split()


def byte_characters():
    """GPT-2's character of every byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    result, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            result[byte] = chr(byte)
        else:
            result[byte] = chr(256 + extra)
            extra += 1
    return result


def added(token, number, special=True):
    return {
        "id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": special,
    }


def merged_vocabulary(tokens):
    """The vocabulary with the words' merges behind it, and the merges."""
    vocabulary = {t: i for i, t in enumerate(tokens)}
    merges = []
    for word in WORDS:
        left = word[0]
        for c in word[1:]:
            if left + c not in vocabulary:
                vocabulary[left + c] = len(vocabulary)
                merges.append((left, c))
            left += c
    return vocabulary, merges


def byte_level(pattern=None, pairs=True, normalizer=None):
    special = ["<|begin|>", "<|end|>", "<|tool|>"]
    vocabulary, merges = merged_vocabulary(special + list(byte_characters().values()))
    level = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
        "use_regex": pattern is None,
    }
    split = {
        "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False,
    }
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": special[0], "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            special[0]: {"id": special[0], "ids": [0], "tokens": [special[0]]}
        },
    }
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(t, i, i < 2) for i, t in enumerate(special)],
        "normalizer": normalizer,
        "pre_tokenizer": (
            level if pattern is None else {"type": "Sequence", "pretokenizers": [split, level]}),
        "post_processor": template,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True,
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": vocabulary,
            "merges": [list(m) if pairs else " ".join(m) for m in merges],
        },
    }


def byte_fallback(metaspace=False):
    special = ["<unk>", "<s>", "</s>"]
    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGH.,!?0123456789", "\u2581"]
    vocabulary, merges = merged_vocabulary(
        special + [f"<0x{b:02X}>" for b in range(256)] + letters)
    normalizer = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ],
    }
    space = {
        "type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False,
    }
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(t, i) for i, t in enumerate(special)],
        "normalizer": None if metaspace else normalizer,
        "pre_tokenizer": space if metaspace else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>",
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
            "byte_fallback": True, "ignore_merges": False, "vocab": vocabulary,
            "merges": [" ".join(m) for m in merges],
        },
    }


def tokenizer_configuration(bos, eos):
    return {
        "add_bos_token": True, "add_eos_token": False, "bos_token": bos, "eos_token": eos,
        "unk_token": None, "model_max_length": 64, "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
    }


# MARK: models in Hugging Face's folders


def linear_shapes(kind):
    """The paths of a model's linear layers, with outputs and inputs."""
    result = {}
    for i in range(LAYERS):
        if kind == "gpt2":
            block = f"transformer.h.{i}."
            result |= {
                block + "attn.c_attn": (3 * HIDDEN, HIDDEN), block + "attn.c_proj": (HIDDEN, HIDDEN),
                block + "mlp.c_fc": (INTER, HIDDEN), block + "mlp.c_proj": (HIDDEN, INTER),
            }
        else:
            block, narrow = f"model.layers.{i}.", HIDDEN * KV_HEADS // HEADS
            result |= {
                block + "self_attn.q_proj": (HIDDEN, HIDDEN),
                block + "self_attn.k_proj": (narrow, HIDDEN),
                block + "self_attn.v_proj": (narrow, HIDDEN),
                block + "self_attn.o_proj": (HIDDEN, HIDDEN),
                block + "mlp.gate_proj": (INTER, HIDDEN), block + "mlp.up_proj": (INTER, HIDDEN),
                block + "mlp.down_proj": (HIDDEN, INTER),
            }
    return result


def model_tensors(kind, vocabulary, dtype, tied):
    result = []
    for path, (outputs, inputs) in linear_shapes(kind).items():
        shape = (inputs, outputs) if kind == "gpt2" else (outputs, inputs)
        result.append(tensor(path + ".weight", shape, dtype))
        if kind == "gpt2" or kind == "qwen2" and path.endswith(("q_proj", "k_proj", "v_proj")):
            result.append(tensor(path + ".bias", (outputs,), dtype))
    if kind == "gpt2":
        norms = ["ln_1", "ln_2"]
        names = [f"transformer.h.{i}.{n}" for i in range(LAYERS) for n in norms]
        names.append("transformer.ln_f")
        result.append(tensor("transformer.wte.weight", (vocabulary, HIDDEN), dtype, 0.5))
        result.append(tensor("transformer.wpe.weight", (128, HIDDEN), dtype, 0.5))
        result += [tensor(n + ".bias", (HIDDEN,), dtype) for n in names]
    else:
        norms = ["input_layernorm", "post_attention_layernorm"]
        names = [f"model.layers.{i}.{n}" for i in range(LAYERS) for n in norms] + ["model.norm"]
        result.append(tensor("model.embed_tokens.weight", (vocabulary, HIDDEN), dtype, 0.5))
    result += [tensor(n + ".weight", (HIDDEN,), dtype, 0.1, around=1.0) for n in names]
    if not tied:
        result.append(tensor("lm_head.weight", (vocabulary, HIDDEN), dtype))
    return sorted(result)


def model_configuration(kind, vocabulary, dtype, tied, ends):
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    common = {
        "model_type": kind, "bos_token_id": ends[0], "eos_token_id": ends[1], "pad_token_id": None,
        "torch_dtype": names[dtype], "tie_word_embeddings": tied, "vocab_size": vocabulary,
        "use_cache": True, "initializer_range": 0.02,
    }
    if kind == "gpt2":
        return common | {
            "architectures": ["GPT2LMHeadModel"], "n_embd": HIDDEN, "n_head": HEADS,
            "n_inner": INTER, "n_layer": LAYERS, "n_positions": 128, "layer_norm_epsilon": 1e-5,
            "activation_function": "gelu_new", "scale_attn_weights": True,
        }
    result = common | {
        "hidden_size": HIDDEN, "intermediate_size": INTER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "max_position_embeddings": 128, "rope_theta": 10000.0,
    }
    if kind == "llama":
        result |= {
            "architectures": ["LlamaForCausalLM"], "attention_bias": False, "mlp_bias": False,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
            },
        }
    elif kind == "qwen2":
        result |= {
            "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False,
            "sliding_window": None, "max_window_layers": LAYERS,
        }
    else:
        result |= {"architectures": ["MistralForCausalLM"], "sliding_window": 8, "head_dim": 8}
    return result


def model(kind, dtype="F32", tied=False, tokenizer=None, ends=(0, 1), shards=1, change=None):
    """A model's folder; `change` is added to the numbers of its linear layers."""
    vocabulary = max(tokenizer["model"]["vocab"].values()) + 1
    tensors = model_tensors(kind, vocabulary, dtype, tied)
    if change:
        tensors = [
            tensor_changed(t, change) if t.name.endswith("_proj.weight") else t for t in tensors]
    names = [t for t, i in tokenizer["model"]["vocab"].items() if i in ends]
    files = {
        "config.json": text(model_configuration(kind, vocabulary, dtype, tied, ends)),
        "generation_config.json": text({
            "bos_token_id": ends[0], "eos_token_id": [ends[1]], "do_sample": False,
            "temperature": 1.0, "top_p": 1.0}),
        "tokenizer.json": text(tokenizer),
        "tokenizer_config.json": text(tokenizer_configuration(*names)),
    }
    if shards == 1:
        files["model.safetensors"] = write_safetensors(tensors, {"format": "pt"})
        return files
    weights = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        files[name] = write_safetensors(tensors[shard::shards], {"format": "pt"})
        weights |= {t.name: name for t in tensors[shard::shards]}
    files["model.safetensors.index.json"] = text({
        "metadata": {"total_size": sum(len(t.data) for t in tensors)}, "weight_map": weights})
    return files


def tensor_changed(t, change):
    outputs, inputs = t.shape
    a, b = numbers(t.name + "a" + change, inputs), numbers(t.name + "b" + change, outputs)
    old = floats(t.dtype, t.data)
    values = [old[o * inputs + i] + 4 * b[o] * a[i] for o in range(outputs) for i in range(inputs)]
    return t._replace(data=packed(t.dtype, values))


# MARK: GGUF models

GGUF_SIZES = {"F32": 0, "F16": 1, "Q8_0": 8, "Q4_0": 2, "BF16": 30}


def block_tensor(name, shape, kind):
    """A GGUF tensor of Hugging Face's shape."""
    values = numbers(name, product(shape), 0.1)
    if kind in ("Q8_0", "Q4_0"):
        source = random.Random(name)
        blocks = product(shape) // 32
        scale = packed("F16", [0.001 if kind == "Q8_0" else 0.02])
        size = 32 if kind == "Q8_0" else 16
        data = b"".join(scale + source.randbytes(size) for _ in range(blocks))
    else:
        data = packed(kind, values)
    return Entry(name, list(reversed(shape)), GGUF_SIZES[kind], data)


def gguf_model(kind, matrix, scored):
    """A model's GGUF file, of hidden size 32, with a SentencePiece or byte-level tokenizer."""
    hidden, inter, heads, narrow = 32, 64, 2, 16
    tokenizer = byte_fallback() if scored else byte_level(QWEN_PATTERN)
    vocabulary = tokenizer["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    keys = [
        ["general.architecture", STRING, kind], ["general.name", STRING, "tiny"],
        [f"{kind}.context_length", U32, 128], [f"{kind}.embedding_length", U32, hidden],
        [f"{kind}.feed_forward_length", U32, inter], [f"{kind}.block_count", U32, 1],
        [f"{kind}.attention.head_count", U32, heads],
    ]
    if kind == "gpt2":
        keys.append([f"{kind}.attention.layer_norm_epsilon", F32, 1e-5])
    else:
        keys += [
            [f"{kind}.attention.head_count_kv", U32, 1],
            [f"{kind}.attention.layer_norm_rms_epsilon", F32, 1e-5],
            [f"{kind}.rope.freq_base", F32, 10000.0],
        ]
    byte_types = [6 if t.startswith("<0x") else 3 if i < 3 else 1 for i, t in enumerate(tokens)]
    keys += [
        ["tokenizer.ggml.model", STRING, "llama" if scored else "gpt2"],
        ["tokenizer.ggml.tokens", ARRAY, (STRING, tokens)],
        ["tokenizer.ggml.token_type", ARRAY, (I32, byte_types)],
        ["tokenizer.ggml.bos_token_id", U32, 1 if scored else 0],
        ["tokenizer.ggml.eos_token_id", U32, 2 if scored else 1],
        ["tokenizer.ggml.add_bos_token", BOOL, True],
    ]
    if scored:
        scores = [-float(i) for i in range(len(tokens))]
        keys.insert(-5, ["tokenizer.ggml.scores", ARRAY, (F32, scores)])
        keys.append(["tokenizer.ggml.unknown_token_id", U32, 0])
    else:
        merges = [" ".join(m) for m in tokenizer["model"]["merges"]]
        keys.insert(-5, ["tokenizer.ggml.pre", STRING, "qwen2" if kind == "qwen2" else "gpt-2"])
        keys.append(["tokenizer.ggml.merges", ARRAY, (STRING, merges)])
    entries = [block_tensor("token_embd.weight", (len(tokens), hidden), matrix)]

    def vector(name, size, around=0.0):
        values = [v + around for v in numbers(name, size)]
        entries.append(Entry(name, [size], 0, packed("F32", values)))

    if kind == "gpt2":
        entries.append(block_tensor("position_embd.weight", (128, hidden), "F32"))
        layers = {
            "attn_qkv": (3 * hidden, hidden), "attn_output": (hidden, hidden),
            "ffn_up": (inter, hidden), "ffn_down": (hidden, inter),
        }
        biased = list(layers)
    else:
        layers = {
            "attn_q": (hidden, hidden), "attn_k": (narrow, hidden), "attn_v": (narrow, hidden),
            "attn_output": (hidden, hidden), "ffn_gate": (inter, hidden),
            "ffn_up": (inter, hidden), "ffn_down": (hidden, inter),
        }
        biased = ["attn_q", "attn_k", "attn_v"] if kind == "qwen2" else []
    for name, shape in layers.items():
        entries.append(block_tensor(f"blk.0.{name}.weight", shape, matrix))
        if name in biased:
            vector(f"blk.0.{name}.bias", shape[0])
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        vector(name + ".weight", hidden, 1.0)
        if kind == "gpt2":
            vector(name + ".bias", hidden)
    if kind == "llama":
        entries.append(block_tensor("output.weight", (len(tokens), hidden), matrix))
    return GGUF(keys, entries).encoded()


# MARK: data

SENTENCES = [
    "The hen and the stone.", "Once there were on the hill an ox and her other one.",
    "Again and again the rain.", "Ende gut, alles gut: \u00e4\u00f6\u00fc \u4f60\u597d \U0001f642.",
]


def data_files(vocabulary=270):
    source = random.Random("rows")
    rows = [[source.randrange(3, vocabulary) for _ in range(12)] for _ in range(4)]
    pairs = [{"prompt": s[:8], "completion": s[8:]} for s in SENTENCES]
    table = ["prompt,completion"] + [f'"{p["prompt"]}","{p["completion"]}"' for p in pairs]
    flat = [float(i) for row in rows for i in row]
    return {
        "data.txt": ("\n\n".join(SENTENCES) + "\n").encode(),
        "texts.jsonl": b"".join(json.dumps({"text": s}).encode() + b"\n" for s in SENTENCES),
        "pairs.jsonl": b"".join(
            json.dumps(p, ensure_ascii=False).encode() + b"\n" for p in pairs),
        "rows.json": json.dumps(rows).encode(),
        "table.csv": ("\n".join(table) + "\n").encode(),
        "rows.safetensors": write_safetensors([
            Tensor("train", "I64", (4, 12), packed("I64", flat)),
            Tensor("eval", "I64", (2, 12), packed("I64", flat[:24]))]),
    }
