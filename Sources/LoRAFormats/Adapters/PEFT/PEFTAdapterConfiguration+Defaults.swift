// What a configuration means where it says nothing: targets that follow from the architecture, heads
// that follow from the task.

extension PEFTAdapterConfiguration {
  /// The same with PEFT's targets for models that `config.json` calls `modelType`, where the
  /// configuration names none (`target_modules: null`). Unchanged if it names some, or if PEFT has no
  /// default for such models.
  package func resolvingTargets(forModelType modelType: String?) -> PEFTAdapterConfiguration {
    guard let modelType else { return self }
    var result = self
    if targets == .unspecified,
      let targets = method.options.type.defaultTargets(forModelType: modelType)
    {
      result.targets = targets
    }
    result.method.options.resolve(forModelType: modelType)
    return result
  }

  /// What LoRA, and most other methods, target in models of this type; nil if PEFT has no default.
  static func loraTargets(forModelType modelType: String) -> Modules? {
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
