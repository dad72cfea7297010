import LoRAFiles
import LoRAJSON
import LoRATensor

/// A method of PEFT: what only it has in a configuration, its tensors, and its changes as data.
///
/// Each is a type in a file of its own in `Methods`, and a line in ``PEFTAdapterConfiguration/Method``'s
/// registry. An instance holds the options of one adapter. What a method does not say has a default.
protocol PEFTMethod: Sendable, Hashable {
  /// What the method does to a layer.
  associatedtype Change: MeasuredChange

  // MARK: Configuration

  /// PEFT's name of it, its `peft_type`.
  static var peftType: String { get }
  /// Whether an adapter is one change of the whole model, not one of each layer.
  static var isOfModel: Bool { get }
  /// Whether embeddings can have an adapter too.
  static var adaptsEmbeddings: Bool { get }
  /// The key that says how the parameters start; empty for a method without.
  static var initializationKey: String { get }
  /// What the configuration says of ranks.
  static var rankKeys: PEFTRankKeys { get }
  /// The keys that belong to the method alone.
  static var keys: [PEFTKey<Self>] { get }
  /// The keys of most methods that this one lacks.
  static var absentKeys: Set<String> { get }
  /// The options that a configuration has which names none of them.
  init()
  /// Throws for options that do not go together, once all are read.
  func check(_ fields: JSONFields) throws(FormatError)
  /// The targets in models that `config.json` calls `modelType`, where a configuration names none;
  /// nil if PEFT has no default.
  static func defaultTargets(forModelType modelType: String) -> PEFTAdapterConfiguration.Modules?
  /// Fills in options that follow from the model.
  mutating func resolve(forModelType modelType: String)
  /// What the factors on a layer are multiplied by.
  func scale(alpha: Double, rank: Int) -> Double
  /// The probability of dropping an input of the adapter while training.
  var dropout: Double { get }
  /// What of the method's own keys applies to none of the adapted layers, a sentence each.
  func unmatched(layers: [String], in configuration: PEFTAdapterConfiguration) -> [String]

  // MARK: Parameters of the base that are saved along

  /// Which of the base's biases are.
  var biases: PEFTAdapterConfiguration.LoRA.Biases { get }
  /// The tokens whose vectors are.
  var trainedTokens: PEFTAdapterConfiguration.LoRA.TrainedTokens? { get }
  /// Has the base's biases saved along; false if the method can't.
  mutating func save(_ biases: PEFTAdapterConfiguration.LoRA.Biases) -> Bool

  // MARK: Tensors

  /// What the tensors of a layer are called.
  static var parts: [PEFTPart] { get }
  /// The whole names of tensors that layers share. Among the tensors of each layer they are written
  /// once.
  static var sharedTensors: Set<String> { get }
  /// Whether an adapter with these options can have the part `part` of ``parts``.
  func has(_ part: String) -> Bool
  /// Reads the change of a layer.
  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> Change
  /// The tensors of a layer with what follows its path in their names.
  func tensors(
    of change: Change, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)]

  // MARK: Describing

  /// The options that an adapter of these changes has: those of `kept` where the changes say nothing.
  /// Throws for what PEFT cannot express.
  static func describing(
    _ changes: [(path: String, change: Change)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self
  /// The rank, alpha and scale of a change; nil for a method without ranks.
  func rankAndScale(of change: Change) -> (rank: Int, alpha: Double, scale: Double)?
  /// Sets what of the configuration depends on its targets.
  func complete(
    _ configuration: inout PEFTAdapterConfiguration, describing description: AdapterDescription)
}

/// What a method's configuration says of ranks.
enum PEFTRankKeys: Sendable {
  /// Nothing: the method has none.
  case none
  /// One rank for all layers, and which layers are meant.
  case rank(default: Int)
  /// Ranks and alphas with patterns for single layers, and which layers are meant; the key of alpha.
  case rankAndAlpha(String)
}

extension PEFTMethod {
  static var isOfModel: Bool { false }
  static var adaptsEmbeddings: Bool { false }
  static var absentKeys: Set<String> { [] }
  func check(_ fields: JSONFields) throws(FormatError) {}

  /// LoRA's.
  static func defaultTargets(
    forModelType modelType: String
  ) -> PEFTAdapterConfiguration.Modules? {
    PEFTAdapterConfiguration.loraTargets(forModelType: modelType)
  }

  mutating func resolve(forModelType modelType: String) {}

  /// alpha / rank.
  func scale(alpha: Double, rank: Int) -> Double { alpha / Double(rank) }

  var dropout: Double { 0 }

  func unmatched(layers: [String], in configuration: PEFTAdapterConfiguration) -> [String] { [] }

  var biases: PEFTAdapterConfiguration.LoRA.Biases { .none }
  var trainedTokens: PEFTAdapterConfiguration.LoRA.TrainedTokens? { nil }
  mutating func save(_ biases: PEFTAdapterConfiguration.LoRA.Biases) -> Bool { biases == .none }

  static var sharedTensors: Set<String> { [] }

  func has(_ part: String) -> Bool { true }

  /// The options of `kept`.
  static func describing(
    _ changes: [(path: String, change: Change)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self { kept ?? Self() }

  func rankAndScale(of change: Change) -> (rank: Int, alpha: Double, scale: Double)? {
    guard let (rank, alpha) = change.rankAndAlpha, let rank else { return nil }
    return (rank, alpha, change.scale)
  }

  func complete(
    _ configuration: inout PEFTAdapterConfiguration, describing description: AdapterDescription
  ) {}
}

// MARK: - Any method

extension PEFTMethod {
  var type: any PEFTMethod.Type { Self.self }

  /// Reads the options of a configuration.
  init(_ fields: JSONFields) throws(FormatError) {
    self.init()
    for key in Self.keys { try key.read(fields, &self) }
    try check(fields)
  }

  /// The options as PEFT writes them.
  var written: [(String, JSONValue)] {
    Self.keys.compactMap { key in key.written(self).map { (key.name, $0) } }
  }

  /// What PEFT writes of keys that say nothing here.
  static var silent: [(String, JSONValue)] {
    keys.compactMap { key in key.silent.map { (key.name, $0) } }
  }

  /// All of its keys.
  static var allKeys: [String] {
    let alpha: [String] = if case .rankAndAlpha(let key) = rankKeys { [key] } else { [] }
    return keys.map(\.name) + alpha + [initializationKey]
  }

  static func holds(_ change: any LayerChange) -> Bool { change is Change }

  static func part(called name: String) -> PEFTPart? {
    parts.first { $0.name == name || $0.bias == name }
  }

  func readLayer(_ layer: inout PEFTLayerReader) throws(FormatError) -> any LayerChange {
    try change(&layer)
  }

  /// The tensors of a layer; nil if the change is not the method's.
  func tensors(
    ofAny change: any LayerChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)]? {
    guard let change = change as? Change else { return nil }
    return try tensors(of: change, layer)
  }

  static func describing(
    _ description: AdapterDescription, keeping kept: (any PEFTMethod)?
  ) throws(FormatError) -> any PEFTMethod {
    try describing(changes(of: description), of: description, keeping: kept as? Self)
  }

  private static func changes(
    of description: AdapterDescription
  ) -> [(path: String, change: Change)] {
    description.layers.compactMap { layer in
      (layer.change as? Change).map { (layer.path, $0) }
    }
  }

  func rankAndScale(
    ofAny change: any LayerChange
  ) -> (rank: Int, alpha: Double, scale: Double)? {
    (change as? Change).flatMap(rankAndScale)
  }

  func isEqual(to other: any PEFTMethod) -> Bool { other as? Self == self }
}
