"""Preferences as lists of messages: the tokens that TRL's DPOTrainer learns from.

usage: .venv/bin/python Tests/Reference/preference_chats.py     -> Tests/Fixtures/data/preference-chats.json

The tokenizer is Tests/Fixtures/text/qwen.json. `templates` are sources; each of `cases` has a `template` (an index
of them), a `record` as a line of a file has it, and `prompt`, `chosen` and `rejected`, the ids.
"""

import json
import types

from datasets import Dataset
from transformers import PreTrainedTokenizerFast
from trl.trainer.dpo_trainer import DPOTrainer

from common import fixture

CHATML = """{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# What asks for an answer is not what an answer begins with, as in templates of models that think.
THINKING = """{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}<plain>{% endif %}{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
<think>{% endif %}"""
TOOLS = """{% if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}""" + CHATML


def user(text):
    return {"role": "user", "content": text}


def answer(text):
    return {"role": "assistant", "content": text}


TOLD = {"role": "system", "content": "Be brief."}
RECORDS = [
    (0, {"prompt": [user("Which light blinks?")], "chosen": [answer("The filter light.")],
         "rejected": [answer("I don't know.")]}),
    (0, {"prompt": [TOLD, user("What is 2 + 2?"), answer("4"), user("And 3 + 3?")], "chosen": [answer("6")],
         "rejected": [answer("It is 7, I think.")]}),
    (0, {"chosen": [user("Who wrote it?"), answer("Ada did."), user("When?"), answer("In 1843.")],
         "rejected": [user("Who wrote it?"), answer("Ada did."), user("When?"), answer("Long ago.")]}),
    (0, {"chosen": [user("Name a colour."), answer("Blue.")],
         "rejected": [user("Name a colour."), answer("Blue."), user("Another?"), answer("No.")]}),
    (0, {"prompt": [user("Tell me more.")],
         "chosen": [answer("First."), user("And then?"), answer("Second, which is all.")],
         "rejected": [answer("No.")]}),
    (1, {"prompt": [user("Where is it?")], "chosen": [answer("In Bath.")], "rejected": [answer("Là-bas, 東京。")]}),
    (2, {"prompt": [user("What is the weather?")], "chosen": [answer("I will look.")], "rejected": [answer("Wet.")],
         "tools": [{"type": "function", "function": {"name": "weather", "description": "The weather.",
                                                     "parameters": {"type": "object", "properties": {}}}}]}),
]


def tokens(record, template):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=fixture("text", "qwen.json"), eos_token="<|im_end|>", chat_template=template)
    trainer = types.SimpleNamespace(_tokenizer=tokenizer)
    args = types.SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    record = {**record, **({"tools": json.dumps(record["tools"])} if "tools" in record else {})}
    prepared = DPOTrainer._prepare_dataset(trainer, Dataset.from_list([record]), tokenizer, args, "reference")[0]
    return {name: prepared[f"{name}_ids"] for name in ("prompt", "chosen", "rejected")}


def main():
    templates = [CHATML, THINKING, TOOLS]
    cases = [{"template": index, "record": record, **tokens(record, templates[index])} for index, record in RECORDS]
    path = fixture("data", "preference-chats.json")
    with open(path, "w") as file:
        json.dump({"templates": templates, "cases": cases}, file, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
