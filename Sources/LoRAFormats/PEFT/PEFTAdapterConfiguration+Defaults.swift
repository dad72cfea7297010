// What a configuration means where it says nothing: targets that follow from the architecture, heads
// that follow from the task.

extension PEFTAdapterConfiguration {
  /// The same with PEFT's targets for models that `config.json` calls `modelType`, where the
  /// configuration names none (`target_modules: null`). Unchanged if it names some, or if PEFT has no
  /// default for such models.
  public func resolvingTargets(forModelType modelType: String?) -> PEFTAdapterConfiguration {
    guard let modelType else { return self }
    var result = self
    guard case .ia3(var options) = method else {
      if targets == .unspecified, let names = Self.defaultTargets(forModelType: modelType) {
        result.targets = names
      }
      return result
    }
    guard let entry = Self.ia3Targets.first(where: { $0.modelTypes.contains(modelType) }) else {
      return self
    }
    if targets == .unspecified { result.targets = .names(entry.targets) }
    if options.feedForward == .unspecified {
      options.feedForward = .names(entry.feedForward)
      result.method = .ia3(options)
    }
    return result
  }

  /// What LoRA, LoHa and LoKr target in models of this type; nil if PEFT has no default.
  private static func defaultTargets(forModelType modelType: String) -> Modules? {
    if modelType == "gemma4" { return .pattern(#".*language_model\..*\.(q_proj|v_proj)"#) }
    return loraTargets.first { $0.modelTypes.contains(modelType) }.map { .names($0.targets) }
  }

  /// Source: PEFT 0.21.2, `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`.
  private static let loraTargets: [(modelTypes: Set<String>, targets: [String])] = [
    (["t5", "mt5"], ["q", "v"]),
    (
      [
        "bart", "opt", "gptj", "gpt_neo", "llama", "llama4", "mistral", "mixtral", "stablelm",
        "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3",
      ], ["q_proj", "v_proj"]
    ),
    (["gpt2", "gpt_bigcode"], ["c_attn"]),
    (
      ["bloom", "gpt_neox", "chatglm", "RefinedWebModel", "RefinedWeb", "falcon"],
      ["query_key_value"]
    ),
    (["blip-2"], ["q", "v", "q_proj", "v_proj"]),
    (["bert", "roberta", "xlm-roberta", "electra", "layoutlm"], ["query", "value"]),
    (["deberta-v2"], ["query_proj", "value_proj"]),
    (["deberta"], ["in_proj"]),
    (["mpt"], ["Wqkv"]),
    (["btlm"], ["c_proj", "c_attn"]),
    (["codegen"], ["qkv_proj"]),
    (["phi"], ["q_proj", "v_proj", "fc1", "fc2"]),
    (["nemotron_h"], ["q_proj", "k_proj", "v_proj", "o_proj"]),
    (["rwkv"], ["key", "value", "receptance", "output"]),
    (["rwkv7"], ["r_proj", "k_proj", "v_proj", "o_proj", "key", "value"]),
  ]

  /// Source: PEFT 0.21.2, `TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING` and
  /// `..._FEEDFORWARD_MODULES_MAPPING`.
  private static let ia3Targets:
    [(modelTypes: Set<String>, targets: [String], feedForward: [String])] = [
      (["t5"], ["k", "v", "wo"], ["wo"]),
      (["mt5"], ["k", "v", "wi_1"], []),
      (["gpt2", "gpt_bigcode"], ["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
      (["bloom"], ["query_key_value", "mlp.dense_4h_to_h"], ["mlp.dense_4h_to_h"]),
      (["roberta", "bert"], ["key", "value", "output.dense"], ["output.dense"]),
      (["opt"], ["q_proj", "k_proj", "fc2"], ["fc2"]),
      (["gptj"], ["q_proj", "v_proj", "fc_out"], ["fc_out"]),
      (
        ["gpt_neox", "RefinedWebModel", "RefinedWeb", "falcon"],
        ["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]
      ),
      (["gpt_neo"], ["q_proj", "v_proj", "c_proj"], ["c_proj"]),
      (["bart", "phi"], ["q_proj", "v_proj", "fc2"], ["fc2"]),
      (["llama", "mistral"], ["k_proj", "v_proj", "down_proj"], ["down_proj"]),
      (
        ["llama4", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"],
        ["q_proj", "v_proj", "down_proj"], ["down_proj"]
      ),
      (["mixtral"], ["k_proj", "v_proj", "w2"], ["w2"]),
      (["deberta-v2"], ["key_proj", "value_proj", "output.dense"], ["output.dense"]),
      (["deberta"], ["in_proj", "output.dense"], ["output.dense"]),
    ]

  // MARK: The task's head

  /// The modules that PEFT trains and saves whole for the task, whether `modules_to_save` names them
  /// or not: before 0.10 it did not.
  var headsOfTask: [String] { Self.heads(ofTask: taskType) }

  private static func heads(ofTask task: String?) -> [String] {
    switch task {
    case "SEQ_CLS", "TOKEN_CLS": ["classifier", "score"]
    case "QUESTION_ANS": ["qa_outputs"]
    default: []
    }
  }

  /// Whether a module of this path is, or lies in, the head of a classifier or of question
  /// answering.
  static func isTaskHead(_ path: String) -> Bool {
    let heads = heads(ofTask: "SEQ_CLS") + heads(ofTask: "QUESTION_ANS")
    return path.split(separator: ".").contains { heads.contains(String($0)) }
  }

  /// ``savedModules`` and the task's head.
  var allSavedModules: [String] {
    savedModules + headsOfTask.filter { !savedModules.contains($0) }
  }
}
