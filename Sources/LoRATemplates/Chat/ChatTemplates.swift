/// The templates of a model: one, or several with names.
public struct ChatTemplates: Sendable, Hashable {
  /// The texts of the templates by their names. A model with one has it as "default".
  public let sources: [String: String]
  /// Variables that every conversation has, an object: the model's special tokens.
  public var specialTokens: TemplateValue

  /// Templates by their names.
  public init(named sources: [String: String], specialTokens: TemplateValue = [:]) {
    self.sources = sources
    self.specialTokens = specialTokens
  }

  /// One template.
  public init(_ source: String, specialTokens: TemplateValue = [:]) {
    self.init(named: ["default": source], specialTokens: specialTokens)
  }

  /// The template for a conversation, chosen as transformers does: "tool_use" if there are tools and a
  /// template of that name, otherwise "default".
  ///
  /// - Parameters:
  ///   - name: A name to choose instead.
  ///   - hasTools: Whether the conversation has tools, be it an empty list.
  public func template(
    named name: String? = nil, hasTools: Bool = false
  ) throws(TemplateError) -> ChatTemplate {
    let source: String?
    if let name {
      source = sources[name]
    } else {
      source = (hasTools ? sources["tool_use"] : nil) ?? sources["default"]
    }
    guard let source else {
      let names = sources.keys.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
      throw TemplateError(
        .input,
        "there is no chat template \"\(name ?? "default")\""
          + (names.isEmpty ? "" : "; there are \(names)"))
    }
    return try ChatTemplate(source, specialTokens: specialTokens)
  }
}
