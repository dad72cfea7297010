"""The kinds of tokenizers besides byte pairs, as tokenizers_fixtures.py and tokenizers_fuzz.py train
them: word pieces, unigrams, whole words, each with the normalizers, pre-tokenizers, post-processors and
decoders that go with them."""

import base64
import json
import struct
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers as N,
                        pre_tokenizers as P, processors, trainers)

LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:'\"!?()-=/#$%&"
               "àéïöüßÅñçにほん語今日は東京都猫我輩がかガパПриветмкделαβγنمस्ते안녕하세요▁①Ａ")


def charsmap(pairs):
    """A `precompiled_charsmap`: a double-array trie (darts-clone) of what is replaced, and the
    replacements. Slots are found one by one, which does for small maps."""
    blob, values = b"", {}
    for text, replacement in pairs.items():
        values[text.encode()] = len(blob)
        blob += replacement.encode() + b"\0"
    units, used = {0: 0}, {0}

    def place(position, suffixes):
        """Puts the children of the node at `position`, and theirs."""
        groups = {}
        for suffix, value in suffixes:
            groups.setdefault(suffix[0] if suffix else 0, []).append((suffix[1:], value))
        base = next(b for b in range(1, 1 << 20) if all(b ^ label not in used for label in groups))
        used.update(base ^ label for label in groups)
        units[position] |= (base ^ position) << 10 | (0 in groups) << 8
        for label, rest in groups.items():
            if label == 0:
                units[base] = 1 << 31 | rest[0][1]
            else:
                units[base ^ label] = label
                place(base ^ label, rest)

    place(0, sorted(values.items()))
    size = (max(units) // 256 + 1) * 256
    # What is free has a label that no byte is.
    trie = b"".join(struct.pack("<I", units.get(i, 1 << 31)) for i in range(size))
    return struct.pack("<I", len(trie)) + trie + blob


def nfkc_map():
    """A part of what SentencePiece's rule nmt_nfkc replaces, and some oddities."""
    pairs = {}
    blocks = [*range(0xA0, 0x100), *range(0x2000, 0x2070), *range(0x2150, 0x2190), *range(0x2460, 0x2480),
              *range(0xFB00, 0xFB07), *range(0xFF01, 0xFFA0), 0xFDFA, 0x3000, 0x338F, 0x3231]
    for code in blocks:
        form = unicodedata.normalize("NFKC", chr(code))
        if form != chr(code):
            pairs[chr(code)] = form
    for letter in "aeiouAEIOUn":
        for mark in "\u0300\u0301\u0302\u0303\u0308":
            form = unicodedata.normalize("NFC", letter + mark)
            if len(form) == 1:
                pairs[letter + mark] = form
    for kana in "かきくけこはひふへほカハ":
        for mark in "\u3099\u309a":
            form = unicodedata.normalize("NFC", kana + mark)
            if len(form) == 1:
                pairs[kana + mark] = form
    pairs |= {"\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u200b": "", "\ufeff": "", "\u0007": "",
              "\u00ad": "", "q": "Q", "\u0600": "#", "\u2122": "TM", "\u00a9": "(c)", "\r\n": "⏎"}
    return charsmap(pairs)


CHARSMAP = nfkc_map()


def learn(t, trainer, corpus):
    t.train_from_iterator(corpus, trainer)
    return t


def word_pieces(corpus, normalizer, pre, size=320, specials=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
                longest=100, prefix="##"):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=longest,
                                   continuing_subword_prefix=prefix))
    t.normalizer, t.pre_tokenizer = normalizer, pre
    learn(t, trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(specials), show_progress=False,
                                       continuing_subword_prefix=prefix, limit_alphabet=120), corpus)
    return t


def unigram(corpus, normalizer, pre, size=300, specials=("<s>", "<pad>", "</s>", "<unk>"), bytes_too=False):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer = normalizer, pre
    learn(t, trainers.UnigramTrainer(vocab_size=size, special_tokens=list(specials), unk_token="<unk>",
                                     show_progress=False, initial_alphabet=LETTERS[:60]), corpus)
    definition = json.loads(t.to_str())
    vocabulary = definition["model"]["vocab"]
    # Rounded, so that the committed files are small; all kinds of ties are wanted too.
    vocabulary = [[token, round(score, 2)] for token, score in vocabulary]
    if bytes_too:
        vocabulary += [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
        definition["model"]["byte_fallback"] = True
    definition["model"]["vocab"] = vocabulary
    definition["added_tokens"] = []
    t = Tokenizer.from_str(json.dumps(definition))
    t.add_special_tokens(list(specials))
    return t


def template(single, pair, t):
    names = {p.split(":")[0] for p in (single + " " + pair).split() if not p.startswith("$")}
    return processors.TemplateProcessing(single=single, pair=pair,
                                         special_tokens=[(n, t.token_to_id(n)) for n in sorted(names)])


def build(corpus):
    """Names and tokenizers."""
    t = word_pieces(corpus, N.BertNormalizer(), P.BertPreTokenizer())
    t.post_processor = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", t)
    t.decoder = decoders.WordPiece()
    t.add_tokens([AddedToken("word", single_word=True), AddedToken("SHOUT"), "u\u0308ni\u0308"])
    yield "bert", t

    t = word_pieces(corpus, N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True,
                                             lowercase=False),
                    P.Sequence([P.Whitespace(), P.Punctuation(behavior="contiguous")]), longest=12, prefix="@@")
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece(prefix="@@", cleanup=False)
    yield "bert-cased", t

    t = word_pieces(corpus, N.BertNormalizer(strip_accents=False), P.Metaspace(prepend_scheme="first"), prefix="")
    t.decoder = decoders.Sequence([decoders.Fuse(), decoders.Replace("▁", " "), decoders.WordPiece(prefix="")])
    yield "pieces-metaspace", t

    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = N.Sequence([N.Nmt(), N.StripAccents(), N.Lowercase()])
    t.pre_tokenizer = P.Whitespace()
    learn(t, trainers.WordLevelTrainer(special_tokens=["<s>", "</s>", "<unk>"], show_progress=False,
                                       vocab_size=80), corpus)
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    yield "words", t

    t = Tokenizer(models.WordLevel(unk_token="?"))
    t.pre_tokenizer = P.Sequence([P.CharDelimiterSplit(" "), P.Punctuation(behavior="removed")])
    learn(t, trainers.WordLevelTrainer(special_tokens=["?"], show_progress=False, vocab_size=60), corpus)
    yield "words-delimited", t

    t = unigram(corpus, N.Sequence([N.Precompiled(CHARSMAP), N.Replace(Regex(" {2,}"), " ")]),
                P.Sequence([P.WhitespaceSplit(), P.Metaspace()]))
    t.post_processor = template("<s> $A </s>", "<s> $A </s> </s> $B </s>", t)
    t.decoder = decoders.Metaspace()
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    yield "xlm-roberta", t

    t = unigram(corpus, N.Precompiled(CHARSMAP), P.Metaspace(prepend_scheme="first"))
    t.post_processor = template("$A </s>", "$A </s> $B </s>", t)
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    yield "t5", t

    t = unigram(corpus, N.Sequence([N.Nmt(), N.NFKC(), N.Replace(" ", "▁"), N.Prepend("▁")]), None, bytes_too=True)
    t.post_processor = template("<s> $A", "<s> $A </s> $B:1", t)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    yield "unigram-bytes", t

    t = unigram(corpus, N.Sequence([N.StripAccents(), N.Strip()]), P.Metaspace(prepend_scheme="first", split=False),
                size=160)
    yield "unigram-whole", t

    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True))
    t.normalizer, t.pre_tokenizer = N.BertNormalizer(), P.BertPreTokenizer()
    learn(t, trainers.BpeTrainer(vocab_size=260, special_tokens=["<unk>"], show_progress=False, limit_alphabet=60,
                                 end_of_word_suffix="</w>"), corpus)
    t.decoder = decoders.BPEDecoder()
    yield "openai", t

    t = Tokenizer(models.BPE())
    t.normalizer = N.Sequence([N.NFC(), N.ByteLevel()])
    learn(t, trainers.BpeTrainer(vocab_size=400, show_progress=False,
                                 initial_alphabet=P.ByteLevel.alphabet()), corpus)
    t.decoder = decoders.ByteLevel()
    yield "byte-normalizer", t

    t = unigram(corpus, N.NFKC(), P.Sequence([P.UnicodeScripts(), P.Metaspace(prepend_scheme="first")]))
    t.post_processor = template("$A </s>", "$A </s> $B </s>", t)
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    yield "scripts", t

    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.pre_tokenizer = P.FixedLength(length=2)
    learn(t, trainers.WordLevelTrainer(special_tokens=["<unk>", "<pad>", "|"], show_progress=False, vocab_size=90), corpus)
    t.decoder = decoders.CTC(pad_token="<pad>", word_delimiter_token="|")
    yield "fixed-length", t
