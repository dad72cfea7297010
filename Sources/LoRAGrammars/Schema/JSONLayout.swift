internal import LoRAJSON

/// Brackets, commas and colons with the blanks that may stand beside them, and fixed values.
struct JSONLayout {
  private let whitespace: JSONWhitespace
  /// The part of spaces behind a line break.
  private let indentation: Int32

  init(_ whitespace: JSONWhitespace, _ builder: inout GrammarBuilder) {
    self.whitespace = whitespace
    indentation = builder.state()
    var place = indentation
    for _ in 0..<(whitespace == .indented ? JSONWhitespace.mostIndentation : 0) {
      let next = builder.state()
      builder.skip(place, to: builder.end)
      builder.edge(place, " ", to: next)
      place = next
    }
    builder.skip(place, to: builder.end)
  }

  func colon(_ builder: inout GrammarBuilder, from: Int32, to target: Int32) {
    let place = builder.state()
    builder.edge(from, ":", to: place)
    builder.skip(place, to: target)
    if whitespace != .compact { builder.edge(place, " ", to: target) }
  }

  func comma(_ builder: inout GrammarBuilder, from: Int32, to target: Int32) {
    let place = builder.state()
    builder.edge(from, ",", to: place)
    if whitespace == .spaced {
      builder.skip(place, to: target)
      builder.edge(place, " ", to: target)
    } else {
      gap(&builder, from: place, to: target)
    }
  }

  /// The blanks behind an opening bracket and before a closing one.
  func gap(_ builder: inout GrammarBuilder, from: Int32, to target: Int32) {
    builder.skip(from, to: target)
    guard whitespace == .indented else { return }
    builder.edge(from, " ", to: target)
    let line = builder.state()
    builder.edge(from, "\n", to: line)
    builder.call(line, indentation, to: target)
  }

  /// A key of an object: a string as it is written, with its colon.
  func key(_ name: String, _ builder: inout GrammarBuilder, from: Int32, to target: Int32) {
    let place = builder.state()
    builder.literal(from, JSONValue.string(name).encodedBytes(), to: place)
    colon(&builder, from: place, to: target)
  }

  /// Parts for these values, each written in one way.
  func values(_ values: [JSONValue], _ builder: inout GrammarBuilder, from: Int32) {
    var plain: [[UInt8]] = []
    for value in values {
      switch value {
      case .array, .object: fixed(value, &builder, from: from, to: builder.end)
      default: plain.append(value.encodedBytes())
      }
    }
    builder.literals(from, plain, to: builder.end)
  }

  /// Recurses with the nesting of a value in the schema's text, which is limited.
  private func fixed(
    _ value: JSONValue, _ builder: inout GrammarBuilder, from: Int32, to target: Int32
  ) {
    switch value {
    case .array(let elements):
      let close = builder.state()
      var place = open("[", &builder, from: from)
      for (i, element) in elements.enumerated() {
        place = separated(&builder, from: place, isFirst: i == 0)
        let next = builder.state()
        fixed(element, &builder, from: place, to: next)
        place = next
      }
      gap(&builder, from: place, to: close)
      builder.edge(close, "]", to: target)
    case .object(let members):
      let close = builder.state()
      var place = open("{", &builder, from: from)
      for (i, member) in members.enumerated() {
        place = separated(&builder, from: place, isFirst: i == 0)
        let inner = builder.state()
        let next = builder.state()
        key(member.key, &builder, from: place, to: inner)
        fixed(member.value, &builder, from: inner, to: next)
        place = next
      }
      gap(&builder, from: place, to: close)
      builder.edge(close, "}", to: target)
    default: builder.literal(from, value.encodedBytes(), to: target)
    }
  }

  private func open(
    _ bracket: Unicode.Scalar, _ builder: inout GrammarBuilder, from: Int32
  ) -> Int32 {
    let place = builder.state()
    builder.edge(from, bracket, to: place)
    return place
  }

  /// Behind a comma, or behind the bracket for the first.
  func separated(
    _ builder: inout GrammarBuilder, from place: Int32, isFirst: Bool
  ) -> Int32 {
    let next = builder.state()
    if isFirst {
      gap(&builder, from: place, to: next)
    } else {
      comma(&builder, from: place, to: next)
    }
    return next
  }
}
