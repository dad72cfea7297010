"""Damage to a command's arguments."""

from values import TEXTS, number_text

NUMERIC = {
    "train": [
        "--rank", "--alpha", "--dropout", "--steps", "--epochs", "--batch", "--sequence-length",
        "--learning-rate", "--loraplus-ratio", "--warmup", "--weight-decay", "--clip-norm",
        "--accumulate", "--seed", "--memory"],
    "generate": ["--max-tokens", "--temperature", "--top-k", "--top-p", "--seed"],
    "sweep": ["--from", "--to", "--steps", "--batch", "--sequence-length"],
    "combine": ["--rank", "--density", "--seed"], "reduce": ["--rank", "--energy"],
    "extract": ["--rank", "--energy", "--iterations"], "convert": ["--alpha"],
    "inspect": ["--alpha"],
}
TEXTUAL = {
    "train": ["--targets", "--data", "--schedule", "--init"], "score": ["--split", "--ids"],
    "generate": ["--prompt"], "convert": ["--to"], "combine": ["--type"],
}


def changed(source, case):
    """One argument made extreme, an adapter's strength, or the place to write to."""
    arguments = case.arguments
    share = source.random()
    places = [i for i, a in enumerate(arguments) if a == "--adapter"]
    outputs = [i for i, a in enumerate(arguments) if a in ("--output", "--plot", "--log")]
    if share < 0.2 and places:
        place = source.choice(places) + 1
        arguments[place] = arguments[place].split(":")[0] + ":" + number_text(source)
        case.adapters = []
        return f"an adapter {arguments[place]}"
    if share < 0.4 and outputs:
        place = source.choice(outputs) + 1
        known = sorted({p.rsplit("/", 1)[0] for p in case.files} | set(case.files))
        known += ["out/../" + k for k in known]
        arguments[place] = source.choice(
            known + ["", ".", "in", "out", "out/x/y/z", "out/" + "x" * 300,
                     "out/\x1b[31mZ", "pipe"])
        case.output, case.back = "", []
        return f"{arguments[place - 1]} {arguments[place]!r}"
    if share < 0.5 and TEXTUAL.get(case.command):
        option = source.choice(TEXTUAL[case.command])
        value = source.choice(
            ["", "x", "regex:(a+)+$", "regex:(", "regex:.*", "q_proj,,v_proj", "#", "in/data/x#y",
             "x" * 100000, "\udcff\udcfe", "all-linear"] + [t for t in TEXTS if "\0" not in t])
    elif NUMERIC.get(case.command):
        option, value = source.choice(NUMERIC[case.command]), number_text(source)
        endless = option in ("--steps", "--epochs", "--max-tokens")
        case.is_endless = endless and len(value) > 4
    else:
        return "nothing"
    if option in arguments:
        arguments[arguments.index(option) + 1] = value
    else:
        arguments += [option, value]
    case.is_exact = False
    case.alpha, case.back = None, []
    return f"{option} {value[:60]!r}"
