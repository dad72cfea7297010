"""Trains tiny tokenizers of every kind that LoRAText reads and writes what `tokenizers` makes of
hostile strings with them, to Tests/Fixtures/text/.

    .venv/bin/python Tests/Reference/tokenizers_fixtures.py [NAME...]

Given names of tokenizers_kinds.py, it writes these alone. Needs tokenizers 0.23 and transformers 5. Training ties are broken by the package, so another version
may give other tokenizers; the expected ids always belong to the files beside them.
"""

import json
import random
import shutil
import sys
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)
from transformers import AutoTokenizer

OUT = Path(__file__).resolve().parent.parent / "Fixtures" / "text"

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind; it's asleep.",
    "She said: \"I'll go there, we've been there, they're late, I'd say, and I'm not sure.\"",
    "In 2024 the factory made 1,234,567 units at $19.99 each, 12% more than in 2023.",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))  # 3\n",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "Привет, мир! Как дела? Ελληνικά και ελληνικά. Straße, naïve, café, Ångström.",
    "안녕하세요 세계. مرحبا بالعالم. שלום עולם. नमस्ते दुनिया.",
    "http://example.org/path?query=1&other=2#fragment  tabs\tand\ttabs\r\nwindows\r\n",
] * 3

HOSTILE = [
    "", " ", "  ", "a", " a", "a ", "  a  b  ", "Hello, world!", "hello   world    again",
    "The lazy dog doesn't mind; it's 12 o'clock.", "I'LL GO, WE'VE, THEY'RE, I'D, I'M, IT'S, CAN'T",
    "it’s ‘quoted’ “text” — dash… ellipsis", "'s'S'ſ'T't'll'LL'lL 'd'D ''' '",
    "line one\nline two\r\nline three\rline four\n\n\n\nend\n", "\n", "\r\n", "\r\n\r\n \r\n", "\t\t tab\t",
    " \n \n  x\n   y", "trailing spaces   \n", "x  \n  y \u00a0 \u2003 z\u3000w\u0085v\u2028u\u2029",
    "1234567890", "3.14159 1,000,000 ½ ² Ⅷ ٣٤٥ १२३ 一二三 ①②③", "a1b2c3 x86_64 v1.2.3-rc4",
    "\U0001F600\U0001F601 smile \U0001F44D\U0001F3FD",
    "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466 family \U0001F3F3\ufe0f\u200d\U0001F308",
    "\U0001F1EF\U0001F1F5\U0001F1E9\U0001F1EA flags", "e\u0301 \u00e9 o\u0308\u0323 \u1ed9 q\u0307\u0323",
    "\u212b \u00c5 A\u030a \u2126 \uac01 \u1100\u1161\u11a8 \u0344 \u0958 \u2adc",
    "ﬁ ﬂ Ⅳ ① ｆｕｌｌ ｶﾞ ㍻ ㍿ ™ ½ ﷺ", "日本語のテキスト、カタカナ、ひらがな。が ガ パ ぱ か\u3099",
    "中文字符，标点符号！你好世界", "한국어 텍스트 각각", "مرحبا بالعالم \u202eRTL\u202c שָׁלוֹם עולם",
    "नमस्ते क्षत्रिय ไทย ภาษาไทย ဗမာ", "ÀÉÎÕÜ ßẞ İIıi Σσς ΌΣΟΣ Ǆǅǆ ŉ ﬃ",
    "\u0000", "a\u0000b\u0001\u0002\u001f\u007f\u0080\u009f", "\ufeffBOM at start and \ufeff inside",
    "\ue000\uf8ff\U000f0000\U0010fffd private", "\ufffd\ufffe\uffff\U0001ffff \ufdd0 noncharacters",
    "\u0378\u0530\U000e0080\U0003fffd unassigned", "\ua7ce\U00016ea0\U00010940\u088f\u0c5c Unicode 17",
    "\U00010d4a\ua7cb\U0001e5d0\U00016d40 Unicode 16 \U00010d6f\u0316a\u0897\u0301",
    "\u0898\u0316 a\u0898\u0301\u0327 b\u0327\u0301\u07fd\u0323 c\U00011938\U00011935\U00011930",
    "\u32ff \ua7f2 \uab69 \U00010781 \U0001fbf0 \U0001e030", "zero\u200bwidth\u200cjoin\u200der\u2060x\u00ady",
    "<s>", "</s>", "<unk>", "<|endoftext|>", "text<|endoftext|>more", "<s> hi </s>", " <s>  x  </s> y",
    "a<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|im_start", "<<|im_end|>>",
    "<0x41><0x00><0xE3>", "▁under▁lined ▁ ▁▁", "Ġ Ċ ĉ Ģ", "▁", " ▁a", "<left> a  <left>  b<left>",
    "<right>   a <right>\n b<right>", "<both>  x  <both><both>   y ", "wordsword sword word aword word1 ,word, word",
    "éword wordé 日word _word word_", "SHOUT shout Shout SHOUTING", "Ünï ÜNÏ ünï u\u0308ni\u0308",
    "<tool>call</tool> <tool> </tool>", "a" * 50, "ab" * 50, " " * 40, "\n" * 30, " \n" * 20, "0" * 33,
    "!" * 35, "?!" * 20, "é" * 30, "e\u0301" * 25, "日" * 30, "\U0001F600" * 12, "=" * 17 + "-" * 17 + "\n",
    "the " * 20, " the" * 20, "'" * 9, "a'b'c'd's't", "foo.bar(baz)[0]->qux::<T>{}", "\\n \\t \\\\ \"q\" /* c */ // d",
    "http://example.org/a?b=c&d=e#f", "user@example.org", "C:\\path\\to\\file", "$19.99 €20 £30 ¥40 100%",
    "MixedCaseWordsHere camelCase snake_case SCREAMING_CASE kebab-case", "x\u0301\u0302\u0303\u0304\u0305y",
    "\u0301\u0301 leading marks", "a\u20dd \u0488 \u1abe", "end with space and mark \u0301", "…\u2026...",
    "word\u00a0word\u202fword\u205fword", "\u1680\u180e\u200b x", "\u000b\u000c\u001c\u001d\u001e x", "½½ ²³ ⅓",
    "  \u3000 \u2003\u2003 indent", "tab\tspace \tmixed \t \n\t", "Dr. Müller's 3rd café, naïve résumé—ok?",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𐐀𐐨 𒀀 𓀀", "ab\u00adcd \u034f \u115f\u1160 \u17b4", "Ⓐⓐ ㈠ 🄰 🅐 ⅣⅳⅨ", "ˈaɪ ʰʷ ˠ ː", "\U000e0061\U000e007f\ufe0f\u20e3 1\ufe0f\u20e3",
]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
          r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

PATTERNS = [
    GPT2, QWEN2, LLAMA3, CL100K, O200K, DEEPSEEK, r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", r" {2,}", r"\s", r"\S+",
    r"[^\S\n]+", r"(?:\r?\n)+", r"(a|b)+?c?", r"(?>a+)b|\d{2,}", r"^\s*|x$", r".+?(?=\s|$)", r"\A.|.\z",
    r"[\u0041-\x5A]+", r"(?i)[a-f]+k?", r"\P{L}", r"[^\p{L}\P{N}]", r"x{0,2}y{,3}z{1}", r"[\]\-a]+|[-+]",
    r"(?=[A-Z])", r"a{2}|é+", r"\p{Lu}\p{Ll}*", r"\p{^L}+", r"[\d\s]+",
    r"(?<=[a-z])[0-9.]|(?<!\s|^)\p{Lu}", r"(?:a?|\s)*b?", r"(?:a|b?)*[.,]", r"\bword\b|\B.", r"\d{1,3}(?=(?:\d{3})*\b)",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[a[b-d]\s[[0-9]e]]+",
]

# What is not understood must be refused, not skipped.
REFUSED = [r"(?<n>a)", r"\1", r"\w+", r"\p{Han}", r"[[:alpha:]]", r"[a&&b]", r"(a", r"a)", r"[a",
           r"*a", r"a**", r"\R", r"(?x) a", r"(?i:é)", r"(?i:\p{Lu})", r"a{5,2}", r"\h", r"a{2}?"]


# Alphabets with gaps: rare letters of the corpus are unknown to these. Given in full, because the
# package breaks ties among rare letters by chance.
LETTERS = "▁ aeiouthnsrdlcmpgbvyfwk.,'TS12ａ是のкп"


def train(model, pre, size=420, normalizer=None, alphabet=(), specials=(), **trainer):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), initial_alphabet=list(alphabet),
        show_progress=False, min_frequency=2, **trainer))
    return t


def edit(t, change):
    d = json.loads(t.to_str())
    change(d)
    return Tokenizer.from_str(json.dumps(d))


BYTES = [f"<0x{b:02X}>" for b in range(256)]
NAMES = ["<unk>", "<s>", "</s>"]


def llama(pre=None, normalizer=None, decoder=None, train_pre=None, **model):
    """A tokenizer of Llama's kind: bytes are tokens of the vocabulary, but not added ones."""
    t = train(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True, **model),
              train_pre or pre_tokenizers.Metaspace(prepend_scheme="always", split=True), size=620,
              normalizer=None, specials=NAMES + BYTES)

    def change(d):
        d["added_tokens"] = d["added_tokens"][:3]
    t = edit(t, change)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    else:
        t = edit(t, lambda d: d.update(pre_tokenizer=None))
    t.decoder = decoder or decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def byte_level(pre, size=420, normalizer=None, specials=("<|endoftext|>",), **model):
    t = train(models.BPE(**model), pre, size, normalizer, pre_tokenizers.ByteLevel.alphabet(), specials)
    t.decoder = decoders.ByteLevel()
    return t


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def build():
    B, P, N = pre_tokenizers.ByteLevel, pre_tokenizers, normalizers
    yield "llama-prepend", llama(normalizer=N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]))
    for scheme in ("first", "always", "never"):
        for cut in (True, False):
            yield f"metaspace-{scheme}-{'split' if cut else 'whole'}", llama(
                pre=P.Metaspace(prepend_scheme=scheme, split=cut),
                decoder=None if cut else decoders.Sequence([
                    decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme, split=cut)]))
    yield "gpt2", byte_level(B(add_prefix_space=False))
    t = byte_level(B(add_prefix_space=True))
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    yield "gpt2-prefix", edit(t, lambda d: d["model"].update(
        merges=[" ".join(m) for m in d["model"]["merges"]]))

    t = byte_level(split(QWEN2), normalizer=N.NFC())
    t.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    t.add_tokens([
        AddedToken("<tool>"), AddedToken("</tool>", normalized=False),
        AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False, special=True),
        AddedToken("word", single_word=True), AddedToken("the", single_word=True, normalized=False),
        AddedToken("u\u0308ni\u0308"), AddedToken("sword", single_word=True, lstrip=True)])
    yield "qwen", t

    t = byte_level(split(LLAMA3), specials=("<s>", "</s>"))

    def ignore_merges(d):
        d["model"]["ignore_merges"] = True
        # A word that no merges make: only ignore_merges finds it.
        d["model"]["vocab"]["Ġxyzzy"] = len(d["model"]["vocab"])
        d["model"]["vocab"]["Hello"] = len(d["model"]["vocab"])
    t = edit(t, ignore_merges)
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A <s> $B", special_tokens=[("<s>", 0), ("</s>", 1)])])
    yield "llama3", t
    yield "digits", byte_level(P.Sequence([P.Digits(individual_digits=True), B(add_prefix_space=False)]))
    yield "digits-runs", byte_level(P.Sequence([P.Digits(individual_digits=False), B(add_prefix_space=True)]))
    yield "cl100k", byte_level(split(CL100K))
    yield "o200k", byte_level(split(O200K))
    yield "deepseek", byte_level(P.Sequence([
        P.Split(Regex(r"\p{N}{1,3}"), "isolated"), P.Split(Regex(r"[一-龥぀-ゟ゠-ヿ]+"), "isolated"), split(DEEPSEEK)]))
    yield "nfkc-lower", byte_level(
        B(add_prefix_space=False), normalizer=N.Sequence([N.NFKC(), N.Lowercase(), N.Strip()]))
    yield "nfd-replace", byte_level(
        B(add_prefix_space=False), normalizer=N.Sequence([
            N.NFD(), N.Replace(Regex(r" {2,}"), "▂"), N.Replace("o", "0"), N.Strip(left=True, right=False)]))
    t = byte_level(B(add_prefix_space=False), normalizer=N.NFKD())
    t.normalizer = N.Sequence([N.NFKD(), N.Lowercase()])
    t.add_tokens([AddedToken("SHOUT"), AddedToken("Ünï", special=True, normalized=True)])
    yield "lower-added", t
    for name, behavior, invert in (("removed", "removed", False), ("previous", "merged_with_previous", False),
                                   ("next", "merged_with_next", False), ("contiguous", "contiguous", False),
                                   ("inverted", "removed", True)):
        yield f"split-{name}", byte_level(split(r"[\s,.]", behavior, invert))
    t = byte_level(P.Sequence([P.Split(" ", "merged_with_next"), B(add_prefix_space=False, use_regex=False)]))
    yield "split-string", edit(t, lambda d: d.update(decoder=None))
    for fuse in (True, False):
        t = train(models.BPE(unk_token="<unk>", fuse_unk=fuse), P.Metaspace(), 120, specials=["<unk>"],
                  alphabet=LETTERS, limit_alphabet=len(LETTERS))
        t.decoder = decoders.Metaspace()
        yield f"unknown-{'fused' if fuse else 'single'}", t
    t = train(models.BPE(), P.Metaspace(prepend_scheme="never"), 100, alphabet=LETTERS,
              limit_alphabet=len(LETTERS))
    yield "no-unknown", t
    # By hand: training numbers such tokens by chance.
    vocab = ["<unk>"] + [f"{p}{c}{e}" for c in "abcdehilnorstuvw" for p in ("", "##") for e in ("", "</w>")]
    merges = [("t", "##h"), ("th", "##e</w>"), ("a", "##n"), ("an", "##d</w>"), ("##e", "##r</w>"),
              ("##l", "##l</w>"), ("h", "##e"), ("he", "##ll</w>"), ("##i", "##n"), ("##in", "##d</w>"),
              ("w", "##or"), ("##o", "##r"), ("wor", "##d</w>"), ("s", "##wor")]
    for a, b in sorted(merges, key=lambda m: len(m[0] + m[1])):
        vocab += [x for x in (a, b, a + b.removeprefix("##")) if x not in vocab]
    t = Tokenizer(models.BPE(
        {v: i for i, v in enumerate(dict.fromkeys(vocab))}, merges, unk_token="<unk>",
        continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    t.pre_tokenizer = P.Split(" ", "removed")
    yield "affixes", t
    yield "fallback-partial", edit(
        llama(pre=P.Metaspace(prepend_scheme="first", split=True), decoder=decoders.Sequence([
            decoders.ByteFallback(), decoders.Strip("▁", 2, 0), decoders.Fuse(), decoders.Replace("▁▁", "__"),
            decoders.Replace(Regex("a+"), "<a>"), decoders.Strip("e", 1, 0)])),
        lambda d: d["model"]["vocab"].update({"<0xE3>x": d["model"]["vocab"].pop("<0xE3>")}) or
        d["model"].update(fuse_unk=False))


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", newline="")


def expected(t, size, rng, pairs=False):
    """What `tokenizers` makes of the hostile strings, and of random ids."""
    t.no_truncation()
    t.no_padding()
    ids = [t.encode(s).ids for s in HOSTILE]
    plain = [t.encode(s, add_special_tokens=False).ids for s in HOSTILE]
    random_ids = [[rng.randrange(size + 3) for _ in range(rng.randrange(12))] for _ in range(60)]
    out = {"ids": ids, "random": random_ids}
    # The template's tokens, the same round every text.
    (before, after) = next((i[:i.index(p[0])], i[i.index(p[0]) + len(p):]) for i, p in zip(ids, plain) if p)
    assert all(i == before + p + after for i, p in zip(ids, plain))
    out["template"] = [before, after]
    # Two texts that belong together, and the types of the tokens.
    if pairs:
        chosen = [(rng.randrange(len(HOSTILE)), rng.randrange(len(HOSTILE))) for _ in range(12)] + [(0, 0), (0, 9), (9, 0)]
        encodings = [t.encode(HOSTILE[a], HOSTILE[b]) for a, b in chosen]
        out["pairs"] = [[a, b, e.ids, e.type_ids] for (a, b), e in zip(chosen, encodings)]
    # Decoded texts only where they are not the text itself.
    for key, skip in (("decoded", False), ("skipped", True)):
        texts = [t.decode(i, skip_special_tokens=skip) for i in ids]
        out[key] = [None if a == b else a for a, b in zip(texts, HOSTILE)]
        out[key + "Random"] = [t.decode(i, skip_special_tokens=skip) for i in random_ids]
    return out


def write_kinds(wanted):
    """The tokenizers of other models than byte pairs, and BERT's vocab.txt."""
    import tokenizers_kinds

    for name, t in tokenizers_kinds.build(CORPUS):
        if wanted(name):
            write(OUT / f"{name}.json", json.loads(t.to_str()))
            write(OUT / f"{name}.expected.json", expected(t, t.get_vocab_size(), random.Random(name), pairs=True))
    trained = next(t for name, t in tokenizers_kinds.build(CORPUS) if name == "bert")
    tokens = [token for token, id in sorted(trained.get_vocab(with_added_tokens=False).items(), key=lambda e: e[1])]
    for name, lines, config in (
            ("bert-files", tokens, {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}),
            # A line twice, one without a token, special tokens that the vocabulary lacks.
            ("bert-files-cased", tokens[:30] + [tokens[20], ""] + tokens[30:], {
                "do_lower_case": False, "tokenize_chinese_chars": False, "strip_accents": True, "unk_token": "[UNK]",
                "cls_token": "<first>", "sep_token": {"__type": "AddedToken", "content": "[SEP]", "special": True},
                "tokenizer_class": "DistilBertTokenizerFast"})):
        if not wanted(name):
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "vocab.txt").write_text("\n".join(lines) + "\n", newline="")
        write(folder / "tokenizer_config.json", config)
        backend = AutoTokenizer.from_pretrained(folder)
        write(OUT / f"{name}.expected.json",
              expected(backend.backend_tokenizer, len(backend), random.Random(name), pairs=True))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    if sys.argv[1:]:
        write_kinds(lambda name: name in sys.argv[1:])
        return
    for old in OUT.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name != "shared.json":  # tokenizers_shared.py's
            old.unlink()
    write(OUT / "hostile.json", HOSTILE)
    write_kinds(lambda name: True)
    rng = random.Random(7)
    for name, t in build():
        write(OUT / f"{name}.json", json.loads(t.to_str()))
        write(OUT / f"{name}.expected.json", expected(t, t.get_vocab_size(), rng))

    # Qwen's and GPT-2's older form: vocab.json, merges.txt, tokenizer_config.json.
    for name, cls, pre, extra in (
            ("qwen-files", "Qwen2Tokenizer", split(QWEN2), {"add_bos_token": False}),
            ("gpt2-files", "GPT2Tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False),
             {"add_bos_token": True, "bos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})):
        folder = OUT / name
        folder.mkdir()
        t = byte_level(pre, specials=())
        t.model.save(str(folder))
        size = t.get_vocab_size()
        tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"]
        write(folder / "tokenizer_config.json", {
            "add_prefix_space": False, "added_tokens_decoder": {
                str(size + i): {"content": c, "lstrip": False, "normalized": False, "rstrip": False,
                                "single_word": False, "special": c != "<tool>"} for i, c in enumerate(tokens)},
            "bos_token": None, "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": None,
            "tokenizer_class": cls, "model_max_length": 1000000000000000019884624838656} | extra)
        backend = AutoTokenizer.from_pretrained(folder)
        write(OUT / f"{name}.expected.json", expected(backend.backend_tokenizer, len(backend), rng))

    splits = []
    for pattern in PATTERNS:
        pre = pre_tokenizers.Split(Regex(pattern), "isolated")
        # Lengths in UTF-8 of the parts.
        splits.append([[len(p.encode()) for p, _ in pre.pre_tokenize_str(s)] for s in HOSTILE])
    write(OUT / "patterns.json", {"patterns": PATTERNS, "parts": splits, "refused": REFUSED})


if __name__ == "__main__":
    main()
