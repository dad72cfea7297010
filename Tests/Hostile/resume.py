"""Interrupts `lora train` at random moments, fills its disk and locks its folder, and compares what it ends with.

  python3 Tests/Hostile/resume.py .build/release/lora [--model DIR] [--interruptions 20] [--seed N]

1. For each setting (texts with packing, noise, 8-bit AdamW, warm-up stable decay, evaluations and patience;
   preferences; a whole model; weighted files of which some examples are kept to measure on) a run is made to its end, and one that is interrupted at random moments,
   by SIGKILL in two of three cases, otherwise by SIGINT, SIGTERM or SIGHUP, and resumed each time. The
   moments are spread over the whole life of a process, its start and its end included. At the end all files
   of the result have the same bytes, and so has the log but for times.
2. On a full disk (a small tmpfs, Linux and root) a run ends with an error that says so; the states that
   it has saved are whole; with room again it is resumed, and ends in the same bytes.
3. In a folder that becomes read-only while it runs (the same tmpfs) likewise.

Prints a line for each and `N passed, N failed`. The default model is a tiny one of Tests/Fixtures.
Needs Python's standard library.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "abc def gab had ice jab dig fed beach cab dad ebb fig gig hid jig".split()


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def kit(folder, model):
    """The data of all settings; a model whose tokenizer has single letters, unless one is given."""
    rng = random.Random(7)

    def text(most=12):
        return " ".join(rng.choices(WORDS, k=rng.randint(1, most)))

    write(folder / "train.jsonl", [{"prompt": text(), "completion": " " + text()} for _ in range(60)])
    write(folder / "more.jsonl", [{"prompt": text(), "completion": " " + text()} for _ in range(40)])
    write(folder / "chats.jsonl", [
        {"instruction": text(), "input": text() if i % 3 else "", "output": text()} for i in range(30)])
    write(folder / "eval.jsonl", [{"prompt": text(), "completion": " " + text()} for _ in range(8)])
    for name, count in [("choices", 40), ("eval-choices", 6)]:
        write(folder / f"{name}.jsonl",
              [{"prompt": text(), "chosen": " " + text(), "rejected": " " + text()} for _ in range(count)])
    if model:
        return model
    shutil.copytree(ROOT / "Tests/Fixtures/models/llama-grouped", folder / "model")
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ.,!?") + ["Ġ", "Ċ"]
    special = ["<pad>", "<s>", "</s>"]
    tokenizer = {
        "added_tokens": [
            {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for i, t in enumerate(special)],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(special + letters)}, "merges": []},
    }
    (folder / "model/tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "model/tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder / "model"


def settings(folder, model):
    """Name -> arguments of lora train, but for output and log."""
    common = ["--model", str(model), "--checkpoint-every", "7", "--seed", "3", "--batch", "4"]
    return {
        "texts": common + [
            "--data", str(folder / "train.jsonl"), "--eval-data", str(folder / "eval.jsonl"),
            "--eval-every", "11", "--patience", "6", "--packing", "--neftune-alpha", "5", "--optimizer",
            "adamw-8bit", "--rank", "32", "--dropout", "0.1", "--schedule", "wsd", "--warmup", "5",
            "--decay-steps", "60", "--accumulate", "2", "--steps", "260", "--learning-rate", "3e-3"],
        "preferences": common + [
            "--task", "preference", "--data", str(folder / "choices.jsonl"), "--eval-data",
            str(folder / "eval-choices.jsonl"), "--eval-every", "25", "--patience", "100", "--rslora",
            "--schedule", "cosine", "--steps", "160", "--learning-rate", "1e-3"],
        "whole model": common + [
            "--data", str(folder / "train.jsonl"), "--method", "full", "--optimizer", "muon", "--no-decay",
            "vectors", "--weight-decay", "0.01", "--steps", "200", "--learning-rate", "1e-3"],
        "weighted files": common + [
            "--data", str(folder / "train.jsonl"), "--data", f"{folder / 'more.jsonl'}:0.5", "--data",
            f"{folder / 'chats.jsonl'}:2.5", "--validation", "15%", "--eval-every", "17", "--patience", "100",
            "--schedule", "cosine", "--epochs", "5", "--learning-rate", "2e-3"],
    }


def content(folder):
    """The bytes of the result's files; how the run was begun is not one of them, and a report has times."""
    others = {"lora-run.json", "report.html"}
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name not in others}


def log(path):
    return [{k: v for k, v in json.loads(line).items() if k != "tokens_per_second"}
            for line in path.read_text().splitlines()]


class Bench:
    def __init__(self, binary):
        self.binary, self.passed, self.failures = str(pathlib.Path(binary).resolve()), 0, []

    def start(self, *arguments):
        return subprocess.Popen(
            [self.binary, "train", *map(str, arguments)], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)

    def run(self, *arguments):
        process = self.start(*arguments)
        _, errors = process.communicate(timeout=300)
        return process.returncode, errors

    def check(self, name, problems):
        if problems:
            self.failures.append(name)
            print(f"FAILED {name}: " + "; ".join(problems), flush=True)
        else:
            self.passed += 1
            print(f"passed {name}", flush=True)

    def whole(self, folder, arguments):
        """The result and the log of a run that nothing stops, and how long it took.

        All results are called `run`, since their model cards say so.
        """
        start = time.monotonic()
        status, errors = self.run(
            *arguments, "--output", folder / "whole/run", "--log", folder / "whole.jsonl")
        if status:
            sys.exit(errors)
        return content(folder / "whole/run"), log(folder / "whole.jsonl"), time.monotonic() - start

    def interrupted(self, name, folder, arguments, count, rng):
        expected, expected_log, seconds = self.whole(folder, arguments)
        output = folder / "parts/run"
        begin = ["--output", output, "--log", folder / "parts.jsonl"]
        problems, sent, rounds, started = [], [], 0, False
        while len(sent) < count and not problems:
            rounds += 1
            if rounds > 20 * count:
                problems.append("no progress")
            # Until its folder is there a run is begun again; a finished one too.
            exists = (output / "lora-run.json").exists()
            finished = exists and json.loads((output / "lora-run.json").read_text())["finished"]
            if finished:
                if content(output) != expected:
                    problems.append(f"other bytes after {sent}")
                shutil.rmtree(output)
                (folder / "parts.jsonl").unlink(missing_ok=True)
                exists = False
            process = self.start(*(["--resume", output] if exists else arguments + begin))
            time.sleep(rng.uniform(0, seconds * (1.2 if rng.random() < 0.3 else 0.5)))
            kind = signal.SIGKILL if rng.random() < 2 / 3 else rng.choice(
                [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
            if process.poll() is None:
                process.send_signal(kind)
                sent.append(kind.name)
            _, errors = process.communicate(timeout=300)
            if process.returncode not in (0, 1, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP):
                problems.append(f"status {process.returncode}: {errors}")
            if process.returncode == 1 and "interrupted" not in errors:
                problems.append(errors)
        exists = (output / "lora-run.json").exists()
        status, errors = self.run(*(["--resume", output] if exists else arguments + begin))
        if status:
            problems.append(errors)
        else:
            found = content(output)
            if found.keys() != expected.keys():
                problems.append(f"files {sorted(found)}")
            problems += [f"{n} has other bytes" for n in expected if found.get(n) != expected[n]]
            if log(folder / "parts.jsonl") != expected_log:
                problems.append("the log differs")
        kills = sent.count("SIGKILL")
        self.check(f"{name}: {len(sent)} interruptions, {kills} of them kill -9", problems)

    def disk(self, folder, arguments):
        """A disk that is full, and one that becomes read-only, while a run saves its states."""
        if os.geteuid() != 0 or not sys.platform.startswith("linux"):
            print("skipped: a full disk and a read-only folder need root on Linux")
            return
        expected, _, seconds = self.whole(folder, arguments)
        for name in ["full disk", "read-only folder"]:
            place = folder / name.replace(" ", "-")
            place.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
            try:
                self.check(name, self.on_disk(name, place, arguments, expected, seconds))
            finally:
                subprocess.run(["umount", "-l", place], check=True)

    def on_disk(self, name, place, arguments, expected, seconds):
        problems = []
        output = place / "run"
        process = self.start(*arguments, "--output", output)
        limit = time.monotonic() + 60
        while not list(output.glob("lora-run-*.safetensors")) and time.monotonic() < limit:
            time.sleep(0.005)
        if name == "full disk":
            try:
                with open(place / "filler", "wb") as file:
                    while True:
                        file.write(bytes(4096))
                        file.flush()
            except OSError:
                pass
            reason = "No space left on device"
        else:
            # Busy while a file is being written.
            while subprocess.run(
                    ["mount", "-o", "remount,ro", place], stderr=subprocess.DEVNULL).returncode:
                if process.poll() is not None:
                    break
            reason = "Read-only file system"
        _, errors = process.communicate(timeout=300)
        if process.returncode != 1:
            problems.append(f"status {process.returncode}: {errors}")
        if reason not in errors or "error: " not in errors:
            problems.append(f"the error does not say '{reason}': {errors}")
        if not list(output.glob("lora-run-*.safetensors")):
            problems.append("no state is left")
        if name == "full disk":
            (place / "filler").unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        status, errors = self.run("--resume", output)
        if status or "resumed after step" not in errors:
            problems.append(f"resuming: {errors}")
        elif content(output) != expected:
            problems.append(f"other bytes: {sorted(content(output))}")
        return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--model", help="instead of a tiny one, with a tokenizer")
    parser.add_argument("--interruptions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bench, rng = Bench(options.binary), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        all_settings = settings(folder, kit(folder, options.model))
        for name, arguments in all_settings.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            bench.interrupted(name, place, arguments, options.interruptions, rng)
        place = folder / "disk"
        place.mkdir()
        bench.disk(place, all_settings["texts"])
    print(f"{bench.passed} passed, {len(bench.failures)} failed")
    sys.exit(1 if bench.failures else 0)


if __name__ == "__main__":
    main()
