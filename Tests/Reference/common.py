"""What the reference scripts share: where fixtures lie, and files with the same bytes each time."""

import json
import os
import shutil
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("ignore", category=FutureWarning)
torch.set_num_threads(1)  # sums in one order, whatever the machine
torch.use_deterministic_algorithms(True)

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Fixtures")


def fixture(*parts):
    """Path below Tests/Fixtures, its folder made if missing."""
    path = os.path.normpath(os.path.join(FIXTURES, *parts))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def fresh_folder(path):
    """An empty folder at `path`, whatever was there before."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write(path, tensors, **metadata):
    """Writes a safetensors file; float64 becomes float32.

    At most one metadata value: the format's writer keeps several in no fixed order.
    """
    assert len(metadata) <= 1
    stored = {}
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.detach()
        if tensor.dtype == torch.float64:
            tensor = tensor.float()
        stored[name] = tensor.contiguous().clone()
    text = {key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in metadata.items()}
    save_file(stored, path, metadata=text or None)


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


def read_ids(source):
    """Token rows [rows, length] from JSON `[[id, ...], ...]`, FILE.safetensors or FILE#tensor."""
    path, _, name = source.partition("#")
    if path.endswith(".json"):
        with open(path) as file:
            return torch.tensor(json.load(file), dtype=torch.int64)
    tensors = load_file(path)
    for candidate in [name] if name else ["ids", "eval"]:
        if candidate in tensors:
            return tensors[candidate]
    raise SystemExit(f"error: {path} has no tensor {name or 'ids or eval'}: {sorted(tensors)}")


def token_nll(model, ids):
    """Negative natural log likelihood [rows, length - 1] of every token but the first."""
    with torch.no_grad():
        # Virtual tokens may come before those of `ids`.
        logits = model(input_ids=ids).logits[:, -ids.shape[1]:].double()
    log_probability = torch.log_softmax(logits[:, :-1], dim=-1)
    return -log_probability.gather(-1, ids[:, 1:, None])[..., 0]
