"""Whether transformers reads the tokenizers that `lora merge` writes of GGUF files as llama.cpp does.

usage: gguf_tokenizer_files.py LORA, the program. Merges the adapter of each GGUF fixture with a
tokenizer into a folder, opens that with AutoTokenizer, and compares the ids of gguf_tokens.py's texts
with those of llama.cpp; and of many random texts with those of the same program on the GGUF file.
"""

import json
import random
import subprocess
import sys
import tempfile

from common import fixture
from transformers import AutoTokenizer


def main():
    program = sys.argv[1]
    bad = 0
    for name in ["llama-quantized", "qwen2-float16"]:
        base = fixture("gguf", "models", f"{name}.gguf")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [program, "merge", "--model", base, "--adapter",
                 fixture("gguf", "models", f"{name}-adapter"), "--output", f"{folder}/m"],
                check=True, capture_output=True)
            tokenizer = AutoTokenizer.from_pretrained(f"{folder}/m")
            with open(fixture("gguf", "models", f"{name}-tokens.json")) as file:
                cases = json.load(file)
            for case in cases:
                ids = tokenizer(case["text"])["input_ids"]
                if ids != case["ids"]:
                    bad += 1
                    print(f"{name}: {case['text']!r}: {ids}, llama.cpp {case['ids']}")
            random.seed(5)
            letters = "thean ing  \n.,!é日<>|/s_0123" + "the and "
            # `lora score` takes a document without the white space round it.
            texts = ["".join(random.choice(letters) for _ in range(random.randrange(3, 60))).strip()
                     for _ in range(200)]
            counts = []
            for text in texts:
                with open(f"{folder}/text", "w") as file:
                    file.write(text)
                found = subprocess.run(
                    [program, "score", "--model", base, "--text", f"{folder}/text", "--json"],
                    capture_output=True, text=True)
                counts.append(json.loads(found.stdout)["tokens"] if found.returncode == 0 else None)
            for text, count in zip(texts, counts):
                ids = tokenizer(text)["input_ids"]
                if count is not None and len(ids) - 1 != count:
                    bad += 1
                    print(f"{name}: {text!r}: {len(ids)} ids, {count} scored")
            print(f"{name}: {len(cases)} + {sum(c is not None for c in counts)} texts, "
                  f"{type(tokenizer).__name__}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
