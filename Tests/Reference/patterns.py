"""Random patterns and texts with the answers of Python's `re`, for LoRAPatterns.

    python patterns.py ../Fixtures/patterns/python.json        # the fixture: a few hundred cases
    python patterns.py --count 5000 --seed 7 more.json         # many more, to be compared by hand

A case is {"pattern", "texts", "ends", "whole"}: of each text, where a match ends that starts at each
code point (-1: none; `Pattern.match(text, i)`), and whether `fullmatch` holds; or {"pattern",
"error"} for what `re` refuses. Needs Python 3.11 or later.
"""

import argparse
import json
import random
import re
import warnings

ATOMS = ["a", "b", "c", "ab", ".", r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", "[ab]", "[^a]", "_", "1",
         r"\.", "[a-c1]", r"[\w.]", r"[^\s_]", "[&&a]", "[a--b]", "[a||b]", "[~~a]", "[[a]", "[]a]",
         "[^]a]", r"[\b]", r"[\d-]", "é", "K", r"\x61", r"\u00e9", r"\101", r"\0", "-", "S", "\n",
         "{", "}", "]", "a{,}", r"[\Wa]", r"\-", r"[a\]]", "İ", "µ"]
ANCHORS = ["^", "$", r"\b", r"\B", r"\A", r"\Z"]
QUANTIFIERS = ["*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "{0}", "{0,3}"]
LETTERS = ["a", "b", "c", "ab", "_", "1", " ", ".", "\n", "é", "K", "S", "k", "s", "ſ", "\u212a", "I", "i",
           "ı", "İ", "中", "-", "&", "[", "]", "\x08", "\u00b2", "µ", "μ", "|", "{", "\x1c", "e\u0301"]


def pattern(rng, depth, behind=False):
    def item():
        roll = rng.random()
        if roll < 0.12:
            return rng.choice(ANCHORS)
        if depth > 0 and roll < 0.45:
            opening = rng.choice(["(", "(?:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?s:",
                                  "(?m:", "(?a:", "(?-i:", "(?P<n%d>" % rng.randrange(10**6), "(?x: "])
            return opening + pattern(rng, depth - 1) + ")"
        return rng.choice(ATOMS)

    branches = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = ""
        for _ in range(rng.choice([0, 1, 1, 2, 2, 3])):
            text += item()
            if rng.random() < 0.4:
                text += rng.choice(QUANTIFIERS) + rng.choice(["", "", "", "?", "+"])
        branches.append(text)
    return "|".join(branches)


def case(rng):
    text = pattern(rng, rng.randrange(4))
    if rng.random() < 0.2:
        text = rng.choice(["(?i)", "(?s)", "(?m)", "(?x)", "(?a)", "(?im)", "(?ia)", "(?u)"]) + text
    try:
        compiled = re.compile(text)
    except (re.error, OverflowError) as error:
        return {"pattern": text, "error": str(error)}
    texts = ["".join(rng.choice(LETTERS[: rng.choice([4, 8, len(LETTERS)])])
                     for _ in range(rng.randrange(8))) for _ in range(4)]
    ends = []
    for one in texts:
        matches = [compiled.match(one, i) for i in range(len(one) + 1)]
        ends.append([m.end() if m else -1 for m in matches])
    return {"pattern": text, "texts": texts, "ends": ends,
            "whole": [compiled.fullmatch(one) is not None for one in texts]}


HAND = [  # pattern, texts
    (r".*\bq_proj", ["model.layers.0.self_attn.q_proj", "xq_proj", "q_proj", "k_proj"]),
    (r"(.*\.)?(\bq_proj)$", ["a.b.q_proj", "a.b.xq_proj", "q_proj\n"]),
    (r".*\.self_attn\b.q_proj", ["m.self_attn.q_proj", "m.self_attn_q_proj"]),
    (r"[a-z_&&q]+", ["q_&", "abc"]), (r"[[a-z]]", ["[]", "a]", "a"]),
    (r"(?:(?:a|aa)+)+b", ["aaaab", "aaaa"]), (r"(a*)*", ["aaa", "", "b"]),
    (r"(a|b?)*c", ["abac", "ab", "c"]), (r"(?:a?b??)*c", ["abc", "aabbc"]),
    (r"(?:b?|a)*", ["a", "ab", "ba"]), (r"(?:b?|a){0,3}", ["a", "ba"]), (r"(?:b?|a)+?c", ["ac", "abc"]),
    (r"(?:|a)*b", ["aab", "b"]), (r"(?:(?:a|)(?:b|))*c", ["abbac", "c"]),
    (r"(?:(?:a?)*b?)*c", ["aabac", "b"]), (r"(?<=a)b|(?<!a)c", ["ab", "ac", "cb"]),
    (r"(?<=a|b)c", ["ac", "bc", "cc"]), (r"(?<=(?=ab)a)b", ["ab", "bb"]), (r"\B", ["", "a", "aa"]),
    (r"x{,2}y", ["xxy", "xxxy", "x{,2}y"]), (r"x{,}y", ["xxxy", "y"]), (r"x{}", ["x{}", "x"]),
    (r"x{a}", ["x{a}"]), (r"a$", ["a\n", "a\n\n", "a"]), (r"(?m)^b$", ["a\nb\n", "b"]),
    (r"(?x) a b # c" + "\n d", ["abd", "a b d"]), (r"(?x)[ #]\ ", ["  ", "# "]),
    (r"(?i)straße", ["STRAßE", "STRASSE"]), (r"(?i)[k-s]+", ["KſK\u212a", "J"]), (r"(?ia)k", ["K", "\u212a"]),
    (r"(?i)İ", ["i", "İ", "ı"]), (r"(?i)[^k]", ["K", "\u212a", "x"]), (r"(?i)\u0345", ["ι", "Ι", "\u1fbe"]),
    (r"(?i:a)a", ["Aa", "AA"]), (r"a++ab", ["aab"]), (r"(?>a|ab)c", ["abc", "ac"]),
    (r"(?:a|ab){2}+c", ["abac", "aac"]), (r"(?:ab?)*+b", ["abab", "aab"]), (r"a?+a", ["a", "aa"]),
    (r"(?P<x>a)(?P<y>b)", ["ab"]), (r"\07\x07\u0007\U00000007", ["\x07\x07\x07\x07"]),
    (r"a**", []), (r"a{2}{3}", []),
    (r"^*", []), (r"a|*", []), (r"(?<=a+)b", []), (r"b(?i)", []), (r"(?z)a", []), (r"(?-i)a", []),
    (r"[b-a]", []), (r"[\d-z]", []), (r"\q", []), (r"[\Z]", []), (r"\xg1", []), (r"(?P<1>a)", []),
    (r"(?P<x>a)(?P<x>b)", []), (r"(", []), (r")", []), (r"[a", []), (r"a{3,2}", []), ("a\\", []),
    (r"(?#abc", []), (r"\777", []), (r"(?L)a", []), (r"(?au)a", []), (r"(?<x>a)", []),
]


def hand(text, texts):
    try:
        compiled = re.compile(text)
    except (re.error, OverflowError) as error:
        return {"pattern": text, "error": str(error)}
    ends = [[m.end() if (m := compiled.match(one, i)) else -1 for i in range(len(one) + 1)]
            for one in texts]
    return {"pattern": text, "texts": texts, "ends": ends,
            "whole": [compiled.fullmatch(one) is not None for one in texts]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(arguments.seed)
    cases = [hand(*one) for one in HAND]
    refused = 0
    while len(cases) < arguments.count:
        one = case(rng)
        if "error" in one:
            refused += 1
            if refused % 8:
                continue
        cases.append(one)
    with open(arguments.output, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(one) for one in cases) + "\n]\n")


if __name__ == "__main__":
    main()
