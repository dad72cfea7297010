"""The ids that llama.cpp makes of texts with the tokenizers of gguf_models.py's files.

usage: gguf_tokens.py PROGRAM, which is llama_tokens.cpp built against a build of llama.cpp.
gguf/models/NAME-tokens.json: [{"text": ..., "ids": [...]}, ...]
"""

import json
import subprocess
import sys

from common import fixture

TEXTS = [
    "the and in ing", "hello, world!  and the  thing", " leading space", "", "lllll allll the land",
    "a<s>b</s> <|user|> the end", "<unk>", "caf\u00e9 \u00e9t\u00e9 na\u00efve",
    "\u65e5\u672c\u8a9e and \U0001f642 the", "tab\there", "new\nline and\n\nmore",
    "<0x41> byte text", "don't I'll THE And", "123 45 6 the 7890", "    four spaces   ",
    "the<|user|>the", "the<|im_end|>\nthe <|endoftext|>", "\u2581the \u2581 and",
]


def main():
    lines = "".join(text.replace("\n", "\\n") + "\n" for text in TEXTS)
    for name in ["llama-quantized", "qwen2-float16", "gemma4-float16"]:
        out = subprocess.run(
            [sys.argv[1], fixture("gguf", "models", f"{name}.gguf")], input=lines, text=True,
            capture_output=True, check=True).stdout
        ids = [json.loads(line) for line in out.splitlines()]
        assert len(ids) == len(TEXTS)
        with open(fixture("gguf", "models", f"{name}-tokens.json"), "w") as file:
            rows = [json.dumps({"text": t, "ids": i}) for t, i in zip(TEXTS, ids)]
            file.write("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
