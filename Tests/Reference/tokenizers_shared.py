"""Writes what `tokenizers` makes of the texts in a folder of shared data, as digests or in full.

    .venv/bin/python Tests/Reference/tokenizers_shared.py ../shared Tests/Fixtures/text/shared.json
    .venv/bin/python Tests/Reference/tokenizers_shared.py ../shared FOLDER --full

The first is committed: for each tokenizer and file the number of texts and of ids, and the 64-bit
FNV-1a hash of all ids (little-endian 32-bit, each text ended by 2^32 - 1), with special tokens. The
texts of a file are: its first 20,000 code points; of .json and .jsonl every string and key, in order;
of .txt every line; of these every n-th, n the file's bytes divided by 40,000 and rounded up. With
`--full` it takes the whole file and every text, and writes a line of JSON for each with text, ids
and decodings.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer


def strings(value):
    """Every string of a JSON value, keys included, in the order of the text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)
    elif isinstance(value, dict):
        for key, element in value.items():
            yield key
            yield from strings(element)


def texts(path, full):
    """The texts of a data file; see above."""
    raw = path.read_bytes().decode()
    if full:
        return [raw, *parts(path, raw)]
    return [raw[:20000], *list(parts(path, raw))[::-(-path.stat().st_size // 40000)]]


def parts(path, raw):
    """The strings or lines of a data file."""
    if path.suffix == ".json":
        yield from strings(json.loads(raw))
    elif path.suffix == ".jsonl":
        for line in raw.split("\n"):
            if line:
                yield from strings(json.loads(line))
    else:
        yield from raw.split("\n")


def digest(rows):
    """FNV-1a over the ids of all texts."""
    value = 0xCBF29CE484222325
    for row in rows:
        for id in [*row, 0xFFFFFFFF]:
            # Four bytes at once would be another hash; this is the usual one.
            for shift in (0, 8, 16, 24):
                value = ((value ^ (id >> shift & 0xFF)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main():
    shared, out = Path(sys.argv[1]), Path(sys.argv[2])
    full = "--full" in sys.argv
    tokenizers = {
        "tokenizers/gpt2": Tokenizer.from_file(str(shared / "tokenizers/gpt2/tokenizer.json")),
        "tokenizers/qwen3": AutoTokenizer.from_pretrained(shared / "tokenizers/qwen3").backend_tokenizer,
        "models/stories260k": Tokenizer.from_file(str(shared / "models/stories260k/tokenizer.json")),
    }
    files = sorted(p for p in (shared / "data").iterdir() if p.suffix in (".json", ".jsonl", ".txt"))
    results = []
    for name, tokenizer in tokenizers.items():
        tokenizer.no_truncation()
        for path in files:
            chosen = texts(path, full)
            ids = [e.ids for e in tokenizer.encode_batch(chosen)]
            if full:
                out.mkdir(parents=True, exist_ok=True)
                with open(out / f"{name.replace('/', '-')}-{path.stem}.jsonl", "w") as file:
                    for text, row in zip(chosen, ids):
                        json.dump({"text": text, "ids": row, "decoded": tokenizer.decode(row),
                                   "decodedWithSpecial": tokenizer.decode(row, skip_special_tokens=False)}, file)
                        file.write("\n")
            results.append({"tokenizer": name, "file": path.name, "texts": len(chosen),
                            "ids": sum(map(len, ids)), "digest": digest(ids)})
    if not full:
        out.write_text("[\n" + ",\n".join(json.dumps(r) for r in results) + "\n]\n")


if __name__ == "__main__":
    main()
