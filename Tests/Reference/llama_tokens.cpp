// Prints the ids that llama.cpp makes of texts with the tokenizer of a GGUF file, one JSON array a
// line. usage: llama_tokens MODEL.gguf < texts (one a line, \n for a line break)
//
// Build (LLAMA is the source of llama.cpp, BUILD where it was built):
//   c++ -O1 -o llama_tokens llama_tokens.cpp -ILLAMA/include -ILLAMA/ggml/include -LBUILD/bin
//     -lllama -Wl,-rpath,BUILD/bin
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "llama.h"

int main(int, char **arguments) {
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_model_params parameters = llama_model_default_params();
  parameters.vocab_only = true;
  llama_model *model = llama_model_load_from_file(arguments[1], parameters);
  if (!model) return 1;
  const llama_vocab *vocabulary = llama_model_get_vocab(model);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string text;
    for (size_t i = 0; i < line.size(); i++) {
      if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == 'n') {
        text += '\n';
        i++;
      } else {
        text += line[i];
      }
    }
    std::vector<llama_token> ids(text.size() + 16);
    const int count = llama_tokenize(
        vocabulary, text.data(), (int)text.size(), ids.data(), (int)ids.size(), true, true);
    if (count < 0) return 2;
    std::printf("[");
    for (int i = 0; i < count; i++) std::printf("%s%d", i ? ", " : "", ids[i]);
    std::printf("]\n");
  }
}
