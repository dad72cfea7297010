"""Judges what LoRAGrammars constrains, by Python's json, jsonschema and re.

    grammars.py --tokenizer ../shared/tokenizers/gpt2/tokenizer.json [--seeds 500] [--patterns 400]
    grammars.py --fixtures ... writes Tests/Fixtures/grammars/cases.json, a small part of the same
    grammars.py --model Sources/LoRAWorld/Base --binary .build/release/lora [--seeds 500]

The test GrammarCases answers the requests that this script writes to a folder (CaseRunner.swift says
how); --command names another program that does, given the folder in LORA_GRAMMAR_CASES.

1. For each schema and seed a random walk over the vocabulary: what is closed must be JSON, and valid.
2. Documents by hypothesis-jsonschema, the walks' results, and mutations of both: what jsonschema takes,
   arranged by the rules that OutputConstraint states, must be accepted, all else rejected.
3. Random patterns and texts: what is accepted by `pattern` must be matched by re, and what re matches
   with re.ASCII accepted.

With --model it is `lora generate --schema` that writes, sampling at temperature 1: 12 schemas, so many seeds
each. What is said to be complete must be JSON, without a key twice, and valid; the rest must say `length`.
"""

import argparse
import copy
import decimal
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parents[2]

SCHEMAS = {
    "person": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "email": {"type": "string", "format": "email"},
            "address": {
                "type": "object",
                "properties": {"street": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
                "required": ["zip"], "additionalProperties": False},
        },
        "required": ["name", "age"], "additionalProperties": False},
    "arrays": {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "minItems": 1, "maxItems": 4},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}],
                     "items": False, "minItems": 2},
            "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
                       "maxItems": 3},
        },
        "required": ["tags", "pair"], "additionalProperties": False},
    "enum": {
        "type": "object",
        "properties": {
            "color": {"enum": ["red", "green", "blue", "réd \"quoted\"\n"]},
            "mixed": {"enum": [1, 2.5, None, True, "1", [1, "a"], {"k": [], "l": {}}]},
            "version": {"const": 3},
            "narrowed": {"enum": ["a", "bb", "ccc", 7], "type": "string", "minLength": 2},
        },
        "required": ["color", "mixed", "version"], "additionalProperties": False},
    "anyOf": {
        "type": "object",
        "properties": {
            "value": {"anyOf": [
                {"type": "integer", "multipleOf": 5},
                {"type": "string", "maxLength": 5},
                {"type": "null"},
                {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}]},
            "nullable": {"type": ["string", "null"], "maxLength": 3},
        },
        "required": ["value"], "additionalProperties": False},
    "oneOf": {
        "type": "object",
        "properties": {"shape": {"oneOf": [{"$ref": "#/$defs/circle"}, {"$ref": "#/$defs/square"}]}},
        "required": ["shape"], "additionalProperties": False,
        "$defs": {
            "circle": {"type": "object", "properties": {
                "kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
                "required": ["kind", "radius"], "additionalProperties": False},
            "square": {"type": "object", "properties": {
                "kind": {"const": "square"}, "side": {"type": "number", "exclusiveMinimum": 0, "maximum": 10.5}},
                "required": ["kind", "side"], "additionalProperties": False}}},
    "list": {
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {"value": {"type": "integer", "minimum": -9, "maximum": 9},
                           "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
            "required": ["value", "next"], "additionalProperties": False}}},
    "tree": {
        "type": "object",
        "properties": {"label": {"type": "string", "pattern": "^[a-z]{1,3}$"},
                       "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}},
        "required": ["label"], "additionalProperties": False},
    "pattern": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"},
            "found": {"type": "string", "pattern": "cat|dog", "maxLength": 10},
            "path": {"type": "string", "pattern": "^(/[a-z]+)+$", "maxLength": 12},
            "slug": {"type": "string", "pattern": "^[\\w-]+$", "minLength": 2, "maxLength": 6},
            "nonspace": {"type": "string", "pattern": "^\\S.*\\S$", "maxLength": 6}},
        "required": ["id", "found"], "additionalProperties": False},
    "numbers": {
        "type": "object",
        "properties": {
            "any": {"type": "number"},
            "ratio": {"type": "number", "minimum": 0, "maximum": 1},
            "open": {"type": "number", "exclusiveMinimum": -2.5, "exclusiveMaximum": 17.25},
            "negative": {"type": "number", "maximum": -0.001},
            "below": {"type": "number", "exclusiveMaximum": 0},
            "big": {"type": "integer", "minimum": 1000000007},
            "small": {"type": "integer", "exclusiveMaximum": -99},
            "half": {"type": "integer", "minimum": 0.5, "maximum": 99.5},
            "steps": {"type": "integer", "multipleOf": 7, "minimum": -100, "maximum": 1000},
            "sevens": {"type": "number", "multipleOf": 12}},
        "additionalProperties": False},
    "optional": {
        "type": "object",
        "properties": {k: {"type": "integer", "minimum": 0, "maximum": 9} for k in "abcdefgh"},
        "required": ["c", "g"], "minProperties": 3, "maxProperties": 5, "additionalProperties": False},
    "formats": {
        "type": "object",
        "properties": {f: {"type": "string", "format": f} for f in (
            "date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri")},
        "additionalProperties": False},
    "additional": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "ids": {"type": "boolean"}, "é": {"type": "null"}},
        "required": ["id"],
        "patternProperties": {"^x-": {"type": "string", "maxLength": 4}, "[0-9]$": {"type": ["string", "integer"]}},
        "additionalProperties": {"type": "boolean"}},
    "allOf": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}, "b": {"type": "string"}},
             "required": ["a"]},
            {"properties": {"a": {"maximum": 8}, "b": {"maxLength": 4}, "c": {"enum": [1, 2]}},
             "required": ["b"], "additionalProperties": False}]},
    "any": {"type": "object", "properties": {"anything": True, "list": {"type": "array", "items": {}, "maxItems": 2}},
            "required": ["anything"], "additionalProperties": False},
    "open": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}},
    "json": True,
    "mutual": {
        "type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1, "maxItems": 3,
        "$defs": {
            "a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}, "additionalProperties": False},
            "b": {"type": ["object", "boolean"], "properties": {"a": {"$ref": "#/$defs/a"}},
                  "additionalProperties": False, "maxProperties": 1}}},
    "discriminated": {
        "type": "object", "properties": {"k": {"enum": ["x", "y", "z"]}, "n": {"type": "integer"}},
        "required": ["k"],
        "oneOf": [{"properties": {"k": {"const": "x"}, "n": {"minimum": 10}}},
                  {"properties": {"k": {"const": "y"}, "n": {"maximum": -10}}, "required": ["n"]}],
        "additionalProperties": False},
}
# hypothesis-jsonschema knows drafts up to 7, and is slow with some.
BY_HYPOTHESIS = ["person", "enum", "anyOf", "oneOf", "optional", "pattern", "any", "open", "json", "allOf", "additional",
                 "numbers"]


def validator(schema):
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def is_valid(checker, value):
    try:
        return checker.is_valid(value)
    except RecursionError:
        return None


def vocabulary(path):
    """The bytes of each token of a byte-level tokenizer.json, in hexadecimal."""
    tokenizer = json.load(open(path))
    alphabet, others = {}, 0
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            alphabet[chr(byte)] = byte
        else:
            alphabet[chr(256 + others)] = byte
            others += 1
    vocab = tokenizer["model"]["vocab"]
    special = sorted(t["id"] for t in tokenizer["added_tokens"])
    tokens = [""] * (max([*vocab.values(), *special]) + 1)
    for token, i in vocab.items():
        if i not in special:
            tokens[i] = bytes(alphabet[c] for c in token).hex()
    return {"tokens": tokens, "end": special[:1]}


class Runner:
    def __init__(self, command, tokens):
        self.command, self.tokens = command, tokens

    def ask(self, requests):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "vocabulary.json").write_text(json.dumps(self.tokens))
            with open(Path(folder, "requests.jsonl"), "w") as out:
                for request in requests:
                    out.write(json.dumps(request) + "\n")
            run = subprocess.run(
                self.command, shell=True, cwd=ROOT, env={**os.environ, "LORA_GRAMMAR_CASES": folder},
                capture_output=True, text=True)
            try:
                lines = Path(folder, "answers.jsonl").read_text().splitlines()
            except FileNotFoundError:
                sys.exit(run.stdout + run.stderr)
            assert len(lines) == len(requests), run.stdout + run.stderr
            return [json.loads(line) for line in lines]


# Documents, arranged by the rules

def fixed(number):
    """A float without an exponent; None where it has more digits than are written."""
    text = format(decimal.Decimal(repr(number)), "f")
    whole, _, fraction = text.lstrip("-").partition(".")
    return text if len(whole) <= 20 and len(fraction) <= 20 else None


class Unwritten(Exception):
    pass


def expanded(schemas, root):
    """The schemas with all that they refer to, alternatives included."""
    found, queue = [], list(schemas)
    while queue:
        schema = queue.pop(0)
        if not isinstance(schema, dict) or any(schema is f for f in found):
            continue
        found.append(schema)
        if "$ref" in schema:
            target = root
            for part in schema["$ref"].split("/")[1:]:
                target = target[part]
            queue.append(target)
        for key in ("allOf", "anyOf", "oneOf"):
            queue += schema.get(key, [])
    return found


def written(value, schemas, root):
    """The text of a document with properties in the schema's order; raises Unwritten where no text
    by the rules exists."""
    schemas = expanded(schemas, root)
    if isinstance(value, dict):
        names = []
        for schema in schemas:
            names += [n for n in schema.get("properties", {}) if n not in names]
        keys = [n for n in names if n in value]
        keys += [k for k in value if k not in keys]
        parts = []
        for key in keys:
            below = []
            for schema in schemas:
                below += [schema.get("properties", {}).get(key, True), schema.get("additionalProperties", True)]
                below += schema.get("patternProperties", {}).values()
            parts.append(json.dumps(key, ensure_ascii=False) + ": " + written(value[key], below, root))
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list):
        below = []
        for schema in schemas:
            below += [schema.get("items", True), *schema.get("prefixItems", [])]
        return "[" + ", ".join(written(item, below, root) for item in value) + "]"
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Unwritten
        text = fixed(int(value) if value == int(value) else value)
        if text is None or value == 0:
            raise Unwritten
        return text
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10 ** 20:
        raise Unwritten
    return json.dumps(value, ensure_ascii=False)


# Formats of which jsonschema takes more than is written: an e-mail address is whatever has an "@" there.
LOOSE = {"time", "date-time", "duration", "hostname", "ipv6", "uri"}


def is_strict(value):
    """Whether no part of a document has a format that is written in fewer forms than are valid."""
    if isinstance(value, dict):
        email = value.get("email")
        # \d and \w stand for ASCII alone.
        classes = [value.get(key) for key in ("id", "slug")]
        return (not (LOOSE & set(value)) and all(map(is_strict, value.values()))
                and all(not isinstance(text, str) or text.isascii() for text in classes)
                # Fewer digits are written where a bound is exclusive.
                and all(round(value[key], 12) == value[key] for key in ("open", "below", "radius", "side")
                        if isinstance(value.get(key), float))
                and (not isinstance(email, str) or re.fullmatch(r"[a-z.]+@[a-z]+(\.[a-z]+)+", email)))
    if isinstance(value, str):
        # Where re lets "$" stand before a last line feed too, it is the end here.
        return not value.endswith("\n")
    return not isinstance(value, list) or all(map(is_strict, value))


def mutated(value, draw):
    """A document changed at one place."""
    value = json.loads(json.dumps(value))
    places = [(None, None)]

    def visit(node):
        children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in list(children):
            places.append((node, key))
            visit(child)

    visit(value)
    parent, key = draw.choice(places)
    old = value if parent is None else parent[key]
    simple = [None, True, False, 0, -1, 5, 7, 35, 1.5, -0.5, 1e3, "", "a", "cat", "x" * 30, [], {}, [1], {"a": 1}]
    if isinstance(old, dict) and draw.random() < 0.7:
        if old and draw.random() < 0.5:
            del old[draw.choice(list(old))]
        else:
            old[draw.choice(["extra", "x-1", "id", "a", "é", "name", "z9"])] = draw.choice(simple)
        return value
    if isinstance(old, list) and draw.random() < 0.7:
        if old and draw.random() < 0.5:
            del old[draw.randrange(len(old))]
        else:
            old.insert(draw.randrange(len(old) + 1), draw.choice(old + simple))
        return value
    if isinstance(old, str) and draw.random() < 0.7:
        at = draw.randrange(len(old) + 1)
        new = draw.choice([old[:at] + draw.choice("a0Z-:/ é\n\"\\😀") + old[at:], old[:at] + old[at + 1:], old + old])
    elif isinstance(old, (int, float)) and not isinstance(old, bool) and draw.random() < 0.7:
        new = draw.choice([old + 1, old - 1, -old, old * 10, old + 0.5, old // 1])
        if isinstance(new, float) and new != new:
            new = 0
    else:
        new = draw.choice(simple)
    if parent is None:
        return new
    parent[key] = new
    return value


def broken(text, draw):
    """A text changed by one character."""
    at = draw.randrange(len(text))
    change = draw.choice(["", ",", "}", "]", "\"", "0", " ", "\\", "\t", "1", "a"])
    return text[:at] + change + text[at + draw.randrange(2):]


def documents(name, schema, count):
    """Valid documents by hypothesis-jsonschema."""
    import warnings
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis_jsonschema import from_schema
    found = []

    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck), derandomize=True)
    @given(from_schema(copy.deepcopy(schema)))
    def collect(value):
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return found


def strict(text):
    """The value of a text; raises where keys are doubled, which no later step would see."""
    def pairs(items):
        if len({k for k, _ in items}) != len(items):
            raise KeyError("a key twice")
        return dict(items)
    return json.loads(text, object_pairs_hook=pairs,
                      parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))


def cases(name, schema, samples, draw, count):
    """Texts and whether they must be accepted."""
    checker = validator(schema)
    texts = {}

    def add(value):
        valid = is_valid(checker, value)
        if valid is None:
            return
        try:
            text = written(value, [schema], schema)
        except Unwritten:
            return
        if valid and not is_strict(value):
            return
        # What is written must still mean the same: an integral float was made an integer.
        if is_valid(checker, json.loads(text)) == valid:
            texts[text] = valid

    for value in samples:
        add(value)
    base = samples or [None]
    for _ in range(count):
        value = draw.choice(base)
        for _ in range(draw.choice([1, 1, 2])):
            value = mutated(value, draw)
        add(value)
    for text in draw.sample(sorted(texts), min(len(texts), count // 4)):
        text = broken(text, draw)
        try:
            value = strict(text)
        except KeyError:
            continue
        except ValueError:
            texts[text] = False
            continue
        if not is_valid(checker, value):
            texts[text] = False
    return texts


# Patterns

def random_pattern(draw, depth=0):
    kind = draw.randrange(10 if depth < 3 else 4)
    if kind < 3:
        return draw.choice(["a", "b", "c", ".", "\\d", "\\w", "\\s", "\\D", "[ab]", "[^a]", "[b-d]", "[^\\w]", "\\.",
                            "-", "0", "é", "[\\d-]", " "])
    if kind == 3:
        return draw.choice(["", "^", "$", "a", "b"])
    if kind < 6:
        return "".join(random_pattern(draw, depth + 1) for _ in range(draw.randrange(1, 4)))
    if kind < 8:
        atom = "(?:" + random_pattern(draw, depth + 1) + ")"
        return atom + draw.choice(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"])
    if kind == 8:
        return "(" + "|".join(random_pattern(draw, depth + 1) for _ in range(2)) + ")"
    return "(" + random_pattern(draw, depth + 1) + ")"


def check_patterns(runner, count, draw, alphabet="aabbccd0 1.-_é\tZ"):
    requests, expected = [], []
    while len(requests) < 2 * count:
        pattern = random_pattern(draw)
        try:
            compiled = re.compile(pattern, re.ASCII)
        except re.error:
            continue
        texts = sorted({"".join(draw.choice(alphabet) for _ in range(draw.randrange(8))) for _ in range(60)})
        requests.append({"schema": json.dumps({"type": "string", "pattern": pattern}),
                         "texts": [json.dumps(t, ensure_ascii=False) for t in texts],
                         "seeds": list(range(5)), "mode": "bytes", "limit": 60})
        expected.append([compiled.search(t) is not None for t in texts])
        requests.append({"pattern": pattern, "texts": texts})
        expected.append([compiled.fullmatch(t) is not None for t in texts])
    wrong = judged = matched = walks = refused = 0
    for request, want, answer in zip(requests, expected, runner.ask(requests)):
        if "error" in answer:
            # A contradiction, as "a^" or "$a": nothing must match.
            refused += 1
            if answer["kind"] != "unsatisfiable" or any(want):
                wrong += 1
                print("refused:", request.get("pattern", request.get("schema")), answer["error"])
            continue
        pattern = request["pattern"] if "pattern" in request else json.loads(request["schema"])["pattern"]
        for text, yes, found in zip(request["texts"], want, answer["accepted"]):
            judged += 1
            matched += yes
            # \d and \w beyond ASCII are on the strict side; in ASCII there is no difference.
            if yes != found and not (yes and any(ord(c) > 127 for c in text)):
                wrong += 1
                print("differs:", pattern, repr(text), "re:", yes, "grammar:", found)
        for walk in answer["walks"]:
            if not walk["finished"]:
                continue
            walks += 1
            text = json.loads(bytes(walk["bytes"]).decode())
            if not re.search(pattern, text) or not re.search(pattern, text, re.ASCII):
                wrong += 1
                print("walk:", pattern, repr(text))
    print(f"patterns: {len(requests)} ({refused} that nothing matches), {judged} texts ({matched} matched), "
          f"{walks} walks, {wrong} wrong")
    return wrong


def check_walks(runner, seeds, limit):
    requests, keys = [], []
    for name, schema in SCHEMAS.items():
        for number, mode in enumerate(["uniform", "peaked", "bytes"]):
            for whitespace in (["spaced"] if mode != "bytes" else ["spaced", "compact", "indented"]):
                own = seeds // 5 if mode != "bytes" else seeds // 5
                requests.append({"schema": json.dumps(schema), "seeds": list(range(own)), "mode": mode,
                                 "limit": limit, "whitespace": whitespace})
                keys.append((name, mode))
    wrong, found, rows = 0, {name: [] for name in SCHEMAS}, {}
    for (name, mode), request, answer in zip(keys, requests, runner.ask(requests)):
        if "error" in answer:
            wrong += 1
            print(name, "refused:", answer["error"])
            continue
        checker = validator(SCHEMAS[name])
        row = rows.setdefault(name, [0, 0, 0])
        for seed, walk in zip(request["seeds"], answer["walks"]):
            row[0] += 1
            if not walk["finished"]:
                continue
            row[1] += 1
            try:
                value = json.loads(bytes(walk["bytes"]).decode())
                valid = is_valid(checker, value)
                if valid is None:
                    continue
                errors = [] if valid else [e.message[:200] for e in checker.iter_errors(value)]
            except ValueError as error:
                errors = [str(error)]
            if errors:
                wrong += 1
                print(name, mode, seed, bytes(walk["bytes"])[:300], errors[:2])
            else:
                row[2] += 1
                found[name].append(value)
    for name, (all_, closed, valid) in rows.items():
        print(f"{name}: {all_} walks, {closed} closed, {valid} valid")
    print(f"walks: {sum(r[0] for r in rows.values())}, closed {sum(r[1] for r in rows.values())}, wrong {wrong}")
    return wrong, found


def gathered(found, seed, count):
    """Texts to judge of every schema."""
    draw = random.Random(seed)
    result = {}
    for name, schema in SCHEMAS.items():
        samples = [v for v in found[name]]
        if name in BY_HYPOTHESIS:
            samples += documents(name, schema, count)
        result[name] = cases(name, schema, samples, draw, 4 * count)
    return result


def check_documents(runner, found, seed, count):
    wrong = 0
    totals = [0, 0]
    texts = gathered(found, seed, count)
    requests = [{"schema": json.dumps(SCHEMAS[n]), "texts": list(texts[n])} for n in texts]
    for name, answer in zip(texts, runner.ask(requests)):
        if "error" in answer:
            wrong += 1
            print(name, "refused:", answer["error"])
            continue
        right = [0, 0]
        for (text, valid), accepted in zip(texts[name].items(), answer["accepted"]):
            right[valid] += 1
            totals[valid] += 1
            if valid != accepted:
                wrong += 1
                print(name, "must be", "accepted:" if valid else "rejected:", text[:300])
        print(f"{name}: {right[1]} valid texts, {right[0]} invalid ones")
    print(f"documents: {totals[1]} valid, {totals[0]} invalid, wrong {wrong}")
    return wrong


# What a model writes: nested, arrays, enum, anyOf, oneOf, $ref, pattern, numbers, optional keys, formats.
BY_MODEL = ["person", "arrays", "enum", "anyOf", "oneOf", "list", "tree", "pattern", "numbers", "optional", "formats",
            "additional"]


def check_model(model, binary, seeds, limit):
    from concurrent.futures import ThreadPoolExecutor

    def generated(job):
        path, seed = job
        run = subprocess.run(
            [binary, "generate", "--model", model, "--prompt", "Q: What is it?\nA:", "--schema", path,
             "--temperature", "1", "--seed", str(seed), "--max-tokens", str(limit), "--json"],
            capture_output=True, text=True)
        return json.loads(run.stdout) if run.returncode == 0 else {"error": run.stderr}

    wrong, totals = 0, [0, 0, 0]
    for name in BY_MODEL:
        checker = validator(SCHEMAS[name])
        closed = long = 0
        texts = set()
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
            path = Path(folder, "schema.json")
            path.write_text(json.dumps(SCHEMAS[name]))
            for seed, result in enumerate(pool.map(generated, [(str(path), s) for s in range(seeds)])):
                if result.get("stopped") == "length" and len(result["tokens"]) == limit:
                    long += 1
                    continue
                try:
                    fine = result["stopped"] in ("complete", "stop_token")
                    fine = fine and checker.is_valid(strict(result["text"]))
                except (KeyError, ValueError):
                    fine = False
                if fine:
                    closed += 1
                    texts.add(result["text"])
                else:
                    wrong += 1
                    print(name, seed, result)
        totals = [t + n for t, n in zip(totals, (closed, long, len(texts)))]
        print(f"{name}: {closed} closed and valid ({len(texts)} different), {long} cut off at {limit} tokens", flush=True)
    print(f"by the model: {totals[0]} closed and valid ({totals[2]} different), {totals[1]} said length, wrong {wrong}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer")
    parser.add_argument("--model")
    parser.add_argument("--binary", default=str(ROOT / ".build/release/lora"))
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--patterns", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", default="swift test --filter GrammarCases")
    parser.add_argument("--fixtures", action="store_true")
    arguments = parser.parse_args()
    if arguments.model:
        sys.exit(1 if check_model(arguments.model, arguments.binary, arguments.seeds, arguments.limit) else 0)
    if not arguments.tokenizer:
        parser.error("--tokenizer or --model is needed")
    runner = Runner(arguments.command, vocabulary(arguments.tokenizer))
    wrong, found = check_walks(runner, arguments.seeds, arguments.limit)
    if arguments.fixtures:
        draw = random.Random(arguments.seed)
        fixture = []
        for name, texts in gathered(found, arguments.seed, 20).items():
            for valid in (True, False):
                own = sorted(t for t, v in texts.items() if v == valid and len(t) < 200)
                own = draw.sample(own, min(len(own), 12))
                fixture += [{"schema": name, "text": t, "valid": valid} for t in own]
        folder = ROOT / "Tests/Fixtures/grammars"
        folder.mkdir(parents=True, exist_ok=True)
        content = {"schemas": {n: json.dumps(s) for n, s in SCHEMAS.items()}, "cases": fixture}
        (folder / "cases.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return
    wrong += check_documents(runner, found, arguments.seed, arguments.documents)
    wrong += check_patterns(runner, arguments.patterns, random.Random(arguments.seed))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
