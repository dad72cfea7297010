package import LoRAArchitectures
package import LoRAFiles
import LoRATensor

/// A LoRA adapter in a GGUF file, as llama.cpp and Ollama take it.
///
/// ```swift
/// let base = try GGUFBase(file: GGUFFile(path: "base.gguf"))
/// let adapter = try GGUFAdapterFile(path: "support.gguf", base: base)
/// for layer in adapter.description.layers { print(layer.path) }   // Hugging Face's names
/// ```
///
/// The file has one alpha; a layer's scale is alpha / rank, and 1 where alpha is 0 or missing, as in
/// llama.cpp. Factors come out in Hugging Face's order of rows, bit for bit.
///
/// Throws what llama.cpp would refuse when it loads the file, and also what it would skip without a
/// word (norms). Factors must be finite and of the base's shapes, if a base is given.
///
/// Source: llama.cpp, `src/llama-adapter.cpp` and `convert_lora_to_gguf.py`.
package struct GGUFAdapterFile: Sendable {
  /// The architecture of the base as GGUF files name it.
  package let architecture: String
  /// The file's alpha; 0 stands for a scale of 1.
  package let alpha: Double
  /// The factors, and what the file says about itself.
  package let description: AdapterDescription

  enum Keys {
    static let architecture = "general.architecture"
    static let type = "general.type"
    static let adapterType = "adapter.type"
    static let alpha = "adapter.lora.alpha"
    static let invocation = "adapter.alora.invocation_tokens"
    /// What other formats said about themselves.
    static let metadata = "adapter.metadata."
  }

  /// Reads the adapter in the file at `path`. A `base` is needed where rows are ordered by heads
  /// (Llama's query and key projections), unless the file was written by this library, which notes
  /// the heads.
  package init(path: String, base: GGUFBase? = nil) throws(FormatError) {
    // Of a model, the commonest mistake, only the header is read.
    try Self.checkType(try GGUFFile(path: path))
    // The bytes are copied, so the file may be replaced afterwards.
    try self.init(file: try GGUFFile(path: path, access: .copied), base: base)
  }

  /// Reads the adapter in `file`, see ``init(path:base:)``.
  package init(file: GGUFFile, base: GGUFBase? = nil) throws(FormatError) {
    try Self.checkType(file)
    architecture = try file.architecture()
    if let base, base.architecture != architecture {
      throw FormatError(
        .invalidValue, file: file.path, key: Keys.architecture,
        "the adapter is for '\(architecture)', the base is '\(base.architecture)'",
        remedy: "give the base that the adapter was trained on")
    }
    guard
      let names = GGUFTensorNames(
        architecture: architecture, hasGates: base?.hasGates ?? file.hasGates)
    else {
      throw FormatError(
        .unsupported, file: file.path, key: Keys.architecture,
        "adapters for '\(architecture)' are not supported",
        remedy: "supported are \(listed(Architecture.ggufNames, limit: 64))")
    }
    alpha = try Self.alpha(file)
    let reader = Reader(
      file: file, names: names, base: base, heads: try Self.heads(file, architecture, base),
      alpha: alpha)
    description = AdapterDescription(layers: try reader.layers(), metadata: Self.metadata(file))
  }

  private static func checkType(_ file: GGUFFile) throws(FormatError) {
    let type = try file.string(Keys.type) ?? "model"
    guard type == "adapter" else {
      throw FormatError(
        .typeMismatch, file: file.path, key: Keys.type, "expected 'adapter', found '\(type)'",
        remedy: "the file holds a \(type): give an adapter's file")
    }
    guard let kind = try file.string(Keys.adapterType) else {
      throw FormatError(
        .missingKey, file: file.path, key: Keys.adapterType,
        "the file does not say what kind of adapter it holds")
    }
    guard kind == "lora" else {
      throw FormatError(
        .unsupported, file: file.path, key: Keys.adapterType,
        "adapters of the kind '\(kind)' are not supported", remedy: "supported is 'lora'")
    }
    guard file[Keys.invocation] == nil else {
      throw FormatError(
        .unsupported, file: file.path, key: Keys.invocation,
        "adapters that a sequence of tokens switches on (aLoRA) are not supported")
    }
  }

  private static func alpha(_ file: GGUFFile) throws(FormatError) -> Double {
    guard let value = file[Keys.alpha] else { return 0 }
    guard case .float32(let alpha) = value else {
      throw FormatError(
        .typeMismatch, file: file.path, key: Keys.alpha, "expected a float32, found \(value.kind)")
    }
    guard alpha.isFinite else {
      throw FormatError(
        .nonFinite, file: file.path, key: Keys.alpha, "\(alpha) is not a finite number")
    }
    return Double(alpha)
  }

  /// The numbers of query and of key heads, from the base or else from the file itself.
  private static func heads(
    _ file: GGUFFile, _ architecture: String, _ base: GGUFBase?
  ) throws(FormatError) -> (query: Int, key: Int)? {
    if let base { return (base.headCount, base.keyValueHeadCount) }
    guard let query = try GGUFBase.count("\(architecture).attention.head_count", file) else {
      return nil
    }
    return (query, try GGUFBase.count("\(architecture).attention.head_count_kv", file) ?? query)
  }

  /// Texts that the format does not need itself.
  private static func metadata(_ file: GGUFFile) -> [String: String] {
    var result: [String: String] = [:]
    for item in file.keyValues {
      guard let text = item.value.stringValue,
        ![Keys.architecture, Keys.type, Keys.adapterType].contains(item.key)
      else { continue }
      let key =
        item.key.hasPrefix(Keys.metadata)
        ? String(item.key.dropFirst(Keys.metadata.count)) : item.key
      result[key] = text
    }
    return result
  }
}

/// Turns a file's tensors into layers.
private struct Reader {
  let file: GGUFFile
  let names: GGUFTensorNames
  let base: GGUFBase?
  let heads: (query: Int, key: Int)?
  let alpha: Double

  func layers() throws(FormatError) -> [AdapterDescription.Layer] {
    var stems: [String] = []
    var seen: Set<ExactName> = []
    for name in file.names {
      let stem = try stem(of: name)
      if seen.insert(ExactName(stem)).inserted { stems.append(stem) }
    }
    guard !stems.isEmpty else {
      throw FormatError(
        .missingTensor, file: file.path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for stem in stems { layers += try self.layers(of: stem) }
    return layers
  }

  /// The base's tensor that a factor belongs to.
  private func stem(of name: String) throws(FormatError) -> String {
    for suffix in [".lora_a", ".lora_b"] where name.hasSuffix(suffix) {
      return String(name.dropLast(suffix.count))
    }
    if name.hasSuffix("_norm.weight") {
      throw FormatError(
        .unsupported, file: file.path, tensor: name,
        "it is a norm's weight, which llama.cpp skips without a word",
        remedy: "convert the adapter without it")
    }
    throw FormatError(
      .unexpectedTensor, file: file.path, tensor: name,
      "it is neither '<tensor>.lora_a' nor '<tensor>.lora_b'")
  }

  /// The layers that the factors of a tensor are for: one, or one of each expert.
  private func layers(of stem: String) throws(FormatError) -> [AdapterDescription.Layer] {
    let (nameA, nameB) = (stem + ".lora_a", stem + ".lora_b")
    guard stem.hasSuffix(".weight"),
      let (module, path) = names.module(named: String(stem.dropLast(".weight".count)))
    else {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: nameA,
        "models of '\(names.architecture)' have no tensor '\(stem)'",
        remedy: "check that the adapter was made for this architecture")
    }
    guard module.hasAdaptersInGGUF else {
      throw FormatError(
        .unsupported, file: file.path, tensor: nameA, "llama.cpp adds no adapter to '\(stem)'")
    }
    for (name, other) in [(nameA, nameB), (nameB, nameA)] where file.entry(named: name) == nil {
      throw FormatError(
        .missingTensor, file: file.path, tensor: name, "it is missing, although '\(other)' is there"
      )
    }
    var a = try factor(nameA, isOfExperts: module.kind == .expert)
    var b = try factor(nameB, isOfExperts: module.kind == .expert)
    if module.kind == .expert { return try experts(stem, path, a, b) }
    let storedType = a.dtype == b.dtype ? a.dtype : .float32
    // Looking rows up wants a token's numbers side by side: files have an embedding's A transposed.
    if module.kind == .embedding { a = a.transposed() }
    guard a.shape[0] == b.shape[1] else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: nameB,
        "its rank is \(b.shape[1]), that of '\(nameA)' is \(a.shape[0])",
        remedy: "the factors may lie transposed: convert the adapter again")
    }
    try checkBase(stem, path, module, a, b)
    b = try reordered(b, module, nameB)
    let rank = Double(a.shape[0])
    return [
      AdapterDescription.Layer(
        path: path,
        change: LowRankChange(
          a: a.converted(to: .float32), b: b.converted(to: .float32),
          alpha: alpha == 0 ? rank : alpha, scale: alpha == 0 ? 1 : alpha / rank,
          isEmbedding: module.kind == .embedding),
        storedType: storedType)
    ]
  }

  /// The layers of all experts, whose path has "{}" for their numbers.
  private func experts(
    _ stem: String, _ path: String, _ a: Tensor, _ b: Tensor
  ) throws(FormatError) -> [AdapterDescription.Layer] {
    guard a.shape[0] == b.shape[0], a.shape[1] == b.shape[2] else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: stem + ".lora_b",
        "it is \(b.shape), '\(stem).lora_a' is \(a.shape): experts or ranks differ",
        remedy: "convert the adapter again")
    }
    if let shapes = base?.shapes {
      let found: Shape = [a.shape[0], b.shape[1], a.shape[2]]
      guard shapes[stem] == found else {
        throw FormatError(
          .shapeMismatch, file: file.path, tensor: stem + ".lora_a",
          "the factors are for a tensor \(found), the base's '\(stem)' is "
            + (shapes[stem].map { "\($0)" } ?? "missing"),
          remedy: "give the base that the adapter was trained on")
      }
    }
    let rank = Double(a.shape[1])
    return (0..<a.shape[0]).map { expert in
      AdapterDescription.Layer(
        path: TensorName.filled(path, [expert]),
        change: LowRankChange(
          a: a[row: expert].converted(to: .float32), b: b[row: expert].converted(to: .float32),
          alpha: alpha == 0 ? rank : alpha, scale: alpha == 0 ? 1 : alpha / rank),
        storedType: a.dtype == b.dtype ? a.dtype : .float32)
    }
  }

  private func factor(_ name: String, isOfExperts: Bool) throws(FormatError) -> Tensor {
    let stored = try file.tensor(named: name)
    guard stored.dtype.isFloatingPoint || stored.dtype.isQuantized else {
      throw FormatError(
        .typeMismatch, file: file.path, tensor: name,
        "expected floating-point numbers, found \(stored.dtype)")
    }
    let tensor = stored.dtype.isQuantized ? stored.converted(to: .float32) : stored
    guard tensor.shape.count == (isOfExperts ? 3 : 2), tensor.elementCount > 0 else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "expected \(isOfExperts ? "a matrix for each expert" : "a matrix"), found the extents "
          + "\(tensor.shape)")
    }
    if let index = tensor.firstNonFiniteIndex() {
      let columns = tensor.shape.innermost
      let (row, column) = (index / columns, index % columns)
      throw FormatError(
        .nonFinite, file: file.path, tensor: name,
        "the element at [\(row), \(column)] is not a finite number",
        remedy: "the training that made it diverged: train again with a lower learning rate")
    }
    return tensor
  }

  private func checkBase(
    _ stem: String, _ path: String, _ module: TensorName, _ a: Tensor, _ b: Tensor
  ) throws(FormatError) {
    guard let shapes = base?.shapes else { return }
    guard let shape = shapes[stem] else {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: stem + ".lora_a",
        "the base has no tensor '\(stem)'",
        remedy: "give the base that the adapter was trained on")
    }
    // An embedding's table is [tokens, size], its A [rank, tokens] and its B [size, rank].
    let found: Shape =
      module.kind == .embedding ? [a.shape[1], b.shape[0]] : [b.shape[0], a.shape[1]]
    guard shape == found else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: stem + ".lora_a",
        "the factors are for a tensor \(found), the base's '\(stem)' is \(shape)",
        remedy: "give the base that the adapter was trained on")
    }
  }

  /// B with its rows in Hugging Face's order.
  private func reordered(
    _ b: Tensor, _ module: TensorName, _ name: String
  ) throws(FormatError) -> Tensor {
    if module.order == .same { return b }
    guard let heads else {
      throw FormatError(
        .missingKey, file: file.path, tensor: name,
        "its rows are ordered by heads, and the file does not say how many there are",
        remedy: "give the base model")
    }
    let counts = TensorName.RowOrder.Heads(queries: heads.query, keys: heads.key)
    guard let rows = module.order.fileRows(count: b.shape[0], counts) else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "\(b.shape[0]) rows do not divide into "
          + (module.order == .fusedHeads
            ? "the fused ones of \(heads.query) heads"
            : "\(module.order == .keyHeads ? heads.key : heads.query) heads of pairs"),
        remedy: "give the base that the adapter was trained on")
    }
    return b.gatheringRows(rows)
  }
}
