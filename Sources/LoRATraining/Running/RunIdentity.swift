import LoRAAutograd
import LoRAModels
import LoRATensor

/// What a run is of, as far as its numbers depend on it and its state does not hold it.
struct RunIdentity: Sendable, Hashable, Codable {
  /// A group of parameters that are trained alike.
  struct Group: Sendable, Hashable, Codable {
    var learningRate: Double
    var weightDecay: Double
    var parameters: [String]
  }

  /// What is minimized.
  var objective: String
  /// The optimizer with its settings.
  var optimizer: String
  /// The number of examples.
  var rowCount: Int
  /// The content of the data.
  var data: String
  /// The values of what is not trained; nil where no module is known.
  var model: String?
  /// The settings of an adapter, as its scale and dropout, and its frozen numbers; nil where none is
  /// trained.
  var adapter: String?
  /// What is trained, in the order in which norms are added up.
  var groups: [Group]

  /// The identity of the runs of `trainer`. Reads the frozen weights and the data once.
  init(_ trainer: Trainer<some TrainingData>) {
    objective = trainer.objective
    optimizer = trainer.optimizer.identifier
    rowCount = trainer.data.rowCount
    data = ContentHash.text(trainer.data.fingerprint)
    groups = trainer.groups.map { group in
      Group(
        learningRate: group.learningRate, weightDecay: group.weightDecay,
        parameters: group.parameters.map(\.path))
    }
    guard let (module, target) = trainer.model else { return }
    let trained = Set(
      trainer.groups.flatMap { $0.parameters.map { ObjectIdentifier($0.parameter) } })
    func combine(_ parameters: [NamedParameter], into hash: inout ContentHash) {
      for (path, parameter) in parameters
      where !trained.contains(ObjectIdentifier(parameter)) {
        hash.combine(path)
        hash.combine(parameter.value)
      }
    }
    var hash = ContentHash()
    combine(module.namedParameters(), into: &hash)
    model = ContentHash.text(hash.value)
    guard case .adapter(let name) = target else { return }
    var own = ContentHash()
    for (path, adapter) in module.adapters(named: name) {
      own.combine(path)
      for setting in Self.settings(of: adapter) { own.combine(setting) }
    }
    combine(module.adapterParameters(named: name), into: &own)
    adapter = ContentHash.text(own.value)
  }

  /// The type of an adapter and the numbers, flags and texts that it holds beside its parameters,
  /// whatever its method.
  private static func settings(of adapter: any LinearAdapter) -> [String] {
    ["\(type(of: adapter))"]
      + Mirror(reflecting: adapter).children.compactMap { label, value in
        switch value {
        case is any BinaryFloatingPoint, is any BinaryInteger, is Bool, is String:
          "\(label ?? ""): \(value)"
        default: nil
        }
      }
  }
}

/// A hash of contents that is the same in every process, for telling apart what was mistaken: not
/// against forgery.
struct ContentHash {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func combine(_ word: UInt64) {
    value = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
    value ^= value >> 32
  }

  mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    combine(UInt64(bytes.count))
    let words = bytes.count / 8
    for index in 0..<words {
      combine(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)))
    }
    for byte in bytes[(8 * words)...] { combine(UInt64(byte)) }
  }

  mutating func combine(_ text: String) {
    var text = text
    text.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
  }

  mutating func combine(_ tensor: Tensor) {
    combine("\(tensor.dtype) \(tensor.shape)")
    tensor.withUnsafeBytes { combine($0) }
  }

  /// A hash as files hold it.
  static func text(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
