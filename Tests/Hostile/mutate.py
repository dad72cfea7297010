#!/usr/bin/env python3
"""Runs `lora` over damaged inputs and judges what it does. See README.md."""

import argparse
import collections
import multiprocessing
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import arguments
import judge
import mutations
import scenarios
from tensorfiles import GGUF_TYPES, Malformed, read_gguf, read_safetensors

Run = collections.namedtuple("Run", "status stdout stderr seconds peak timed_out")


def prepared(seed, index):
    """The case of a number: what is in its folder, what is run, and what was done to it.

    With the seed "valid" nothing is damaged.
    """
    source = random.Random(f"{seed}:{index}")
    case = scenarios.case(source)
    originals = dict(case.files)
    share, words = source.random(), []
    if share < 0.03 or seed == "valid":
        words = ["nothing"]
    elif share < 0.17:
        words = [arguments.changed(source, case)]
    elif share < 0.2:
        words = [exchanged(source, case)]
    else:
        for _ in range(source.choice([1, 1, 1, 1, 2])):
            words.append(damaged(source, case))
    for name in ("model", "tuned"):
        path = getattr(case, name)
        intact = path and not any(
            case.files.get(f) != content and not f.endswith((".safetensors", ".gguf"))
            for f, content in originals.items() if f.startswith(f"in/{name}/"))
        setattr(case, name + "_intact", (path, originals) if intact else None)
    return case, "; ".join(words)


def damaged(source, case):
    group = source.choice(case.groups)
    paths = [p for p in case.files if p.startswith(f"in/{group}/")]
    paths = [p for p in paths if isinstance(case.files[p], bytes)]
    if not paths:
        return "nothing"
    weights = [
        4 if p.endswith((".safetensors", "/config.json", "/adapter_config.json"))
        else 3 if p.endswith("tokenizer.json") else 2 for p in paths]
    path = source.choices(paths, weights)[0]
    case.files[path], word = mutations.mutated(source, path, case.files[path])
    return f"{path}: {word}"


def exchanged(source, case):
    """A file of another model, adapter or format in one's place."""
    group = source.choice(case.groups)
    paths = [p for p in case.files if p.startswith(f"in/{group}/")]
    path = source.choice(paths)
    other = {}
    if source.random() < 0.5:
        scenarios.put_model(other, source.choice(scenarios.FOLDERS + scenarios.GGUFS))
    else:
        names = scenarios.TEXT_ADAPTERS + scenarios.IMAGE_ADAPTERS + ["gguf 0", "gpt2"]
        scenarios.put_adapter(other, source.choice(names))
    ending = path.rsplit(".", 1)[-1]
    same = [p for p in other if p.endswith(ending)] or list(other)
    new = source.choice(same)
    case.files[path] = other[new]
    if group.startswith("adapter"):
        # It may be a valid adapter of another format.
        case.adapters, case.back = [], []
    return f"{path} is another's {new}"


def laid_out(case):
    """Writes the case's inputs below the working folder."""
    for name in ("in", "out", "tmp"):
        os.mkdir(name)
    # A file that is no plain one, to be told to write to; never one of the system's own.
    os.mkfifo("pipe")
    for path, content in case.files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, bytes):
            with open(path, "wb") as file:
                file.write(content)
        elif content.kind == "folder":
            os.mkdir(path)
        elif content.kind == "fifo":
            os.mkfifo(path)
        elif content.kind == "loop":
            os.symlink(os.path.basename(path), path)
        elif content.kind == "dangling":
            os.symlink("nowhere", path)
        elif content.kind == "link":
            with open(path + ".real", "wb") as file:
                file.write(content.content)
            os.symlink(os.path.basename(path) + ".real", path)


def run(binary, arguments, limit):
    """The command, its output and what it cost."""
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": os.path.abspath("tmp"), "LORA_THREADS": "1",
        "TMPDIR": os.path.abspath("tmp"), "LANG": "C.UTF-8", "SWIFT_BACKTRACE": "enable=no"}
    arguments = [binary] + [a.encode("utf-8", "surrogateescape") for a in arguments]
    with open("stdout", "wb") as out, open("stderr", "wb") as err:
        start = time.monotonic()
        child = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        timed_out, pause = False, 0.001
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - start > limit and not timed_out:
                timed_out = True
                child.kill()
            time.sleep(pause)
            pause = min(pause * 1.3, 0.01)
        seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    # Linux counts in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    texts = []
    for name in ("stdout", "stderr"):
        with open(name, "rb") as file:
            texts.append(file.read(4_000_000).decode("utf-8", "surrogateescape"))
    return Run(child.returncode, *texts, seconds, peak, timed_out)


def tried(binary, seed, index, limit, folder):
    """One case from beginning to end, in `folder`, which is emptied first."""
    case, word = prepared(seed, index)
    if os.path.exists(folder):
        shutil.rmtree(folder)
    os.makedirs(folder)
    os.chdir(folder)
    laid_out(case)
    for name in ("model", "tuned"):
        intact = getattr(case, name + "_intact")
        setattr(case, name + "_intact", original_tensors(case, *intact) if intact else None)
    before = judge.picture("in")
    result = run(binary, case.arguments, 2 if case.is_endless else limit)
    findings = judge.judged(case, result, before)
    if case.back and result.status == 0 and not findings:
        again = run(binary, case.back, limit)
        findings = [("back: " + kind, words) for kind, words in judge.judged_back(case, again, before)]
    return case, word, result, findings


def original_tensors(case, path, originals):
    """The names and shapes of the valid model's tensors; None if its GGUF says another model."""
    result = {}
    for name, content in originals.items():
        if not name.startswith(path.removesuffix("/model.gguf") + "/"):
            continue
        if name.endswith(".gguf"):
            file = read_gguf(content)
            for e in file.entries:
                result[e.name] = (GGUF_TYPES[e.type][0], tuple(reversed(e.dims)))
            try:
                if read_gguf(case.files[name]).keys != file.keys:
                    return None
            except (Malformed, TypeError):
                pass
        elif name.endswith(".safetensors"):
            for t in read_safetensors(content)[0].values():
                result[t.name] = (t.dtype, t.shape)
    return result


# MARK: many


def worked(binary, seed, indices, limit, root, deadline, results):
    """A process's share of the cases."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What goes wild ends before the machine does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    for index in indices:
        if time.monotonic() > deadline:
            break
        try:
            case, _, result, findings = tried(
                binary, seed, index, limit, os.path.join(root, str(os.getpid())))
        except Exception as error:  # The harness's own fault must not end the others.
            words = f"{type(error).__name__}: {error}"
            results.put((index, "harness", 0, 0.0, 0, [("harness", words)]))
            continue
        results.put(
            (index, case.command, result.status, result.seconds, result.peak, findings))
    results.put(None)


def printable(text):
    """The text without characters that a terminal would obey."""
    return ascii(text)[1:-1]


def short(words):
    """Words without what differs from input to input."""
    words = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", words)
    words = re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "N", words)
    return words[:90]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lora", required=True, help="the program, built for release")
    parser.add_argument("--count", type=int, default=1000, help="how many inputs")
    parser.add_argument("--first", type=int, default=0, help="the first input's number")
    parser.add_argument("--seed", default="1", help="what the inputs depend on")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--minutes", type=float, default=1e6, help="when to stop, done or not")
    parser.add_argument("--limit", type=float, default=20, help="seconds a command may take")
    parser.add_argument("--replay", help="SEED:NUMBER of one input, shown in full")
    parser.add_argument("--keep", help="with --replay: the folder to leave the input in")
    parser.add_argument("--examples", type=int, default=3, help="inputs shown of each finding")
    options = parser.parse_args()
    options.lora = os.path.abspath(options.lora)
    root = tempfile.mkdtemp(prefix="hostile-")
    try:
        if options.replay:
            seed, index = options.replay.rsplit(":", 1)
            folder = os.path.abspath(options.keep) if options.keep else os.path.join(root, "case")
            return replayed(options, seed, int(index), folder)
        return many(options, root)
    finally:
        os.chdir("/")
        shutil.rmtree(root, ignore_errors=True)


def replayed(options, seed, index, folder):
    if options.keep and os.path.exists(folder):
        sys.exit(f"{folder}: it exists; give a new folder to --keep")
    case, word, result, findings = tried(options.lora, seed, index, options.limit, folder)
    print("damage: ", printable(word)[:2000])
    print("command: lora", *(repr(a)[:200] if not re.fullmatch(r"[\w/.:=-]+", a) else a
                             for a in case.arguments))
    print(f"status {result.status}, {result.seconds:.2f} s, {result.peak >> 20} MiB")
    for name in ("stdout", "stderr"):
        for line in getattr(result, name).splitlines()[:20]:
            print(f"{name}: {line.encode('unicode_escape').decode()[:400]}")
    for kind, words in findings:
        print(f"finding: {kind}: {printable(words)}")
    return 1 if findings else 0


def many(options, root):
    start = time.monotonic()
    results = multiprocessing.Queue()
    deadline = start + 60 * options.minutes
    end = options.first + options.count
    workers = [
        multiprocessing.Process(
            target=worked,
            args=(options.lora, options.seed, range(options.first + job, end, options.jobs),
                  options.limit, root, deadline, results))
        for job in range(options.jobs)]
    for worker in workers:
        worker.start()
    commands = collections.defaultdict(collections.Counter)
    found = collections.defaultdict(list)
    slowest, largest, running, done = (0, 0), (0, 0), options.jobs, 0
    while running:
        item = results.get()
        if item is None:
            running -= 1
            continue
        index, command, status, seconds, peak, findings = item
        done += 1
        row = commands[command]
        row["inputs"] += 1
        row["done" if status == 0 else "refused" if status == 1 else "usage" if status == 64
            else "other"] += 1
        row["findings"] += bool(findings)
        slowest, largest = max(slowest, (seconds, index)), max(largest, (peak, index))
        for kind, words in findings:
            found[(kind, command, short(words))].append((index, words))
        if done % 1000 == 0:
            print(f"{done} of {options.count}, {len(found)} kinds of findings", file=sys.stderr)
    for worker in workers:
        worker.join()
    report(options, commands, found, slowest, largest, done, time.monotonic() - start)
    return 1 if found or done < options.count else 0


def report(options, commands, found, slowest, largest, done, seconds):
    print(f"{done} inputs, seed {options.seed}, {seconds:.0f} s with {options.jobs} "
          f"job{'s' if options.jobs > 1 else ''}; slowest {slowest[0]:.1f} s (number {slowest[1]}), "
          f"largest {largest[0] >> 20} MiB (number {largest[1]})\n")
    print("| command | inputs | done | refused | wrong usage | other | with findings |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    columns = ("inputs", "done", "refused", "usage", "other", "findings")
    total = collections.Counter()
    for command in sorted(commands):
        total.update(commands[command])
        print(f"| {command} | " + " | ".join(str(commands[command][c]) for c in columns) + " |")
    print("| all | " + " | ".join(str(total[c]) for c in columns) + " |\n")
    for (kind, command, _), cases in sorted(found.items(), key=lambda f: (f[0][0], -len(f[1]))):
        print(f"{kind}, {command}, {len(cases)} times")
        for index, words in cases[: options.examples]:
            print(f"    --replay {options.seed}:{index}    {printable(words)[:240]}")
    if not found:
        print("no findings")


if __name__ == "__main__":
    sys.exit(main())
