/// What Hugging Face's checkpoints and GGUF files call one module of an architecture, and how the
/// latter lay its weight out.
///
/// llama.cpp has one vocabulary of tensor names for all architectures: it is the vocabulary of roles
/// here. A module's role is its GGUF name without `blk.{}.`, as "attn_q", and says what the module is
/// to the layers that ``TransformerStructure`` describes.
public struct TensorName: Sendable, Hashable {
  /// What a module is to an adapter.
  public enum Kind: Sendable, Hashable {
    /// A linear layer of a block, whose input llama.cpp multiplies by an adapter's factors too.
    case projection
    /// The table of token embeddings.
    case embedding
    /// What chooses among experts: a matrix that is a layer in some versions of transformers, and a
    /// parameter in others.
    case router
    /// A linear layer of each expert; in GGUF files, one tensor of all of them.
    case expert
    /// Two such layers of each expert as one, whose outputs are first the first's: the parameter
    /// that transformers makes of them, which PEFT adapts. No file has it.
    case expertPair
    /// The output head.
    case head
    /// A norm, a table of positions: llama.cpp adds no adapter to it.
    case other
  }

  /// The order of the rows of a weight in GGUF files.
  public enum RowOrder: Sendable, Hashable {
    /// As in Hugging Face's checkpoints.
    case same
    /// In each query head, the pairs that rotary embedding turns lie side by side instead of half a
    /// head apart.
    case queryHeads
    /// The same in each key head.
    case keyHeads
    /// All queries, all keys, all values, where Hugging Face's has, for each key head, the queries that
    /// share it, its key and its value.
    case fusedHeads
  }

  /// The module's path in Hugging Face's checkpoints; "{}" stands for a block's number, a second one
  /// for an expert's.
  public let path: String
  /// What PEFT's adapters call the module where that is another name, since transformers holds it under
  /// another: of a layer of an expert, the parameter of all experts and then the expert's number.
  package let adapterPath: String?
  /// The tensor's name in GGUF files, without ".weight" and ".bias".
  public let name: String
  /// What the module is to an adapter.
  package let kind: Kind
  /// The order of the rows in GGUF files.
  package let order: RowOrder
  /// Whether Hugging Face's checkpoint has the weight as `[in, out]` (GPT-2), GGUF files as
  /// `[out, in]`.
  package let isTransposed: Bool
  /// Whether GGUF files have the weight plus one (Gemma's norms).
  package private(set) var addsOne: Bool
  /// Whether the path is a parameter's own, to which checkpoints add no ".weight" while GGUF files do.
  package private(set) var isParameter = false
  /// What GGUF files call the parts of a module that they have in several, whose rows are in turn the
  /// module's: a gate and an up. Empty where they have it in one.
  package private(set) var partsInGGUF: [String] = []
  /// Whether llama.cpp adds an adapter's part to what the module computes.
  package private(set) var hasAdaptersInGGUF: Bool
  /// Whether llama.cpp takes the table of embeddings for it, whatever a file has: a head.
  package private(set) var isEmbeddingInGGUF = false
  /// The role, where it is not what files call the module.
  private let ownRole: String?

  /// Creates a name from its parts.
  public init(
    _ path: String, _ name: String, _ kind: Kind = .other, order: RowOrder = .same,
    isTransposed: Bool = false, addsOne: Bool = false, adapterPath: String? = nil,
    role: String? = nil
  ) {
    ownRole = role
    self.path = path
    self.adapterPath = adapterPath
    self.name = name
    self.kind = kind
    self.order = order
    hasAdaptersInGGUF = kind != .other
    self.isTransposed = isTransposed
    self.addsOne = addsOne
  }

  /// The same module at another path.
  func at(_ path: String) -> TensorName {
    var result = TensorName(
      path, name, kind, order: order, isTransposed: isTransposed, addsOne: addsOne, role: ownRole)
    result.isParameter = isParameter
    result.partsInGGUF = partsInGGUF
    result.hasAdaptersInGGUF = hasAdaptersInGGUF
    result.isEmbeddingInGGUF = isEmbeddingInGGUF
    return result
  }

  /// The same layer, which llama.cpp multiplies without adapters.
  var withoutAdaptersInGGUF: TensorName {
    var result = self
    result.hasAdaptersInGGUF = false
    return result
  }

  /// The same head, for which llama.cpp takes the table of embeddings or not.
  fileprivate func withHeadInGGUF(isTied: Bool) -> TensorName {
    var result = self
    result.isEmbeddingInGGUF = isTied
    return result
  }

  /// The same, a parameter that checkpoints call by the path alone.
  var asParameter: TensorName {
    var result = self
    result.isParameter = true
    return result
  }

  /// The same, which GGUF files have in parts of these names.
  func inParts(_ names: [String]) -> TensorName {
    var result = self
    result.partsInGGUF = names
    return result
  }

  /// The same norm, whose weight GGUF files have as checkpoints do.
  var addingNothing: TensorName {
    var result = self
    result.addsOne = false
    return result
  }

  /// The path of the list of blocks and the path inside a block, as "model.layers" and
  /// "self_attn.q_proj"; nil for what is not in a block.
  package var pathInBlock: (list: String, rest: String)? {
    guard let mark = path.firstRange(of: ".{}.") else { return nil }
    return (String(path[..<mark.lowerBound]), String(path[mark.upperBound...]))
  }

  /// What holds a router's experts, within a block: the path up to "experts".
  package var holder: Substring {
    path.firstRange(of: ".experts.").map { path[..<$0.lowerBound] } ?? ""
  }

  /// The module's path in block `block`, of expert `expert`.
  package func path(inBlock block: Int, expert: Int? = nil) -> String {
    Self.filled(path, [block] + (expert.map { [$0] } ?? []))
  }

  /// `pattern` with numbers in the places of its "{}", the last of which stay where there are fewer.
  package static func filled(_ pattern: String, _ numbers: [Int]) -> String {
    numbers.reduce(pattern) { text, number in
      guard let place = text.firstRange(of: "{}") else { return text }
      return text[..<place.lowerBound] + "\(number)" + text[place.upperBound...]
    }
  }

  /// What the role of a layer ends with that raises without a gate, if checkpoints call it otherwise than
  /// one beside a gate.
  package static let ungatedRole = "ffn_up_plain"

  /// The name in GGUF files without the block's prefix, or what the table says instead. Of a model of two
  /// stacks, the encoder's keep their "enc.".
  package var role: String { ownRole ?? inBlock }

  private var inBlock: String {
    let prefixes = [("blk.{}.", ""), ("dec.blk.{}.", ""), ("dec.", ""), ("enc.blk.{}.", "enc.")]
    for (prefix, kept) in prefixes where name.hasPrefix(prefix) {
      return kept + name.dropFirst(prefix.count)
    }
    return name
  }
}

extension [TensorName] {
  /// The same modules; `isTied` says whether llama.cpp takes the table of embeddings for their head.
  func withHeadInGGUF(isTied: Bool) -> [TensorName] {
    map { $0.kind == .head ? $0.withHeadInGGUF(isTied: isTied) : $0 }
  }
}

extension TensorName.RowOrder {
  /// The numbers of query and of key heads that an order goes by.
  package struct Heads: Sendable, Hashable {
    let queries: Int
    let keys: Int

    /// Creates a description from the numbers.
    package init(queries: Int, keys: Int) { (self.queries, self.keys) = (queries, keys) }
  }

  /// For each row of a tensor in a file, which row of Hugging Face's it is; nil if the rows do not
  /// divide into such heads.
  ///
  /// Where pairs lie side by side, row 2 i + j of a head of size d in the file is row i + j d / 2 of
  /// Hugging Face's.
  package func checkpointRows(count: Int, _ heads: Heads) -> [Int]? {
    switch self {
    case .same: Array(0..<count)
    case .queryHeads: Self.paired(count, heads.queries)
    case .keyHeads: Self.paired(count, heads.keys)
    case .fusedHeads: Self.fused(count, heads)
    }
  }

  /// For each row of Hugging Face's tensor, which row of the file's it is: the inverse of
  /// ``checkpointRows(count:_:)``.
  package func fileRows(count: Int, _ heads: Heads) -> [Int]? {
    guard let rows = checkpointRows(count: count, heads) else { return nil }
    var inverse = rows
    for (row, source) in rows.enumerated() { inverse[source] = row }
    return inverse
  }

  private static func paired(_ count: Int, _ heads: Int) -> [Int]? {
    guard heads > 0, count % heads == 0, (count / heads) % 2 == 0 else { return nil }
    let size = count / heads
    return (0..<count).map { row in
      let (head, place) = (row / size, row % size)
      return head * size + place / 2 + (place % 2) * (size / 2)
    }
  }

  private static func fused(_ count: Int, _ heads: Heads) -> [Int]? {
    let (queries, keys) = (heads.queries, heads.keys)
    guard queries > 0, keys > 0, queries % keys == 0, count % (queries + 2 * keys) == 0 else {
      return nil
    }
    let (size, shared) = (count / (queries + 2 * keys), queries / keys)
    /// The rows of one head of the key head that it belongs to.
    func rows(_ key: Int, _ place: Int) -> Range<Int> {
      let start = (key * (shared + 2) + place) * size
      return start..<start + size
    }
    return (0..<queries).flatMap { rows($0 / shared, $0 % shared) }
      + (0..<keys).flatMap { rows($0, shared) } + (0..<keys).flatMap { rows($0, shared + 1) }
  }
}
