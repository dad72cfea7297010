"""Damage to JSON documents: their trees, and their text."""

import json

from values import Pairs, Raw, TEXTS, VALUES, dumps, parse


def flipped(source, content, name="file"):
    if not content:
        return content, "nothing to flip"
    new = bytearray(content)
    places = sorted(source.randrange(len(new)) for _ in range(source.choice([1, 1, 2, 8])))
    for place in places:
        new[place] ^= 1 << source.randrange(8)
    return bytes(new), f"bits of {name} flipped at {places}"


def json_file(source, content):
    if source.random() < 0.1:
        return json_bytes(source, content)
    try:
        tree = parse(content)
    except (ValueError, RecursionError):
        return flipped(source, content)
    words = []
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        tree, word = json_tree(source, tree)
        words.append(word)
    return dumps(tree), "; ".join(words)


def json_bytes(source, content):
    """What is wrong before anything is parsed."""
    kind = source.randrange(9)
    place = source.randrange(len(content)) if content else 0
    if kind == 0:
        return b"\xef\xbb\xbf" + content, "a byte order mark"
    if kind == 1:
        return content[:place] + b"\xff\xc0" + content[place:], f"bytes that are no UTF-8 at {place}"
    if kind == 2:
        return content[:place], f"cut off at {place}"
    if kind == 3:
        return content + b"{}", "a second document"
    if kind == 4:
        return content.decode("utf-8", "replace").encode("utf-16"), "UTF-16"
    if kind == 5:
        return content[:place] + b"\0" + content[place:], f"a zero byte at {place}"
    if kind == 6:
        return b"[" * 100000 + content + b"]" * 100000, "100000 brackets around it"
    if kind == 7:
        return content.replace(b"}", b",}", 1), "a comma before a brace"
    return content.replace(b'"', b"'"), "single quotes"


def json_tree(source, tree):
    """One change somewhere in the tree; descends at random, so that large tables do not win."""
    if not isinstance(tree, (Pairs, list)) or not tree or source.random() < 0.12:
        return value_for(source, tree)
    tree = Pairs(tree) if isinstance(tree, Pairs) else list(tree)
    index = source.randrange(len(tree))
    is_object = isinstance(tree, Pairs)
    if source.random() < 0.6:
        if not is_object:
            tree[index], word = json_tree(source, tree[index])
            return tree, f"[{index}] {word}"
        key, old = tree[index]
        new, word = json_tree(source, old)
        tree[index] = (key, new)
        return tree, f"{key}: {word}"
    kind = source.randrange(6)
    label = tree[index][0] if is_object else index
    if kind == 0:
        del tree[index]
        return tree, f"without {label!r}"
    if kind == 1:
        other = source.randrange(len(tree))
        copy = (tree[index][0], tree[other][1]) if is_object else tree[index]
        tree.insert(source.randrange(len(tree) + 1), copy)
        return tree, f"{label!r} twice"
    if kind == 2 and is_object:
        new = source.choice([
            label + "x", label.upper(), label + " ", "", "x" + source.choice(TEXTS), label + "\u0301",
            "__proto__", label[:-1]])
        tree[index] = (new, tree[index][1])
        return tree, f"{label!r} called {new[:60]!r}"
    if kind == 3 and len(tree) > 1:
        other = source.randrange(len(tree))
        if is_object:
            one, two = tree[index], tree[other]
            tree[index], tree[other] = (one[0], two[1]), (two[0], one[1])
        else:
            tree[index], tree[other] = tree[other], tree[index]
        return tree, f"{label!r} and number {other} swapped"
    if kind == 4:
        new = Raw(source.choice(VALUES))
        tree.insert(index, ("unknown_field", new) if is_object else new)
        return tree, f"an additional {new[:60]}"
    new, word = value_for(source, tree[index][1] if is_object else tree[index])
    tree[index] = (label, new) if is_object else new
    return tree, f"{label!r}: {word}"


def value_for(source, old):
    """Another value in `old`'s place: near it, or of any kind."""
    is_number = isinstance(old, (int, float)) and not isinstance(old, bool)
    if is_number and source.random() < 0.5:
        try:
            new = source.choice([
                old + 1, old - 1, -old, old * 2, old * 1000, old / 2, old + 0.5, 0, float(old),
                old << 31 if isinstance(old, int) else old * 1e30])
        except OverflowError:
            new = 0
        return new, f"{old} is {new}"
    if isinstance(old, bool) and source.random() < 0.5:
        return not old, f"{old} is {not old}"
    if isinstance(old, str) and source.random() < 0.5:
        new = source.choice([
            old + source.choice(TEXTS), old[: len(old) // 2], old * 2, old.upper(), old + "\u0301",
            "../" + old, "/" + old, old.replace("l", "\u0000"), ""])
        return new, f"{old[:40]!r} is {new[:60]!r}"
    new = Raw(source.choice(VALUES))
    shown = "it" if isinstance(old, (list, Raw)) else json.dumps(old)[:40]
    return new, f"{shown} is {new[:60]}"
