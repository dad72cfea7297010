#!/usr/bin/env bash
# Follows the tutorials: runs the commands of their `sh` blocks one after the other, each article's in an
# empty folder, with the command that is built. Fails if one of them fails whose output is not shown as an
# error, or prints something else than the article shows, decimals aside: they swing with the machine's
# kernels. With --update it writes what they printed into the `text` block behind each, and the pictures.
#
#   Scripts/tutorial.sh [--update]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
articles=Sources/LoRAKit/LoRAKit.docc
binary=${LORA:-.build/release/lora}
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# What the articles' first steps lead to: the command in PATH, the clone beside the folder.
mkdir "$work/bin"
ln -s "$root" "$work/lora-kit"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(realpath "$binary")" > "$work/bin/lora"
chmod +x "$work/bin/lora"

# Runs the blocks of article $1 in the folder $2 and writes the article with what they print.
follow() {
  mkdir "$work/$2"
  # One script of all blocks, with a mark before each.
  awk '/^```sh$/ {on = 1; print "printf \"\\n#### block\\n\""; next} /^```$/ {on = 0} on' \
    "$1" > "$work/blocks.sh"
  (cd "$work/$2" && PATH="$work/bin:$PATH" COLUMNS=96 bash "$work/blocks.sh" < /dev/null) > "$work/log" 2>&1 \
    || { cat "$work/log"; exit 1; }
  # Progress comes as time goes.
  grep -vE '^[0-9]+/[0-9]+, ' "$work/log" | sed "s|$work/||g" > "$work/printed"
  awk -v printed="$work/printed" '
    BEGIN {
      while ((getline line < printed) > 0) {
        if (line == "#### block") { block++; text[block] = ""; continue }
        text[block] = text[block] line "\n"
      }
      for (n in text) { sub(/^\n+/, "", text[n]); sub(/\n+$/, "\n", text[n]) }
    }
    /^```sh$/ { seen++ }
    /^```text$/ && seen != shown { print; printf "%s", text[seen]; shown = seen; skip = 1; next }
    skip && /^```$/ { skip = 0 }
    !skip' "$1" > "$work/article.md"
}

# Draws the first tutorial's pictures: its plot, and the training once more on a terminal, with the bar as it
# was after two thirds.
draw() {
  cp "$work"/nora/*.svg "$articles/"
  shown='lora train --model $MODEL --data train.csv --eval-data eval.csv --output nora'
  settings='--epochs 20 --batch 4 --learning-rate 2e-3 --schedule cosine'
  cd "$work/nora"
  MODEL=../lora-kit/Sources/LoRAWorld/Base PATH="$work/bin:$PATH" LC_ALL=C.UTF-8 TERM=xterm \
    script -qec "stty cols 96; ${shown/nora/again} $settings" raw > /dev/null
  tr '\r' '\n' < raw | sed 's/\x1b\[K.*//' | grep -a 'tokens/s' > bars
  {
    printf '$ %s \\\n    %s\n' "$shown" "$settings"
    tr -d '\r' < raw | grep -a -m 1 '^evaluation before' || true
    sed -n "$(($(wc -l < bars) * 2 / 3))p" bars
  } | "$root/Scripts/terminal-picture.sh" > "$root/$articles/training.svg"
  cd "$root"
}

# What is shown, each decimal number as one mark, and columns as wide as they like.
shown() {
  awk '/^```text$/ {on = 1; print "#### shown"; next} /^```$/ {on = 0} on' "$1" \
    | sed -E 's/[0-9]+\.[0-9]+/#.#/g; s/ +/ /g; s/ $//'
}

for tutorial in FromAMessyFile:nora TrainingOnChats:chats; do
  article=$articles/${tutorial%%:*}.md
  follow "$article" "${tutorial##*:}"
  if [ "${1:-}" = --update ]; then
    cp "$work/article.md" "$article"
    if [ "${tutorial##*:}" = nora ]; then draw; fi
  elif ! diff <(shown "$article") <(shown "$work/article.md"); then
    echo "error: $article shows (<) what the commands do not print (>); run Scripts/tutorial.sh --update" >&2
    exit 1
  fi
done
echo "the tutorials work"
