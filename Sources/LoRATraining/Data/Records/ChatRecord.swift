public import LoRATemplates

/// A conversation to learn from.
public struct ChatRecord: Sendable, Hashable {
  /// The messages, objects with a `role` and a `content`, as templates want them.
  public var messages: [TemplateValue]
  /// The tools that the model may call; nil for none.
  public var tools: [TemplateValue]?
  /// Documents to answer from; nil for none.
  public var documents: [TemplateValue]?
  /// Further variables of the template, an object, as `enable_thinking`.
  public var variables: TemplateValue
  /// How much each message counts in the loss, one weight a message; nil: each of the assistant's counts
  /// once.
  public var weights: [Float]?

  /// Creates a conversation.
  public init(
    messages: [TemplateValue], tools: [TemplateValue]? = nil, documents: [TemplateValue]? = nil,
    variables: TemplateValue = [:], weights: [Float]? = nil
  ) {
    self.messages = messages
    self.tools = tools
    self.documents = documents
    self.variables = variables
    self.weights = weights
  }

  /// What a template is given to make the text of the whole of it.
  public var conversation: Conversation {
    Conversation(
      messages: messages, tools: tools, documents: documents, addsGenerationPrompt: false,
      variables: variables)
  }

  /// The weight of a message: 0 for what the assistant does not say.
  func weight(of message: Int) -> Float {
    guard messages[message]["role"] == "assistant" else { return 0 }
    return weights?[message] ?? 1
  }

  /// The conversation with `system` as its first message, if it has none of its own.
  func told(_ system: String?) -> ChatRecord {
    guard let system, let first = messages.first, first["role"] != "system",
      first["role"] != "developer"
    else { return self }
    var chat = self
    chat.messages.insert(["role": "system", "content": .string(system)], at: 0)
    chat.weights?.insert(0, at: 0)
    return chat
  }

  /// Whether anything of it is learned.
  var hasAnswer: Bool { messages.indices.contains { weight(of: $0) > 0 } }

  /// The conversation without its oldest messages, from the system's on: it begins with the next one of the
  /// user. Nil where there is none behind which the assistant answers.
  var withoutOldestExchange: ChatRecord? {
    guard let shorter = withoutOldestTurns, shorter.hasAnswer else { return nil }
    return shorter
  }

  /// The same, whether or not the assistant says anything in what is left.
  var withoutOldestTurns: ChatRecord? {
    let told = messages.prefix { $0["role"] == "system" || $0["role"] == "developer" }.count
    let next = messages.indices.dropFirst(told + 1).first { messages[$0]["role"] == "user" }
    guard let next else { return nil }
    var shorter = self
    shorter.messages.removeSubrange(told..<next)
    shorter.weights?.removeSubrange(told..<next)
    return shorter
  }
}

/// An instruction and its answer, as Alpaca's data have them.
public struct InstructionRecord: Sendable, Hashable {
  /// What to do.
  public var instruction: String
  /// What to do it with; often empty.
  public var input: String
  /// The answer.
  public var output: String
  /// What the system is told; nil for nothing.
  public var system: String?
  /// What was asked and answered before, the oldest first.
  public var history: [PromptCompletion]

  /// Creates an instruction.
  public init(
    instruction: String, input: String = "", output: String, system: String? = nil,
    history: [PromptCompletion] = []
  ) {
    self.instruction = instruction
    self.input = input
    self.output = output
    self.system = system
    self.history = history
  }

  /// The instruction as a conversation: its input stands below it, behind an empty line.
  public var chat: ChatRecord {
    var messages: [TemplateValue] = []
    if let system { messages.append(["role": "system", "content": .string(system)]) }
    let question = [instruction, input].filter { !$0.isEmpty }.joined(separator: "\n\n")
    for turn in history + [PromptCompletion(prompt: question, completion: output)] {
      messages.append(["role": "user", "content": .string(turn.prompt)])
      messages.append(["role": "assistant", "content": .string(turn.completion)])
    }
    return ChatRecord(messages: messages)
  }

  /// The instruction as text, for models without a template: the prompt of Alpaca, which the published
  /// adapters of the time were trained with. Only the answer is learned.
  ///
  /// Source: tatsu-lab/stanford_alpaca, `PROMPT_DICT`. A system's text stands before it, earlier turns in
  /// the same form before the last.
  public var pair: PromptCompletion {
    func prompt(_ instruction: String, _ input: String) -> String {
      let introduction =
        "Below is an instruction that describes a task"
        + (input.isEmpty ? "" : ", paired with an input that provides further context")
        + ". Write a response that appropriately completes the request.\n\n"
      return introduction + "### Instruction:\n\(instruction)\n\n"
        + (input.isEmpty ? "" : "### Input:\n\(input)\n\n") + "### Response:"
    }
    let before = history.map { prompt($0.prompt, "") + $0.completion + "\n\n" }.joined()
    return PromptCompletion(
      prompt: (system.map { $0 + "\n\n" } ?? "") + before + prompt(instruction, input),
      completion: output)
  }
}
