/// Writes values as Python's `str` and `repr` do.
struct ValuePrinter {
  private(set) var output = Text()
  let limit: Int
  private var depth = 0
  /// The namespaces that are being written: one may have itself for an attribute.
  private var open: Set<ObjectIdentifier> = []

  init(limit: Int) { self.limit = limit }

  /// `str(value)`.
  static func text(_ value: Value, limit: Int) throws(Failure) -> Text {
    switch value {
    case .string(let text), .markup(let text): return text
    case .undefined: return Text()
    default: return try representation(value, limit: limit)
    }
  }

  /// `repr(value)`.
  static func representation(_ value: Value, limit: Int) throws(Failure) -> Text {
    var printer = ValuePrinter(limit: limit)
    try printer.write(value)
    return printer.output
  }

  private mutating func write(_ value: Value) throws(Failure) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 2 * ListValue.greatestDepth, output.count <= limit else {
      throw Failure(.limit, "a value is too large or nested too deeply to be printed")
    }
    switch value {
    case .undefined: output.append("Undefined")
    case .none: output.append("None")
    case .bool(let value): output.append(value ? "True" : "False")
    case .integer(let value): output.append(String(value))
    case .float(let value): output.append(value.pythonDescription)
    case .string(let text): output += text.pythonRepresentation
    case .markup(let text):
      output.append("Markup(")
      output += text.pythonRepresentation
      output.append(")")
    case .list(let list): try write(list.items, "[", "]")
    case .tuple(let list): try write(list.items, "(", list.items.count == 1 ? ",)" : ")")
    case .dictionary(let dictionary): try write(dictionary.pairs)
    case .view(let view):
      output.append(view.part.typeName)
      try write(try view.values(), "([", "])")
    case .range(let range):
      output.append("range(\(range.start), \(range.stop)")
      output.append(range.step == 1 ? ")" : ", \(range.step))")
    case .namespace(let object) where object.kind == .namespace:
      guard open.insert(ObjectIdentifier(object)).inserted else {
        output.append("<Namespace {...}>")
        return
      }
      output.append("<Namespace ")
      try write(object.attributes.map { (.string($0.name), $0.value) })
      output.append(">")
      open.remove(ObjectIdentifier(object))
    case .loop(let loop):
      output.append("<LoopContext \(loop.index0 + 1)/\(try loop.length())>")
    case .function(.macro(let macro)):
      output.append("<Macro ")
      if let name = macro.name {
        output += name.pythonRepresentation
      } else {
        output.append("anonymous")
      }
      output.append(">")
    case .namespace(let object) where object.kind == .template:
      output.append("<TemplateReference None>")
    case .iterator(let iterator): output.append("<\(iterator.name) object>")
    default: output.append("<\(value.typeName) object>")
    }
  }

  private mutating func write(
    _ items: [Value], _ opening: String, _ closing: String
  ) throws(Failure) {
    output.append(opening)
    for (index, item) in items.enumerated() {
      if index > 0 { output.append(", ") }
      try write(item)
    }
    output.append(closing)
  }

  private mutating func write(_ pairs: [(key: Value, value: Value)]) throws(Failure) {
    output.append("{")
    for (index, pair) in pairs.enumerated() {
      if index > 0 { output.append(", ") }
      try write(pair.key)
      output.append(": ")
      try write(pair.value)
    }
    output.append("}")
  }
}

extension Text {
  /// `repr` of a string.
  var pythonRepresentation: Text {
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    var result = Text([quote])
    for scalar in scalars {
      switch scalar {
      case quote, "\\":
        result.append("\\" as Unicode.Scalar)
        result.append(scalar)
      case "\n": result.append("\\n")
      case "\r": result.append("\\r")
      case "\t": result.append("\\t")
      default:
        if scalar.isPythonPrintable {
          result.append(scalar)
        } else {
          result.append(scalar.pythonEscape)
        }
      }
    }
    result.append(quote)
    return result
  }
}
