package import LoRAFiles
package import LoRATensor

/// What a GGUF adapter needs to know of the model that it belongs to.
///
/// ```swift
/// let base = try GGUFBase(file: GGUFFile(path: "base.gguf"))            // knows every tensor
/// let base = try GGUFBase(configuration: try ModelConfiguration(parsing: bytes))
/// ```
///
/// Make it from the GGUF file that the adapter will run on where there is one: whether that has an
/// output head of its own, and all of its shapes, are then known and checked.
package struct GGUFBase: Sendable, Hashable {
  /// The architecture as GGUF files name it, as in "llama".
  package var architecture: String
  /// The number of query heads.
  package var headCount: Int
  /// The number of key and value heads.
  package var keyValueHeadCount: Int
  /// The extent of one head.
  package var headSize: Int
  /// Whether the file has a tensor `output.weight`. Models whose head is the embedding have none.
  package var hasOutputHead: Bool
  /// Whether its networks have gates, as far as names depend on it: see ``GGUFTensorNames``.
  package var hasGates = false
  /// The extents of the base's tensors by their names in the file, outermost first; nil if unknown.
  package var shapes: [String: Shape]?

  /// Creates a description from its parts.
  package init(
    architecture: String, headCount: Int, keyValueHeadCount: Int, headSize: Int,
    hasOutputHead: Bool, shapes: [String: Shape]? = nil
  ) {
    self.architecture = architecture
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize
    self.hasOutputHead = hasOutputHead
    self.shapes = shapes
  }

  /// Reads what a `config.json` says. The file converted from it is taken to leave out
  /// `output.weight` if the head is the embedding. Throws if GGUF's names of the architecture are not
  /// known.
  package init(configuration: ModelConfiguration) throws(FormatError) {
    guard let name = configuration.architecture.ggufName else {
      throw FormatError(
        .unsupported, file: "config.json", key: "model_type",
        "the names that GGUF files give the tensors of '\(configuration.architecture)' are not known"
      )
    }
    self.init(
      architecture: name, headCount: configuration.headCount,
      keyValueHeadCount: configuration.keyValueHeadCount, headSize: configuration.headSize,
      hasOutputHead: !configuration.tiesWordEmbeddings)
    hasGates = configuration[flag: "is_gated_act"]
  }

  /// Reads what a model's GGUF file says. Throws if it is an adapter, if GGUF's names of its
  /// architecture are not known, or if heads differ between blocks.
  package init(file: GGUFFile) throws(FormatError) {
    let architecture = try file.architecture()
    if let type = try file.string("general.type"), type != "model" {
      throw FormatError(
        .unsupported, file: file.path, key: "general.type", "expected a model, found '\(type)'",
        remedy: "give the model that the adapter belongs to")
    }
    guard Architecture(ggufName: architecture) != nil else {
      throw FormatError(
        .unsupported, file: file.path, key: "general.architecture",
        "'\(architecture)' is not supported",
        remedy: "supported are \(listed(Architecture.ggufNames, limit: 64))")
    }
    let layersDiffer = Architecture(ggufName: architecture)?.layersDiffer ?? false
    guard let heads = try Self.count("\(architecture).attention.head_count", file) else {
      throw FormatError(
        .missingKey, file: file.path, key: "\(architecture).attention.head_count",
        "the file does not say how many heads there are")
    }
    let size: Int
    if let length = try Self.count("\(architecture).attention.key_length", file) {
      size = length
    } else if let width = try Self.count("\(architecture).embedding_length", file) {
      guard width % heads == 0 else {
        throw FormatError(
          .invalidValue, file: file.path, key: "\(architecture).attention.head_count",
          "\(heads) heads do not divide the embedding length, \(width), and there is no "
            + "'\(architecture).attention.key_length'",
          remedy: "the file is damaged: copy, download or convert it again")
      }
      size = width / heads
    } else {
      throw FormatError(
        .missingKey, file: file.path, key: "\(architecture).embedding_length",
        "the file does not say how wide the model is")
    }
    self.init(
      architecture: architecture, headCount: heads,
      keyValueHeadCount: try Self.count(
        "\(architecture).attention.head_count_kv", file, layersDiffer: layersDiffer) ?? heads,
      headSize: size, hasOutputHead: file.entry(named: "output.weight") != nil,
      shapes: Dictionary(file.entries.map { ($0.name, $0.shape) }) { first, _ in first })
    hasGates = file.hasGates
  }

  /// A positive number, or a number for every block if they are all the same; where they may differ, the
  /// first's.
  package static func count(
    _ key: String, _ file: GGUFFile, layersDiffer: Bool = false
  ) throws(FormatError) -> Int? {
    guard let value = file[key] else { return nil }
    var number = value.intValue
    if let all = value.ints, let first = all.first {
      guard layersDiffer || all.allSatisfy({ $0 == first }) else {
        throw FormatError(
          .unsupported, file: file.path, key: key, "it differs between blocks: \(all.prefix(8))")
      }
      number = first
    }
    guard let number, number > 0 else {
      throw FormatError(
        .invalidValue, file: file.path, key: key,
        "expected a whole number above 0, found \(number.map { "\($0)" } ?? value.kind)")
    }
    return number
  }

  /// Whether the model is a mixture of experts, in some layers at least; nil if its tensors are not known.
  var hasExperts: Bool? {
    shapes.map { $0.keys.contains { $0.hasSuffix(".ffn_gate_inp.weight") } }
  }

  /// The numbers of heads that orders of rows go by.
  package var heads: TensorName.RowOrder.Heads {
    TensorName.RowOrder.Heads(queries: headCount, keys: keyValueHeadCount)
  }

  /// How many rows a weight has whose rows a file orders in its own way; nil if it does not.
  package func rowCount(of order: TensorName.RowOrder) -> Int? {
    switch order {
    case .same: nil
    case .queryHeads: headCount * headSize
    case .keyHeads: keyValueHeadCount * headSize
    case .fusedHeads: (headCount + 2 * keyValueHeadCount) * headSize
    }
  }
}

extension GGUFFile {
  /// Whether the networks of the model, or of the adapter, have gates.
  package var hasGates: Bool { entries.contains { $0.name.contains(".ffn_gate.weight") } }
}
