#!/usr/bin/env python3
"""Writes a data file of many megabytes for `lora data check`: prompts and completions of invented words.

    Benchmarks/large_data_file.py OUTPUT.jsonl [--megabytes 2048]

A record has about 400 bytes. One record in a thousand repeats an earlier one, one in a thousand does so
but for a word.
"""

import argparse
import random


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--megabytes", type=int, default=2048)
    options = parser.parse_args()
    rng = random.Random(3)
    parts = ["ka", "ri", "mon", "tel", "u", "sha", "no", "be", "lin", "dor", "i", "ga", "per", "sto", "wi"]
    words = ["".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(30_000)]
    phrases = [" ".join(rng.choices(words, k=6)) for _ in range(50_000)]
    left, number, kept = options.megabytes << 20, 0, ["{}\n"] * 1000
    with open(options.output, "w") as file:
        while left > 0:
            number += 1
            kind = number % 1000
            if number > 2000 and kind == 0:
                line = rng.choice(kept)
            elif number > 2000 and kind == 500:
                line = rng.choice(kept).replace('"}', ' really"}')
            else:
                some = rng.choices(phrases, k=10)
                line = '{"prompt": "%s?", "completion": "%s."}\n' % (" ".join(some[:3]), " ".join(some[3:]))
                kept[number % 1000] = line
            left -= len(line)
            file.write(line)


if __name__ == "__main__":
    main()
