#!/usr/bin/env python3
"""Plants defects in real texts, runs `lora data check` over them and counts what it found and what it missed.

Written from the list of what data has wrong with it, without a look at the code of the checks, as a second opinion
beside `planted_defects.py`: other texts, other spellings of every defect, and decoys that look like one and are none.

    Tests/Reference/blind_defects.py --sources DIR --lora PATH --output DIR [--model MODEL] [--each 30] [--seed 5]

`--sources` has `clinc150.json`, `tinyshakespeare.txt` and `instruction_ja.jsonl`. Each defect comes in several
variants; the table says for each how many were found, and on which undamaged lines something else was said.
"""

import argparse
import base64
import collections
import json
import random
import re
import string
import subprocess
import sys
from pathlib import Path

UPPER, DIGITS = string.ascii_uppercase, string.digits
WORD = string.ascii_letters + DIGITS

#: What a check may call each defect.
NAMES = {
    "duplicate": {"duplicate"}, "near-duplicate": {"near-duplicate", "duplicate"},
    "split": {"split-duplicate"}, "conflict": {"conflict"}, "empty": {"empty"},
    "one-sided": {"empty", "role"}, "encoding": {"encoding", "malformed"}, "role": {"role", "empty", "malformed"},
    "template-token": {"special-token"}, "secret": {"secret"}, "personal": {"personal"}, "language": {"language"},
    "repetition": {"repetition"}, "boilerplate": {"boilerplate"}, "malformed": {"malformed"},
    "too-long": {"too-long"}, "tokens": {"tokens"},
}


class Texts:
    """Questions and answers, none of which is nearly another's."""

    def __init__(self, folder, rng):
        self.rng = rng
        clinc = json.loads((folder / "clinc150.json").read_text())
        self.labelled = [(text, label) for split in ("train", "val") for text, label in clinc[split]]
        rng.shuffle(self.labelled)
        seen, self.questions = collections.defaultdict(list), []
        for text, _ in self.labelled:
            words = frozenset(re.findall(r"\w+", text.lower()))
            close = {i for word in words for i in seen[word]} if len(words) < 3 else {
                i for word in sorted(words, key=lambda w: len(seen[w]))[:3] for i in seen[word]}
            if len(words) > 3 and all(len(words & o) < 0.6 * len(words | o) for o in map(self.sets, close)):
                for word in words:
                    seen[word].append(len(self.questions))
                self.questions.append(text[0].upper() + text[1:] + rng.choice(["?", "", "."]))
        text = (folder / "tinyshakespeare.txt").read_text()
        speeches = [re.sub(r"\s+", " ", s.split(":\n", 1)[1]) for s in text.split("\n\n") if ":\n" in s]
        sentences = [s for speech in speeches for s in re.split(r"(?<=[.!?;]) ", speech)]
        self.sentences, taken = [], set()
        for sentence in sentences:
            if 25 < len(sentence) < 160 and sentence not in taken:
                taken.add(sentence)
                self.sentences.append(sentence)
        rng.shuffle(self.sentences)
        self.japanese = [json.loads(line) for line in (folder / "instruction_ja.jsonl").read_text().splitlines()]
        rng.shuffle(self.japanese)

    def sets(self, index):
        return frozenset(re.findall(r"\w+", self.questions[index].lower()))

    def question(self):
        # Two utterances make more questions than there are utterances.
        if len(self.questions) > 400:
            return self.questions.pop()
        return self.sentence() + " " + self.sentence()

    def sentence(self):
        if len(self.sentences) > 3000:
            return self.sentences.pop()
        # The play is too short: halves of two of its sentences make another.
        one, other = (self.rng.choice(self.sentences).split() for _ in range(2))
        return " ".join(one[: len(one) // 2] + other[len(other) // 2 :])

    def answer(self):
        return " ".join(self.sentence() for _ in range(self.rng.choice([1, 1, 1, 2])))


def token(rng, alphabet, count):
    return "".join(rng.choice(alphabet) for _ in range(count))


def luhn(rng, prefix, length):
    digits = [int(c) for c in prefix + token(rng, DIGITS, length - len(prefix) - 1)]
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits)))
    return "".join(map(str, digits)) + str(-total % 10)


def iban(rng):
    bank = token(rng, DIGITS, 18)
    check = 98 - int(bank + "131400") % 97
    return f"DE{check:02d}{bank}"


def secrets(rng):
    def pem():
        body = base64.b64encode(rng.randbytes(96)).decode()
        return f"-----BEGIN {rng.choice(['RSA ', 'OPENSSH ', 'EC ', ''])}PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"

    def jwt():
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        return ".".join([part({"alg": "HS256", "typ": "JWT"}), part({"sub": token(rng, DIGITS, 9)}), token(rng, WORD, 43)])

    return {
        "aws": lambda: "AKIA" + token(rng, UPPER + "234567", 16),
        "github": lambda: "ghp_" + token(rng, WORD, 36),
        "github-fine": lambda: "github_pat_" + token(rng, WORD, 22) + "_" + token(rng, WORD, 59),
        "openai": lambda: "sk-proj-" + token(rng, WORD, 48), "anthropic": lambda: "sk-ant-api03-" + token(rng, WORD, 80),
        "slack": lambda: f"xoxb-{token(rng, DIGITS, 12)}-{token(rng, DIGITS, 12)}-{token(rng, WORD, 24)}",
        "stripe": lambda: "sk_live_" + token(rng, WORD, 24), "google": lambda: "AIza" + token(rng, WORD, 35),
        "huggingface": lambda: "hf_" + token(rng, string.ascii_letters, 34), "gitlab": lambda: "glpat-" + token(rng, WORD, 20),
        "npm": lambda: "npm_" + token(rng, WORD, 36), "pem": pem, "jwt": jwt,
        "url": lambda: f"postgres://admin:{token(rng, WORD, 14)}@db.corp-internal.net:5432/main",
        "assignment": lambda: f"DB_PASSWORD={token(rng, WORD + '!%', 16)}",
        "sentence": lambda: f"the password is {token(rng, WORD, 8)}#{token(rng, DIGITS, 3)}",
    }


def personal(rng):
    name = lambda: rng.choice("maria jonas kenji olga pierre aisha tomas ingrid".split())
    family = lambda: rng.choice("keller duarte lindqvist marchetti novak okafor tanaka".split())
    return {
        "mail": lambda: f"{name()}.{family()}{rng.randrange(99)}@{rng.choice(['gmail.com', 'outlook.com', 'web.de', 'docomo.ne.jp'])}",
        "us-phone": lambda: f"({rng.randrange(201, 989)}) {rng.randrange(220, 540)}-{rng.randrange(1000, 9999)}",
        "world-phone": lambda: f"+49 {rng.randrange(150, 179)} {token(rng, DIGITS[1:], 7)}",
        "jp-phone": lambda: f"090-{token(rng, DIGITS[1:], 4)}-{token(rng, DIGITS[1:], 4)}",
        "uk-phone": lambda: f"+44 7{token(rng, DIGITS, 3)} {token(rng, DIGITS[1:], 6)}",
        "card": lambda: " ".join(re.findall("....", luhn(rng, "4", 16))), "card-plain": lambda: luhn(rng, "5" + rng.choice("12345"), 16),
        "iban": lambda: iban(rng), "ssn": lambda: f"{rng.randrange(101, 665)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}",
        "ip": lambda: f"{rng.choice([81, 93, 142, 188])}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
    }


FOREIGN = {
    "german": ["Das lässt sich leider nicht ohne weiteres sagen, weil wir dafür noch einige Angaben von Ihnen brauchen.",
               "Sie können die Rechnung innerhalb von vierzehn Tagen bezahlen, danach wird eine Gebühr fällig.",
               "Der Zug fährt jeden Morgen um sieben Uhr ab und ist meistens pünktlich."],
    "french": ["Il faut d'abord vérifier que votre compte est bien ouvert, puis vous pourrez faire la demande en ligne.",
               "Nous ne pouvons pas vous répondre avant la fin de la semaine, car le bureau est fermé.",
               "La réservation a été annulée parce que le paiement n'est pas arrivé à temps."],
    "spanish": ["Lo siento, pero no tenemos ninguna información sobre ese pedido en este momento.",
                "Para cambiar la fecha tiene que llamar a la oficina antes de las cinco de la tarde."],
    "portuguese": ["Você precisa confirmar o endereço antes que a encomenda possa ser enviada para a sua casa."],
    "italian": ["Non è possibile modificare la prenotazione dopo che è stata confermata dal nostro ufficio."],
    "russian": ["К сожалению, мы не можем изменить этот заказ, потому что он уже отправлен со склада."],
    "chinese": ["很抱歉，您的订单已经发货，我们现在无法修改收货地址。"],
    "korean": ["죄송하지만 주문하신 상품은 이미 발송되어 주소를 변경할 수 없습니다."],
    "japanese": ["申し訳ございませんが、ご注文の商品はすでに発送されたため、住所の変更はできません。"],
    "arabic": ["عذرا، لا يمكننا تغيير العنوان لأن الطلب قد تم شحنه بالفعل من المستودع."],
}

#: Look like defects, and are none.
DECOYS = [
    ("How do you say 'the train is late' in German?", "Der Zug hat Verspätung."),
    ("Translate to French: I would like a glass of water.", "Je voudrais un verre d'eau, s'il vous plaît."),
    ("What is the Spanish phrase for 'where is the library'?", "¿Dónde está la biblioteca?"),
    ("What does 'c'est la vie' mean?", "It is French, for 'such is life'."),
    ("Which commit broke the build?", "It was 9fceb02d0ae598e95dc970b74767f19372d61af8."),
    ("What is the id of the request?", "550e8400-e29b-41d4-a716-446655440000"),
    ("Give me an address for my documentation.", "Use someone@example.com, which nobody can own."),
    ("What is localhost?", "The machine itself, 127.0.0.1, as 192.168.0.1 is often the router."),
    ("What is the ISBN of the handbook?", "978-3-16-148410-0"),
    ("How do I write a password field in HTML?", "<input type=\"password\" name=\"password\">"),
    ("Where do I put my key?", "Set OPENAI_API_KEY=<your key> in the environment, never in the code."),
    ("What is pi to twenty digits?", "3.14159265358979323846"),
    ("Sing the chorus.", "Row, row, row your boat, gently down the stream."),
    ("Write a table of squares.", "| n | n^2 |\n| - | - |\n| 1 | 1 |\n| 2 | 4 |\n| 3 | 9 |"),
    ("How do I write an ampersand in HTML?", "As &amp; in the source: `<p>salt &amp; pepper</p>`."),
    ("What is 17 times 3?", "51"), ("What is 17 times 4?", "68"), ("What is 18 times 3?", "54"),
    ("What is the capital of Norway?", "Oslo."), ("What is the capital of Sweden?", "Stockholm."),
    ("Who wrote Café Müller?", "Pina Bausch, in 1978, for the Tanztheater Wuppertal."),
    ("How tall is the tower?", "It is 330 m (1,083 ft) tall; it was 312 m in 1889."),
    ("What do your opening hours look like?", "Monday to Friday 09:00-17:30, Saturday 10:00-14:00."),
    ("When did the company begin?", "On 2012-03-04, as the order number 4000123400005678 shows."),
    ("Print a loop in Python.", "for i in range(10):\n    print(i)"),
    ("Give me a regular expression for numbers.", "^[0-9]+(\\.[0-9]+)?$"),
    ("Count to ten.", "One, two, three, four, five, six, seven, eight, nine, ten."),
    ("Is that so?", "Yes."), ("Do you sell maps?", "Yes."), ("May dogs come along?", "Yes."), ("Is it open on Sunday?", "No."),
]


def conversation(texts, rng):
    messages = []
    if rng.random() < 0.3:
        messages.append(("system", rng.choice(["You are a helpful assistant.", "Answer as in an old play.", "Be brief."])))
    for _ in range(1 if rng.random() < 0.8 else 2):
        messages += [("user", texts.question()), ("assistant", texts.answer())]
    return messages


def line_of(messages):
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in messages]}, ensure_ascii=False).encode()


def last(messages, change):
    """The conversation with its last answer changed."""
    return messages[:-1] + [("assistant", change(messages[-1][1]))]


def near(texts, rng):
    """Ways in which a copy differs from what it was copied from."""
    def change_word(text):
        words = text.split()
        words[rng.randrange(len(words))] = rng.choice("truly never greatly indeed".split())
        return " ".join(words)

    return {
        "punctuation": lambda t: re.sub(r"[,.;!?]", "", t), "typographic": lambda t: t.replace("'", "’").replace('"', "“") + "…",
        "one-word": change_word, "greeting": lambda t: t + " I hope this helps!",
        "typo": lambda t: (lambda i: t[:i] + t[i + 1] + t[i] + t[i + 2:])(rng.randrange(5, len(t) - 5)),
        "line-breaks": lambda t: t.replace(", ", ",\n"), "markdown": lambda t: "**" + t + "**",
    }


def plant(texts, rng, count, each, limit):
    """Lines, {kind: {line: variant}}, lines that another repeats, evaluation lines."""
    rows, kinds, evaluation = [], [], []

    def add(kind, variant, line, pair=None):
        rows.append((kind, variant, line, pair))

    def variants(table):
        names = sorted(table)
        for index in range(each):
            yield names[index % len(names)], table[names[index % len(names)]]

    def long_answer(messages, length):
        return last(messages, lambda _: " ".join(texts.sentence() for _ in range(length)))

    pairs = 0
    for variant, change in variants({
        "same": lambda b: b, "case": lambda b: b.upper(), "spaces": lambda b: "  " + b.replace(" ", "  ") + "\n"}):
        one = conversation(texts, rng)
        pairs += 1
        add("original", "", line_of(one), pairs)
        add("duplicate", variant, line_of([(r, c if variant == "same" else change(c)) for r, c in one]), pairs)
    for variant, change in variants(near(texts, rng)):
        one = long_answer(conversation(texts, rng), 3)
        pairs += 1
        add("original", "", line_of(one), pairs)
        add("near-duplicate", variant, line_of(last(one, change)), pairs)
    for variant, change in variants({"same": lambda t: t, "greeting": near(texts, rng)["greeting"], "typo": near(texts, rng)["typo"]}):
        one = long_answer(conversation(texts, rng), 3)
        evaluation.append(line_of(last(one, change)))
        add("split", variant, line_of(one))
    for variant, change in variants({"same": lambda q: q, "case": lambda q: q.lower(), "mark": lambda q: q.rstrip("?.") + " ?"}):
        question = texts.question()
        pairs += 1
        add("original", "", line_of([("user", question), ("assistant", texts.answer())]), pairs)
        add("conflict", variant, line_of([("user", change(question)), ("assistant", texts.answer())]), pairs)
    for variant, text in variants({"nothing": "", "spaces": "  \n ", "zero-width": "\u200b\u200b", "wide-space": "\u3000",
                                   "dots": "...", "na": "N/A", "null": "null"}):
        add("empty", variant, line_of(last(conversation(texts, rng), lambda _: text)))
    for variant, keep in variants({"user": ["user"], "system": ["system"], "assistant": ["assistant"], "unanswered": ["system", "user"]}):
        one = [("system", "Be kind.")] + [m for m in conversation(texts, rng)[-2:]]
        add("one-sided", variant, line_of([m for m in one if m[0] in keep]))
    text_kinds = {
        "utf8-latin1": lambda t: ("“Café naïve”: " + t).encode().decode("latin-1"),
        "utf8-cp1252": lambda t: ("It’s so: " + t).encode().decode("cp1252"),
        "twice": lambda t: ("Düsseldorf: " + t).encode().decode("latin-1").encode().decode("latin-1"),
        "cyrillic": lambda t: t + " " + "Москва и Волга".encode().decode("latin-1"),
        "cp1251": lambda t: t + " " + "Привет из Казани".encode("cp1251").decode("latin-1"),
        "sjis": lambda t: t + " " + "文字化けの例です".encode("shift-jis").decode("latin-1"),
        "japanese-utf8": lambda t: t + " " + "文字化けの例です".encode().decode("cp1252", "replace"),
        "replacement": lambda t: t.replace("e", "\ufffd", 2), "control": lambda t: t[:9] + "\x00\x07" + t[9:],
        "escapes": lambda t: t + " caf\\u00e9 na\\u00efve", "entities": lambda t: "&quot;" + t + "&quot; &amp;amp; more&nbsp;so",
        "bom": lambda t: t[:12] + "\ufeff" + t[12:],
    }
    for variant, change in variants(text_kinds):
        add("encoding", variant, line_of(last(conversation(texts, rng), change)))
    for index in range(each // 5):
        line = line_of(last(conversation(texts, rng), lambda t: t + " MARK"))
        add("encoding", "invalid-utf8", line.replace(b"MARK", [b"caf\xe9", b"\xff\xfe", b"\xe3\x81"][index % 3]))
    say = lambda role: (role, texts.answer())
    for variant, roles in variants({
        "two-answers": ["user", "assistant", "assistant"], "two-questions": ["user", "user", "assistant"],
        "answer-first": ["assistant", "user", "assistant"], "ends-with-user": ["user", "assistant", "user"],
        "unknown": ["user", "bot"], "late-system": ["user", "assistant", "system"], "capital": ["User", "Assistant"],
        "swapped": ["assistant", "user"], "two-systems": ["system", "user", "system", "assistant"]}):
        add("role", variant, line_of([say(r) for r in roles]))
    for variant, mark in variants({
        "im_end": "<|im_end|>", "im_start": "<|im_start|>assistant\n", "inst": "[/INST]", "eos": "</s>", "eot": "<|eot_id|>",
        "endoftext": "<|endoftext|>", "gemma": "<end_of_turn>", "header": "<|start_header_id|>user<|end_header_id|>",
        "human": "\n\nHuman: and then?\n\nAssistant: ", "hashes": "\n### Response:\n", "pad": "<pad>", "phi": "<|assistant|>"}):
        add("template-token", variant, line_of(last(conversation(texts, rng), lambda t: t + mark)))
    frames = ["{t} Use {s} for it.", "{t}\n\n{s}", "{s}\n{t}", "I wrote it down: {s}. {t}"]
    for kind, table in (("secret", secrets(rng)), ("personal", personal(rng))):
        for variant, make in variants(table):
            place = rng.random() < 0.7
            one = conversation(texts, rng)
            put = lambda t: rng.choice(frames).format(t=t, s=make())
            add(kind, variant, line_of(last(one, put) if place else one[:-2] + [("user", put(one[-2][1]))] + one[-1:]))
    for variant, sentences in variants(FOREIGN):
        text = rng.choice(sentences)
        add("language", variant, line_of(last(conversation(texts, rng), lambda _: text + " " + token(rng, DIGITS, 5))))
    for variant, make in variants({
        "word": lambda t: t + " the" * 40, "sentence": lambda t: (t + " ") * 8, "line": lambda t: "\n".join([t] * 12),
        "phrase": lambda t: t + " and so on and so forth," * 10, "letters": lambda t: t[:10] + "a" * 200,
        "numbered": lambda t: "\n".join(f"{i}. {t}" for i in range(1, 12)), "loop": lambda t: t + " I am sorry. I do not know." * 7}):
        add("repetition", variant, line_of(last(conversation(texts, rng), lambda _: make(texts.sentence()))))
    for variant, make in variants({
        "closing": lambda t: t + " Please do not hesitate to contact our support team!",
        "opening": lambda t: "Great question! Thank you for reaching out to us today. " + t}):
        add("boilerplate", variant, line_of(last(conversation(texts, rng), make)))
    whole = lambda: line_of(conversation(texts, rng))
    for variant, make in variants({
        "cut": lambda: whole()[:-rng.randrange(5, 30)], "quotes": lambda: whole().replace(b'"', b"'"), "trailing": lambda: whole()[:-1] + b",}",
        "list": lambda: json.dumps([texts.sentence()]).encode(), "text": lambda: texts.sentence().encode(),
        "number": lambda: b"42", "other-form": lambda: json.dumps({"prompt": texts.sentence(), "completion": texts.sentence()}).encode(),
        "content-number": lambda: json.dumps({"messages": [{"role": "user", "content": 3}, {"role": "assistant", "content": "x"}]}).encode(),
        "no-content": lambda: json.dumps({"messages": [{"role": "user"}, {"role": "assistant", "content": "yes"}]}).encode(),
        "comma": lambda: whole() + b","}):
        add("malformed", variant, make())
    if limit:
        for variant, make in variants({"answer": lambda one: last(one, lambda _: " ".join(rng.choice(texts.sentences) for _ in range(limit // 10))),
                                       "question": lambda one: one[:-2] + [("user", " ".join(rng.choice(texts.sentences) for _ in range(limit // 10)))] + one[-1:]}):
            add("too-long", variant, line_of(make(conversation(texts, rng))))
        for variant, make in variants({
            "base64": lambda: base64.b64encode(rng.randbytes(240)).decode(), "hex": lambda: rng.randbytes(200).hex(),
            "zalgo": lambda: "".join(c + "".join(chr(rng.randrange(0x300, 0x36F)) for _ in range(4)) for c in "he comes to you in the night"),
            "cuneiform": lambda: "".join(chr(rng.randrange(0x12000, 0x12390)) for _ in range(60)),
            "emoji": lambda: "".join(chr(rng.randrange(0x1F400, 0x1F4FF)) for _ in range(80))}):
            add("tokens", variant, line_of(last(conversation(texts, rng), lambda _: make())))
    for question, answer in DECOYS:
        add("decoy", question, line_of([("user", question), ("assistant", answer)]))
    while len(rows) < count:
        if rng.random() < 0.08 and texts.japanese:
            record = texts.japanese.pop()
            turns = [u["text"] for u in record["utterances"][:2]]
            if len(turns) == 2:
                add("", "japanese", line_of([("user", turns[0]), ("assistant", turns[1])]))
        else:
            add("", "", line_of(conversation(texts, rng)))
    rng.shuffle(rows)
    # Of two that belong together the later one is the defect, whichever was written as the original.
    first = {}
    for index, (kind, variant, line, pair) in enumerate(rows):
        if pair is not None and pair in first:
            other = first[pair]
            if kind == "original":
                rows[index], rows[other] = (rows[other][0], rows[other][1], line, pair), ("original", "", rows[other][2], pair)
        elif pair is not None:
            first[pair] = index
    return rows, evaluation


def labelled(texts, rng, count, each):
    """Labelled texts: rare labels, labels in another spelling, contradictions, empties, repetitions."""
    chosen = sorted({label for _, label in texts.labelled})[:20]
    clean, seen = [], set()
    for text, label in texts.labelled:
        if label in chosen and text not in seen:
            seen.add(text)
            clean.append(("", "", text, label))
    clean = clean[:count]
    rows = list(clean)
    sources = rng.sample(clean, each * 3)
    rows += [("duplicate", "same", text, label) for _, _, text, label in sources[:each]]
    rows += [("conflict", "", text, rng.choice([l for l in chosen if l != label])) for _, _, text, label in sources[each:2 * each]]
    spell = [str.upper, str.title, lambda l: " " + l, lambda l: l.replace("_", " "), lambda l: l + "."]
    for i, index in enumerate(rng.sample(range(len(clean)), each)):
        kind, _, text, label = rows[index]
        if not any(text == s[2] for s in sources):
            rows[index] = ("label", ["upper", "title", "space", "underscore", "stop"][i % 5], text, spell[i % 5](label))
    rows += [("empty", "text", "", rng.choice(chosen)) for _ in range(each)]
    rows += [("unbalanced", "", texts.sentence(), "escalate_to_manager") for _ in range(2)]
    later = rows[len(clean):]
    return rows[:len(clean)] + rng.sample(later, len(later))


def check(lora, path, extra):
    run = subprocess.run([lora, "data", "check", str(path), "--json", *extra], capture_output=True, text=True)
    if run.returncode not in (0, 2):
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def table(title, rows, findings, names):
    found = collections.defaultdict(set)
    for finding in findings:
        found[finding["line"]].add(finding["kind"])
    print(f"\n{title}: {len(rows)} lines, {len(findings)} findings")
    result, clean, missed = collections.defaultdict(lambda: [0, 0]), [], collections.Counter()
    for number, (kind, variant, *_) in enumerate(rows, 1):
        if kind in ("", "decoy", "original"):
            if found[number]:
                clean.append((number, kind, variant, sorted(found[number])))
        else:
            result[kind][1] += 1
            if found[number] & names.get(kind, {kind}):
                result[kind][0] += 1
            else:
                missed[kind, variant, ",".join(sorted(found[number]))] += 1
    for kind, (right, total) in sorted(result.items()):
        print(f"  {kind:16} {right:3} of {total}")
    for (kind, variant, other), times in sorted(missed.items()):
        print(f"  missed: {kind} {variant}, {times}" + (f" (said: {other})" if other else ""))
    print(f"  undamaged lines with a finding: {len(clean)}: "
          f"{dict(collections.Counter(k for *_, kinds in clean for k in kinds))}")
    for number, kind, variant, kinds in clean[:60]:
        print(f"    line {number} {kind} {variant}: {kinds}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--lora", help="the command; without it the files are only written")
    parser.add_argument("--model")
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--examples", type=int, default=10000)
    parser.add_argument("--each", type=int, default=30)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    texts = Texts(args.sources, rng)
    labels = labelled(texts, rng, args.examples, args.each)
    rows, evaluation = plant(texts, rng, args.examples, args.each, args.sequence_length if args.model else 0)
    evaluation += [line_of(conversation(texts, rng)) for _ in range(200)]
    files = {name: args.output / f"{name}.jsonl" for name in ("chats", "evaluation", "labels")}
    files["chats"].write_bytes(b"\n".join(row[2] for row in rows) + b"\n")
    files["evaluation"].write_bytes(b"\n".join(evaluation) + b"\n")
    files["labels"].write_text("".join(json.dumps({"text": t, "label": l}) + "\n" for *_, t, l in labels))
    (args.output / "planted.json").write_text(json.dumps([[i, k, v] for i, (k, v, *_) in enumerate(rows, 1) if k]))
    if not args.lora:
        return
    extra = ["--model", args.model, "--sequence-length", str(args.sequence_length)] if args.model else []
    table("chats", rows, check(args.lora, files["chats"], ["--eval-data", str(files["evaluation"]), *extra])["findings"], NAMES)
    table("labels", labels, check(args.lora, files["labels"], [])["findings"], {})


if __name__ == "__main__":
    main()
