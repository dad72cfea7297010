"""Compares `lora score` and `lora merge` with what conformance.py wrote, and prints the table.

usage: .venv/bin/python Tests/Reference/conformance_check.py --binary .build/debug/lora
           [--folder Tests/Fixtures/conformance] [--markdown FILE] [--tolerance 1e-4]

A row passes if the NLL of every token is within the tolerance of PEFT's: of the base, under the
adapter, and after `lora merge`. Where PEFT's merged model computes something else than its adapted
one (it adds an embedding's change to the table that a tied head shares), the merged model is
compared with the adapted one. Exit status 1 if a row fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

TITLES = {"base": "base", "adapted": "adapted", "merged": "merged"}


class Failure(Exception):
    """`lora` ended with an error."""


def run(binary, *arguments):
    process = subprocess.run([binary, *arguments], capture_output=True, text=True)
    if process.returncode != 0:
        lines = [line for line in process.stderr.splitlines() if line.startswith("error")]
        raise Failure((lines or process.stderr.strip().splitlines() or ["no message"])[-1])
    return process.stdout


def score(binary, model, ids, adapter=None):
    """Token NLLs as `lora score` prints them."""
    arguments = ["score", "--model", model, "--ids", ids, "--per-token", "--json"]
    output = run(binary, *arguments, *(["--adapter", adapter] if adapter else []))
    return torch.tensor([d["token_nlls"] for d in json.loads(output)["documents"]]).double()


def check(binary, folder, row, scratch, tolerance):
    """The largest differences by column, and what is to be said about the row."""
    family, feature = row["family"], row["feature"]
    if "refused" in row:
        return {}, f"PEFT refuses: {row['refused']}", True
    root = os.path.join(folder, family)
    model, adapter = os.path.join(root, "model"), os.path.join(root, feature)
    file = os.path.join(root, "expected.safetensors")
    expected = load_file(file)
    found, notes, passes = {}, [], True

    def compare(column, values, wanted):
        nonlocal passes
        found[column] = (values - wanted.double()).abs().max().item()
        passes = passes and found[column] <= tolerance  # a NaN fails

    try:
        compare("base", score(binary, model, f"{file}#ids"), expected["base"])
        compare("adapted", score(binary, model, f"{file}#ids", adapter),
                expected[f"{feature}/adapted"])
    except Failure as error:
        return found, str(error), False
    merged = os.path.join(scratch, f"{family}-{feature}")
    try:
        run(binary, "merge", "--model", model, "--adapter", adapter, "--output", merged)
        if "not_merged" in row:
            notes.append("merged here; PEFT does not: " + row["not_merged"])
        wanted = expected.get(f"{feature}/merged", expected[f"{feature}/adapted"])
        if row.get("merging_changes_by", 0) > 1e-3:
            wanted = expected[f"{feature}/adapted"]
            notes.append("compared with the adapted model: PEFT's merged one differs from it by "
                         f"{row['merging_changes_by']:.2g}, its head being tied")
        compare("merged", score(binary, merged, f"{file}#ids"), wanted)
    except Failure as error:
        if "not_merged" not in row:
            return found, str(error), False
        notes.append(f"neither merges: {row['not_merged']}")
    return found, "; ".join(notes), passes


def table(results):
    """A row a feature, a column a model: the largest difference adapted, and merged; then notes."""
    families = list(dict.fromkeys(row["family"] for row, *_ in results))
    features = list(dict.fromkeys(row["feature"] for row, *_ in results))
    cells, notes = {}, []
    for row, found, note, passes in results:
        cell = " / ".join(f"{found[column]:.1e}" if column in found else "–"
                          for column in ("adapted", "merged"))
        if "refused" in row:
            cell = "–"
        if not passes:
            cell = f"**fails** {cell}"
        if note:
            if note not in notes:
                notes.append(note)
            cell += f" ({notes.index(note) + 1})"
        cells[row["family"], row["feature"]] = cell
    base = max(found.get("base", 0) for _, found, *_ in results)
    lines = [f"Base: at most {base:.1e}. The others, adapted / merged:", "",
             "| feature | " + " | ".join(families) + " |", "| --- |" + " --- |" * len(families)]
    for feature in features:
        row = [cells.get((family, feature), "") for family in families]
        lines.append(f"| {feature} | {' | '.join(row)} |")
    lines += [""] + [f"{index}. {note}" for index, note in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--binary", required=True)
    parser.add_argument("--folder", default=os.path.join(here, "../Fixtures/conformance"))
    parser.add_argument("--markdown")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    with open(os.path.join(arguments.folder, "rows.json")) as file:
        rows = json.load(file)
    results, failed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows:
            found, note, passes = check(
                arguments.binary, arguments.folder, row, scratch, arguments.tolerance)
            failed += not passes
            cells = [f"{found[column]:.1e}" if column in found else "–" for column in TITLES]
            note = note.replace(arguments.folder + "/", "").replace("|", "\\|")
            line = (f"| {row['family']} | {row['feature']} | {' | '.join(cells)} | "
                    f"{'' if passes else '**fails** '}{note} |")
            results.append((row, found, note, passes))
            print(line, flush=True)
    compared = sum("refused" not in row for row in rows)
    print(f"{compared - failed} of {compared} rows within {arguments.tolerance:g}")
    if arguments.markdown:
        with open(arguments.markdown, "w") as file:
            file.write(table(results))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
