"""Kills `lora`, or fills its disk, at every call that changes a file, and looks at what is left.

  python3 Tests/Hostile/interrupt.py .build/release/lora

For every command that writes, over nothing, over an existing result with --force, over one with a
folder of somebody's in it (which is exchanged in place), and on a file system that can't exchange
names: the command is run once to count its calls (interpose.c, preloaded), then once for each call and
each kind of fault. Afterwards

- no input has changed, and nothing of somebody else's beside the result;
- at the output lies nothing, the old result or the new one, whole; or, in the middle of an exchange
  in place, what `lora inspect` refuses because a program was stopped while it wrote it;
- status 0 means that the new result is there;
- the same command without a fault ends with the new result, and nothing hidden is left beside it or in
  TMPDIR.

Prints a line for each setting, each violation, and `N passed, N failed`. Needs a C compiler and
Python's standard library.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/Fixtures"
KINDS = ["kill", "partial", "error", "full"]


def digest(path):
    """What lies at a path: None, or the bytes of a file or of all files of a folder, by name."""
    if path.is_dir():
        return {
            str(p.relative_to(path)): (p.readlink() if p.is_symlink() else p.read_bytes())
            for p in sorted(path.rglob("*")) if p.is_symlink() or p.is_file()
        }
    return path.read_bytes() if path.exists() else None


def visible(content):
    """A folder's content without hidden names."""
    if not isinstance(content, dict):
        return content
    return {k: v for k, v in content.items() if not any(s.startswith(".") for s in k.split("/"))}


class Setting:
    """A command, and what lies at its output before."""

    def __init__(self, name, arguments, output, before, exchange=True):
        self.name, self.arguments, self.output = name, arguments, output
        self.before, self.exchange = before, exchange


class Bench:
    def __init__(self, binary, library):
        self.binary, self.library = binary, library
        self.passed, self.failures = 0, []

    def run(self, setting, place, fault=None, kind="", log=None):
        environment = dict(
            os.environ, TMPDIR=str(place / "tmp"), LORA_THREADS="1", LD_PRELOAD=str(self.library))
        if not setting.exchange:
            environment["FAULT_NO_EXCHANGE"] = "1"
        if fault:
            environment |= {"FAULT_AT": str(fault), "FAULT_KIND": kind}
        if log:
            environment["FAULT_LOG"] = str(log)
        return subprocess.run(
            [self.binary] + setting.arguments(place), cwd=place, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def prepare(self, place, setting, kit):
        if place.exists():
            shutil.rmtree(place)
        shutil.copytree(kit, place, symlinks=True)
        (place / "tmp").mkdir()
        setting.before(place)

    def check(self, setting, kit, scratch):
        place = scratch / "place"
        self.prepare(place, setting, kit)
        old = digest(place / setting.output)
        inputs = {p.name: digest(p) for p in kit.iterdir() if p.name != setting.output}
        log = scratch / "log"
        log.unlink(missing_ok=True)
        clean = self.run(setting, place, log=log)
        if clean.returncode != 0:
            return self.fail(setting, "without a fault", clean.stderr.decode().strip())
        calls = log.read_text().splitlines()
        new = digest(place / setting.output)
        before = self.passed, len(self.failures)
        for number, call in enumerate(calls, 1):
            for kind in KINDS:
                if kind == "partial" and call.split()[1] != "write":
                    continue
                self.prepare(place, setting, kit)
                outcome = self.run(setting, place, number, kind)
                self.judge(
                    setting, place, f"{kind} at {call}", outcome, old, new, inputs, kit)
        print(
            f"{setting.name}: {len(calls)} calls, {self.passed - before[0]} passed, "
            f"{len(self.failures) - before[1]} failed", flush=True)

    def judge(self, setting, place, fault, outcome, old, new, inputs, kit):
        def state():
            return digest(place / setting.output)

        problems = []
        code = outcome.returncode
        if code not in (0, 1, -9):
            problems.append(f"status {code}")
        if code == 1 and b"error: " not in outcome.stderr:
            problems.append("no message")
        found = visible(state())
        is_empty = found is None or found == {}
        foreign = {k: v for k, v in (old or {}).items() if k.startswith("mine")} \
            if isinstance(old, dict) else {}
        if isinstance(found, dict):
            for name, content in foreign.items():
                if found.get(name) != content:
                    problems.append(f"somebody's {name} is gone")
        # A log that cannot be written ends the training, and what it learned is the result.
        is_saved = code == 1 and b"is saved in" in outcome.stderr
        if found not in (visible(old), visible(new)) and not (is_empty and old is None) \
                and not is_saved:
            refused = subprocess.run(
                [self.binary, "inspect", str(place / setting.output)], capture_output=True)
            if b"stopped while it wrote" not in refused.stderr:
                problems.append(f"a mixture: {sorted(found) if isinstance(found, dict) else 'file'}")
        if code == 0 and found != visible(new):
            problems.append("status 0 without the result")
        again = self.run(setting, place)
        if again.returncode == 1 and b"--force" in again.stderr:
            # The result, or the log, of the run that was stopped.
            setting = Setting(
                setting.name, lambda p, a=setting.arguments: a(p) + ["--force"], setting.output,
                setting.before, setting.exchange)
            again = self.run(setting, place)
        if again.returncode != 0 or state() != new:
            problems.append(f"the next run: {again.stderr.decode().strip()[-200:]}")
        left = [
            str(p.relative_to(place)) for p in place.rglob("*")
            if p.name.startswith(".") or p.parent.name == "tmp"
        ]
        if left:
            problems.append(f"left over: {left}")
        for name, content in inputs.items():
            if digest(place / name) != content:
                problems.append(f"the input {name} has changed")
        if problems:
            self.fail(setting, fault, "; ".join(problems))
        else:
            self.passed += 1

    def fail(self, setting, fault, problem):
        self.failures.append((setting.name, fault, problem))
        print(f"FAILED {setting.name}: {fault}: {problem}", flush=True)


def make_kit(binary, kit):
    """The inputs of all commands."""
    shutil.copytree(FIXTURES / "models/llama-grouped", kit / "model")
    shutil.move(kit / "model/adapter", kit / "a")
    shutil.copytree(kit / "a", kit / "b")
    shutil.copy(FIXTURES / "dialects/kohya-sd15.safetensors", kit / "style.safetensors")
    shutil.copytree(FIXTURES / "gguf/models/llama3-bfloat16-adapter", kit / "c")
    shutil.copy(FIXTURES / "gguf/models/llama3-bfloat16.gguf", kit / "base.gguf")
    (kit / "rows.json").write_text(
        str([[3 + (row * 7 + i * i) % 40 for i in range(12)] for row in range(8)]))
    subprocess.run(
        [binary, "merge", "--model", "model", "--adapter", "a", "--output", "tuned"], cwd=kit,
        check=True, capture_output=True)


def settings(binary):
    training = ["train", "--model", "model", "--data", "rows.json", "--steps", "2"]
    commands = {
        "train": (training + ["--log", "log.jsonl"], "out"),
        "train --method full": (training + ["--method", "full"], "out"),
        "merge": (["merge", "--model", "model", "--adapter", "a"], "out"),
        "convert --to mlx": (["convert", "--input", "a", "--to", "mlx"], "out"),
        "merge to GGUF": (["merge", "--model", "base.gguf", "--adapter", "c"], "out.gguf"),
        **{
            f"convert --to {format}": (
                ["convert", "--input", source, "--to", format], "out.safetensors")
            for format, source in [
                ("kohya", "style.safetensors"), ("lycoris", "style.safetensors"),
                ("diffusers", "style.safetensors"), ("loralib", "a")]
        },
        "convert --to gguf": (
            ["convert", "--input", "a", "--to", "gguf", "--base", "model",
             "--ollama-modelfile"], "out.gguf"),
        "combine": (
            ["combine", "--adapter", "a:0.5", "--adapter", "b", "--type", "cat"], "out"),
        "reduce": (["reduce", "--adapter", "a", "--rank", "1"], "out"),
        "extract": (["extract", "--base", "model", "--tuned", "tuned", "--rank", "2"], "out"),
    }
    for name, (arguments, output) in commands.items():
        call = arguments + ["--output", output]

        def nothing(place):
            pass

        def older(place, name=name, call=call, output=output):
            # An older result of the same kind: the command's own, with other content.
            changed = list(call)
            for old, new in [("a", "a:0.25"), ("c", "c:0.25"), ("2", "1")]:
                if old in changed and name.split()[0] in ("merge", "train"):
                    changed[changed.index(old)] = new
            if name == "combine":
                changed[2] = "a:0.1"
            if name.startswith("convert") and changed[2] == "a":
                shutil.copytree(place / "a", place / "other")
                scale(place / "other/adapter_model.safetensors")
                changed[2] = "other"
            elif name.startswith("convert"):
                shutil.copy(place / changed[2], place / "other.safetensors")
                scale(place / "other.safetensors")
                changed[2] = "other.safetensors"
            if name == "reduce":
                changed[-3] = "2"
            if name == "extract":
                changed[-3] = "1"
            subprocess.run(
                [binary] + changed, cwd=place, check=True, capture_output=True)
            shutil.rmtree(place / "other", ignore_errors=True)
            (place / "other.safetensors").unlink(missing_ok=True)

        def forced(place, call=call):
            return call + ["--force"]

        yield Setting(f"{name}, over nothing", lambda place, call=call: call, output, nothing)
        yield Setting(f"{name}, over an older one", forced, output, older)
        if output == "out":
            def beside(place, older=older):
                older(place)
                (place / "out/mine.txt").write_text("mine")

            def within(place, older=older):
                older(place)
                (place / "out/mine").mkdir()
                (place / "out/mine/x").write_text("mine")

            yield Setting(f"{name}, with somebody's file", forced, output, beside)
            yield Setting(f"{name}, with somebody's folder", forced, output, within)
            yield Setting(f"{name}, without exchanging", forced, output, older, exchange=False)
    sweep = ["sweep", "--model", "model", "--adapter", "a", "--data", "rows.json", "--steps", "2",
             "--plot", "out.svg"]
    yield Setting("sweep --plot, over nothing", lambda place: sweep, "out.svg", lambda place: None)
    yield Setting(
        "sweep --plot, over an older one", lambda place: sweep + ["--force"], "out.svg",
        lambda place: (place / "out.svg").write_text("<svg></svg>") and None)


def scale(path):
    """Other numbers in a file of float32 tensors: another result of the same shape."""
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    for place in range(start, len(data) - 3, 4):
        value = struct.unpack("<f", data[place:place + 4])[0]
        data[place:place + 4] = struct.pack("<f", value * 0.5)
    path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--only", help="settings whose name begins so", default="")
    options = parser.parse_args()
    binary = str(pathlib.Path(options.binary).resolve())
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        library = scratch / "interpose.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library,
             pathlib.Path(__file__).with_name("interpose.c"), "-ldl"], check=True)
        kit = scratch / "kit"
        kit.mkdir()
        make_kit(binary, kit)
        bench = Bench(binary, library)
        for setting in settings(binary):
            if setting.name.startswith(options.only):
                bench.check(setting, kit, scratch)
    print(f"{bench.passed} passed, {len(bench.failures)} failed")
    sys.exit(1 if bench.failures else 0)


if __name__ == "__main__":
    main()
