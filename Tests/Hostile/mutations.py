"""Damage that knows the structure it does it to.

Each function takes a random source and a file's content, and returns the new content with words for
what was done. Files that are no plain files any more are instances of `Special`.
"""

from collections import namedtuple

import gguf_mutations
import safetensors_mutations
import tokenizer_mutations
from json_mutations import flipped, json_file

# What stands in a file's place: kind is "folder", "fifo", "link", "loop", "dangling" or "gone".
Special = namedtuple("Special", "kind content")

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")


def mutated(source, name, content, whole=0.12):
    """The file's content damaged by one mutation of its kind."""
    if source.random() < whole:
        return any_file(source, name, content)
    if name.endswith(".safetensors"):
        return safetensors_mutations.mutated(source, content)
    if name.endswith(".gguf"):
        return gguf_mutations.mutated(source, content)
    if name.endswith("tokenizer.json") and source.random() < 0.4:
        changed = tokenizer_mutations.mutated(source, content)
        if changed:
            return changed
    if name.endswith(".json"):
        return json_file(source, content)
    if name.endswith(".jsonl"):
        return json_lines(source, content)
    return plain_text(source, content)


# MARK: any file


def any_file(source, name, content):
    kind = source.choice([
        "gone", "empty", "folder", "fifo", "loop", "dangling", "link", "pointer", "page",
        "truncated", "flipped", "flipped", "doubled", "zeros", "pickle", "text"])
    if kind in ("gone", "folder", "fifo", "loop", "dangling", "link"):
        return Special(kind, content), f"{name} is {kind}"
    if kind == "truncated":
        place = source.randrange(max(len(content), 1))
        return content[:place], f"{name} is cut off at {place} of {len(content)}"
    if kind == "flipped":
        return flipped(source, content, name)
    new = {
        "empty": b"", "pointer": LFS_POINTER, "page": b"<!DOCTYPE html><html>404</html>",
        "doubled": content + content, "zeros": bytes(len(content)),
        "pickle": b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.", "text": b"hello\n",
    }[kind]
    return new, f"{name} is {kind}"


# MARK: text


def json_lines(source, content):
    lines = content.split(b"\n")
    index = source.randrange(len(lines))
    kind = source.randrange(8)
    if kind <= 3 and lines[index]:
        lines[index], word = json_file(source, lines[index])
        return b"\n".join(lines), f"line {index + 1}: {word}"
    if kind == 4:
        lines.insert(index, b"")
        return b"\n".join(lines), f"an empty line {index + 1}"
    if kind == 5:
        lines[index] = source.choice([
            b"[1, 2]", b'"text"', b"{}", b"null", b"3", b"{", b'{"text": ""}'])
        return b"\n".join(lines), f"line {index + 1} is {lines[index].decode()}"
    if kind == 6:
        return b"\r\n".join(lines), "CRLF"
    return plain_text(source, content)


def plain_text(source, content):
    place = source.randrange(len(content)) if content else 0
    insert = source.choice([
        b"\xff\xfe", b"\0", b"\xef\xbb\xbf", b"\r", b"\x1b[31mZ\x07", b"\n\n\n", b"a" * 60000,
        b'"', b",", "\u2028\u0301\U0001f642".encode(), b"\xed\xa0\x80", b"<|end|></s><unk>",
        b"\n", b"(" * 3000, "\u0301".encode() * 3000, b" " * 20000])
    kind = source.randrange(5)
    if kind == 0:
        return content[:place], f"cut off at {place}"
    if kind == 1:
        return insert + content, f"begins with {insert[:12]!r}"
    if kind == 2:
        return content.replace(b"\n", b"\r\n"), "CRLF"
    return content[:place] + insert + content[place:], f"{insert[:12]!r} at {place}"
