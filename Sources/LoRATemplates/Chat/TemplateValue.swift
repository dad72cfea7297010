package import LoRAJSON

/// A value that a template is given: a message, a tool, a variable. Members of objects keep their order,
/// in which templates print them.
///
/// ```swift
/// let message: TemplateValue = ["role": "user", "content": "Which light blinks?"]
/// ```
public enum TemplateValue: Sendable, Hashable {
  /// Python's `None`.
  case null
  /// True or false.
  case bool(Bool)
  /// An integer.
  case integer(Int)
  /// A number that is written with a point or an exponent: `16.0` is printed as such.
  case number(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([TemplateValue])
  /// A dictionary.
  case object([Member])

  /// A pair of a dictionary.
  public struct Member: Sendable, Hashable {
    /// The key.
    public var name: String
    /// The value.
    public var value: TemplateValue

    /// A pair of a dictionary.
    public init(_ name: String, _ value: TemplateValue) {
      self.name = name
      self.value = value
    }
  }

  /// The value of the first member of that name; nil if there is none or this is no object.
  public subscript(name: String) -> TemplateValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { Text($0.name) == Text(name) }?.value
  }
}

extension TemplateValue {
  /// What a message says: its content, or the texts of its parts.
  package var messageText: String {
    switch self["content"] {
    case .string(let text)?: return text
    case .array(let parts)?:
      return parts.compactMap { part -> String? in
        if case .string(let text)? = part["text"] { text } else { nil }
      }.joined()
    default: return ""
    }
  }
}

extension TemplateValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
  ExpressibleByStringInterpolation, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// Python's `None`.
  public init(nilLiteral: ()) { self = .null }
  /// True or false.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// An integer.
  public init(integerLiteral value: Int) { self = .integer(value) }
  /// A number.
  public init(floatLiteral value: Double) { self = .number(value) }
  /// A text.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A list.
  public init(arrayLiteral elements: TemplateValue...) { self = .array(elements) }
  /// A dictionary.
  public init(dictionaryLiteral elements: (String, TemplateValue)...) {
    self = .object(elements.map(Member.init))
  }
}

extension TemplateValue {
  /// The value of a JSON document.
  package init(_ json: JSONValue) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(Int(value))
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let values): self = .array(values.map(TemplateValue.init))
    case .object(let object): self = .object(object.map { Member($0.key, TemplateValue($0.value)) })
    }
  }

  /// The value as JSON has it; of members of one name the last.
  package var json: JSONValue {
    switch self {
    case .null: return .null
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(Int64(value))
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .array(let values): return .array(values.map(\.json))
    case .object(let members):
      var object = JSONObject()
      for member in members { object[member.name] = member.value.json }
      return .object(object)
    }
  }
}

extension Value {
  /// What a template is given, as it has it.
  init(_ given: TemplateValue) throws(Failure) {
    switch given {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .float(value)
    case .string(let value): self = .string(Text(value))
    case .array(let values):
      self = try .list(of: try values.map { (value) throws(Failure) in try Value(value) })
    case .object(let members):
      var pairs: [(key: Value, value: Value)] = []
      for member in members { pairs.append((.string(Text(member.name)), try Value(member.value))) }
      self = .dictionary(try DictionaryValue(pairs))
    }
  }
}
