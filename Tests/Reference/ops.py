"""Forward values and gradients of every differentiable operation, by PyTorch in float64.

usage: .venv/bin/python Tests/Reference/ops.py      -> Tests/Fixtures/ops/ops.safetensors

Tensors `<operation>.<case>/in0`, `/in1`, ..., `/dy` (the upstream gradient), `/out`, and `/d0`,
`/d1`, ... for the inputs that have a gradient. The metadata's `cases` is a JSON list of
{operation, case, parameters, inputs, gradients}; `gradients` names the inputs with a `/d<i>`.
Inputs are float32 numbers; results are computed from them in float64 and rounded once.
"""

import math

import torch
import torch.nn.functional as F

from common import fixture, write

generator = torch.Generator().manual_seed(20240601)
tensors, cases = {}, []


def normal(*shape, std=1.0):
    """Gaussian numbers that float32 holds exactly, as float64."""
    return (torch.randn(shape, generator=generator) * std).double()


def uniform(low, high, *shape):
    return (torch.rand(shape, generator=generator) * (high - low) + low).float().double()


def integers(high, *shape):
    return torch.randint(0, high, shape, generator=generator)


def case(operation, name, function, inputs, **parameters):
    """Runs `function(*inputs, **parameters)` and its backward pass, and records both."""
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    differentiable = [i for i, x in enumerate(inputs) if x.requires_grad]
    out = function(*inputs, **parameters)
    dy = normal(*out.shape)
    gradients = torch.autograd.grad(out, [inputs[i] for i in differentiable], dy)
    prefix = f"{operation}.{name}"
    assert prefix + "/out" not in tensors, prefix
    for i, x in enumerate(inputs):
        tensors[f"{prefix}/in{i}"] = x
    tensors[f"{prefix}/dy"] = dy
    tensors[f"{prefix}/out"] = out
    for i, gradient in zip(differentiable, gradients):
        tensors[f"{prefix}/d{i}"] = gradient
    cases.append(
        dict(operation=operation, case=name, parameters=parameters, inputs=len(inputs),
             gradients=differentiable))


# Linear layers: x [.., in], w [out, in], b [out], A [r, in], B [out, r]


def linear(x, w, *b, bias):
    return F.linear(x, w, *b)


def lowrank_linear(x, w, *rest, bias, scale):
    """y = x Wᵀ (+ b) + s (x Aᵀ) Bᵀ; inputs x, w, [b,] A, B."""
    a, b = rest[-2:]
    y = F.linear(x, w, rest[0]) if bias else F.linear(x, w)
    return y + scale * (x @ a.T) @ b.T


for name, shape, out, bias in [
    ("rank2", (3, 5), 4, False), ("rank2_bias", (3, 5), 4, True), ("rank3", (2, 3, 8), 6, False),
    ("rank3_bias", (2, 3, 8), 6, True), ("one_row", (1, 17), 9, True), ("wide", (2, 33), 19, False),
]:
    inputs = [normal(*shape), normal(out, shape[-1])] + ([normal(out)] if bias else [])
    case("linear", name, linear, inputs, bias=bias)

for name, shape, out, rank, bias, scale in [
    ("rank2", (3, 5), 4, 2, False, 2.0), ("rank2_bias", (3, 5), 4, 2, True, 0.5),
    ("rank3", (2, 3, 8), 6, 3, False, 1.5), ("rank3_bias", (2, 3, 8), 6, 3, True, 4.0),
    ("rank_one", (2, 2, 9), 7, 1, True, 1.0), ("rank_above_side", (4, 6), 3, 5, False, 0.25),
]:
    inputs = [normal(*shape), normal(out, shape[-1])] + ([normal(out)] if bias else [])
    inputs += [normal(rank, shape[-1]), normal(out, rank)]
    case("lowrank_linear", name, lowrank_linear, inputs, bias=bias, scale=scale)


# Embedding: ids, table [vocabulary, dim]; a repeated id sums its gradients


def embedding(ids, table):
    return F.embedding(ids, table)


case("embedding", "rank1", embedding, [torch.tensor([3, 0, 3, 6]), normal(7, 5)])
case("embedding", "rank2", embedding, [integers(11, 2, 6), normal(11, 8)])


# Normalization over the last dimension


def rmsnorm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def layernorm(x, weight, *b, bias, eps):
    return F.layer_norm(x, x.shape[-1:], weight, b[0] if bias else None, eps)


for name, shape, eps, std in [
    ("rank2", (3, 8), 1e-5, 1.0), ("rank3", (2, 3, 19), 1e-6, 2.0), ("small", (2, 16), 1e-2, 0.05),
]:
    case("rmsnorm", name, rmsnorm, [normal(*shape, std=std), normal(shape[-1])], eps=eps)
    for bias in (False, True):
        inputs = [normal(*shape, std=std) + 0.5, normal(shape[-1])]
        inputs += [normal(shape[-1])] if bias else []
        suffix = "_bias" if bias else ""
        case("layernorm", name + suffix, layernorm, inputs, bias=bias, eps=eps)


# Rotary embedding: x [B, T, H, D]; position t is offset + t, or in1 [B, T] where given


def rotary(x, *positions, base, rotary, adjacent, offset):
    time = torch.arange(x.shape[1], dtype=torch.float64)[None] + offset
    time = positions[0].double() if positions else time
    frequency = base ** (-torch.arange(0, rotary, 2, dtype=torch.float64) / rotary)
    angle = time[..., None, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    turned, rest = x[..., :rotary], x[..., rotary:]
    if adjacent:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : rotary // 2], turned[..., rotary // 2:]
    pair = (a * cos - b * sin, b * cos + a * sin)
    turned = torch.stack(pair, -1).flatten(-2) if adjacent else torch.cat(pair, -1)
    return torch.cat((turned, rest), -1)


for name, shape, base, dims, offset in [
    ("whole", (2, 5, 2, 8), 10000.0, 8, 0), ("offset", (1, 4, 3, 6), 10000.0, 6, 37),
    ("partial", (2, 3, 2, 10), 500.0, 4, 2),
]:
    for adjacent in (False, True):
        case("rotary", name + ("_adjacent" if adjacent else "_half"), rotary, [normal(*shape)],
             base=base, rotary=dims, adjacent=adjacent, offset=offset)
case("rotary", "positions", rotary,
     [normal(2, 4, 2, 6), torch.tensor([[0, 1, 2, 3], [9, 10, 30, 31]])],
     base=10000.0, rotary=6, adjacent=False, offset=0)


# Causal attention: q [B, T, H, D], k and v [B, S, K, D]; the queries are the last T of S positions


def attention(q, k, v, scale, window):
    """A query at position p sees the keys in max(0, p - window + 1) ... p."""
    group = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(group, dim=2) for x in (k, v))
    score = torch.einsum("bthd,bshd->bhts", q, k) * scale
    key = torch.arange(k.shape[1])[None]
    query = torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
    visible = key <= query
    if window is not None:
        visible = visible & (key > query - window)
    weight = score.masked_fill(~visible, -math.inf).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", weight, v)


for name, batch, time, keys, heads, groups, dim, window, scale in [
    ("t1", 2, 1, 1, 2, 2, 4, None, None), ("t5", 2, 5, 5, 2, 2, 6, None, None),
    ("t5_grouped", 2, 5, 5, 6, 2, 4, None, None), ("t5_one_group", 1, 5, 5, 3, 1, 5, None, 0.3),
    ("t5_window", 2, 5, 5, 4, 2, 4, 2, None), ("t5_window_one", 1, 5, 5, 2, 1, 4, 1, None),
    ("t33_grouped", 1, 33, 33, 4, 2, 8, None, None), ("t33_window", 1, 33, 33, 2, 1, 8, 8, None),
    ("t70_grouped", 1, 70, 70, 2, 1, 8, None, None), ("t70_window", 1, 70, 70, 2, 1, 4, 40, None),
    ("cached", 2, 3, 9, 4, 2, 4, None, None), ("cached_window", 1, 3, 9, 2, 1, 4, 4, None),
    ("cached_one", 2, 1, 9, 4, 2, 4, None, None),
]:
    case("attention", name, attention,
         [normal(batch, time, heads, dim, std=1.5), normal(batch, keys, groups, dim, std=1.5),
          normal(batch, keys, groups, dim)],
         scale=scale if scale else dim ** -0.5, window=window)


# Per element

UNARY = {
    "silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "exp": torch.exp,
    "log": torch.log, "sqrt": torch.sqrt,
}
wide = torch.tensor([-90, -30.5, -11, -6, -3.25, -1, -1e-4, 1e-4, 0.5, 2, 5.5, 9, 31, 88]).double()
for operation, function in UNARY.items():
    if operation in ("log", "sqrt"):
        values = torch.tensor([1e-6, 1e-3, 0.5, 1, 2.5, 1e3, 1e6]).double()
        case(operation, "rank1", function, [values])
        case(operation, "rank3", function, [uniform(0.1, 4, 2, 3, 5)])
    else:
        values = wide.clamp(-80, 80) if operation == "exp" else wide
        case(operation, "rank1", function, [values.float().double()])
        case(operation, "rank3", function, [normal(2, 3, 5, std=2)])

for operation in ("silu", "gelu", "gelu_tanh"):
    gated = lambda gate, up, f=UNARY[operation]: f(gate) * up  # noqa: E731
    case("gated_" + operation, "rank2", gated, [normal(3, 7, std=2), normal(3, 7)])
    case("gated_" + operation, "rank3", gated, [normal(2, 2, 19, std=3), normal(2, 2, 19)])

BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
SHAPES = {
    "same": ((2, 3, 4), (2, 3, 4)), "vector": ((2, 3, 4), (4,)), "column": ((2, 3, 4), (3, 1)),
    "both": ((2, 1, 4), (3, 1)), "left": ((5,), (3, 5)), "scalar": ((2, 3), ()),
}
for operation, function in BINARY.items():
    for name, (left, right) in SHAPES.items():
        other = normal(*right)
        if operation == "div":
            other = other.sign() * uniform(0.5, 2, *right)
        case(operation, name, function, [normal(*left), other])
case("scale", "rank2", lambda x, factor: x * factor, [normal(3, 5)], factor=-2.5)
case("scale", "zero", lambda x, factor: x * factor, [normal(2, 3)], factor=0.0)


# Reductions; `axis` null: over everything, to a scalar


def total(x, axis, keepdim):
    return x.sum() if axis is None else x.sum(axis, keepdim=keepdim)


def average(x, axis, keepdim):
    return x.mean() if axis is None else x.mean(axis, keepdim=keepdim)


for operation, function in (("sum", total), ("mean", average)):
    case(operation, "all", function, [normal(2, 3, 4)], axis=None, keepdim=False)
    case(operation, "last", function, [normal(2, 3, 5)], axis=-1, keepdim=False)
    case(operation, "last_kept", function, [normal(2, 3, 5)], axis=-1, keepdim=True)
    case(operation, "first", function, [normal(4, 3)], axis=0, keepdim=False)

case("softmax", "rank2", lambda x: x.softmax(-1), [normal(3, 7, std=2)])
case("softmax", "rank3", lambda x: x.softmax(-1), [normal(2, 3, 19)])
case("softmax", "large", lambda x: x.softmax(-1), [normal(2, 9, std=60)])


# Cross-entropy: logits [N, V], targets [N], -100 is ignored; mean over the counted ones, or sum


def cross_entropy(logits, targets, ignore_index, reduction):
    return F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction=reduction)


for reduction in ("mean", "sum"):
    targets = integers(7, 5)
    case("cross_entropy", reduction, cross_entropy, [normal(5, 7, std=2), targets],
         ignore_index=-100, reduction=reduction)
    ignored = integers(37, 6).masked_fill(torch.tensor([1, 0, 0, 1, 0, 0]).bool(), -100)
    case("cross_entropy", reduction + "_ignored", cross_entropy, [normal(6, 37, std=3), ignored],
         ignore_index=-100, reduction=reduction)
case("cross_entropy", "large", cross_entropy, [normal(3, 9, std=80), integers(9, 3)],
     ignore_index=-100, reduction="mean")
case("cross_entropy", "sum_all_ignored", cross_entropy, [normal(2, 5), torch.tensor([-100, -100])],
     ignore_index=-100, reduction="sum")


# Matrices and shapes

for name, left, right in [
    ("rank2", (3, 4), (4, 5)), ("rank3", (2, 3, 4), (2, 4, 5)), ("vector_row", (1, 7), (7, 3)),
    ("large", (17, 9), (9, 11)), ("rank3_matrix", (2, 3, 4), (4, 5)),
]:
    case("matmul", name, torch.matmul, [normal(*left), normal(*right)])

for name, shape, axes in [
    ("rank2", (3, 4), [1, 0]), ("swap_middle", (2, 3, 4, 5), [0, 2, 1, 3]),
    ("rotate", (2, 3, 4), [2, 0, 1]), ("same", (2, 3), [0, 1]),
]:
    case("transpose", name, lambda x, axes: x.permute(axes), [normal(*shape)], axes=axes)

for name, old, new in [
    ("flatten", (2, 3, 4), [24]), ("split", (2, 6), [2, 3, 2]), ("merge", (2, 3, 4), [6, 4]),
]:
    case("reshape", name, lambda x, shape: x.reshape(shape), [normal(*old)], shape=new)


def part(x, axis, start, end):
    return x.narrow(axis, start, end - start)


for name, shape, axis, start, end in [
    ("first", (5, 3), 0, 1, 4), ("last", (2, 3, 6), 2, 2, 5), ("middle", (2, 4, 3), 1, 0, 2),
    ("whole", (3, 2), 0, 0, 3),
]:
    case("slice", name, part, [normal(*shape)], axis=axis, start=start, end=end)

for name, shapes, axis in [
    ("first", [(2, 3), (1, 3)], 0), ("last", [(2, 3, 2), (2, 3, 5)], 2),
    ("three", [(2, 1, 3), (2, 4, 3), (2, 2, 3)], 1),
]:
    case("concatenate", name, lambda *xs, axis: torch.cat(xs, axis), [normal(*s) for s in shapes],
         axis=axis)

write(fixture("ops", "ops.safetensors"), tensors, cases=cases)
print(f"{len(cases)} cases of {len({c['operation'] for c in cases})} operations")
