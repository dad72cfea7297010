"""PEFT's add_weighted_adapter over small layers of every kind, the oracle of LoRAFormats/Combination.

usage: .venv/bin/python Tests/Reference/combinations.py    -> Tests/Fixtures/formats/combinations.*

combinations.safetensors holds
  <adapter>/<path>/a, b    the factors of the adapters, as PEFT stores them
  <case>/<path>/a, b       the factors that PEFT made, for the types that combine factors
  <case>/<path>/delta      PEFT's B A of the new adapter as [out, in, ...], without its scale,
                           for cat and the types that end in a decomposition
combinations.json holds `adapters` {name: {path: {scale, alpha, embedding}}} and `cases`, a list of
{name, adapters, weights, type, svd_rank, density, sign, seed, scales {path: scale}} or, where PEFT
refuses, with `error` in place of `scales`.

What is random in dare_* is made certain: torch.bernoulli draws what SeededRandom draws under the path
"<layer>.lora_A.<adapter>", "<layer>.lora_B.<adapter>" or "<layer>.delta.<adapter>", <adapter> being
the adapter's place in the list.
"""

import common
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer, LoraModel
from transformers.pytorch_utils import Conv1D

HALF = ["q", "up"]
SPECIAL = ["embed", "conv1d", "conv2d"]
CONFIGURATIONS = {
    "a": dict(r=4, lora_alpha=8, target_modules=HALF),
    "b": dict(r=4, lora_alpha=2, target_modules=HALF),
    "small": dict(r=2, lora_alpha=6, target_modules=HALF),
    "patterns": dict(r=4, lora_alpha=8, target_modules=HALF, rank_pattern={"up": 2},
                     alpha_pattern={"q": 5}),
    "stabilized": dict(r=4, lora_alpha=6, target_modules=HALF, use_rslora=True),
    "other": dict(r=4, lora_alpha=4, target_modules=["q", "v"]),
    "special": dict(r=3, lora_alpha=3, target_modules=SPECIAL, fan_in_fan_out=True),
    "special2": dict(r=3, lora_alpha=6, target_modules=SPECIAL, fan_in_fan_out=True),
}
FACTORS = ["linear", "ties", "dare_linear", "dare_ties", "magnitude_prune"]
DECOMPOSED = ["svd", "ties_svd", "dare_linear_svd", "dare_ties_svd", "magnitude_prune_svd"]


class Layers(torch.nn.Module):
    """Layers of every kind that LoRA adapts, in no order that computes anything."""

    def __init__(self):
        super().__init__()
        self.block = torch.nn.Module()
        self.block.q = torch.nn.Linear(10, 12, bias=False)
        self.block.up = torch.nn.Linear(12, 9, bias=False)
        self.block.v = torch.nn.Linear(10, 10, bias=False)
        self.embed = torch.nn.Embedding(11, 10)
        self.conv1d = Conv1D(8, 12)
        self.conv2d = torch.nn.Conv2d(3, 5, 3)


def philox(seed, stream, blocks):
    """Philox 4x32-10 of 64-bit key and counters, [blocks, 4] words."""
    c = [blocks & 0xFFFFFFFF, blocks >> 32,
         np.full_like(blocks, stream & 0xFFFFFFFF), np.full_like(blocks, stream >> 32)]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        low = np.uint64(0xFFFFFFFF)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), b & low,
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, 1)


def uniform(shape, seed, path):
    """What SeededRandom(seed:path:) draws from 0..<1."""
    stream = 0xCBF29CE484222325
    for byte in path.encode():
        stream = ((stream ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    count = int(np.prod(shape))
    words = philox(seed, stream, np.arange((count + 3) // 4, dtype=np.uint64)).reshape(-1)[:count]
    return torch.tensor((words >> np.uint64(8)).astype(np.float32) * 2.0 ** -24).reshape(shape)


class CertainDraws:
    """While entered, torch.bernoulli draws what SeededRandom does."""

    def __init__(self, model, adapters, seed):
        self.paths = {id(module): name for name, module in model.base_model.model.named_modules()}
        self.adapters, self.seed, self.queue = adapters, seed, []

    def note(self, target, kinds):
        here = [i for i, name in enumerate(self.adapters)
                if name in target.lora_A or name in target.lora_embedding_A]
        turned = isinstance(target, torch.nn.Module) and (
            isinstance(target.get_base_layer(), (Conv1D, torch.nn.Embedding)))
        path = self.paths[id(target)]
        self.queue = [(f"{path}.{kind}.{i}", turned and kind == "delta")
                      for kind in kinds for i in here]

    def bernoulli(self, probabilities):
        path, turned = self.queue.pop(0)
        shape = probabilities.T.shape if turned else probabilities.shape
        draws = uniform(shape, self.seed, path)
        return ((draws.T if turned else draws) < probabilities).to(probabilities.dtype)

    def __enter__(self):
        self.kept = (torch.bernoulli, LoraModel._svd_generalized_task_arithmetic_weighted_adapter,
                     LoraModel._generalized_task_arithmetic_weighted_adapter)
        _, svd, factors = self.kept

        def noted_svd(model, kind, adapters, weights, rank, target, *rest, **more):
            self.note(target, ["delta"])
            return svd(model, kind, adapters, weights, rank, target, *rest, **more)

        def noted_factors(model, kind, adapters, weights, target, *rest, **more):
            self.note(target, ["lora_A", "lora_B"])
            return factors(model, kind, adapters, weights, target, *rest, **more)

        torch.bernoulli = self.bernoulli
        LoraModel._svd_generalized_task_arithmetic_weighted_adapter = noted_svd
        LoraModel._generalized_task_arithmetic_weighted_adapter = noted_factors

    def __exit__(self, *_):
        (torch.bernoulli, LoraModel._svd_generalized_task_arithmetic_weighted_adapter,
         LoraModel._generalized_task_arithmetic_weighted_adapter) = self.kept


def layers(model, adapter):
    """(path, layer, A, B) of the layers that `adapter` is on."""
    for path, module in model.base_model.model.named_modules():
        if isinstance(module, LoraLayer):
            if adapter in module.lora_A:
                yield (path, module, module.lora_A[adapter].weight.detach(),
                       module.lora_B[adapter].weight.detach())
            elif adapter in module.lora_embedding_A:
                yield (path, module, module.lora_embedding_A[adapter].detach(),
                       module.lora_embedding_B[adapter].detach())


def cases():
    def case(adapters, weights, kind, **more):
        return dict(adapters=adapters, weights=weights, type=kind, **more)

    for kind in FACTORS + ["cat"] + DECOMPOSED:
        more = {} if kind in ("linear", "cat", "svd") else dict(density=0.5)
        yield case(["a", "b"], [0.7, 0.4], kind, **more)
        yield case(["a", "b"], [1.0, -0.6], kind, **more)
        yield case(["special", "special2"], [0.8, -0.3], kind, **more)
        yield case(["a", "other", "b"], [0.5, 1.5, -0.25], kind, **more)
        yield case(["a", "small"], [0.7, 0.4], kind, **more)
        yield case(["a", "patterns"], [0.7, 0.4], kind, **more)
        if "ties" in kind:
            yield case(["a", "other", "b"], [0.5, 1.5, -0.25], kind, sign="frequency", density=0.7)
    for kind in ("linear", "cat", "svd"):
        yield case(["a", "stabilized"], [0.7, 0.4], kind)
        yield case(["stabilized", "a"], [0.7, 0.4], kind)
    for kind in ("svd", "ties_svd", "magnitude_prune_svd"):
        for rank in (1, 7):
            yield case(["a", "b", "small"], [0.7, 0.4, -1.0], kind, svd_rank=rank,
                       **({} if kind == "svd" else dict(density=0.8)))
    yield case(["patterns"], [-0.6], "svd")
    yield case(["a", "a"], [0.5, 0.5], "linear")
    yield case(["a", "b"], [0.0, 1.0], "linear")
    for density in (0.0, 0.13, 1.0):
        yield case(["a", "b"], [0.7, 0.4], "ties", density=density)
        yield case(["a", "b"], [0.7, 0.4], "magnitude_prune_svd", density=density)
    yield case(["a", "b"], [0.7, 0.4], "ties", density=-0.1)
    yield case(["a", "b"], [0.7, 0.4], "ties")
    yield case(["a", "b"], [0.7, 0.4], "ties", density=0.5, sign="loudest")
    yield case(["a", "b"], [0.7, 0.4], "median")
    yield case(["a", "b"], [0.7, 0.4], "dare_linear", density=0.5, seed=7)
    yield case(["a", "b"], [0.7, 0.4], "dare_ties_svd", density=0.25, seed=1 << 40)


def main():
    tensors, adapters, results = {}, {}, []
    torch.manual_seed(11)
    model = None
    for name, settings in CONFIGURATIONS.items():
        config = LoraConfig(init_lora_weights=False, **settings)
        if model is None:
            model = get_peft_model(Layers(), config, adapter_name=name)
        else:
            model.add_adapter(name, config)
        adapters[name] = {}
        for path, layer, a, b in layers(model, name):
            a.normal_(0, 0.5)
            b.normal_(0, 0.5)
            tensors[f"{name}/{path}/a"], tensors[f"{name}/{path}/b"] = a, b
            adapters[name][path] = dict(scale=layer.scaling[name], embedding=path == "embed",
                                        alpha=layer.lora_alpha[name])
    for index, case in enumerate(cases()):
        new = f"{index:03d}"
        case = dict(dict(svd_rank=None, density=None, sign="total", seed=0), name=new, **case)
        results.append(case)
        try:
            with CertainDraws(model, case["adapters"], case["seed"]):
                model.add_weighted_adapter(
                    case["adapters"], case["weights"], new, combination_type=case["type"],
                    svd_rank=case["svd_rank"], density=case["density"],
                    majority_sign_method=case["sign"])
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {error}"
            print(f"{case['type']} of {case['adapters']}: {case['error']}")
            continue
        case["scales"] = {}
        for path, layer, a, b in layers(model, new):
            case["scales"][path] = layer.scaling[new]
            if case["type"] in FACTORS or len(case["adapters"]) == 1:
                tensors[f"{new}/{path}/a"], tensors[f"{new}/{path}/b"] = a, b
            else:
                tensors[f"{new}/{path}/delta"] = (b.flatten(1) @ a.flatten(1))
    common.write(common.fixture("formats", "combinations.safetensors"), tensors)
    common.write_json(common.fixture("formats", "combinations.json"),
                      dict(adapters=adapters, cases=results))
    print(len(results), "cases")


if __name__ == "__main__":
    main()
