import LoRAFiles
import LoRAJSON
import LoRATensor

/// One line of an architecture's table: a key of `config.json`, where a ``ModelConfiguration`` keeps
/// its value, what an absent key means, and what GGUF files call it. Reading, writing and the names in
/// errors follow from it.
///
/// ```swift
/// let keys: [ConfigurationKey] = [
///   .size(\.hiddenSize, "n_embd", or: "hidden_size", gguf: "embedding_length") { _ in 768 },
///   .flag("scale_attn_weights", default: true),
/// ]
/// ```
///
/// Keys are read in the table's order: a default may follow from what was read before.
public struct ConfigurationKey: Sendable {
  /// A property of ``ModelConfiguration``.
  public typealias Field<Value> = any WritableKeyPath<ModelConfiguration, Value> & Sendable
  /// Any property of ``ModelConfiguration``.
  package typealias AnyField = any PartialKeyPath<ModelConfiguration> & Sendable

  /// The key of `config.json`.
  let name: String
  /// Its key in GGUF files, behind the architecture's name.
  var gguf: String?
  /// Further keys of GGUF files that it reads.
  var otherGGUF: [String] = []
  /// Where the value is kept; nil for an option.
  var field: AnyField?
  /// Gives a configuration that is made in code what an absent key means.
  var setDefault: @Sendable (inout ModelConfiguration) -> Void = { _ in }
  /// Reads `config.json`.
  let read: @Sendable (inout ModelConfiguration, JSONFields) throws(FormatError) -> Void
  /// The value to write; nil for none.
  let write: @Sendable (ModelConfiguration) -> JSONValue?
  /// Reads a GGUF file.
  var readGGUF: @Sendable (inout ModelConfiguration, GGUFModelKeys) throws(FormatError) -> Void =
    { (_, _) throws(FormatError) in }
  /// What a GGUF file says of it.
  var writeGGUF: @Sendable (ModelConfiguration, inout GGUFModelValues) -> Void = { _, _ in }
}

// MARK: - Numbers

extension ConfigurationKey {
  /// A size, from 1 on.
  ///
  /// - Parameters:
  ///   - field: where it is kept.
  ///   - name: its key.
  ///   - other: another key that files may have instead.
  ///   - gguf: its key in GGUF files.
  ///   - null: what null means, if that is not what an absent key does.
  ///   - fallback: what an absent key means.
  public static func size(
    _ field: Field<Int>, _ name: String, or other: String? = nil, gguf: String? = nil,
    null: (@Sendable (ModelConfiguration) -> Int)? = nil,
    default fallback: @escaping @Sendable (ModelConfiguration) -> Int
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        var size = try fields.size(name)
        if size == nil, let other { size = try fields.size(other) }
        let absent = fields.object[name] != nil ? null ?? fallback : fallback
        configuration[keyPath: field] = size ?? absent(configuration)
      }, write: { .integer(Int64($0[keyPath: field])) })
    key.field = field
    key.gguf = gguf
    if let gguf {
      key.readGGUF = { (configuration, keys) throws(FormatError) in
        configuration[keyPath: field] = try keys.size(gguf)
      }
      key.writeGGUF = { $1.set(gguf, $0[keyPath: field]) }
    }
    return key
  }

  /// A size, from 1 on, whose absence means `fallback`.
  public static func size(
    _ field: Field<Int>, _ name: String, or other: String? = nil, gguf: String? = nil,
    default fallback: Int
  ) -> ConfigurationKey {
    size(field, name, or: other, gguf: gguf) { _ in fallback }
  }

  /// The longest sequence, where files count rows of the table of positions that no position has
  /// (RoBERTa).
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - fallback: what an absent key means.
  ///   - unused: how many rows no position has.
  public static func positions(
    _ name: String, default fallback: Int,
    unused: @escaping @Sendable (ModelConfiguration) -> Int
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let rows = try fields.size(name, default: fallback)
        let first = unused(configuration)
        guard rows > first else {
          throw fields.error(
            .invalidValue, name, "\(rows) rows, of which the first \(first) are no positions")
        }
        configuration.maximumPositions = rows - first
      }, write: { .integer(Int64($0.maximumPositions + unused($0))) })
    key.field = \ModelConfiguration.maximumPositions
    return key
  }

  /// The extent of a head. Where the key is absent it is `fallback`, or without that the hidden size
  /// over the heads.
  public static func headSize(_ name: String, default fallback: Int? = nil) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let absent = fields.object[name] == nil ? fallback : nil
        if let size = try fields.size(name) ?? absent {
          configuration.headSize = size
          return
        }
        let (hidden, heads) = (configuration.hiddenSize, configuration.headCount)
        guard hidden % heads == 0 else {
          let table = configuration.architecture
          throw fields.error(
            .invalidValue, table.key(of: \.headCount),
            "\(heads) heads do not divide '\(table.key(of: \.hiddenSize))', \(hidden), and there is "
              + "no '\(name)'")
        }
        configuration.headSize = hidden / heads
      }, write: { .integer(Int64($0.headSize)) })
    key.field = \ModelConfiguration.headSize
    key.gguf = "attention.key_length"
    key.writeGGUF = { configuration, values in
      values.set("attention.key_length", configuration.headSize)
      values.set("attention.value_length", configuration.headSize)
    }
    return key
  }

  /// A number above 0, as a norm's epsilon.
  public static func positive(
    _ field: Field<Double>, _ name: String, gguf: String? = nil, default fallback: Double
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        configuration[keyPath: field] = try fields.positive(name) ?? fallback
      }, write: { .number($0[keyPath: field]) })
    key.field = field
    key.gguf = gguf
    if let gguf {
      key.readGGUF = { (configuration, keys) throws(FormatError) in
        configuration[keyPath: field] = try keys.positive(gguf)
      }
      key.writeGGUF = { $1.set(gguf, $0[keyPath: field]) }
    }
    return key
  }
}

// MARK: - Other values

extension ConfigurationKey {
  /// A property that is true or false.
  public static func flag(
    _ field: Field<Bool>, _ name: String, default fallback: Bool
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        configuration[keyPath: field] = try fields.bool(name) ?? fallback
      }, write: { .bool($0[keyPath: field]) })
    key.field = field
    return key
  }

  /// An option of the architecture's own that is true or false: `configuration[flag: name]` is its
  /// value.
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - gguf: its key in GGUF files.
  ///   - tensor: in a GGUF file, the option says whether there is this tensor.
  ///   - fallback: what an absent key means.
  ///   - derived: what it is in a model of a GGUF file, which has no key for it, if that is another.
  public static func flag(
    _ name: String, gguf: String? = nil, ifGGUFHas tensor: String? = nil, default fallback: Bool,
    inGGUF derived: Bool? = nil
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        configuration.options[name] = .flag(try fields.bool(name) ?? fallback)
      }, write: { .bool($0[flag: name]) })
    key.setDefault = { $0.options[name] = .flag(fallback) }
    if let tensor {
      key.readGGUF = { (configuration, keys) throws(FormatError) in
        configuration.options[name] = .flag(keys.file.entry(named: tensor) != nil)
      }
    } else {
      key.gguf = gguf
      key.readGGUF = { (configuration, keys) throws(FormatError) in
        let value = try gguf.map { (key) throws(FormatError) in try keys.flag(key) } ?? nil
        configuration[flag: name] = value ?? derived ?? fallback
      }
      if let gguf { key.writeGGUF = { $1.set(gguf, $0[flag: name]) } }
    }
    return key
  }

  /// An option that `config.json` does not have apart from `other`, while GGUF files may.
  public static func flag(
    _ name: String, follows other: String, ifGGUFHas tensor: String
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, _) throws(FormatError) in
        configuration.options[name] = configuration.options[other]
      },
      write: { _ in nil })
    key.setDefault = { $0.options[name] = $0.options[other] }
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      configuration.options[name] = .flag(keys.file.entry(named: tensor) != nil)
    }
    return key
  }

  /// An option of the architecture's own that is a number: `configuration[number: name]` is its value.
  ///
  /// - Parameters:
  ///   - name: its key; null switches the option off.
  ///   - gguf: its key in GGUF files.
  ///   - off: what its key in GGUF files says where it is switched off; nil: there is none then.
  ///   - derived: what it is in a model of a GGUF file, which has no key for it.
  ///   - fallback: what an absent key means.
  public static func number(
    _ name: String, gguf: String? = nil, offInGGUF off: Double? = nil,
    inGGUF derived: (@Sendable (ModelConfiguration) -> Double)? = nil, default fallback: Double?
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let absent = fields.object[name] == nil ? fallback : nil
        configuration.options[name] = (try fields.double(name) ?? absent).map { .number($0) }
      }, write: { $0[number: name].map { .number($0) } ?? .null })
    key.gguf = gguf
    key.setDefault = { $0.options[name] = fallback.map { .number($0) } }
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let value = try gguf.map { (key) throws(FormatError) in try keys.number(key) } ?? nil
      if let off, value == off { return configuration.options[name] = nil }
      configuration.options[name] = (value ?? derived?(configuration) ?? fallback).map {
        .number($0)
      }
    }
    if let gguf {
      key.writeGGUF = { configuration, values in
        if let number = configuration[number: name] ?? off { values.set(gguf, number) }
      }
    }
    return key
  }

  /// An option of the architecture's own that is a size, from 1 on: `configuration[number: name]` is
  /// its value.
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - other: another key that files may have instead.
  ///   - gguf: its key in GGUF files, which all of them have.
  ///   - fallback: what an absent key means.
  public static func count(
    _ name: String, or other: String? = nil, gguf: String? = nil, default fallback: Int
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        var count = try fields.size(name)
        if count == nil, let other { count = try fields.size(other) }
        configuration.options[name] = .number(Double(count ?? fallback))
      }, write: { $0[number: name].map { .integer(Int64($0)) } })
    key.setDefault = { $0.options[name] = .number(Double(fallback)) }
    key.gguf = gguf
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let count = try gguf.map { (key) throws(FormatError) in try keys.size(key) } ?? fallback
      configuration.options[name] = .number(Double(count))
    }
    if let gguf {
      key.writeGGUF = { $1.set(gguf, Int($0[number: name] ?? Double(fallback))) }
    }
    return key
  }

  /// An option of the architecture's own that is a number for each layer: `configuration[numbers: name]`
  /// are its values.
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - fallback: what an absent key means for each layer; what it is in a GGUF file, which has no key
  ///     for it.
  public static func numbers(
    _ name: String, default fallback: @escaping @Sendable (_ layer: Int) -> Double
  ) -> ConfigurationKey {
    @Sendable func absent(_ configuration: ModelConfiguration) -> [Double] {
      (0..<configuration.layerCount).map(fallback)
    }
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        configuration[numbers: name] = absent(configuration)
        guard let values = fields[name]?.arrayValue else { return }
        let numbers = values.compactMap(\.doubleValue)
        guard numbers.count == values.count, numbers.count == configuration.layerCount else {
          throw fields.error(
            .invalidValue, name,
            "expected \(configuration.layerCount) numbers, one a layer, found \(values.count)")
        }
        configuration[numbers: name] = numbers
      },
      write: { configuration in
        .array(
          configuration[numbers: name].map { value in
            Int64(exactly: value).map { .integer($0) } ?? .number(value)
          })
      })
    key.setDefault = { $0[numbers: name] = absent($0) }
    key.readGGUF = { (configuration, _) throws(FormatError) in
      configuration[numbers: name] = absent(configuration)
    }
    return key
  }

  /// An option of the architecture's own that is one of some words: `configuration[text: name]` is its
  /// value. Without `choices` any word is read, as the name of an activation.
  static func word(
    _ name: String, among choices: [String] = [], default fallback: String
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let found = try fields.string(name) ?? fallback
        guard choices.isEmpty || choices.contains(found) else {
          throw fields.error(
            .unsupported, name, "'\(found)' is not supported",
            "supported are \(choices.map { "'\($0)'" }.joined(separator: ", "))")
        }
        configuration[text: name] = found
      }, write: { $0[text: name].map { .string($0) } })
    key.setDefault = { $0[text: name] = fallback }
    return key
  }

  /// The activation of the feed-forward networks, by its name in files.
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - fallback: what an absent key means.
  ///   - meant: what else than they say names in the architecture's files mean.
  public static func activation(
    _ name: String, default fallback: String, meaning meant: [String: String] = [:]
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let found = try fields.string(name) ?? fallback
        configuration.hiddenActivation = meant[found] ?? found
      }, write: { .string($0.hiddenActivation) })
    key.field = \ModelConfiguration.hiddenActivation
    key.setDefault = { $0.hiddenActivation = fallback }
    return key
  }

  /// What is written and not read, as a rate of dropout.
  public static func constant(_ name: String, _ value: Double) -> ConfigurationKey {
    constant(name, .number(value))
  }

  /// What is written and not read.
  public static func constant(_ name: String, _ value: Int) -> ConfigurationKey {
    constant(name, .integer(Int64(value)))
  }

  private static func constant(_ name: String, _ value: JSONValue) -> ConfigurationKey {
    ConfigurationKey(name: name, read: { (_, _) throws(FormatError) in }, write: { _ in value })
  }

  /// An option that nothing here computes: refused where a file switches it on.
  public static func refused(
    _ name: String, _ problem: String, remedy: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name,
      read: { (_, fields) throws(FormatError) in
        guard try fields.bool(name) ?? false else { return }
        throw fields.error(.unsupported, name, problem, remedy)
      }, write: { _ in nil })
  }

  /// The same of an option that a number switches on.
  public static func refusedNumber(
    _ name: String, _ problem: String, remedy: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name,
      read: { (_, fields) throws(FormatError) in
        guard let value = try fields.double(name), value != 0 else { return }
        throw fields.error(.unsupported, name, "\(value): \(problem)", remedy)
      }, write: { _ in .null })
  }

  /// What a key must say, if a file has it: refused otherwise.
  public static func expected(_ name: String, _ value: String) -> ConfigurationKey {
    ConfigurationKey(
      name: name,
      read: { (_, fields) throws(FormatError) in
        guard let found = try fields.string(name), found != value else { return }
        throw fields.error(
          .unsupported, name, "'\(found)' is not supported", "supported is '\(value)'")
      }, write: { _ in .string(value) })
  }

  /// What every architecture's file says.
  static let common: [ConfigurationKey] = [
    ConfigurationKey(
      name: "architectures",
      read: { (configuration, fields) throws(FormatError) in
        configuration.classNames = try fields.strings("architectures") ?? []
      },
      write: { configuration in
        let names = configuration.classNames
        return .array(
          (names.isEmpty ? [configuration.architecture.className] : names).map { .string($0) })
      }),
    ConfigurationKey(
      name: "dtype",
      read: { (configuration, fields) throws(FormatError) in
        configuration.storedType = try ModelConfiguration.storedType(fields)
      }, write: { $0.storedType.map { .string($0.rawValue) } }),
    ConfigurationKey(
      name: "pad_token_id",
      read: { (configuration, fields) throws(FormatError) in
        configuration.padTokenID = try fields.int("pad_token_id").flatMap { $0 >= 0 ? $0 : nil }
      }, write: { json(tokenIDs: $0.padTokenID.map { [$0] } ?? []) }),
    constant("initializer_range", 0.02),
    constant("use_cache", JSONValue.bool(true)),
  ]
}

extension Architecture {
  /// Whether files say what a property is.
  package func hasKey(of field: ConfigurationKey.AnyField) -> Bool {
    keys.contains { $0.field == field }
  }

  /// What `config.json` calls a property, for errors.
  package func key(of field: ConfigurationKey.AnyField) -> String {
    let heads: ConfigurationKey.AnyField = \.headCount
    let key = keys.first { $0.field == field } ?? keys.first { $0.field == heads }
    return key?.name ?? modelType
  }

  /// What GGUF files call a property, for errors.
  func ggufKey(of field: ConfigurationKey.AnyField) -> String {
    let gguf: String? =
      switch field {
      case \.headCount: "attention.head_count"
      case \.keyValueHeadCount: "attention.head_count_kv"
      case \.vocabularySize: "vocab_size"
      default: keys.first { $0.field == field }?.gguf
      }
    return "\(ggufName ?? modelType).\(gguf ?? "attention.key_length")"
  }
}
