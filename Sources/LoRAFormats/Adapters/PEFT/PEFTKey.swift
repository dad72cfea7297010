import LoRAFiles
import LoRAJSON

/// A key of a method's configuration: how it is read, and what is written.
struct PEFTKey<Method>: Sendable {
  typealias Path<Value> = any WritableKeyPath<Method, Value> & Sendable

  let name: String
  let read: @Sendable (JSONFields, inout Method) throws(FormatError) -> Void
  /// What is written of the option that it holds; nil for a key that holds none.
  let written: @Sendable (Method) -> JSONValue?
  /// What PEFT writes of a key that says nothing here; nil where it writes none.
  let silent: JSONValue?

  init(
    _ name: String,
    read: @escaping @Sendable (JSONFields, inout Method) throws(FormatError) -> Void,
    written: @escaping @Sendable (Method) -> JSONValue?
  ) {
    self.name = name
    self.read = read
    self.written = written
    silent = nil
  }

  private init(
    silent: JSONValue?, _ name: String,
    read: @escaping @Sendable (JSONFields) throws(FormatError) -> Void = { _ in }
  ) {
    self.name = name
    self.read = { fields, _ throws(FormatError) in try read(fields) }
    written = { _ in nil }
    self.silent = silent
  }
}

extension PEFTKey {
  /// True or false.
  static func flag(_ name: String, _ path: Path<Bool>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      if let value = try fields.bool(name) { method[keyPath: path] = value }
    } written: {
      .bool($0[keyPath: path])
    }
  }

  /// A text.
  static func text(_ name: String, _ path: Path<String>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      if let value = try fields.string(name) { method[keyPath: path] = value }
    } written: {
      .string($0[keyPath: path])
    }
  }

  /// A whole number.
  static func integer(_ name: String, _ path: Path<Int>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      if let value = try fields.int(name) { method[keyPath: path] = value }
    } written: {
      .integer(Int64($0[keyPath: path]))
    }
  }

  /// A number.
  static func number(_ name: String, _ path: Path<Double>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      guard let value = try fields.double(name) else { return }
      guard value.isFinite else {
        throw fields.error(.invalidValue, name, "expected a finite number, found \(value)")
      }
      method[keyPath: path] = value
    } written: {
      .number($0[keyPath: path])
    }
  }

  /// From 0 to below 1.
  static func probability(_ name: String, _ path: Path<Double>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      guard let value = try fields.double(name) else { return }
      guard (0..<1).contains(value) else {
        throw fields.error(.invalidValue, name, "expected from 0 to below 1, found \(value)")
      }
      method[keyPath: path] = value
    } written: {
      .number($0[keyPath: path])
    }
  }

  /// Names of modules, or an expression.
  static func modules(_ name: String, _ path: Path<PEFTAdapterConfiguration.Modules>) -> PEFTKey {
    PEFTKey(name) { fields, method throws(FormatError) in
      if let value = try PEFTAdapterConfiguration.modules(fields, name) {
        method[keyPath: path] = value
      }
    } written: {
      PEFTAdapterConfiguration.json($0[keyPath: path])
    }
  }

  /// A key that says nothing of what is computed, with what PEFT writes.
  static func ignored(_ name: String, written: JSONValue? = nil) -> PEFTKey {
    PEFTKey(silent: written, name)
  }

  /// A key that changes what is computed in a way that is not supported, unless it is absent or has a
  /// value that says so.
  ///
  /// - Parameters:
  ///   - meaning: what it asks for.
  ///   - isHarmless: whether a value changes nothing.
  ///   - written: what PEFT writes.
  static func refused(
    _ name: String, _ meaning: String, written: JSONValue? = nil,
    unless isHarmless: @escaping @Sendable (JSONValue) -> Bool = { _ in false }
  ) -> PEFTKey {
    PEFTKey(silent: written, name) { fields throws(FormatError) in
      guard let value = fields[name], !isHarmless(value) else { return }
      let shown = value.encoded()
      throw fields.error(
        .unsupported, name,
        "\(shown.utf8.count <= 60 ? shown : value.kind) changes what the adapter computes, "
          + "and is not supported: \(meaning)",
        "train or save the adapter without it")
    }
  }
}

extension JSONValue {
  /// Whether it is a list or an object without content.
  @Sendable static func isEmpty(_ value: JSONValue) -> Bool {
    value.arrayValue?.isEmpty ?? value.objectValue?.isEmpty ?? false
  }

  @Sendable static func isFalse(_ value: JSONValue) -> Bool { value.boolValue == false }
}
