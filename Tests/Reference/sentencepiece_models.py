"""Trains SentencePiece models of every kind, and writes what `sentencepiece` makes of texts with them.

    .venv/bin/python Tests/Reference/sentencepiece_models.py              # Tests/Fixtures/text/sentencepiece
    .venv/bin/python Tests/Reference/sentencepiece_models.py FOLDER --count 10000 [--texts FILE]...
    LORA_TOKENIZER_CASES=FOLDER swift test --filter TokenizerCases

Of each model NAME.model and NAME.jsonl: ids, pieces, offsets and the decoded text of tokenizers_fuzz.py's
strings, and decodings of random ids. The fixtures are of models with a small map of replacements, and
have of each a digest of all that (tokenizers_offsets.py) over hostile.json.
"""

import argparse
import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece as spm

from common import fixture
from tokenizers_fixtures import CORPUS, HOSTILE
from tokenizers_fuzz import text
from tokenizers_offsets import digest
from tokenizers_shared import parts

# What the fixtures' normalizer replaces: code points in base 16.
RULES = {"\uff21": "A", "\uff41": "a", "\u2026": "...", "\u3000": " ", "\t": " ", "\n": " ", "e\u0301": "\u00e9",
         "\u00bd": "1\u20442", "\u00ad": "", "\u200b": "", "\u2019": "'", "\u00a0": " ", "q": " q "}
USER = ["<sep>", "user", "▁New▁York", "日本語", "ab"]
# Name, options of the trainer; the vocabulary is small, so that most kinds of pieces occur.
MODELS = [
    ("unigram", dict(model_type="unigram", vocab_size=300)),
    ("unigram-bytes", dict(model_type="unigram", vocab_size=520, byte_fallback=True, normalization_rule_name="identity",
                           character_coverage=0.98)),
    ("unigram-defined", dict(model_type="unigram", vocab_size=280, user_defined_symbols=USER, control_symbols=["<ctl>"],
                             normalization_rule_name="nmt_nfkc_cf")),
    ("unigram-suffix", dict(model_type="unigram", vocab_size=260, treat_whitespace_as_suffix=True,
                            normalization_rule_name="nfkc")),
    ("unigram-spaces", dict(model_type="unigram", vocab_size=260, remove_extra_whitespaces=False, add_dummy_prefix=False,
                            allow_whitespace_only_pieces=True, split_by_whitespace=False)),
    ("bpe", dict(model_type="bpe", vocab_size=300)),
    ("bpe-bytes", dict(model_type="bpe", vocab_size=540, byte_fallback=True, normalization_rule_name="identity",
                       remove_extra_whitespaces=False, character_coverage=0.98, split_digits=True)),
    ("bpe-defined", dict(model_type="bpe", vocab_size=300, user_defined_symbols=USER, add_dummy_prefix=False,
                         unk_surface=" ?? ", bos_piece="<bos>")),
    ("word", dict(model_type="word", vocab_size=90)),
    ("char", dict(model_type="char", vocab_size=120, user_defined_symbols=USER)),
]


def train(corpus, options):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=out, minloglevel=2, hard_vocab_limit=False,
                                   num_threads=1, **options)
    return out.getvalue()


def case(model, string):
    """What the package makes of a text. The offsets of its message are bytes; here they are code points."""
    encoded = string.encode()
    counts = [0]
    for i, byte in enumerate(encoded):
        counts.append(counts[-1] + (i + 1 == len(encoded) or encoded[i + 1] & 0xC0 != 0x80))
    proto = model.encode(string, return_type="proto")
    ids = [p.id for p in proto.pieces]
    return {"text": string, "ids": ids, "tokens": [p.piece for p in proto.pieces],
            "offsets": [counts[place] for p in proto.pieces for place in (p.begin, p.end)],
            "decoded": model.decode(ids), "skip": True}


def cases(model, count, rng):
    words = sorted({w for line in CORPUS for w in line.split()} | {c for line in CORPUS[4:7] for c in line})
    specials = ["<s>", "</s>", "<unk>", "<0x41>", *USER]
    for i in range(count):
        yield case(model, HOSTILE[i] if i < len(HOSTILE) else text(rng, words, specials))
        if i % 5 == 0:
            ids = [rng.randrange(model.get_piece_size()) for _ in range(rng.randrange(14))]
            yield {"ids": ids, "decoded": model.decode(ids), "skip": True}


def fixtures(folder):
    """Small models and the digests of what they make."""
    digests = {}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for old, new in RULES.items():
            rules.write("\t".join(" ".join(f"{ord(c):X}" for c in s) for s in (old, new)) + "\n")
        rules.flush()
        for name, settings in MODELS:
            options = {k: v for k, v in settings.items() if k != "normalization_rule_name"}
            data = train(CORPUS, options | {"normalization_rule_tsv": rules.name})
            (folder / f"{name}.model").write_bytes(data)
            model = spm.SentencePieceProcessor(model_proto=data)
            rows = [case(model, string) for string in HOSTILE]
            digests[name] = {
                "digest": digest((row["ids"], row["tokens"], row["offsets"]) for row in rows),
                "decoded": digest(([], [row["decoded"]], []) for row in rows)}
    (folder / "digests.json").write_text(json.dumps(digests, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=Path(fixture("text", "sentencepiece")))
    parser.add_argument("--count", type=int)
    parser.add_argument("--texts", type=Path, action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.count is None:
        return fixtures(options.folder)
    for name, settings in MODELS:
        data = train(CORPUS, settings)
        (options.folder / f"{name}.model").write_bytes(data)
        model = spm.SentencePieceProcessor(model_proto=data)
        with open(options.folder / f"{name}.jsonl", "w") as file:
            for row in cases(model, options.count, random.Random(options.seed)):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            for path in options.texts:
                for string in parts(path, path.read_bytes().decode()):
                    file.write(json.dumps(case(model, string), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
