"""Methods of adaptation on one classification task and one engine: runs, table, plot.

usage: compare.py data CLINC150.json FOLDER                      -> FOLDER/train.jsonl, test.jsonl, ...
       compare.py run METHODS MODEL TRAIN.jsonl TEST.jsonl [--seeds N] [--epochs N] [--only NAME,...]
       compare.py table
       compare.py plot FILE.svg

METHODS is the program of Benchmarks/Sources/Methods (`swift build -c release --product Methods` in
Benchmarks). Results are appended to results.jsonl beside this file, and `run` leaves out what it finds there, so
that it goes on where it was stopped; `table` prints them as Markdown, `plot` draws accuracy over trained
parameters.
"""

import argparse
import json
import math
import os
import subprocess

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.jsonl")
NAMES = {"head": "head only", "bitfit": "BitFit", "ia3": "IA3", "vera": "VeRA, rank 256",
         "prefix": "prefix tuning, 20", "prompt": "prompt tuning, 20", "bottleneck": "bottleneck, 1/16",
         "lora": "LoRA, rank 8", "rslora": "rsLoRA, rank 8", "dora": "DoRA, rank 8", "full": "full"}


def data(arguments):
    splits = json.load(open(arguments.source))
    os.makedirs(arguments.folder, exist_ok=True)
    held = set(sorted({label for _, label in splits["train"]})[::5])  # 30 of the 150 intents
    def write(name, rows):
        with open(os.path.join(arguments.folder, name + ".jsonl"), "w") as file:
            for text, label in rows:
                file.write(json.dumps(dict(text=text, label=label)) + "\n")
    for name in ("train", "val", "test"):
        write(name, splits[name])
    write("train-120", [row for row in splits["train"] if row[1] not in held])
    write("test-30", [row for row in splits["test"] if row[1] in held])


def results():
    if not os.path.exists(RESULTS):
        return []
    with open(RESULTS) as file:
        return [json.loads(line) for line in file]


def run(arguments):
    known = {(result["method"], result["seed"], result["epochs"]) for result in results()}
    for seed in range(arguments.seeds):
        for name in arguments.only.split(",") if arguments.only else NAMES:
            if (name, seed, arguments.epochs) in known:
                continue
            done = subprocess.run(
                [arguments.program, arguments.model, arguments.train, arguments.test, name, str(seed),
                 str(arguments.epochs)], stdout=subprocess.PIPE, text=True, check=True)
            print(done.stdout.strip(), flush=True)
            with open(RESULTS, "a") as file:
                file.write(done.stdout)


def means():
    groups = {}
    for result in results():
        groups.setdefault(result["method"], []).append(result)
    rows = []
    for name in NAMES:
        if name in groups:
            some = groups[name]
            row = {key: sum(result[key] for result in some) / len(some) for key in (
                "parameters", "bytes", "peak_rss_bytes", "accuracy")}
            # Whatever else runs adds time.
            row["cpu_seconds"] = min(result["cpu_seconds"] for result in some)
            accuracies = [result["accuracy"] for result in sorted(some, key=lambda r: r["seed"])]
            rows.append(dict(row, name=NAMES[name], method=name, rate=some[0]["rate"], each=accuracies))
    return rows


def table(arguments):
    print("| method | rate | trained parameters | as a file | CPU time | peak memory | test accuracy | of each seed |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in means():
        print(f"| {row['name']} | {row['rate']:g} | {row['parameters']:,.0f} | {row['bytes'] / 1e6:.2f} MB "
              f"| {row['cpu_seconds']:.0f} s | {row['peak_rss_bytes'] / 2**20:.0f} MiB "
              f"| {100 * row['accuracy']:.2f} % | "
              + ", ".join(f"{100 * accuracy:.2f}" for accuracy in row["each"]) + " |")


def plot(arguments):
    rows = means()
    width, height, left, right, top, bottom = 760, 440, 70, 20, 44, 54
    low = math.floor(math.log10(min(row["parameters"] for row in rows)) * 2) / 2
    high = math.ceil(math.log10(max(row["parameters"] for row in rows)) * 2) / 2
    # What lies far below the others stands at the lower edge, with its number.
    shares = sorted(row["accuracy"] for row in rows)
    floor = max(shares[0], shares[len(shares) // 2] - 0.035)
    within = [share for row in rows if row["accuracy"] >= floor for share in row["each"]]
    floor, ceiling = math.floor(min(within) * 100 - 0.4) / 100, math.ceil(max(within) * 100 + 0.2) / 100
    edge = height - bottom
    x = lambda count: left + (math.log10(count) - low) / (high - low) * (width - left - right)
    y = lambda share: edge - (share - floor) / (ceiling - floor) * (edge - top) if share > floor else edge - 9
    seeds = max(len(row["each"]) for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-size="14" fill="#222">Test accuracy over trained parameters, '
        'head included' + (', mean and range of the seeds' if seeds > 1 else '') + '</text>']
    for percent in range(round(100 * floor), round(100 * ceiling) + 1):
        place = edge - (percent / 100 - floor) / (ceiling - floor) * (edge - top)
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{place:.1f}" y2="{place:.1f}" '
                     'stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{place + 4:.1f}" text-anchor="end" fill="#555">'
                     f'{percent} %</text>')
    for exponent in range(math.floor(low), math.floor(high) + 1):
        for factor in (1, 3):
            count = factor * 10 ** exponent
            if low <= math.log10(count) <= high:
                label = f"{count // 10**6} M" if count >= 10**6 else f"{count // 1000} k"
                parts.append(f'<line x1="{x(count):.1f}" x2="{x(count):.1f}" y1="{top}" '
                             f'y2="{edge}" stroke="#eee"/>')
                parts.append(f'<text x="{x(count):.1f}" y="{edge + 20}" text-anchor="middle" '
                             f'fill="#555">{label}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle" '
                 'fill="#222">trained parameters (logarithmic)</text>')
    taken = []
    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        px, py = x(row["parameters"]), y(row["accuracy"])
        color = "#c0392b" if "lora" in row["method"] else "#2c6fbb"
        isBelow = row["accuracy"] <= floor
        if isBelow:
            parts.append(f'<path d="M{px - 6:.1f} {py - 5:.1f} h12 l-6 11 z" fill="{color}"/>')
        else:
            ends = y(min(row["each"])), y(max(row["each"]))
            parts.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" '
                         f'stroke="{color}" stroke-width="1.5"/>')
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="5" fill="{color}"/>')
        label = row["name"].split(",")[0] + (f" {100 * row['accuracy']:.1f} %" if isBelow else "")
        size = 7 * len(label)
        # The first of these places that no other label and no other point has.
        for dx, dy, anchor in ((10, 5, "start"), (-10, 5, "end"), (0, -11, "middle"), (0, 21, "middle"),
                               (9, -12, "start"), (9, 21, "start"), (-9, -12, "end"), (-9, 21, "end"),
                               (12, 37, "start"), (-12, 37, "end")):
            start = px + dx - (size if anchor == "end" else size / 2 if anchor == "middle" else 0)
            box = (start, py + dy - 11, start + size, py + dy + 3)
            clear = all(box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]
                        for other in taken)
            points = [(x(r["parameters"]), y(share)) for r in rows if r is not row
                      for share in r["each"] + [r["accuracy"]]]
            clear = clear and not any(
                box[0] - 5 < a < box[2] + 5 and box[1] - 5 < b < box[3] + 5 for a, b in points)
            if clear and box[0] > left and box[2] < width - right + 5:
                break
        taken.append(box)
        parts.append(f'<text x="{px + dx:.1f}" y="{py + dy:.1f}" text-anchor="{anchor}" '
                     f'fill="#222">{label}</text>')
    with open(arguments.file, "w") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("data")
    one.add_argument("source")
    one.add_argument("folder")
    one.set_defaults(run=data)
    two = commands.add_parser("run")
    for name in ("program", "model", "train", "test"):
        two.add_argument(name)
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--epochs", type=int, default=3)
    two.add_argument("--only")
    two.set_defaults(run=run)
    three = commands.add_parser("table")
    three.set_defaults(run=table)
    four = commands.add_parser("plot")
    four.add_argument("file")
    four.set_defaults(run=plot)
    arguments = parser.parse_args()
    arguments.run(arguments)
