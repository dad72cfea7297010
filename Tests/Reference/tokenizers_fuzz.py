"""Writes what `tokenizers` makes of many random strings with a tokenizer of every kind.

    .venv/bin/python Tests/Reference/tokenizers_fuzz.py FOLDER [TOKENIZER...] [--count 10000] [--seed 1]
    LORA_TOKENIZER_CASES=FOLDER swift test --filter TokenizerCases

Of each kind that tokenizers_kinds.py trains, and of each further TOKENIZER (a tokenizer.json or a folder
with one), a file of cases: ids with special tokens, tokens, offsets,
token types of pairs, and decodings. The strings are
of words of the corpus, of all of Unicode, of marks, white space and special tokens, a few very long.
With `--texts FILE` the strings are those of that file instead, every line or string of its JSON.
"""

import argparse
import json
import random
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer

from tokenizers_fixtures import CORPUS, HOSTILE
from tokenizers_kinds import build
from tokenizers_shared import parts

RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0, 0x2F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF),
          (0x600, 0x6FF), (0x900, 0xDFF), (0xE00, 0x10FF), (0x1100, 0x11FF), (0x1E00, 0x2BFF), (0x3000, 0x30FF), (0x3040, 0x30FF),
          (0x4E00, 0x4FFF), (0xA000, 0xABFF), (0xAC00, 0xAD00), (0xF900, 0xFFFF), (0x10000, 0x1FFFF), (0x1F300, 0x1FAFF),
          (0x20000, 0x2FFFF), (0xE0000, 0x10FFFF), (0, 0x10FFFF)]
ODD = ["\u200d", "\ufe0f", "\u0301", "\u0308", "\u3099", "\u309a", "\r\n", "\r", "\n", "\t", " ", "  ", "\u00a0", "\u3000", "▁",
       "##", "</w>", "\u0600", "\u06dd", "\u00a9", "\u00ae", "\U0001F600", "\u20e3", "\u00ad", "\u200b", "\ufeff", "\x00", "'s", " n't",
       " do not", " .", "q\u0301", "ｅ\u0301"]


def text(rng, words, specials):
    pieces = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 21])):
        kind = rng.random()
        if kind < 0.35:
            pieces.append(rng.choice(words) + rng.choice(["", " ", " ", ","]))
        elif kind < 0.45:
            pieces.append(rng.choice(ODD))
        elif kind < 0.48:
            pieces.append(rng.choice(specials))
        elif kind < 0.5:
            pieces.append(rng.choice(["a", "ab", "é", "日", "e\u0301", "\U0001F600", "xyz", " "]) * rng.choice([3, 40, 130]))
        else:
            low, high = rng.choice(RANGES)
            for _ in range(rng.choice([1, 1, 2, 4])):
                code = rng.randint(low, high)
                pieces.append(chr(code if not 0xD800 <= code < 0xE000 else 0x41))
    result = "".join(pieces)
    return unicodedata.normalize(rng.choice(["NFC", "NFD"]), result) if rng.random() < 0.1 else result


def row(text, encoding, **rest):
    """A case of an encoding: offsets flat, so that files stay small."""
    return {"text": text, "ids": encoding.ids, "tokens": encoding.tokens,
            "offsets": [place for pair in encoding.offsets for place in pair], **rest}


def cases_of(t, texts):
    """The ids and decodings of texts, four of which in a row are also two pairs."""
    encodings = t.encode_batch(texts)
    for text, encoding in zip(texts, encodings):
        yield row(text, encoding, decoded=t.decode(encoding.ids), skip=True)
    for first, second in zip(texts[::4], texts[1::4]):
        encoding = t.encode(first, second)
        yield row(first, encoding, second=second, pair=True, types=encoding.type_ids)


def cases(t, count, rng):
    words = sorted({w for line in CORPUS for w in line.split()} | {c for line in CORPUS[4:7] for c in line})
    specials = [token.content for token in t.get_added_tokens_decoder().values()] or ["<s>"]
    size = t.get_vocab_size()
    for i in range(count):
        first = HOSTILE[i] if i < len(HOSTILE) else text(rng, words, specials)
        encoding = t.encode(first)
        skip = rng.random() < 0.5
        yield row(first, encoding, decoded=t.decode(encoding.ids, skip_special_tokens=skip), skip=skip)
        if i % 4 == 0:
            second = text(rng, words, specials) if i % 8 else None
            encoding = t.encode(first, second)
            yield row(first, encoding, second=second, pair=True, types=encoding.type_ids)
        if i % 10 == 0:
            ids = [rng.randrange(size + 2) for _ in range(rng.randrange(14))]
            yield {"ids": ids, "decoded": t.decode(ids, skip_special_tokens=skip), "skip": skip}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizers", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kinds = [] if options.texts else list(build(CORPUS))
    texts = list(parts(options.texts, options.texts.read_bytes().decode())) if options.texts else []
    for path in options.tokenizers:
        file = path / "tokenizer.json" if path.is_dir() else path
        name = f"{path.stem}-{options.texts.stem}" if options.texts else path.stem
        kinds.append((name, Tokenizer.from_file(str(file))))
    for name, t in kinds:
        t.no_truncation()
        t.no_padding()
        (options.folder / f"{name}.json").write_text(t.to_str())
        with open(options.folder / f"{name}.jsonl", "w") as file:
            rng = random.Random(options.seed)
            for case in cases_of(t, texts) if options.texts else cases(t, options.count, rng):
                file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    main()
