#!/usr/bin/env python3
"""Examples in the prompt beside LoRA, prompt tuning and full fine-tuning, on two tasks and three seeds.

    python3 Benchmarks/Prompting/compare.py run --work DIR
    python3 Benchmarks/Prompting/compare.py table

The tasks are the quickstart's: facts about products that the built-in base has never seen, asked in other
words than they were taught in, and a tone. For each seed 200 exchanges to learn from are drawn, 40 questions
to choose by, and 100 that are asked once, in the end. Examples are put into the prompt in two ways: the same
for every question, or those of the 200 whose questions share most words with it. How many of them, and the
learning rate of each method, is what answers the 40 best with the first seed. What is done stays in
results.jsonl beside this script, so that a run that was stopped goes on.
"""
import argparse, collections, json, math, pathlib, random, re, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.jsonl"
MODEL = ROOT / "Sources/LoRAWorld/Base"
SEEDS = [0, 1, 2]
TASKS = {"facts": "products", "tone": "polite"}
# What is chosen among, by the answers to the 40 questions: numbers of examples, and learning rates.
CHOICES = {
    "base": [None], "same examples": [1, 2, 4, 8], "nearest examples": [1, 2, 4, 8],
    "prompt-tuning": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], "lora": [1e-3, 3e-3, 1e-2], "full": [1e-4, 3e-4, 1e-3, 3e-3],
}
STEPS = 300


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


class Nearest:
    """Examples by how near their questions are: the cosine of their words, rare ones counting more."""

    def __init__(self, examples):
        self.examples = examples
        counts = collections.Counter(w for e in examples for w in set(words(e["prompt"])))
        self.weights = {w: math.log(len(examples) / n) for w, n in counts.items()}
        self.vectors = [self.vector(e["prompt"]) for e in examples]

    def vector(self, text):
        values = {w: self.weights.get(w, 0) for w in set(words(text))}
        length = math.sqrt(sum(v * v for v in values.values())) or 1
        return {w: v / length for w, v in values.items()}

    def find(self, question, count):
        """The nearest last, next to the question."""
        asked = self.vector(question)
        near = [sum(v * asked.get(w, 0) for w, v in vector.items()) for vector in self.vectors]
        order = sorted(range(len(near)), key=lambda i: near[i])
        return [self.examples[i] for i in order[len(order) - count:]]


class Task:
    """The exchanges of a lesson for a seed, and how they are answered."""

    def __init__(self, arguments, name, seed):
        self.lora, self.world = arguments.lora.resolve(), arguments.world.resolve()
        self.name, self.seed, self.work = name, seed, arguments.work
        self.work.mkdir(parents=True, exist_ok=True)
        generator = random.Random(seed)
        lines = self.call(self.world, "exchanges", TASKS[name]).splitlines()
        # The new facts come first; they are what is asked.
        lines = list(dict.fromkeys(lines[:400] if name == "facts" else lines))
        self.learned = [json.loads(line) for line in generator.sample(lines, 200)]
        held = self.call(self.world, "exchanges", TASKS[name], "--held-out").splitlines()
        generator.shuffle(held)
        asked = [json.loads(line) for line in held[:140]]
        self.parts = {"chosen by": asked[:40], "test": asked[40:]}
        self.nearest = Nearest(self.learned)

    def call(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def write(self, name, records):
        path = self.work / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    def measure(self, way, value, part):
        """What a way scores on a part's questions, and what it costs."""
        questions, arguments, entry = self.parts[part], [], {}
        if way.endswith("examples"):
            questions = [self.shown(way, value, question) for question in questions]
        elif way != "base":
            entry["trained"], arguments = self.train(way, value)
        model = arguments.pop() if way == "full" else MODEL
        answers = self.work / "answers.jsonl"
        answers.unlink(missing_ok=True)
        self.call(self.lora, "eval", "--model", model, *arguments, "--data",
                  self.write("questions.jsonl", questions), "--metric", "f1", "--max-tokens", 64,
                  "--stop", "\n", "--answers", answers, "--json")
        found = [json.loads(line) for line in answers.open()]
        answered = [f["answers"][-1] for f in found]
        text = self.work / "prompts.txt"
        text.write_text("".join(question["prompt"] for question in questions))
        tokens = json.loads(self.call(self.lora, "tokenize", "--model", MODEL, "--file", text,
                                      "--no-special", "--json"))
        entry["exact"] = statistics.mean(
            a["answer"].strip() == f["expected"].strip() for a, f in zip(answered, found))
        entry["f1"] = statistics.mean(a["score"] for a in answered)
        # The special token at the beginning, and the virtual tokens of a prompt that was learned.
        more = 1 + (20 if way == "prompt-tuning" else 0)
        entry["prompt_tokens"] = len(tokens["ids"]) / len(questions) + more
        return entry

    def shown(self, way, count, question):
        """The question behind examples, as `lora eval --shots` writes them."""
        shots = (self.learned[:count] if way == "same examples"
                 else self.nearest.find(question["prompt"], count))
        before = "".join(s["prompt"] + s["completion"] + "\n\n" for s in shots)
        return {"prompt": before + question["prompt"], "completion": question["completion"]}

    def train(self, way, rate):
        folder = self.work / way
        more = {"lora": ["--rank", 16, "--alpha", 32],
                "prompt-tuning": ["--virtual-tokens", 20]}.get(way, [])
        report = json.loads(self.call(
            self.lora, "train", "--model", MODEL, "--data", self.write("train.jsonl", self.learned),
            "--method", way, *more, "--steps", STEPS, "--batch", 4, "--learning-rate", rate,
            "--schedule", "cosine", "--warmup", 20, "--seed", self.seed, "--no-report",
            "--output", folder, "--force", "--json"))
        return report["trainable_parameters"], [folder] if way == "full" else ["--adapter", folder]


def done(**key):
    entries = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    entries = [json.loads(entry) for entry in entries]
    return [e for e in entries if all(e.get(k) == v for k, v in key.items())]


def note(entry):
    with RESULTS.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry), flush=True)


def run(arguments):
    for name in arguments.task or TASKS:
        for way, values in CHOICES.items():
            first = Task(arguments, name, SEEDS[0])
            for value in values if len(values) > 1 else []:
                key = {"task": name, "way": way, "seed": SEEDS[0], "value": value, "on": "chosen by"}
                if not done(**key):
                    note(key | first.measure(way, value, "chosen by"))
            tried = done(task=name, way=way, on="chosen by")
            best = max(tried, key=lambda e: (e["exact"], e["f1"]))["value"] if tried else None
            for seed in SEEDS:
                key = {"task": name, "way": way, "seed": seed, "value": best, "on": "test"}
                if not done(**key):
                    note(key | Task(arguments, name, seed).measure(way, best, "test"))


def table(_):
    print("| way | task | chosen | trained parameters | prompt tokens | exact % | F1 % |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    for name in TASKS:
        for way in CHOICES:
            found = done(task=name, way=way, on="test")
            if len(found) < len(SEEDS):
                print(f"| {way} | {name} | not all seeds yet |")
                continue
            shown = []
            for metric in ("exact", "f1"):
                values = [100 * entry[metric] for entry in found]
                shown.append(f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}")
            value = found[0]["value"]
            tokens = statistics.mean(entry["prompt_tokens"] for entry in found)
            print(f"| {way} | {name} | {'' if value is None else f'{value:g}'} | "
                  f"{found[0].get('trained', 0):,} | {tokens:.0f} | {' | '.join(shown)} |")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
command = commands.add_parser("run")
command.add_argument("--work", type=pathlib.Path, required=True)
command.add_argument("--lora", type=pathlib.Path, default=ROOT / ".build/release/lora")
command.add_argument("--world", type=pathlib.Path, default=ROOT / ".build/release/lora-world")
command.add_argument("--task", choices=TASKS, action="append")
command.set_defaults(run=run)
commands.add_parser("table").set_defaults(run=table)
arguments = parser.parse_args()
arguments.run(arguments)
