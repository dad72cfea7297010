"""What `lora train` learns of conversations, beside an independent computation.

    .venv/bin/python Tests/Reference/chat_masks.py --lora .build/release/lora --model MODEL \\
        --templates ../shared/templates --chats FILE.jsonl

MODEL is a folder with a tokenizer that has bos_token and eos_token, FILE.jsonl has `messages` (those that
`chat_answers.py` makes, for example). For each template, transformers renders each conversation whole and up
to before and behind each of the assistant's messages; what differs is learned, if the shorter text begins the
longer one. `lora data show --json` must have the same ids and targets. Prints a line a template and exits
with 1 if one differs.
"""

import argparse
import glob
import json
import os
import subprocess

import transformers


def expected(tokenizer, source, chat):
    def render(messages):
        if not messages:
            return ""
        return tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False)

    whole, spans = render(chat), []
    for index, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        before, behind = render(chat[:index]), render(chat[:index + 1])
        if not (whole.startswith(before) and whole.startswith(behind)):
            return None
        spans.append((len(before), len(behind)))
    encoding = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoding["input_ids"]
    learned = [any(start < max(to, at + 1) and at < end for start, end in spans)
               for at, to in encoding["offset_mapping"]]
    return ids[:-1], [id if is_learned else -100 for id, is_learned in zip(ids[1:], learned[1:])]


def main():
    parser = argparse.ArgumentParser()
    for name in ["--lora", "--model", "--templates", "--chats"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    chats = [json.loads(line)["messages"] for line in open(options.chats)][:options.count]
    failed = False
    for template in sorted(glob.glob(os.path.join(options.templates, "*.jinja"))):
        source = open(template).read()
        shown = subprocess.run(
            [options.lora, "data", "show", options.chats, "--model", options.model, "--chat-template",
             template, "--rows", str(options.count), "--json", "--invalid-records", "skip"],
            capture_output=True, text=True)
        rows = json.loads(shown.stdout)["rows"] if shown.returncode == 0 else []
        wanted = []
        for chat in chats:
            try:
                wanted.append(expected(tokenizer, source, chat))
            except Exception:  # The template refuses the conversation, or a part of it.
                wanted.append(None)
        wanted = [example for example in wanted if example]
        differ = abs(len(rows) - len(wanted)) + sum(
            (row["ids"], row["targets"]) != example for row, example in zip(rows, wanted))
        failed = failed or differ > 0 or not rows
        print(f"{os.path.basename(template)}: {len(rows)} conversations, {differ} differ")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
