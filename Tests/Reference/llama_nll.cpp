// What llama.cpp makes of rows of tokens: the negative natural log likelihood of every token but the
// first, a row of numbers a line.
//
//   llama_nll MODEL.gguf ROWS.txt [ADAPTER.gguf SCALE]...
//
// ROWS.txt has token ids separated by spaces, one row a line; every row is a sequence of its own.
// llama-perplexity cannot be asked for this: it cuts texts into chunks and scores the later half of
// each. check_llama_cpp.py builds this program against a build of llama.cpp and runs it.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

static void print_warnings(ggml_log_level level, const char * text, void *) {
  if (level >= GGML_LOG_LEVEL_WARN) fputs(text, stderr);
}

static int failure(const char * what) {
  fprintf(stderr, "error: %s\n", what);
  return 1;
}

int main(int count, char ** arguments) {
  if (count < 3 || count % 2 == 0) return failure("usage: MODEL ROWS [ADAPTER SCALE]...");
  llama_log_set(print_warnings, nullptr);
  llama_backend_init();

  std::vector<std::vector<llama_token>> rows;
  std::ifstream file(arguments[2]);
  std::string line;
  size_t longest = 1;
  while (std::getline(file, line)) {
    std::istringstream stream(line);
    std::vector<llama_token> row;
    llama_token id;
    while (stream >> id) row.push_back(id);
    longest = row.size() > longest ? row.size() : longest;
    rows.push_back(row);
  }
  if (rows.empty()) return failure("there are no rows");

  llama_model_params model_parameters = llama_model_default_params();
  // Weights as the file has them, not repacked for the CPU.
  model_parameters.use_extra_bufts = false;
  llama_model * model = llama_model_load_from_file(arguments[1], model_parameters);
  if (!model) return failure("the model does not load");
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));

  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = (uint32_t) longest;
  parameters.type_k = parameters.type_v = GGML_TYPE_F32;
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context * context = llama_init_from_model(model, parameters);
  if (!context) return failure("the context cannot be made");

  std::vector<llama_adapter_lora *> adapters;
  std::vector<float> scales;
  for (int i = 3; i < count; i += 2) {
    adapters.push_back(llama_adapter_lora_init(model, arguments[i]));
    scales.push_back((float) atof(arguments[i + 1]));
    if (!adapters.back()) return failure("the adapter does not load");
  }
  if (!adapters.empty() &&
      llama_set_adapters_lora(context, adapters.data(), adapters.size(), scales.data()) != 0) {
    return failure("the adapters cannot be set");
  }

  for (const auto & row : rows) {
    llama_memory_clear(llama_get_memory(context), true);
    llama_batch batch = llama_batch_init((int32_t) row.size(), 0, 1);
    batch.n_tokens = (int32_t) row.size();
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
      batch.token[i] = row[i];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(context, batch) != 0) return failure("decoding failed");
    for (int32_t i = 0; i + 1 < batch.n_tokens; ++i) {
      const float * logits = llama_get_logits_ith(context, i);
      double greatest = logits[0], sum = 0;
      for (int j = 1; j < vocabulary; ++j) greatest = std::fmax(greatest, logits[j]);
      for (int j = 0; j < vocabulary; ++j) sum += std::exp(logits[j] - greatest);
      printf("%s%.9g", i == 0 ? "" : " ", greatest + std::log(sum) - logits[row[i + 1]]);
    }
    printf("\n");
    llama_batch_free(batch);
  }
  return 0;
}
