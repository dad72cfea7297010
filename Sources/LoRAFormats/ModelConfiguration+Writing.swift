import LoRAJSON
import LoRATensor

extension ModelConfiguration {
  /// The text of a `config.json` that this library and transformers 5 read as this configuration.
  public func encoded() -> [UInt8] {
    if architecture == .gpt2 { return gpt2Object.encodedBytesOfFile() }
    let classes = classNames.isEmpty ? [defaultClassName] : classNames
    var object: JSONObject = [
      "architectures": .array(classes.map { .string($0) }),
      "attention_dropout": 0.0,
      "bos_token_id": json(tokenIDs: bosTokenID.map { [$0] } ?? []),
      "eos_token_id": json(tokenIDs: eosTokenIDs),
      "head_dim": .integer(Int64(headSize)),
      "hidden_act": .string(hiddenActivation),
      "hidden_size": .integer(Int64(hiddenSize)),
      "initializer_range": 0.02,
      "intermediate_size": .integer(Int64(intermediateSize)),
      "max_position_embeddings": .integer(Int64(maximumPositions)),
      "model_type": .string(architecture.rawValue),
      "num_attention_heads": .integer(Int64(headCount)),
      "num_hidden_layers": .integer(Int64(layerCount)),
      "num_key_value_heads": .integer(Int64(keyValueHeadCount)),
      "pad_token_id": json(tokenIDs: padTokenID.map { [$0] } ?? []),
      "rms_norm_eps": .number(normEpsilon),
      "rope_parameters": rotary.json,
      "tie_word_embeddings": .bool(tiesWordEmbeddings),
      "use_cache": true,
      "vocab_size": .integer(Int64(vocabularySize)),
    ]
    if let storedType { object["dtype"] = .string(storedType.rawValue) }
    switch architecture {
    case .llama:
      object["attention_bias"] = .bool(attentionBias)
      object["mlp_bias"] = .bool(mlpBias)
      object["pretraining_tp"] = 1
    case .mistral:
      let window = slidingWindows.first ?? nil
      object["sliding_window"] = json(tokenIDs: window.map { [$0] } ?? [])
    case .qwen2:
      let window = slidingWindows.compactMap { $0 }.first
      object["use_sliding_window"] = .bool(window != nil)
      object["sliding_window"] = json(tokenIDs: window.map { [$0] } ?? [])
      object["max_window_layers"] = .integer(
        Int64(slidingWindows.firstIndex { $0 != nil } ?? layerCount))
      object["layer_types"] = .array(
        slidingWindows.map { $0 == nil ? "full_attention" : "sliding_attention" })
    case .gpt2:
      break
    }
    return object.encodedBytesOfFile()
  }

  private var defaultClassName: String {
    switch architecture {
    case .llama: "LlamaForCausalLM"
    case .qwen2: "Qwen2ForCausalLM"
    case .mistral: "MistralForCausalLM"
    case .gpt2: "GPT2LMHeadModel"
    }
  }
}

extension JSONObject {
  /// The object as the field's programs write their files: indented, keys sorted, a final newline.
  func encodedBytesOfFile() -> [UInt8] {
    JSONValue.object(self).encodedBytes(pretty: true, sortedKeys: true) + [0x0A]
  }
}
