// What llama.cpp answers to conversations, greedily, by the chat template that the model's file holds: for
// each the ids of the prompt and those of the answer, as a JSON object a line.
//
//   llama_chat MODEL.gguf MAX_TOKENS [ADAPTER.gguf] < conversations
//
// A conversation a line: role, tab, content, tab, role, ... with \n for a line break.
//
// Build (LLAMA is the source of llama.cpp, BUILD where it was built):
//   c++ -O1 -o llama_chat llama_chat.cpp -ILLAMA/include -ILLAMA/ggml/include -LBUILD/bin
//     -lllama -Wl,-rpath,BUILD/bin
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "llama.h"

static void print(const char * name, const std::vector<llama_token> & ids) {
  std::printf("\"%s\": [", name);
  for (size_t i = 0; i < ids.size(); i++) std::printf("%s%d", i ? ", " : "", ids[i]);
  std::printf("]");
}

static std::vector<std::string> fields(const std::string & line) {
  std::vector<std::string> result(1);
  for (size_t i = 0; i < line.size(); i++) {
    if (line[i] == '\t') {
      result.emplace_back();
    } else if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == 'n') {
      result.back() += '\n';
      i++;
    } else {
      result.back() += line[i];
    }
  }
  return result;
}

int main(int count, char ** arguments) {
  if (count < 3) return 64;
  llama_log_set([](ggml_log_level level, const char * text, void *) {
    if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
  }, nullptr);
  llama_model * model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model) return 1;
  llama_adapter_lora * adapter = nullptr;
  if (count > 3) {
    adapter = llama_adapter_lora_init(model, arguments[3]);
    if (!adapter) return 2;
  }
  const llama_vocab * vocabulary = llama_model_get_vocab(model);
  const char * source = llama_model_chat_template(model, nullptr);
  if (!source) return 3;

  std::string line;
  while (std::getline(std::cin, line)) {
    const std::vector<std::string> parts = fields(line);
    std::vector<llama_chat_message> messages;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) {
      messages.push_back({parts[i].c_str(), parts[i + 1].c_str()});
    }
    std::vector<char> text(1 << 16);
    const int length = llama_chat_apply_template(
        source, messages.data(), messages.size(), true, text.data(), (int)text.size());
    if (length < 0) return 4;
    std::vector<llama_token> prompt(1 << 14);
    const int tokens = llama_tokenize(
        vocabulary, text.data(), length, prompt.data(), (int)prompt.size(), false, true);
    if (tokens < 0) return 5;
    prompt.resize(tokens);

    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = 1024;
    parameters.n_batch = 1024;
    llama_context * context = llama_init_from_model(model, parameters);
    if (adapter) {
      float scale = 1;
      if (llama_set_adapters_lora(context, &adapter, 1, &scale) != 0) return 6;
    }
    std::vector<llama_token> answer;
    std::vector<llama_token> next = prompt;
    while ((int)answer.size() < std::atoi(arguments[2])) {
      if (llama_decode(context, llama_batch_get_one(next.data(), (int)next.size())) != 0) return 7;
      const float * logits = llama_get_logits_ith(context, -1);
      llama_token best = 0;
      for (int id = 1; id < llama_vocab_n_tokens(vocabulary); id++) {
        if (logits[id] > logits[best]) best = id;
      }
      if (llama_vocab_is_eog(vocabulary, best)) break;
      answer.push_back(best);
      next = {best};
    }
    std::printf("{");
    print("prompt", prompt);
    std::printf(", ");
    print("answer", answer);
    std::printf("}\n");
    llama_free(context);
  }
}
