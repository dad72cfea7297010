/// What a conversation's template is given.
///
/// ```swift
/// let conversation = Conversation(
///   messages: [["role": "user", "content": "Which light blinks?"]],
///   variables: ["enable_thinking": false])
/// ```
public struct Conversation: Sendable, Hashable {
  /// The messages: objects with a `role` and mostly a `content`, a text or a list of parts. Members that
  /// are null count as absent.
  public var messages: [TemplateValue]
  /// The tools that the model may call, as JSON schemas; nil for none. Their presence may choose another
  /// template, see ``ChatTemplates/template(named:hasTools:)``.
  public var tools: [TemplateValue]?
  /// Documents to answer from: objects with a `title` and a `text`; nil for none.
  public var documents: [TemplateValue]?
  /// Whether to end with what begins the assistant's answer.
  public var addsGenerationPrompt: Bool
  /// Further variables, an object: `enable_thinking` and the like, also `bos_token` and `eos_token`.
  public var variables: TemplateValue

  /// A conversation.
  public init(
    messages: [TemplateValue], tools: [TemplateValue]? = nil, documents: [TemplateValue]? = nil,
    addsGenerationPrompt: Bool = true, variables: TemplateValue = [:]
  ) {
    self.messages = messages
    self.tools = tools
    self.documents = documents
    self.addsGenerationPrompt = addsGenerationPrompt
    self.variables = variables
  }
}

extension Conversation {
  /// The names under which templates and programs know what a model thought.
  private static let reasoningNames = ["reasoning_content", "thinking", "reasoning"]

  /// The variables of a template, as transformers gives them: `defaults` are special tokens.
  func templateVariables(defaults: TemplateValue) throws(TemplateError) -> TemplateValue {
    var members: [TemplateValue.Member] = []
    func set(_ name: String, _ value: TemplateValue) {
      members.removeAll { $0.name == name }
      members.append(TemplateValue.Member(name, value))
    }
    for given in [defaults, variables] {
      guard case .object(let further) = given else {
        throw TemplateError(
          .input, "the variables of a template must be an object with their names")
      }
      for member in further { set(member.name, member.value) }
    }
    for (name, values) in [("tools", tools), ("documents", documents)] {
      for value in values ?? [] {
        guard case .object = value else {
          throw TemplateError(.input, "\(name) must be objects, as JSON schemas are")
        }
      }
      if values != nil || !members.contains(where: { $0.name == name }) {
        set(name, values.map(TemplateValue.array) ?? .null)
      }
    }
    set("messages", .array(try messages.map(Self.prepared)))
    set("add_generation_prompt", .bool(addsGenerationPrompt))
    return .object(members)
  }

  /// A message without members that are null, and with what the model thought under the names that
  /// templates read.
  private static func prepared(_ message: TemplateValue) throws(TemplateError) -> TemplateValue {
    guard case .object(var members) = message else {
      throw TemplateError(
        .input, "a message must be an object, as {\"role\": \"user\", \"content\": \"...\"}")
    }
    members.removeAll { $0.value == .null }
    let reasoning = reasoningNames.lazy.compactMap { name in
      members.first { $0.name == name }?.value
    }.first
    guard let reasoning else { return .object(members) }
    if let index = members.firstIndex(where: { $0.name == "thinking" }) {
      members.insert(members.remove(at: index), at: 0)
    } else {
      members.insert(TemplateValue.Member("thinking", reasoning), at: 0)
    }
    if let index = members.firstIndex(where: { $0.name == "reasoning_content" }) {
      members[index].value = reasoning
    } else {
      members.append(TemplateValue.Member("reasoning_content", reasoning))
    }
    return .object(members)
  }
}
