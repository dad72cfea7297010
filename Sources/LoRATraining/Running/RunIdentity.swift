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
  var exampleCount: Int
  /// The content of the data.
  var data: String
  /// The values of what is not trained; nil where no module is known.
  var model: String?
  /// The settings of an adapter, as its scale and dropout, and its frozen numbers; nil where none is
  /// trained.
  var adapter: String?
  /// What is trained, in the order in which norms are added up.
  var groups: [Group]

  /// The keys of saved states.
  private enum CodingKeys: String, CodingKey {
    case objective, optimizer, data, model, adapter, groups
    case exampleCount = "rowCount"
  }

  /// The identity of the runs of `trainer`. Reads the frozen weights and the data once, unless `other` is that
  /// of a run on the same ones.
  init(_ trainer: Trainer<some TrainingData>, sharing other: RunIdentity? = nil) {
    objective = trainer.objective
    optimizer = trainer.optimizer.identifier
    exampleCount = trainer.data.exampleCount
    data = other?.data ?? ContentHash.text(trainer.data.fingerprint)
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
    if let known = other?.model {
      model = known
    } else {
      var hash = ContentHash()
      combine(module.namedParameters(), into: &hash)
      model = ContentHash.text(hash.value)
    }
    guard case .adapter(let name) = target else { return }
    var own = ContentHash()
    for (path, adapter) in module.adapters(named: name) {
      own.combine(path)
      for setting in Self.settings(of: adapter) { own.combine(setting) }
    }
    combine(module.adapterParameters(named: name), into: &own)
    adapter = ContentHash.text(own.value)
  }

  /// The names of types that were renamed, as saved states have them.
  private static let earlierNames = ["TokenVectorOverride": "RowOverride"]

  /// The type of an adapter and the numbers, flags and texts that it holds beside its parameters,
  /// whatever its method.
  private static func settings(of adapter: any LinearAdapter) -> [String] {
    let name = "\(type(of: adapter))"
    return [earlierNames[name] ?? name]
      + Mirror(reflecting: adapter).children.compactMap { label, value in
        switch value {
        case is any BinaryFloatingPoint, is any BinaryInteger, is Bool, is String:
          "\(label ?? ""): \(value)"
        default: nil
        }
      }
  }
}
