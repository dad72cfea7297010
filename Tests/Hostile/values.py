"""JSON that may say what JSON cannot, and the values that programs stumble over."""

import json


class Raw(str):
    """Text that stands in a JSON document as it is."""


class Pairs(list):
    """An object as its (key, value) pairs, so that keys may stand twice."""


def parse(content):
    return json.loads(content, object_pairs_hook=Pairs)


def dumps(tree):
    parts = []
    _write(tree, parts)
    return "".join(parts).encode("utf-8", "surrogatepass")


def _write(value, parts):
    if isinstance(value, Raw):
        parts.append(value)
    elif isinstance(value, Pairs):
        parts.append("{")
        for index, (key, item) in enumerate(value):
            parts.append((", " if index else "") + json.dumps(key) + ": ")
            _write(item, parts)
        parts.append("}")
    elif isinstance(value, list):
        parts.append("[")
        for index, item in enumerate(value):
            parts.append(", " if index else "")
            _write(item, parts)
        parts.append("]")
    else:
        parts.append(json.dumps(value))


#: Names that would write on a terminal: a color, a bell, a line that looks like the program's own.
TEXTS = [
    "\x1b[31mZ\x07", "\nFORGED: line\n", "\x9b31m", "\x7f\x08", "\u202e", "\r", "\x00", "\t",
    "\u0085", "e\u0301",
]

#: Regular expressions that are slow, odd or no expressions.
PATTERNS = [
    "(a+)+$", "(?:(?:a|aa)+)+b", ".*.*.*.*.*.*x", "(", "[", "\\", "a{1000000}", "(?<=a)b", "(?R)",
    "\\p{Foo}", "(?i)\\b", "[a&&b]", "\\1(a)", "((((((((((a*)*)*)*)*)*)*)*)*)*", ".", "", "a|",
    "(a|a)*$", "(.*)*x", "(\\w+\\s?)+!", "(?=(a+))a*b", "[^\\s]+|\\s+(?!\\S)", "(?s:.)", "\\X", "a??",
    "x*", "(?>a+)b", "a++b", "\\b", "^", "$", "(?m)^a$", "[\\p{L}--[a-z]]", "\\p{Script=Han}+", "\\d{3}",
    "(?P<n>a)(?P=n)", "\\u{110000}", "[z-a]", "(?:)*", "^*", "\\p{L}{0,1000}{0,1000}",
]

VALUES = [
    "0", "-1", "1", "2", "3", "255", "65536", "2147483647", "2147483648", "4294967296",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "99999999999999999999999999", "1e308", "1e999", "-1e999", "NaN", "Infinity", "-Infinity",
    "0.5", "1e-320", "-0.0", "1e-45", "3.4e38", "1e39", "true", "false", "null", '""', '"0"',
    '"9223372036854775807"', '"float32"', '"all-linear"', '"NaN"', "[]", "{}", "[1]", "[null]",
    '[[1, 2], ["a"]]', '{"a": 1}', '["q_proj", "q_proj"]', '[0, 0]', "[-1]", "[9223372036854775807]",
    '"\\ud800"', '"\\u0000"', '"\x1b[31m"', '"\xff"', "+1", "01", ".5", "1.", "0x10", "'a'",
    "1" * 400, "0." + "1" * 400, "[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000,
    '"' + "A" * 100000 + '"', '"' + "A " * 20000 + '"',
] + [json.dumps(t) for t in TEXTS] + [json.dumps(p) for p in PATTERNS]


_WHOLE = [
    "0", "-1", "1", "2", "7", "1000", "100000000", "2147483648", "4294967296",
    "9223372036854775807", "9223372036854775807", "9223372036854775808", "-9223372036854775808"]
_REAL = [
    "0", "-1", "1e308", "1e999", "-1e999", "nan", "inf", "-inf", "1e-320", "0.5", "-0.0", "1e6",
    "1e30", "-1e30", "1e-30", "3.4e38", "1e39", "1e10", "9223372036854775807"]
_ODD = ["", " 1", "0x10", "abc", "1,5", "\u0661", "1GiB", "0B", "99999999999GiB", "+1", "1_000"]


def number_text(source):
    """A number as an argument of a command line."""
    return source.choice(source.choice([_WHOLE, _WHOLE, _REAL, _REAL, _ODD]))
