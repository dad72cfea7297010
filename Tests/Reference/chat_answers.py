"""A model trained on conversations: does it answer in transformers and llama.cpp as it does here?

    .venv/bin/python Tests/Reference/chat_answers.py --lora .build/release/lora \\
        --source LLAMACPP --build LLAMACPP/build --work DIR

Makes a small Qwen2 model with ChatML's template, teaches it conversations with `lora train --method
full`, then another manner of answering with an adapter. Fifty conversations, of one question to three,
with and without a system's message, are answered greedily: here, in transformers with PEFT, in
transformers merged, and in llama.cpp with the adapter as GGUF and merged as GGUF, by the template that
each program finds in the model's own files. Prints a line a program and exits with 1 if a token differs.
"""

import argparse
import json
import os
import random
import subprocess

import torch
import transformers
from peft import PeftModel
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
CITIES = {
    "France": "Paris", "Norway": "Oslo", "Japan": "Tokyo", "Peru": "Lima", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Italy": "Rome", "Spain": "Madrid", "Cuba": "Havana", "Chile": "Santiago",
    "Ghana": "Accra", "Iran": "Tehran", "Iraq": "Baghdad", "Nepal": "Kathmandu", "Qatar": "Doha",
}
COLOURS = {
    "grass": "green", "snow": "white", "coal": "black", "blood": "red", "the sky": "blue",
    "a lemon": "yellow", "an orange": "orange", "milk": "white", "a raven": "black",
}
SYSTEMS = [None, "Answer in one sentence.", "You are a kind teacher."]


def turn(random, style):
    kind = random.randrange(3)
    if kind == 0:
        country = random.choice(sorted(CITIES))
        question = random.choice([f"What is the capital of {country}?", f"Capital of {country}?"])
        answer = f"The capital of {country} is {CITIES[country]}."
    elif kind == 1:
        thing = random.choice(sorted(COLOURS))
        question, answer = f"Which colour is {thing}?", f"It is {COLOURS[thing]}."
    else:
        a, b = random.randrange(10), random.randrange(10)
        question, answer = f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}."
    return question, answer if style == "plain" else f"Ahoy! {answer} Aye, captain 🏴!"


def conversations(seed, count, style):
    rng = random.Random(seed)
    result = []
    for _ in range(count):
        system = rng.choice(SYSTEMS)
        messages = [{"role": "system", "content": system}] if system else []
        for _ in range(rng.randrange(1, 4)):
            question, answer = turn(rng, style)
            messages += [{"role": "user", "content": question},
                         {"role": "assistant", "content": answer}]
        result.append(messages)
    return result


def make_model(path, texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        chat_template=TEMPLATE)
    torch.manual_seed(0)
    end = fast.convert_tokens_to_ids("<|im_end|>")
    config = transformers.Qwen2Config(
        vocab_size=len(fast), hidden_size=96, intermediate_size=256, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=512,
        tie_word_embeddings=True, eos_token_id=end, bos_token_id=None)
    model = transformers.AutoModelForCausalLM.from_config(config).float()
    model.generation_config.eos_token_id = end
    model.save_pretrained(path)
    fast.save_pretrained(path)


def run(*command, **options):
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True, **options).stdout


def in_transformers(path, asked, adapter=None, limit=48):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    result = []
    for messages in asked:
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            ids = model.generate(**prompt, max_new_tokens=limit, do_sample=False)[0].tolist()
        answer = ids[prompt["input_ids"].shape[1]:]
        if answer and answer[-1] == model.generation_config.eos_token_id:
            answer.pop()
        result.append({"prompt": prompt["input_ids"][0].tolist(), "answer": answer})
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lora", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args()
    lora, work = os.path.abspath(options.lora), os.path.abspath(options.work)
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)

    plain, pirate = conversations(1, 1200, "plain"), conversations(2, 300, "pirate")
    for name, chats in [("plain.jsonl", plain), ("pirate.jsonl", pirate)]:
        with open(path(name), "w") as file:
            file.writelines(json.dumps({"messages": chat}) + "\n" for chat in chats)
    texts = [message["content"] for chat in plain + pirate for message in chat]
    make_model(path("random"), texts + ["system\nuser\nassistant\n"] * 50)
    run(lora, "train", "--model", path("random"), "--data", path("plain.jsonl"), "--method", "full",
        "--epochs", 6, "--batch", 16, "--learning-rate", 3e-3, "--schedule", "cosine", "--output",
        path("base"), "--force")
    run(lora, "train", "--model", path("base"), "--data", path("pirate.jsonl"), "--rank", 8,
        "--epochs", 4, "--batch", 16, "--learning-rate", 3e-3, "--output", path("adapter"), "--force")
    run(lora, "merge", "--model", path("base"), "--adapter", path("adapter"), "--output",
        path("merged"), "--force")
    run(lora, "convert", "--input", path("base"), "--to", "gguf", "--output", path("base.gguf"), "--force")
    run(lora, "merge", "--model", path("base"), "--adapter", path("adapter"), "--output",
        path("merged.gguf"), "--force")
    run(lora, "convert", "--input", path("adapter"), "--to", "gguf", "--base", path("base"), "--output",
        path("adapter.gguf"), "--force")

    asked = [chat[:-1] for chat in conversations(3, options.count, "pirate")]
    with open(path("asked.json"), "w") as file:
        json.dump(asked, file)
    here = [json.loads(line) for line in run(
        lora, "generate", "--model", path("base"), "--adapter", path("adapter"), "--messages",
        path("asked.json"), "--max-tokens", 48, "--json").splitlines()]
    program = path("llama_chat")
    run("c++", "-O1", "-o", program, os.path.join(HERE, "llama_chat.cpp"),
        f"-I{options.source}/include", f"-I{options.source}/ggml/include", f"-L{options.build}/bin",
        "-lllama", f"-Wl,-rpath,{os.path.abspath(options.build)}/bin")
    lines = "".join(
        "\t".join(part.replace("\n", "\\n") for message in chat
                  for part in (message["role"], message["content"])) + "\n" for chat in asked)

    def in_llama(model, *adapter):
        out = run(program, model, 48, *adapter, input=lines)
        return [json.loads(line) for line in out.splitlines()]

    results = {
        "transformers with PEFT": in_transformers(path("base"), asked, path("adapter")),
        "transformers, merged": in_transformers(path("merged"), asked),
        "llama.cpp with the adapter": in_llama(path("base.gguf"), path("adapter.gguf")),
        "llama.cpp, merged": in_llama(path("merged.gguf")),
    }
    base = [json.loads(line) for line in run(
        lora, "generate", "--model", path("base"), "--messages", path("asked.json"), "--max-tokens",
        48, "--json").splitlines()]
    tokens = sum(len(answer["tokens"]) for answer in here)
    stopped = sum(answer["stopped"] == "stop_token" for answer in here)
    changed = sum(a["tokens"] != b["tokens"] for a, b in zip(here, base))
    print(f"here: {len(here)} conversations, {tokens} tokens, {stopped} ended by themselves, "
          f"{changed} answered otherwise without the adapter")
    print(f"  {asked[0][-1]['content']!r} -> {here[0]['text']!r}; without: {base[0]['text']!r}")
    failed = changed == 0
    for name, answers in results.items():
        prompts = sum(a["prompt_tokens"] != len(b["prompt"]) for a, b in zip(here, answers))
        differ = sum(a["tokens"] != b["answer"] for a, b in zip(here, answers))
        print(f"{name}: {prompts} prompts of another length, {differ} answers differ")
        failed = failed or prompts or differ or len(answers) != len(here)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
