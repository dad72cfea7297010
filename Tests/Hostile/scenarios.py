"""Commands over valid inputs: what is in the folder, what is run, what must come of it.

Paths are relative to a case's folder, which has the inputs in `in` and an empty folder `out`.
"""

import functools
import json
from dataclasses import dataclass, field

import adapters
import inputs


@dataclass
class Case:
    command: str
    files: dict
    arguments: list
    #: The groups of inputs, by the first part of their path, that damage may hit.
    groups: list
    #: The adapters given: (format, path, strength).
    adapters: list = field(default_factory=list)
    model: str = ""
    #: The second model of an extraction.
    tuned: str = ""
    #: What is written, its format, and whether nothing of the adapters may be lost in it.
    output: str = ""
    to: str = ""
    is_exact: bool = False
    alpha: float = 4.0
    #: The linear layers of the adapter's base, where there is one.
    linear: tuple = ()
    #: A second command, which converts the result back.
    back: list = field(default_factory=list)
    #: Whether it was asked to work for ever.
    is_endless: bool = False


# MARK: the pool


@functools.cache
def tokenizer(kind):
    return {
        "llama": lambda: inputs.byte_level(inputs.LLAMA3_PATTERN),
        "mistral": inputs.byte_fallback,
        "metaspace": lambda: inputs.byte_fallback(metaspace=True),
        "qwen2": lambda: inputs.byte_level(inputs.QWEN_PATTERN, False, {"type": "NFC"}),
        "gpt2": inputs.byte_level,
    }[kind]()


@functools.cache
def model(name):
    make = inputs.model
    return {
        "llama": lambda: make("llama", tokenizer=tokenizer("llama")),
        "tuned": lambda: make("llama", tokenizer=tokenizer("llama"), change="x"),
        "llama-f16": lambda: make("llama", "F16", tokenizer=tokenizer("llama"), shards=2),
        "metaspace": lambda: make("llama", tokenizer=tokenizer("metaspace"), ends=(1, 2)),
        "mistral": lambda: make("mistral", tokenizer=tokenizer("mistral"), ends=(1, 2), shards=2),
        "qwen2": lambda: make("qwen2", "BF16", tied=True, tokenizer=tokenizer("qwen2")),
        "gpt2": lambda: _gpt2_files(make("gpt2", tied=True, tokenizer=tokenizer("gpt2"))),
    }[name]()


def _gpt2_files(files):
    """With the tokenizer in GPT-2's two files."""
    definition = tokenizer("gpt2")["model"]
    files = dict(files)
    del files["tokenizer.json"]
    configuration = json.loads(files["tokenizer_config.json"])
    files["tokenizer_config.json"] = inputs.text(
        configuration | {"tokenizer_class": "GPT2Tokenizer"})
    files["vocab.json"] = inputs.text(definition["vocab"])
    lines = ["#version: 0.2"] + [" ".join(m) for m in definition["merges"]]
    files["merges.txt"] = ("\n".join(lines) + "\n").encode()
    return files


@functools.cache
def gguf(name):
    kind, matrix, tokens = name.split("-")
    return inputs.gguf_model(kind, matrix, tokens == "scored")


@functools.cache
def data():
    return inputs.data_files()


VOCABULARY = len(inputs.byte_level()["model"]["vocab"])
FOLDERS = ["llama", "llama-f16", "metaspace", "mistral", "qwen2", "gpt2"]
GGUFS = [
    "llama-F32-scored", "llama-Q8_0-scored", "llama-Q4_0-bytes", "llama-F16-bytes",
    "qwen2-F16-bytes", "gpt2-F32-bytes"]
TEXT_ADAPTERS = [f"peft {v}" for v in adapters.PEFT_VARIANTS] + [
    "peft lora F16", "peft lora BF16", "peft patterns F16", "mlx lora", "mlx dora", "mlx lora F16",
    "loralib"]
IMAGE_ADAPTERS = [
    "kohya F16", "kohya F32", "lycoris", "diffusers new", "diffusers old", "diffusers bare"]


@functools.cache
def adapter(name):
    """The format, and a folder's files or a file's bytes."""
    kind, *rest = name.split()
    dtype = rest[-1] if rest and rest[-1] in ("F32", "F16", "BF16") else "F32"
    make = {
        "peft": lambda: adapters.peft(rest[0], dtype=dtype, vocabulary=VOCABULARY),
        "mlx": lambda: adapters.mlx(rest[0], dtype=dtype),
        "loralib": adapters.loralib, "lycoris": adapters.lycoris,
        "kohya": lambda: adapters.kohya(dtype),
        "diffusers": lambda: adapters.diffusers(old=rest[0] == "old", metadata=rest[0] == "new"),
        "gguf": lambda: adapters.gguf_adapter(int(rest[0])), "gguf-peft": adapters.gguf_peft,
        "gpt2": lambda: adapters.peft("lora", "gpt2"),
    }[kind]
    return ("peft" if kind in ("gpt2", "gguf-peft") else kind), make()


# MARK: putting inputs in place


def put_model(files, name, group="model"):
    if name in GGUFS:
        path = f"in/{group}/model.gguf"
        files[path] = gguf(name)
        return path
    files |= {f"in/{group}/{n}": c for n, c in model(name).items()}
    return f"in/{group}"


def put_adapter(files, name, group="adapter"):
    format, content = adapter(name)
    if isinstance(content, dict):
        files |= {f"in/{group}/{n}": c for n, c in content.items()}
        return format, f"in/{group}"
    path = f"in/{group}/adapter" + (".gguf" if format == "gguf" else ".safetensors")
    files[path] = content
    return format, path


def base_and_adapter(source, files):
    """A model, its linear layers, and an adapter of it."""
    share = source.random()
    if share < 0.2:
        base = source.choice(["llama-F32-scored", "llama-Q8_0-scored", "llama-Q4_0-bytes"])
        names = ["gguf 0", "gguf 1", "gguf-peft"]
    elif share < 0.3:
        base, names = "gpt2", ["gpt2"]
    else:
        base = source.choice(["llama", "llama", "llama-f16"])
        names = [n for n in TEXT_ADAPTERS if n != "loralib"]
    linear = ()
    if base not in GGUFS:
        linear = tuple(inputs.linear_shapes("gpt2" if base == "gpt2" else "llama"))
    return put_model(files, base), linear, put_adapter(files, source.choice(names))


def put_data(source, files, training=True):
    """Data for `train` and `sweep`, or for `score`."""
    name = source.choice(list(data()))
    files[f"in/data/{name}"] = data()[name]
    return f"in/data/{name}"


def extended(source, case):
    """With `--json` in half of the cases."""
    if source.random() < 0.5:
        case.arguments.append("--json")
    return case


# MARK: commands


def inspect(source):
    files, share, linear = {}, source.random(), ()
    if share < 0.3:
        path = put_model(files, source.choice(FOLDERS + GGUFS))
        return Case("inspect", files, ["inspect", path], ["model"], model=path)
    if share < 0.65:
        name = source.choice(TEXT_ADAPTERS + IMAGE_ADAPTERS)
        format, path = put_adapter(files, name)
        arguments, groups = ["inspect", path], ["adapter"]
        if format == "loralib":
            arguments += ["--alpha", "4"]
    else:
        base, linear, (format, path) = base_and_adapter(source, files)
        arguments, groups = ["inspect", path, "--base", base], ["adapter", "adapter", "model"]
    return Case(
        "inspect", files, arguments, groups, adapters=[(format, path, 1.0)], linear=linear)


def score(source):
    files, linear = {}, ()
    arguments, groups, used = ["score"], ["model"], []
    if source.random() < 0.5:
        base, linear, (format, path) = base_and_adapter(source, files)
        strength = source.choice(["", "", ":0.5", ":-1", ":0"])
        arguments += ["--adapter", path + strength]
        groups += ["adapter", "adapter"]
        used = [(format, path, float(strength[1:] or 1))]
    else:
        base = put_model(files, source.choice(FOLDERS + GGUFS))
    arguments += ["--model", base]
    if source.random() < 0.5:
        name = source.choice(["rows.json", "rows.safetensors"])
        arguments += ["--ids", f"in/data/{name}"]
    else:
        name = "data.txt"
        arguments += ["--text", "in/data/data.txt", "--split", source.choice(["\n\n", "\n"])]
    files[f"in/data/{name}"] = data()[name]
    if source.random() < 0.2:
        arguments.append("--per-token")
    return Case("score", files, arguments, groups + ["data"], used, model=base, linear=linear)


def generate(source):
    files, linear = {}, ()
    arguments, groups, used = ["generate"], ["model", "model"], []
    if source.random() < 0.3:
        base, linear, (format, path) = base_and_adapter(source, files)
        arguments += ["--adapter", path]
        groups, used = ["model", "adapter"], [(format, path, 1.0)]
    else:
        base = put_model(files, source.choice(FOLDERS + GGUFS))
    prompt = source.choice([
        "The hen and", "Hello there <|end|> the", "a  b\n\n\tc \u00e9\U0001f642 12345", "x", "",
        "</s><s> other", "(a+)+" * 6, "a" * 43, " " * 50])
    arguments += ["--model", base, "--prompt", prompt, "--max-tokens", source.choice(["1", "3", "6"])]
    if source.random() < 0.4:
        arguments += ["--temperature", source.choice(["1", "0.01", "100"]), "--top-p", "0.9"]
    return Case("generate", files, arguments, groups, used, model=base, linear=linear)


def merge(source):
    files = {}
    base, linear, (format, path) = base_and_adapter(source, files)
    strength = source.choice(["", "", ":0.5", ":-2"])
    output = "out/m.gguf" if base.endswith(".gguf") and source.random() < 0.6 else "out/m"
    arguments = ["merge", "--model", base, "--adapter", path + strength, "--output", output]
    if output.endswith(".gguf") and source.random() < 0.5:
        arguments.append("--requantize")
    used = [(format, path, float(strength[1:] or 1))]
    return Case(
        "merge", files, arguments, ["adapter", "adapter", "model"], used, model=base, output=output,
        linear=linear)


def convert(source):
    files, share, linear, more = {}, source.random(), (), []
    arguments, groups = ["convert"], ["adapter"] * 4
    if share < 0.35:
        format, path = put_adapter(files, source.choice(IMAGE_ADAPTERS))
        to = source.choice(["peft", "kohya", "lycoris", "diffusers", "diffusers"])
    elif share < 0.55:
        format, path = put_adapter(files, source.choice(TEXT_ADAPTERS))
        to = source.choice(["peft", "mlx", "loralib"])
    else:
        base, linear, (format, path) = base_and_adapter(source, files)
        to = source.choice(["peft", "mlx", "gguf", "gguf", "lycoris", "loralib"])
        more = ["--base", base]
        groups.append("model")
    if format == "loralib":
        arguments += ["--alpha", "4"]
    endings = {"peft": "", "mlx": "", "gguf": ".gguf"}
    output = "out/a" + endings.get(to, ".safetensors")
    arguments += ["--input", path, "--to", to, "--output", output, *more]
    back = []
    if source.random() < 0.3 and "loralib" not in (format, to):
        back = ["convert", "--input", output, "--to", format, *more]
        back += ["--output", "out/b" + endings.get(format, ".safetensors")]
    return Case(
        "convert", files, arguments, groups, [(format, path, 1.0)], output=output, to=to,
        is_exact=True, linear=linear, back=back)


def combine(source):
    files = {}
    kind = source.choice(["cat", "cat", "svd", "linear", "ties", "dare-linear", "magnitude-prune-svd"])
    pool = ["peft lora", "peft rslora", "peft patterns", "peft all", "mlx lora", "peft lora F16",
            "peft saved", "peft dora", "peft tokens"]
    names = [source.choice(pool) for _ in range(source.choice([1, 2, 2]))]
    weights = [source.choice([1.0, 0.5, -0.25]) for _ in names]
    used, arguments = [], ["combine", "--type", kind, "--output", "out/c"]
    for index, (name, weight) in enumerate(zip(names, weights)):
        format, path = put_adapter(files, name, f"adapter{index}")
        used.append((format, path, weight))
        arguments += ["--adapter", f"{path}:{weight}"]
    if kind not in ("cat", "svd", "linear"):
        arguments += ["--density", "0.5"]
    if any(n in ("peft saved", "peft tokens") for n in names):
        arguments += ["--replacements", source.choice(["kept", "dropped", "refused"])]
    groups = [f"adapter{i}" for i in range(len(names))]
    return Case(
        "combine", files, arguments, groups, used, output="out/c", to="peft", is_exact=kind == "cat")


def reduce(source):
    files = {}
    format, path = put_adapter(
        files, source.choice(["peft lora", "peft patterns", "peft all", "mlx lora", "peft lora BF16"]))
    how = source.choice([["--rank", "1"], ["--energy", "1"], ["--energy", "0.9"]])
    arguments = ["reduce", "--adapter", path, *how, "--output", "out/r"]
    return Case(
        "reduce", files, arguments, ["adapter"], [(format, path, 1.0)], output="out/r", to="peft",
        is_exact=how == ["--energy", "1"])


def extract(source):
    files = {}
    base = put_model(files, "llama")
    tuned = put_model(files, "tuned", "tuned")
    how = source.choice([["--rank", "4"], ["--rank", "1"], ["--energy", "0.99"]])
    others = source.choice([[], ["--others", "replaced"], ["--others", "ignored"]])
    arguments = ["extract", "--base", base, "--tuned", tuned, *how, *others, "--output", "out/e"]
    return Case(
        "extract", files, arguments, ["model", "tuned", "tuned"], model=base, tuned=tuned,
        output="out/e", to="peft")


def sweep(source):
    files = {}
    base, linear, (format, path) = base_and_adapter(source, files)
    table = put_data(source, files)
    arguments = ["sweep", "--model", base, "--adapter", path, "--data", table, "--steps", "2"]
    if source.random() < 0.4:
        arguments += ["--plot", "out/p.svg"]
    return Case(
        "sweep", files, arguments, ["adapter", "model", "data", "data"], [(format, path, 1.0)],
        model=base, linear=linear)


def train(source):
    files, used, linear = {}, [], ()
    arguments = ["train", "--steps", source.choice(["1", "2"]), "--batch", "2",
                 "--sequence-length", "48"]
    groups = ["data", "data", "model"]
    share = source.random()
    if share < 0.25:
        base, linear, (format, path) = base_and_adapter(source, files)
        arguments += ["--init-adapter", path]
        groups, used = ["adapter", "adapter", "data"], [(format, path, 1.0)]
    else:
        base = put_model(files, source.choice(FOLDERS + GGUFS[:4]))
        if share < 0.5:
            variant = source.choice(adapters.PEFT_VARIANTS)
            recipe = adapters.peft(variant, vocabulary=VOCABULARY)["adapter_config.json"]
            files["in/recipe/recipe.json"] = recipe
            arguments += ["--config", "in/recipe/recipe.json"]
            groups = ["recipe", "recipe", "recipe", "data"]
        else:
            arguments += [
                "--method", source.choice(["lora", "dora", "loha", "lokr", "ia3", "full"])]
    table = put_data(source, files)
    arguments += ["--model", base, "--data", table, "--output", "out/t"]
    if source.random() < 0.2:
        arguments += ["--log", "out/log.jsonl"]
    return Case(
        "train", files, arguments, groups, used, model=base, output="out/t", linear=linear,
        to="peft" if used else "")


COMMANDS = [
    (inspect, 14), (score, 20), (generate, 12), (merge, 12), (convert, 22), (combine, 6),
    (reduce, 3), (extract, 3), (sweep, 4), (train, 12)]


def case(source):
    makers, weights = zip(*COMMANDS)
    return extended(source, source.choices(makers, weights)[0](source))
