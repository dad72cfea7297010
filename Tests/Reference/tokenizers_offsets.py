"""Writes digests of the tokens and offsets that `tokenizers` finds in hostile.json, of every fixture.

    .venv/bin/python Tests/Reference/tokenizers_offsets.py        # Tests/Fixtures/text/offsets.json

A digest is the 64-bit FNV-1a hash of, for each text: its ids, its tokens in UTF-8 with a byte of 0xFF
behind each, and its offsets; numbers as 32-bit ones, little-endian, each list ended by 2^32 - 1.
tokenizers_fuzz.py shows where one differs.
"""

import json
from pathlib import Path

from common import fixture


def digest(rows):
    value = 0xCBF29CE484222325

    def add(data):
        nonlocal value
        for byte in data:
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF

    for ids, tokens, offsets in rows:
        for number in [*ids, 0xFFFFFFFF]:
            add(number.to_bytes(4, "little"))
        for token in tokens:
            add(token.encode() + b"\xff")
        for number in [*offsets, 0xFFFFFFFF]:
            add(number.to_bytes(4, "little"))
    return f"{value:016x}"


def main():
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    folder = Path(fixture("text"))
    texts = json.loads((folder / "hostile.json").read_text())
    digests = {}
    for path in sorted(folder.glob("*.expected.json")):
        name = path.name.removesuffix(".expected.json")
        if (folder / name).is_dir():
            t = AutoTokenizer.from_pretrained(folder / name).backend_tokenizer
        else:
            t = Tokenizer.from_file(str(folder / f"{name}.json"))
        t.no_truncation()
        digests[name] = digest((e.ids, e.tokens, [p for pair in e.offsets for p in pair]) for e in t.encode_batch(texts))
    (folder / "offsets.json").write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
