#!/usr/bin/env python3
"""Trains a small model on a data file of a gigabyte, and says what memory that took.

    Benchmarks/large_data_file.py large.jsonl --megabytes 1024
    Benchmarks/large_training.py --lora .build/release/lora --model MODEL --data large.jsonl [--steps 20]

Prints the size of the file, the greatest resident memory of `lora train` as the system counted it, and the time; the
same for `--resume` of a run that was stopped, whose adapter must have the same bits.
"""

import argparse
import filecmp
import os
import resource
import signal
import subprocess
import tempfile
import time


def run(command, stop_at=None):
    """Runs a command; its seconds, and the greatest resident mebibytes of the children so far."""
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if stop_at:
        while process.poll() is None and not os.path.exists(stop_at):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    if not stop_at and process.returncode:
        raise SystemExit(errors)
    return time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["--lora", "--model", "--data"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--resume", action="store_true", help="stop a second run, resume it, and compare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [options.lora, "train", "--model", options.model, "--data", options.data, "--steps",
                   str(options.steps), "--batch", "4", "--sequence-length", "256"]
        seconds, memory = run(command + ["--output", folder + "/whole"])
        print(f"{os.path.getsize(options.data) >> 20} MiB of data: {memory:.0f} MiB resident at most, {seconds:.0f} s")
        if options.resume:
            run(command + ["--output", folder + "/parts", "--checkpoint-every", "1"],
                stop_at=folder + "/parts/lora-run-00000002.safetensors")
            seconds, memory = run([options.lora, "train", "--resume", folder + "/parts"])
            same = filecmp.cmp(folder + "/whole/adapter_model.safetensors",
                               folder + "/parts/adapter_model.safetensors", shallow=False)
            print(f"resumed: {'the same bits' if same else 'OTHER BITS'}, {memory:.0f} MiB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
