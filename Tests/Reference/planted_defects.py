#!/usr/bin/env python3
"""Writes a data file with planted defects, and where they are.

What is planted is what people find in files of their own: not what a program looks for. The script was
written before the checks that it measures.

    Tests/Reference/planted_defects.py --output DIR [--examples 10000] [--each 30] [--seed 17]

writes to DIR

- `planted.jsonl`: conversations, most of them English, every tenth Japanese, with `--each` defects of every kind;
- `planted-eval.jsonl`: an evaluation set, of which some examples stand in the file;
- `labels.jsonl`: texts with labels, of which some are rare, misspelt, or contradict each other;
- `planted.json`: {"kinds": {kind: [line, ...]}, "partners": {line: line}}: what is where. A partner is
  the undamaged line that another repeats: a finding there is none too many.
"""

import argparse
import base64
import json
import random
import string
from pathlib import Path

PLACES = """Lisbon Oslo Nairobi Quito Hanoi Tallinn Porto Galway Leeds Turin Aarhus Basel Tromso Split Bergen
Kyoto Busan Perth Hobart Napier Dakar Accra Lima Cusco Cordoba Merida Halifax Regina Boise Tucson""".split()
THINGS = """bicycle kettle garden violin notebook lantern carpet telescope sourdough camera blanket ladder
radiator aquarium bookshelf compost umbrella saddle teapot sewing-machine greenhouse candle backpack
harmonica wardrobe thermostat drill canoe tent piano hammock mirror loom chessboard microscope""".split()
ACTIONS = """repair clean paint store move sell lend insulate measure polish label replace weigh photograph
restore lubricate dismantle varnish inspect wrap hang dry sharpen calibrate""".split()
PEOPLE = """my sister,a neighbour,our teacher,the new tenant,a colleague,my grandfather,the librarian,a friend
from school,the plumber,our trainer,the landlord,a young cousin,the gardener,my aunt""".replace(
    "\n", " ").split(",")
REASONS = """the wood swells in damp weather,dust settles in the joints,the screws are soft brass,sunlight
fades the colour,the seal hardens after some winters,a cheap brush leaves hairs,the wax needs warmth,the
manual says nothing of it,the handle was glued twice,the lid never closed well,moths like the wool,the
paint was made of milk,the spring is under tension,rust begins where water stands""".replace(
    "\n", " ").split(",")
TIMES = """before breakfast,in late autumn,over a long weekend,on the first dry day,during the holidays,after the
move,while it rains,every other spring,within an hour,by candle light,before the guests arrive""".replace(
    "\n", " ").split(",")
TOOLS = """a soft brush,two clamps,a damp cloth,linseed oil,a small wrench,fine sandpaper,warm soapy water,a
cotton rag,beeswax,a spirit level,an old toothbrush,masking tape,a steel ruler,a wooden mallet""".replace(
    "\n", " ").split(",")

QUESTIONS = [
    "How do I {a} a {t} that {p} bought in {c}?",
    "What should I know before I {a} the {t} in our flat in {c}?",
    "Can {p} {a} an old {t} {w}, or is that a bad idea?",
    "Please explain to {p} how to {a} a {t} with {o}.",
    "Why would anyone {a} a {t} {w} rather than later?",
    "Is {o} enough to {a} the {t}, given that {r}?",
    "{p} wants to {a} a {t} and has only {o}. What would you suggest?",
    "I inherited a {t} in {c}. Should I {a} it {w}?",
]
ANSWERS = [
    "Begin the {t} with {o}, since {r}.", "I would {a} the {t} with {o} {w}.", "In {c} there is a shop that sells {o} for a {t}.",
    "Ask {p}, who once had to {a} a {t} in {c}.", "Do not hurry to {a} the {t}: {r}.",
    "A {t} from {c} is often built so that {r} {w}.", "It helps {p} to have {o} at hand {w}.",
    "Some people in {c} {a} it twice, because {r}.", "Put the {t} where {p} can reach it {w}.",
    "After that {p} may {a} the rest with {o}.", "The trick that {p} taught me in {c} is to use {o} {w}.",
    "Remember that {r}, so {a} the {t} gently.", "Near {c} they would rather {a} such a {t} {w}.",
    "When {r}, a second {t} is of more use than {o}.",
]

JA_THINGS = "自転車 急須 畳 本棚 障子 包丁 鉄瓶 着物 傘 時計 植木鉢 炊飯器 布団 屏風 提灯 下駄 花瓶 望遠鏡".split()
JA_PLACES = "京都 札幌 長崎 金沢 仙台 高松 那覇 松本 鎌倉 奈良 函館 岡山 熊本 盛岡 静岡 高知".split()
JA_PEOPLE = "祖母 隣の人 大家さん 弟 先生 友人 同僚 叔父 店の人 母".split()
JA_TIMES = "梅雨の前に 週末に 冬のあいだ 朝早く 晴れた日に 引っ越しのあとで 夏休みに 来客の前に".split()
JA_TOOLS = "柔らかい布 ぬるま湯 古い歯ブラシ 蜜蝋 細かい紙やすり 竹べら 椿油 重曹".split()
JA_REASONS = "木は湿気でふくらむ 日光で色があせる 金具が柔らかい 継ぎ目に埃がたまる 糊は熱に弱い 底がすでに薄い".split()
JA_QUESTIONS = [
    "{c}で買った{t}は{w}どう手入れすればいいですか？", "{p}が使っていた{t}を{o}で磨いても大丈夫でしょうか？",
    "{t}を{w}片づけたいのですが、{p}に頼むべきですか？", "{c}の{t}が古くなりました。{o}のほかに何が要りますか？",
]
JA_ANSWERS = [
    "まず{t}のために{o}を用意して、{w}始めるとよいでしょう。", "{r}ので、{t}は{w}急がずに進めてください。",
    "{c}には{t}に詳しい職人がいて、{o}も売っています。",
    "{c}の{p}に一度{t}を見てもらうと安心です。", "{o}を{w}使うと{t}が長持ちします。",
    "{w}{c}の{t}に風を通すだけでもずいぶん違います。",
    "{t}は{r}ことを{p}にも伝えてください。", "{t}の仕上げには{c}の{p}がよく使う{o}が向いています。",
]

FOREIGN = [  # what somebody pastes from another project
    "Zuerst sollten Sie das Gerät vom Strom trennen und dann mit einem weichen Tuch die Oberfläche reinigen, {c}.",
    "Das ist nicht schwer, aber man muss darauf achten, dass die Schrauben nicht zu fest angezogen werden ({c}).",
    "Il faut d'abord nettoyer la surface avec un chiffon doux, puis laisser sécher pendant une nuit à {c}.",
    "Je vous conseille de ne pas utiliser trop d'huile, car elle reste dans les joints et attire la poussière ({c}).",
    "Primero hay que limpiar la superficie con un paño suave y después dejar que se seque durante la noche en {c}.",
    "No es difícil, pero es importante que los tornillos no queden demasiado apretados para que la madera respire ({c}).",
    "最初に柔らかい布で表面をきれいにしてから、一晩乾かしてください。{c}の店でも聞けます。",
    "Сначала протрите поверхность мягкой тканью, а потом оставьте сушиться на ночь в городе {c}.",
]


def luhn(prefix, length, rng):
    digits = [int(d) for d in prefix] + [rng.randrange(10) for _ in range(length - len(prefix) - 1)]
    total = 0
    for place, digit in enumerate(reversed(digits)):
        double = digit * 2 if place % 2 == 0 else digit
        total += double - 9 if double > 9 else double
    return "".join(map(str, digits + [(10 - total % 10) % 10]))


def iban(country, length, rng):
    body = "".join(rng.choice(string.digits) for _ in range(length - 4))
    number = int(body + "".join(str(ord(c) - 55) for c in country) + "00")
    return f"{country}{98 - number % 97:02d}{body}"


def my_number(rng):
    digits = [rng.randrange(1, 10)] + [rng.randrange(10) for _ in range(10)]
    total = sum(d * (n + 1 if n <= 6 else n - 5) for n, d in enumerate(reversed(digits), start=1))
    rest = total % 11
    return "".join(map(str, digits)) + str(0 if rest <= 1 else 11 - rest)


def random_text(alphabet, count, rng):
    return "".join(rng.choice(alphabet) for _ in range(count))


class Writer:
    """Conversations of invented people about invented things."""

    def __init__(self, rng):
        self.rng = rng

    def fill(self, template, japanese):
        pick = self.rng.choice
        if japanese:
            return template.format(
                t=pick(JA_THINGS), c=pick(JA_PLACES), p=pick(JA_PEOPLE), w=pick(JA_TIMES),
                o=pick(JA_TOOLS), r=pick(JA_REASONS))
        text = template.format(
            a=pick(ACTIONS), t=pick(THINGS), p=pick(PEOPLE), c=pick(PLACES), r=pick(REASONS),
            w=pick(TIMES), o=pick(TOOLS))
        return text[0].upper() + text[1:]

    def question(self, japanese=False):
        templates = JA_QUESTIONS if japanese else QUESTIONS
        parts = self.rng.sample(templates, 2)
        return ("" if japanese else " ").join(self.fill(part, japanese) for part in parts)

    def answer(self, japanese=False, sentences=None):
        templates = JA_ANSWERS if japanese else ANSWERS
        count = sentences or self.rng.randint(3, 6)
        parts = self.rng.sample(templates, count)
        return ("" if japanese else " ").join(self.fill(part, japanese) for part in parts)

    def conversation(self, japanese=False, turns=None):
        turns = turns or self.rng.choice([1, 1, 1, 1, 2, 3])
        messages = []
        if self.rng.random() < 0.2:
            messages.append(("system", "あなたは親切な助手です。" if japanese else "You are a patient helper."))
        for _ in range(turns):
            messages.append(("user", self.question(japanese)))
            messages.append(("assistant", self.answer(japanese)))
        return messages


def line_of(messages):
    return json.dumps(
        {"messages": [{"role": r, "content": c} for r, c in messages]}, ensure_ascii=False)


def last_answer(messages, text):
    return messages[:-1] + [("assistant", text)]


# Each kind: what is wrong, as a function of the writer that gives the damaged line, or of an earlier
# conversation too where the defect lies between two.

def malformed(n, w):
    line = line_of(w.conversation())
    return [
        line[: len(line) * 2 // 3],                                   # the connection broke
        line.replace('"role"', "role", 1),                            # written by hand
        line.replace('", "content"', '" "content"', 1),               # a lost comma
        line + ",",                                                   # cut out of a list
        "{'messages': [{'role': 'user', 'content': 'Hello'}]}",       # a Python dict
        '{"messages": "' + w.fill(ANSWERS[0], False) + '"}',          # a text where a list belongs
        '{"conversation_id": 7}',                                     # another program's record
        '"' + w.fill(ANSWERS[1], False) + '"',                        # only a string
        line.replace("}, {", "}\t{", 1)[:-1],
        '{"messages": []}',
    ][n % 10]


def empty(n, w):
    m = w.conversation(turns=1)
    if n % 5 == 0:
        return line_of(last_answer(m, ""))
    if n % 5 == 1:
        return line_of(last_answer(m, "  \n"))
    if n % 5 == 2:
        return line_of([("user", ""), m[-1]])
    if n % 5 == 3:
        return line_of([m[-2], ("assistant", m[-2][1])])              # the answer is the question
    return line_of([m[-2], ("assistant", "\u3000")])


def repeated_phrase(n, w):
    m = w.conversation()
    sentence = w.fill(w.rng.choice(ANSWERS), False)
    word = w.rng.choice(THINGS)
    loops = [
        w.answer(sentences=2) + " " + " ".join([sentence] * w.rng.randint(5, 12)),
        w.answer(sentences=2) + " " + " ".join([word] * 40),
        w.answer(sentences=2) + ("\n" + sentence) * 6,
        w.answer(sentences=1) + " and the " + " and the ".join([word] * 15),
        w.answer(True, 2) + w.fill(w.rng.choice(JA_ANSWERS), True) * 8,
    ]
    if n % 5 == 4:
        m = w.conversation(True)
    return line_of(last_answer(m, loops[n % 5]))


BOILERPLATE = "As an AI language model, I do not have personal experience with household objects."


def boilerplate(n, w):
    return line_of(last_answer(w.conversation(), BOILERPLATE + " " + w.answer()))


def encoding(n, w):
    m = w.conversation()
    good = "The café in Malmö sells crème brûlée for 5 € — it’s the owner’s “best” déjà-vu."
    japanese = "柔らかい布で表面をきれいにしてください。"
    bad = [
        good.encode("utf-8").decode("cp1252", errors="replace"),
        "They said it\u2019s fine".encode("utf-8").decode("cp1252") + ". " + w.answer(sentences=2),
        w.answer(sentences=2) + " It costs 5\ufffd or so.",
        w.answer(sentences=2).replace(" ", " \x0b", 1) + "\x00",
        "Fish &amp; chips cost &lt; 10 pounds, the owner&#39;s wife said. " + w.answer(sentences=2),
        japanese.encode("utf-8").decode("latin-1"),
        japanese.encode("shift_jis").decode("cp1252", errors="replace"),
        japanese.encode("utf-8").decode("shift_jis", errors="replace"),
        japanese.encode("euc_jp").decode("latin-1"),
        w.answer(sentences=2) + " \x1b[31mred\x1b[0m",
    ]
    if n % 10 == 4 and n % 20 == 4:                                   # half of a pair
        return line_of(m)[:-4] + ' \\ud83d"}]}'
    return line_of(last_answer(m, bad[n % 10]))


def roles(n, w):
    q, a = w.question(), w.answer()
    q2, a2 = w.question(), w.answer()
    return line_of([
        [("user", q), ("user", q2), ("assistant", a)],
        [("user", q), ("assistant", a), ("assistant", a2)],
        [("assistant", a), ("user", q), ("assistant", a2)],
        [("user", q), ("assistant", a), ("user", q2)],
        [("user", q), ("narrator", q2), ("assistant", a)],
        [("user", q), ("assistant", ""), ("user", q2), ("assistant", a)],
        [("user", q), ("assistant", a), ("system", "Be brief."), ("user", q2), ("assistant", a2)],
        [("user", q), ("assistant", a + "<|im_end|>\n<|im_start|>user\nThanks!")],
        [("user", "[INST] " + q + " [/INST]"), ("assistant", a)],
        [("user", q), ("assistant", a + "<|eot_id|>")],
    ][n % 10])


def secret(n, w):
    rng = w.rng
    alnum = string.ascii_letters + string.digits
    b64 = lambda d: base64.urlsafe_b64encode(json.dumps(d).encode()).decode().rstrip("=")
    text = [
        "Use the key AKIA" + random_text(string.ascii_uppercase + "234567", 16, rng) + ".",
        "git clone with ghp_" + random_text(alnum, 36, rng),
        "My key is sk-" + random_text(alnum, 48, rng) + ", do not tell.",
        "SLACK_TOKEN=xoxb-" + random_text(string.digits, 12, rng) + "-" + random_text(string.digits, 12, rng)
        + "-" + random_text(alnum, 24, rng),
        "The map needs AIza" + random_text(alnum + "_-", 35, rng) + " to load.",
        "Authorization: Bearer " + b64({"alg": "HS256", "typ": "JWT"}) + "."
        + b64({"sub": random_text(string.digits, 10, rng), "name": "Ann"}) + "." + random_text(alnum, 43, rng),
        "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(random_text(alnum + "+/", 64, rng) for _ in range(4))
        + "\n-----END RSA PRIVATE KEY-----",
        f"Connect to postgres://admin:{random_text(alnum, 12, rng)}@db.maplehouse.io:5432/shop first.",
        f'api_key = "{random_text(alnum, 32, rng)}"',
        f"The login is password: {random_text(alnum + '!#%', 14, rng)}",
    ][n % 10]
    return line_of(last_answer(w.conversation(), w.answer(sentences=1) + " " + text + " " + w.answer(sentences=1)))


def personal(n, w):
    rng = w.rng
    digits = lambda count: random_text(string.digits, count, rng)
    public = lambda: f"{rng.choice([81, 93, 142, 185, 62])}.{rng.randint(1, 250)}.{rng.randint(1, 250)}.{rng.randint(2, 250)}"
    number = my_number(rng)
    card = luhn(rng.choice(["4", "53", "4929"]), 16, rng)
    text = [
        f"Write to {rng.choice(['anna', 'j.smith', 'k_ota', 'bob77'])}{digits(2)}@{rng.choice(['gmail.com', 'outlook.jp', 'web.de', 'firma-meyer.de'])}.",
        f"Call me at +49 {rng.choice(['151', '172'])} {rng.randint(2, 9)}{digits(7)} in the evening.",
        f"My number is ({rng.choice(['212', '415', '617'])}) {rng.randint(231, 499)}-{digits(4)}.",
        f"電話は090-{rng.randint(1, 9)}{digits(3)}-{digits(4)}です。",
        f"Please transfer it to {iban(*rng.choice([('DE', 22), ('AT', 20), ('ES', 24)]), rng)}.",
        f"The card is {' '.join(card[i:i + 4] for i in range(0, 16, 4))}, valid until 09/29.",
        f"Her SSN is {rng.randint(101, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}.",
        f"マイナンバーは{number[:4]} {number[4:8]} {number[8:]}です。",
        f"He logged in from {public()} at night.",
        f"Ring +81 3 {rng.randint(3000, 6999)} {digits(4)} or +44 20 7{digits(3)} {digits(4)}.",
    ][n % 10]
    return line_of(last_answer(w.conversation(), w.answer(sentences=1) + " " + text + " " + w.answer(sentences=1)))


def language(n, w):
    foreign = " ".join(FOREIGN[(n + k * 8) % 8].format(c=w.rng.choice(PLACES)) for k in range(1))
    return line_of(last_answer(w.conversation(), foreign))


def too_long(n, w):
    return line_of(last_answer(w.conversation(turns=1), " ".join(w.answer(sentences=6) for _ in range(30))))


def garbage(n, w):
    """What no vocabulary has words for: encoded files, rows of rare signs."""
    data = bytes(w.rng.randrange(256) for _ in range(600))
    rare = "".join(chr(w.rng.choice([0x12000, 0x13000, 0x16A0, 0xA000, 0x1F700]) + w.rng.randrange(60)) for _ in range(200))
    return line_of(last_answer(w.conversation(), [base64.b64encode(data).decode(), data.hex(), rare][n % 3]))


def exact_duplicate(n, w, earlier):
    if n % 3 == 0:
        return line_of(earlier)
    if n % 3 == 1:                                                    # another export: spaces, line ends
        return line_of([(r, "  " + c.replace(". ", ".  ") + " \n") for r, c in earlier])
    return line_of([(r, c.upper() if r == "user" else c) for r, c in earlier])


def near_duplicate(n, w, earlier):
    q, a = earlier[-2][1], earlier[-1][1]
    if n % 5 == 0:
        a = "Sure! " + a
    elif n % 5 == 1:
        words = a.split(" ")
        if len(words) > 1:
            words[len(words) // 2] = "really"
            a = " ".join(words)
        else:
            a = a[:len(a) // 2] + "も" + a[len(a) // 2 + 1:]
    elif n % 5 == 2:
        q = q + " Thank you!"
    elif n % 5 == 3:
        at = len(a) // 2
        a = a[:at] + a[at + 1:]                                       # a letter is lost
    else:
        a = a.replace(",", "").replace(":", "") + " I hope that helps."
    return line_of(earlier[:-2] + [("user", q), ("assistant", a)])


def conflict(n, w, earlier):
    return line_of(last_answer(earlier, w.answer(japanese=any("。" in c for _, c in earlier))))


ALONE = {
    "malformed": malformed, "empty": empty, "repetition": repeated_phrase, "boilerplate": boilerplate,
    "encoding": encoding, "role": roles, "secret": secret, "personal": personal, "language": language,
    "too-long": too_long, "tokens": garbage,
}
WITH_ANOTHER = {"duplicate": exact_duplicate, "near-duplicate": near_duplicate, "conflict": conflict}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=30)
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    writer = Writer(rng)
    options.output.mkdir(parents=True, exist_ok=True)

    total = options.examples
    kinds = list(ALONE) + list(WITH_ANOTHER) + ["split-duplicate"]
    places = rng.sample(range(total // 4, total), options.each * len(kinds))
    planted = {kind: sorted(places[i * options.each:(i + 1) * options.each]) for i, kind in enumerate(kinds)}
    kind_at = {place: (kind, n) for kind, lines in planted.items() for n, place in enumerate(lines)}

    clean, lines, partners, leaked = {}, [], {}, []
    used = set()
    for place in range(total):
        kind, n = kind_at.get(place, (None, 0))
        if kind in ALONE:
            lines.append(ALONE[kind](n, writer))
            continue
        if kind in WITH_ANOTHER:
            # One-turn conversations change by a larger part, as people's near duplicates do.
            candidates = [p for p in clean if p not in used and len(clean[p]) <= 3]
            other = rng.choice(candidates)
            used.add(other)
            lines.append(WITH_ANOTHER[kind](n, writer, clean[other]))
            partners[place + 1] = other + 1
            continue
        messages = writer.conversation(japanese=place % 10 == 9)
        lines.append(line_of(messages))
        if kind == "split-duplicate":
            leaked.append((place, messages))
        else:
            clean[place] = messages
    (options.output / "planted.jsonl").write_text("\n".join(lines) + "\n")

    evaluation = [line_of(writer.conversation()) for _ in range(max(50, total // 50))]
    for n, (_, messages) in enumerate(leaked):
        copy = messages if n % 2 == 0 else messages[:-1] + [(messages[-1][0], messages[-1][1] + " ")]
        evaluation.insert(rng.randrange(len(evaluation)), line_of(copy))
    (options.output / "planted-eval.jsonl").write_text("\n".join(evaluation) + "\n")

    # Labels: four common ones, `each` examples of one that is rare beside them, `each` written otherwise,
    # and `each` texts that have another label elsewhere.
    labels = ["delivery", "payment", "warranty", "complaint"]
    rows = [(writer.question(), rng.choice(labels)) for _ in range(total)]
    label_lines = {"unbalanced": [], "label": [], "conflict": []}
    spots = rng.sample(range(total // 4, total), 3 * options.each)
    contradicted = rng.sample(range(total // 4), options.each)
    for n, spot in enumerate(spots):
        text, label = rows[spot]
        if n % 3 == 0:
            rows[spot] = (text, "privacy")
            label_lines["unbalanced"].append(spot + 1)
        elif n % 3 == 1:
            rows[spot] = (text, rng.choice([label.title(), label + " ", label.upper()]))
            label_lines["label"].append(spot + 1)
        else:
            other = contradicted[n // 3]
            rows[spot] = (rows[other][0], labels[(labels.index(rows[other][1]) + 1) % 4])
            label_lines["conflict"].append(spot + 1)
            partners[f"labels:{spot + 1}"] = other + 1
    (options.output / "labels.jsonl").write_text(
        "".join(json.dumps({"text": t, "label": l}) + "\n" for t, l in rows))

    (options.output / "planted.json").write_text(json.dumps({
        "kinds": {kind: [place + 1 for place in lines] for kind, lines in planted.items()},
        "labels": {kind: sorted(lines) for kind, lines in label_lines.items()},
        "partners": partners,
    }))


if __name__ == "__main__":
    main()
