#!/usr/bin/env python3
"""Compares what `lora plan` predicts with what `lora train` then takes: peak memory and time.

    Benchmarks/plan.py LORA OUTPUT.json --stories DIR --smollm DIR --minilm DIR --gsm8k FILE --clinc FILE

For each configuration the plan is made, the command that it recommends is run, and its wall time and peak
resident memory (wait4) stand beside the prediction in OUTPUT.json, which holds what is measured already:
a run that was stopped goes on. `--table` prints it in Markdown.

--stories: stories260k. --smollm: a model of SmolLM2-135M's shape in bfloat16 (`peers/make_model.py
smollm2-135m`, random weights: speed and memory are those of trained ones). --minilm: all-MiniLM-L6-v2.
--gsm8k: GSM8K's questions and answers (.jsonl). --clinc: CLINC150 (data_full.json).
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time


def token_file(gsm8k, path, count, vocabulary):
    """Random ids in sequences as long as GSM8K's examples, counted in words and punctuation."""
    rng = random.Random(1)
    rows = []
    for line in open(gsm8k):
        record = json.loads(line)
        words = len((record["question"] + " " + record["answer"]).split())
        rows.append([rng.randrange(vocabulary) for _ in range(words * 13 // 10)])
    json.dump(rows[:count], open(path, "w"))


def texts(clinc, path, count):
    rows = json.load(open(clinc))["train"]
    rows = random.Random(2).sample(rows, count)
    with open(path, "w") as file:
        for text, label in rows:
            file.write(json.dumps({"text": text, "label": label}) + "\n")


def configurations(options, folder):
    """Name -> arguments of lora plan."""
    token_file(options.gsm8k, folder / "ids.json", 24, 49152)
    texts(options.clinc, folder / "clinc.jsonl", 3000)
    gsm = ["--data", options.gsm8k, "--map", "prompt=question,completion=answer"]
    ids = ["--data", str(folder / "ids.json")]
    return {
        "stories260k, GSM8K": ["--model", options.stories, *gsm, "--epochs", "1"],
        "stories260k, GSM8K, rank 64, batch 2, 256 positions":
            ["--model", options.stories, *gsm, "--rank", "64", "--batch", "2", "--epochs", "1",
             "--sequence-length", "256"],
        "SmolLM2-135M's shape, bfloat16": ["--model", options.smollm, *ids, "--epochs", "2"],
        "SmolLM2-135M's shape, at most 700 MiB":
            ["--model", options.smollm, *ids, "--epochs", "2", "--memory", "700MiB"],
        "MiniLM, 3,000 texts of CLINC150":
            ["--task", "classification", "--model", options.minilm,
             "--data", str(folder / "clinc.jsonl"), "--epochs", "2"],
    }


def run(command):
    """Wall seconds, peak bytes, standard output."""
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status != 0:
            sys.exit(f"{' '.join(command)}: {errors}")
        output.seek(0)
        return seconds, usage.ru_maxrss * 1024, output.read().decode()


def measure(lora, arguments, folder):
    _, plan_peak, text = run([lora, "plan", "--json", *arguments])
    plan = json.loads(text)["recommended"]
    words = plan["command"]
    assert words[:2] == ["lora", "train"] and words[-2] == "--output"
    seconds, peak, _ = run([lora, *words[1:-1], str(folder / "adapter"), "--force"])
    return {
        "predicted_seconds": round(plan["seconds"], 2), "seconds": round(seconds, 2),
        "predicted_bytes": plan["memory_bytes"], "peak_bytes": peak,
        "steps": plan["steps"], "measuring_seconds": round(plan["measuring_seconds"], 2),
        "plan_peak_bytes": plan_peak, "checkpointing": plan["checkpointing"], "batch": plan["batch"],
        "rank": plan["rank"],
    }


def table(results):
    print("| configuration | rank, batch | steps | time predicted | taken | ratio | memory predicted | taken | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, r in results.items():
        time_ratio = r["predicted_seconds"] / r["seconds"]
        memory_ratio = r["predicted_bytes"] / r["peak_bytes"]
        again = ", blocks twice" if r["checkpointing"] else ""
        print(f"| {name} | {r['rank']}, {r['batch']}{again} | {r['steps']} | {r['predicted_seconds']:.1f} s "
              f"| {r['seconds']:.1f} s | {time_ratio:.2f} | {r['predicted_bytes'] >> 20} MiB "
              f"| {r['peak_bytes'] >> 20} MiB | {memory_ratio:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lora")
    parser.add_argument("output", type=pathlib.Path)
    for name in ["stories", "smollm", "minilm", "gsm8k", "clinc"]:
        parser.add_argument(f"--{name}")
    parser.add_argument("--only", help="a part of a configuration's name")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    if options.table:
        return table(results)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, arguments in configurations(options, folder).items():
            if name in results or (options.only and options.only not in name):
                continue
            results[name] = measure(options.lora, arguments, folder)
            print(name, results[name], flush=True)
            options.output.write_text(json.dumps(results, indent=1) + "\n")
    table(results)


if __name__ == "__main__":
    main()
