"""Damage to tokenizer.json that its structure allows: patterns, ids, merges, components."""

import json

from values import PATTERNS, TEXTS


def mutated(source, content):
    """None if the file is no tokenizer's."""
    try:
        tree = json.loads(content)
        vocabulary, merges = tree["model"]["vocab"], tree["model"]["merges"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not vocabulary or not merges:
        return None
    word = source.choice([pattern, pattern, component, ids, merge, added, flags])(source, tree)
    text = json.dumps(tree, ensure_ascii=source.random() < 0.5)
    return text.encode("utf-8", "surrogatepass"), word


def _objects(tree, result):
    """All objects of the pipeline, outer ones first."""
    if isinstance(tree, dict):
        result.append(tree)
        for key, value in tree.items():
            if key != "vocab":
                _objects(value, result)
    elif isinstance(tree, list):
        for value in tree[:50]:
            _objects(value, result)
    return result


def pattern(source, tree):
    """Another regular expression, or literal, wherever there is one, or in a new step."""
    places = [o for o in _objects(tree, []) if "Regex" in o or "String" in o]
    new = {source.choice(["Regex", "Regex", "Regex", "String"]): source.choice(PATTERNS)}
    if places and source.random() < 0.7:
        place = source.choice(places)
        place.clear()
        place.update(new)
    elif source.random() < 0.5:
        tree["normalizer"] = {"type": "Replace", "pattern": new, "content": source.choice(
            ["", " ", "a", "\\1", "aa" * 20])}
    else:
        behavior = source.choice([
            "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"])
        tree["pre_tokenizer"] = {
            "type": "Split", "pattern": new, "behavior": behavior,
            "invert": source.random() < 0.3}
    return f"the pattern {str(new)[:80]}"


COMPONENTS = [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
    {"type": "Metaspace", "replacement": "", "prepend_scheme": "x", "split": 1},
    {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"},
    {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"},
    {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Nmt"}, {"type": "StripAccents"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": ""},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": -1, "stop": 1 << 40},
    {"type": "Strip", "content": "", "start": 1 << 62, "stop": 0}, {"type": "WordPiece"},
    {"type": "CTC"}, {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "Sequence"},
    {"type": "Sequence", "normalizers": [], "pretokenizers": [], "decoders": []},
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
    {"type": "TemplateProcessing", "special_tokens": {},
     "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": []},
    {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}, {"type": "Unknown"}, {},
]


def component(source, tree):
    key = source.choice(["normalizer", "pre_tokenizer", "post_processor", "decoder"])
    new = source.choice(COMPONENTS)
    lists = [v for o in _objects(tree[key], []) for v in o.values() if isinstance(v, list) and v]
    if lists and source.random() < 0.4:
        place = source.choice(lists)
        place.insert(source.randrange(len(place) + 1), new)
    else:
        tree[key] = new
    return f"{key}: {str(new)[:80]}"


def ids(source, tree):
    vocabulary = tree["model"]["vocab"]
    token = source.choice(list(vocabulary))
    kind = source.randrange(5)
    if kind == 0:
        del vocabulary[token]
        return f"no token {token!r}"
    if kind == 1:
        new = source.choice(["", token + token, source.choice(TEXTS), "<0xGG>", "a" * 5000, "\ud800"])
        vocabulary[new] = vocabulary.pop(token)
        return f"the token {token!r} is {new[:20]!r}"
    vocabulary[token] = source.choice([
        -1, 0, 1, len(vocabulary), 1 << 20, 1 << 31, (1 << 63) - 1, 1.5, None, "3"])
    return f"the token {token!r} has the id {vocabulary[token]!r}"


def merge(source, tree):
    merges = tree["model"]["merges"]
    place = source.randrange(len(merges))
    new = source.choice([
        "a", "", " ", "a b c", ["a"], ["a", "b", "c"], ["", ""], ["q", "x"], "q x", None, 3, ["a", 1],
        merges[-1], "t h", ["t", "h"], ["\u2581", "t"], "#version: 0.2", source.choice(TEXTS)])
    if source.random() < 0.3:
        source.shuffle(merges)
        return "the merges shuffled"
    merges[place] = new
    return f"merge {place} is {new!r}"


def added(source, tree):
    tokens = tree["added_tokens"]
    token = dict(source.choice(tokens)) if tokens else {}
    field, value = source.choice([
        ("content", ""), ("content", "a"), ("content", " "), ("content", source.choice(TEXTS)),
        ("content", "<|" + "x" * 5000), ("id", -1), ("id", 3), ("id", 1 << 40), ("id", 275),
        ("lstrip", True), ("rstrip", True), ("normalized", True), ("single_word", True),
        ("special", None), ("content", "the"), ("content", "\u00e4"), ("content", None)])
    token[field] = value
    if source.random() < 0.5:
        tokens.append(token)
    elif tokens:
        tokens[source.randrange(len(tokens))] = token
    return f"an added token's {field} is {str(value)[:20]!r}"


def flags(source, tree):
    field = source.choice([
        "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
        "byte_fallback", "ignore_merges", "type"])
    tree["model"][field] = source.choice([
        None, True, False, "", "##", "</w>", "<unk>", "a", 0, 1.0, 0.1, "Unigram", "WordPiece", "BPE"])
    return f"model.{field} is {tree['model'][field]!r}"
