"""What transformers makes of templates.

    python Tests/Reference/chat_templates.py                     # Fixtures/templates/*.json
    python Tests/Reference/chat_templates.py shared ../shared    # Fixtures/templates/shared.json: digests only
    python Tests/Reference/chat_templates.py compare --binary .build/release/lora TEMPLATES...
    python Tests/Reference/chat_templates.py mutated --count 4000 --seed 1 CASES.jsonl TEMPLATES...

TEMPLATES are files, or folders of .jinja files. `compare` renders every template with every conversation of
template_conversations.py by `apply_chat_template` and by `lora template`: the same bytes, or an error where
transformers raises. `mutated` writes templates with words removed, doubled and exchanged, and what
transformers makes of them; `LORA_TEMPLATE_CASES=CASES.jsonl swift test --filter TemplateCases` compares.

Fixtures: language.json has {"template", "text", "generated"} or {"template", "error"} of template_cases.py and
of random expressions; conversations.json the same of the templates beside it. The clock stands still.
"""

import argparse
import copy
import datetime
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import warnings

import tokenizers
import transformers.utils.chat_template_utils as utilities
from transformers import PreTrainedTokenizerFast

from common import fixture
from template_cases import EXPRESSIONS, SNIPPETS, VARIABLES
from template_conversations import CONVERSATIONS

warnings.simplefilter("ignore")
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 7, 15, 4, 9)


def tokenizer():
    model = tokenizers.models.WordLevel({"<unk>": 0}, unk_token="<unk>")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model), **SPECIAL)


def outcome(make):
    """What `make` returns, or the kind of error; endless templates are stopped."""
    def stop(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    try:
        result = make()
        result["text"].encode("utf-8")
        return result
    except Exception as error:
        return {"error": type(error).__name__}
    finally:
        signal.alarm(0)


def rendered(template, variables):
    def make():
        compiled = utilities._compile_jinja_template(template)
        blocks, generated = [], []
        with compiled.environment.activate_tracker(blocks, generated):
            for block in compiled.generate(**copy.deepcopy(variables)):
                blocks.append(block)
        return {"text": "".join(blocks), "generated": [list(range_) for range_ in generated]}
    return outcome(make)


def applied(template, chat, speaker):
    def make():
        return {"text": speaker.apply_chat_template(
            copy.deepcopy(chat["messages"]), tools=copy.deepcopy(chat["tools"]),
            documents=copy.deepcopy(chat["documents"]), chat_template=template,
            add_generation_prompt=chat["prompt"], tokenize=False, **copy.deepcopy(chat["variables"]))}
    return outcome(make)


def files(paths):
    result = []
    for path in paths:
        result += sorted(glob.glob(os.path.join(path, "*.jinja"))) if os.path.isdir(path) else [path]
    return result


def source(path):
    with open(path, newline="") as file:
        return file.read()


def write_lines(path, header, cases):
    """A JSON list with an entry a line, so that differences can be read."""
    with open(path, "w") as file:
        file.write('{"variables": %s,\n "cases": [\n' % json.dumps(header, ensure_ascii=False))
        file.write(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases))
        file.write("\n]}\n")


# Random expressions

LITERALS = ["1", "2", "0", "-1", "3", "10", "1.5", "0.1", "-2.5", "'a'", "'b'", "' '", "''", "'abc'", "'%s'",
            "'{}'", "none", "true", "false", "[]", "[1,2]", "{}", "{'a':1}", "(1,2)", "'n'", "'v'", "'o'",
            "[1,'a']", "'k.q'", "'0'", "'12'", "'3.7'"]
RANDOM_VARIABLES = {
    "s": "Hello World", "t": "a,b;c  d\nE\tf\n", "u": "日本é ß ﬁ Σς ΑΣ İ", "e": "", "i": 5, "j": -3, "z": 0,
    "f": 2.5, "g": -0.1, "h": 1e20, "l": [3, 1, 2], "m": ["b", "A", "c", "B"], "x": [],
    "d": {"b": 1, "a": 2, "C": 3},
    "o": [{"n": "b", "v": 2, "k": {"q": 1}}, {"n": "a", "v": 1, "k": {"q": 0}}, {"n": "B", "v": 3}],
    "y": None, "T": True, "F": False, "mix": [1, "a", None, 2.5, [1], {"a": 1}, True],
}
FILTERS = """abs batch({a}) capitalize center({n}) count default({a}) default({a},true) dictsort dictsort(true)
dictsort(false,'value') first float int format({a}) groupby({a}) indent indent({n},true) items join join({a})
join(',',attribute='n') last length list lower map({f}) map(attribute={a}) max min reject({t}) rejectattr({a},{t})
rejectattr({a}) replace({a},{a}) reverse round round({n}) round({n},'floor') select({t}) select
selectattr({a},{t}) selectattr({a}) slice({n}) sort sort(reverse=true) sort(attribute={a}) string sum
sum(attribute='v') title tojson tojson(indent={n}) trim trim({a}) truncate({n}) unique upper wordcount urlencode
filesizeformat pprint wordwrap({n}) striptags e xmlattr items|list list|first d({a})""".split()
FILTER_NAMES = ["'upper'", "'lower'", "'length'", "'first'", "'list'", "'string'", "'int'", "'abs'", "'tojson'",
                "'trim'", "'default','q'", "'replace','a','b'", "'sort'"]
TESTS = """odd even defined undefined none boolean false true integer float lower upper string mapping number
sequence iterable callable""".split()
TESTS_OF_TWO = "divisibleby sameas in eq ne gt ge lt le equalto greaterthan".split()
METHODS = """upper() lower() title() capitalize() strip() strip({a}) lstrip({a}) rstrip({a}) split() split({a})
split({a},{n}) rsplit({a},{n}) rsplit(none,{n}) split(none,{n}) splitlines() splitlines(true) partition({a})
rpartition({a}) startswith({a}) endswith({a}) replace({a},{a}) replace({a},{a},{n}) find({a}) find({a},{n},{n})
rfind({a}) count({a}) index({a}) join({a}) center({n}) ljust({n}) rjust({n},'*') zfill({n}) isalpha() isdigit()
isalnum() isspace() islower() isupper() istitle() isdecimal() isnumeric() isidentifier() isprintable() isascii()
swapcase() expandtabs({n}) removeprefix({a}) removesuffix({a}) format({a},{a}) keys()|list values()|list
items()|list get({a}) get({a},{a}) copy() casefold() bit_length() is_integer()""".split()
OPERATORS = "+ - * / // % ~ < <= > >= == != in and or **".split() + ["not in"]


class Expressions:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self):
        return str(self.random.choice([0, 1, 2, 3, 5, 7, -1, -2, 10]))

    def filled(self, text, depth):
        choose = self.random.choice
        while "{a}" in text:
            text = text.replace("{a}", self.make(0 if self.random.random() < .8 else depth - 1), 1)
        while "{n}" in text:
            text = text.replace("{n}", self.number(), 1)
        while "{f}" in text:
            text = text.replace("{f}", choose(FILTER_NAMES), 1)
        while "{t}" in text:
            test = "'%s'" % choose(TESTS) if self.random.random() < .5 else "'%s',%s" % (
                choose(TESTS_OF_TWO), self.make(0))
            text = text.replace("{t}", test, 1)
        return text

    def operand(self, depth):
        text = self.make(depth)
        return text if depth <= 0 else "(%s)" % text

    def make(self, depth):
        choose, roll = self.random.choice, self.random.random()
        if depth <= 0:
            return choose(list(RANDOM_VARIABLES) + ["undef"]) if roll < .6 else choose(LITERALS)
        below = depth - 1
        if roll < .30:
            return "%s|%s" % (self.make(below), self.filled(choose(FILTERS), depth))
        if roll < .50:
            return "%s.%s" % (self.operand(below), self.filled(choose(METHODS), depth))
        if roll < .65:
            return "(%s %s %s)" % (self.make(below), choose(OPERATORS), self.make(below))
        if roll < .70:
            return "%s %s %s %s %s" % (self.make(depth - 2), choose(OPERATORS), self.make(depth - 2),
                                       choose(OPERATORS), self.make(depth - 2))
        if roll < .75:
            return "%s[%s]" % (self.operand(below), choose([self.make(below), "0", "-1", "'a'", "'n'"]))
        if roll < .83:
            # Of a constant Jinja makes an undefined value at compile time, where slicing is an error.
            return "%s[%s:%s%s]" % (choose(list("stulmdo")), choose(["", self.number()]),
                                    choose(["", self.number()]), choose(["", ":" + self.number(), ":-1", ":"]))
        if roll < .88:
            test = choose(TESTS) if self.random.random() < .6 else "%s(%s)" % (
                choose(TESTS_OF_TWO), self.make(below))
            return "(%s is %s%s)" % (self.make(below), choose(["", "not "]), test)
        if roll < .92:
            return "(%s if %s%s)" % (self.make(below), self.make(below), choose(["", " else " + self.make(below)]))
        if roll < .94:
            return "[%s,%s]" % (self.make(below), self.make(below))
        if roll < .96:
            return "{%s:%s}" % (self.make(0), self.make(below))
        if roll < .98:
            return choose(["not %s", "-%s"]) % self.operand(below)
        return "%s.%s" % (self.operand(below), choose(["a", "b", "n", "role"]))


def is_fixed(case):
    """Not an address in memory, a number beyond 64 bits or a complex one."""
    text = case.get("text", "")
    return not re.search(r"(?i)\bat 0x|object at|generator|iterator|\d{19,}|\dj\)", text) and len(text) < 2000


def language_cases(count, seed):
    expressions = Expressions(seed)
    cases, errors = [], 0
    while len(cases) < count:
        template = "{{ " + expressions.make(expressions.random.choice([1, 2, 2, 3])) + " }}"
        case = {"template": template, **rendered(template, RANDOM_VARIABLES)}
        if not is_fixed(case) or "generator" in template:
            continue
        errors += "error" in case
        if "error" in case and errors > count // 4:
            continue
        cases.append(case)
    return cases


def write_fixtures():
    utilities.datetime = Clock
    listed = {key: value for key, value in VARIABLES.items() if key != "x"}
    cases = []
    for expression in EXPRESSIONS:
        template = "{{ " + expression + " }}"
        cases.append({"template": template, **rendered(template, listed)})
    write_lines(fixture("templates", "expressions.json"), listed, cases)
    cases = [{"template": snippet, **rendered(snippet, VARIABLES)} for snippet in SNIPPETS]
    write_lines(fixture("templates", "snippets.json"), VARIABLES, cases)
    write_lines(fixture("templates", "random.json"), RANDOM_VARIABLES, language_cases(600, 7))
    speaker = tokenizer()
    cases = []
    for path in files([os.path.dirname(fixture("templates", "chatml.jinja"))]):
        for name, chat in CONVERSATIONS.items():
            cases.append({"file": os.path.basename(path), "conversation": name,
                          **applied(source(path), chat, speaker)})
    write_lines(fixture("templates", "conversations.json"), CONVERSATIONS, cases)


def fnv(data):
    """64 bits of FNV-1a, in hexadecimal digits."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return "%016x" % digest


def write_shared(folder):
    utilities.datetime = Clock
    speaker = tokenizer()
    result = []
    for path in files([os.path.join(folder, "templates")]):
        for name, chat in CONVERSATIONS.items():
            case = applied(source(path), chat, speaker)
            digest = "error" if "error" in case else fnv(case["text"].encode())
            result.append({"file": os.path.basename(path), "conversation": name, "digest": digest})
    write_lines(fixture("templates", "shared.json"), {}, result)


def by_command(binary, path, chat, folder):
    """The text that `lora template` prints, or its error."""
    arguments = [binary, "template", "--template", path, "--json"]
    for option in ["messages", "tools"]:
        if chat[option] is not None:
            name = os.path.join(folder, option + ".json")
            with open(name, "w") as file:
                json.dump(chat[option], file)
            arguments += ["--" + option, name]
    variables = {**SPECIAL, **chat["variables"]}
    if chat["documents"] is not None:
        variables["documents"] = chat["documents"]
    arguments += ["--variables", json.dumps(variables)]
    if not chat["prompt"]:
        arguments.append("--no-generation-prompt")
    result = subprocess.run(arguments, capture_output=True, text=True)
    if result.returncode == 0:
        return {"text": json.loads(result.stdout)["text"]}
    if result.returncode != 1 or not result.stderr.startswith("error: "):
        print("crash:", path, result.stderr)
    return {"error": result.stderr.strip()}


def compare(binary, paths):
    speaker = tokenizer()
    count = errors = differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files(paths):
            for name, chat in CONVERSATIONS.items():
                expected = applied(source(path), chat, speaker)
                found = by_command(binary, path, chat, folder)
                count += 1
                errors += "error" in expected
                if ("error" in expected) != ("error" in found) or expected.get("text") != found.get("text"):
                    differences += 1
                    print(f"{path}, {name}:\n  expected {expected}\n  found    {found}")
    print(f"{count} texts of {len(files(paths))} templates and {len(CONVERSATIONS)} conversations, {errors} of them "
          f"errors: {differences} differences")
    return differences


def mutated(path, count, seed, paths):
    utilities.datetime = Clock
    rng = random.Random(seed)
    words = re.compile(r"\{%[-+]?|[-+]?%\}|\{\{[-+]?|[-+]?\}\}|\w+|\s+|'[^']*'|.", re.S)
    templates = [words.findall(text) for text in map(source, files(paths)) if len(text) < 12000]
    chats = list(CONVERSATIONS.values())
    with open(path, "w") as file:
        for _ in range(count):
            text = list(rng.choice(templates))
            for _ in range(rng.choice([1, 1, 2, 3])):
                place = rng.randrange(len(text) or 1)
                other = rng.choice(templates)
                roll = rng.random()
                if roll < .3:
                    del text[place:place + rng.choice([1, 1, 2, 5])]
                elif roll < .5:
                    text[place:place + 1] = [rng.choice(other)]
                elif roll < .7:
                    text.insert(place, rng.choice(other))
                elif roll < .9:
                    text[place:place + 3] = text[place:place + 3] * 2
                else:
                    start = rng.randrange(len(other))
                    text[place:place] = other[start:start + 8]
            chat = rng.choice(chats)
            variables = {**SPECIAL, **chat["variables"], "messages": chat["messages"], "tools": chat["tools"],
                         "documents": chat["documents"], "add_generation_prompt": chat["prompt"]}
            case = rendered("".join(text), variables)
            if is_fixed({"text": re.sub(r"\d{19,}", "", case.get("text", ""))[:1000]}):
                file.write(json.dumps({"template": "".join(text), "variables": variables, **case}) + "\n")


def main():
    if len(sys.argv) < 2:
        return write_fixtures()
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["shared", "compare", "mutated"])
    parser.add_argument("--binary")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    if arguments.what == "shared":
        return write_shared(arguments.paths[0])
    if arguments.what == "mutated":
        return mutated(arguments.paths[0], arguments.count, arguments.seed, arguments.paths[1:])
    sys.exit(compare(arguments.binary, arguments.paths) > 0)


if __name__ == "__main__":
    main()
