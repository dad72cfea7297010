#!/usr/bin/env bash
# Draws the text of standard input as a terminal, in SVG on standard output: for the tutorial's
# pictures. Lines that begin with "$ " are commands.
set -euo pipefail

LC_ALL=C awk '
  # Characters, also in an awk that counts bytes: the second to last bytes of UTF-8 do not count.
  function characters(text) { gsub(/[\200-\277]/, "", text); return length(text) }
  { sub(/\r$/, ""); line[NR] = $0; if (characters($0) > longest) longest = characters($0) }
  function escaped(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
    return text
  }
  END {
    advance = 7.8; step = 19; width = int(longest * advance + 48); height = NR * step + 62
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" ", width, height, width, height
    print "role=\"img\" font-family=\"ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace\" font-size=\"13\">"
    print "<style>.ground{fill:#f6f5f1}.edge{stroke:#d8d6cf}.text{fill:#33322f}.command{fill:#1a5fb4}.dots{fill:#c9c7bf}"
    print "@media(prefers-color-scheme:dark){.ground{fill:#1e1e1d}.edge{stroke:#3b3a37}.text{fill:#e4e3de}.command{fill:#7cb7ff}.dots{fill:#4c4b47}}</style>"
    printf "<rect class=\"ground edge\" x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", width - 1, height - 1
    for (dot = 0; dot < 3; dot++) printf "<circle class=\"dots\" cx=\"%d\" cy=\"20\" r=\"5\"/>\n", 22 + 18 * dot
    for (n = 1; n <= NR; n++) {
      if (line[n] == "") continue
      printf "<text class=\"%s\" x=\"24\" y=\"%d\" xml:space=\"preserve\" textLength=\"%.1f\">%s</text>\n", \
        line[n] ~ /^\$ / ? "command" : "text", 34 + n * step, characters(line[n]) * advance, escaped(line[n])
    }
    print "</svg>"
  }'
