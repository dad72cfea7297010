"""Marks of what layers change.

Of each layer's change of the weight, W' - W, a mark is kept: its shape, its column sums and its
Frobenius norm, which follow from the factors without forming the product and do not depend on the
order of rows (GGUF permutes those of Llama's query and key projections).
"""

import math

from tensorfiles import floats


#: The smallest normal numbers.
SMALLEST = {"F32": 1.2e-38, "BF16": 1.2e-38, "F16": 6.2e-5}


class Refusable(Exception):
    """What a strict reader must refuse, and why."""


class Unsure(Exception):
    """What this reader has no opinion on."""


class Mark:
    """A layer's change."""

    def __init__(self, shape, columns, norm, note=""):
        self.shape, self.columns, self.norm, self.note = shape, columns, norm, note

    def scaled(self, s):
        return Mark(self.shape, [s * c for c in self.columns], abs(s) * self.norm, self.note)

    def differs(self, other, tolerance):
        """Why the two are not the same, or None."""
        if self.shape != other.shape:
            return f"shape {list(self.shape)}, then {list(other.shape)}"
        if self.note != other.note:
            return f"{self.note or 'plain'}, then {other.note or 'plain'}"
        size = max(self.norm, other.norm)
        # What no float32 weight could show is no loss.
        if not math.isfinite(size) or size < 1e-36:
            return None
        if abs(self.norm - other.norm) > tolerance * size:
            return f"norm {self.norm:.6g}, then {other.norm:.6g}"
        # Column sums of n rows differ by at most sqrt(n) times the norm of the difference.
        limit = tolerance * size * math.sqrt(self.shape[0]) + 1e-30
        for index, (x, y) in enumerate(zip(self.columns, other.columns)):
            if abs(x - y) > limit:
                return f"column {index} sums to {x:.6g}, then {y:.6g}"
        return None


class Adapter:
    """Layers' marks by path, and what else there is: {name: (shape, sum of squares)}."""

    def __init__(self):
        self.layers, self.extras = {}, {}


def canonical(path):
    """A path without what formats call differently."""
    path = path.replace(".", "_")
    for prefix in ("transformer_", "model_"):
        if path.startswith(prefix):
            path = path[len(prefix) :]
    return path


def numbers(t):
    if t.dtype not in ("F32", "F16", "BF16"):
        raise Unsure(f"{t.name!r} is {t.dtype}")
    values = floats(t.dtype, t.data)
    if not all(map(math.isfinite, values)):
        raise Refusable(f"{t.name!r} is not finite")
    return values


def low_rank(a, b, scale, note=""):
    """The mark of scale B A; A is [r, inputs...], B [outputs, r, 1...]."""
    if len(a.shape) < 2 or len(a.shape) != len(b.shape) or any(e != 1 for e in b.shape[2:]):
        raise Refusable(f"{a.name!r} {a.shape} and {b.name!r} {b.shape} are no pair")
    rank, outputs = a.shape[0], b.shape[0]
    if b.shape[1] != rank or 0 in a.shape or 0 in b.shape:
        raise Refusable(f"{a.name!r} {a.shape} and {b.name!r} {b.shape} do not fit")
    if rank > 64:
        raise Unsure("a large rank")
    x, y = numbers(a), numbers(b)
    inputs = len(x) // rank
    rows = [x[r * inputs : (r + 1) * inputs] for r in range(rank)]
    columns = [y[r::rank] for r in range(rank)]
    sums = [math.fsum(c) for c in columns]
    total = [scale * sum(sums[r] * rows[r][i] for r in range(rank)) for i in range(inputs)]
    square = 0.0
    for r in range(rank):
        for q in range(rank):
            square += _dot(rows[r], rows[q]) * _dot(columns[r], columns[q])
    if any(0 < max(map(abs, v)) < 64 * SMALLEST[t.dtype] for v, t in ((x, a), (y, b))):
        # Next to the subnormal numbers a scale cannot be folded in.
        square = math.inf
    # A convolution's extents are compared flat: formats keep 1x1 kernels with and without them.
    return Mark((outputs, inputs), total, abs(scale) * math.sqrt(max(square, 0.0)), note)


def _dot(x, y):
    return math.fsum(map(float.__mul__, map(float, x), map(float, y)))


def dense(rows, scale, note):
    """The mark of a matrix given as a list of rows."""
    columns = [scale * math.fsum(c) for c in zip(*rows)]
    norm = math.sqrt(math.fsum(v * v for row in rows for v in row))
    return Mark((len(rows), len(rows[0])), columns, abs(scale) * norm, note)


def matrix(t):
    if len(t.shape) != 2 or 0 in t.shape:
        raise Refusable(f"{t.name!r} is no matrix: {t.shape}")
    values, width = numbers(t), t.shape[1]
    return [values[i : i + width] for i in range(0, len(values), width)]


def multiplied(left, right):
    columns = list(zip(*right))
    if len(left[0]) != len(right):
        raise Refusable("factors do not fit")
    return [[_dot(row, column) for column in columns] for row in left]


def hadamard(parts, scale):
    first = multiplied(matrix(parts["hada_w1_a"]), matrix(parts["hada_w1_b"]))
    second = multiplied(matrix(parts["hada_w2_a"]), matrix(parts["hada_w2_b"]))
    if len(first) != len(second) or len(first[0]) != len(second[0]):
        raise Refusable("LoHa's products have two shapes")
    return dense([[x * y for x, y in zip(p, q)] for p, q in zip(first, second)], scale, "LoHa")


def kronecker(parts, scale):
    sides = []
    for side in ("lokr_w1", "lokr_w2"):
        if side in parts:
            sides.append(matrix(parts[side]))
        else:
            sides.append(multiplied(matrix(parts[side + "_a"]), matrix(parts[side + "_b"])))
    rows = [[x * y for x in p for y in q] for p in sides[0] for q in sides[1]]
    return dense(rows, scale, "LoKr")
