import LoRATensor

/// What can be wrong with attaching, selecting or merging adapters.
public enum AdapterError: Error, Sendable, Hashable {
  /// A selector matched no linear layer; `available` lists their paths.
  case noMatchingLayer(selector: String, available: [String])
  /// An adapter of this name is attached already.
  case nameTaken(String)
  /// No adapter of this name is attached; `available` lists those that are.
  case unknownAdapter(String, available: [String])
  /// A hyperparameter is out of its range.
  case invalidValue(parameter: String, value: String, expected: String)
  /// Factors do not fit the layer.
  case shapeMismatch(layer: String, expected: String, found: String)
  /// A layer that an adapter wants does not exist in the model.
  case unknownLayer(String, available: [String])
  /// A number of the adapter that is not finite.
  case nonFinite(layer: String)
  /// A merged number that has no place in the type of the weight: which, why, and what would help.
  case overflow(layer: String, problem: String, remedy: String)
  /// The operation is not possible while adapters are merged into the base.
  case merged(adapters: [String])
  /// The operation needs merged adapters, and there are none.
  case notMerged
  /// The numbers of an adapter alone need more bytes than there are, or than may be taken.
  case notEnoughMemory(rank: Int, needed: Int, available: Int)
  /// Nothing of the model can be adapted, and these are mistakes in how its modules are written; see
  /// `Module.structureProblems()`.
  case brokenModule(problems: [String])
  /// The method can't do this on this layer.
  case unsupported(layer: String, reason: String)
}

extension AdapterError: CustomStringConvertible {
  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .noMatchingLayer(let selector, let available):
      "the target \(selector) matches no linear layer; the model has "
        + (available.isEmpty
          ? "none: each of its modules lists its layers in 'children'" : Self.list(available))
    case .nameTaken(let name):
      "an adapter named '\(name)' is attached already; detach or rename it, or choose another name"
    case .unknownAdapter(let name, let available):
      "no adapter named '\(name)' is attached; there "
        + (available.isEmpty ? "is none" : "are \(Self.list(available))")
    case .invalidValue(let parameter, let value, let expected):
      "\(parameter) is \(value); expected \(expected)"
    case .shapeMismatch(let layer, let expected, let found):
      "layer \(layer): expected \(expected), found \(found); is this the adapter of another model?"
    case .unknownLayer(let layer, let available):
      "the adapter wants a linear layer '\(layer)', which the model lacks; it has "
        + Self.list(available) + "; is this the adapter of another model?"
    case .nonFinite(let layer):
      "layer \(layer): the adapter holds a number that is not finite"
    case .overflow(let layer, let problem, let remedy):
      "layer \(layer): \(problem); \(remedy)"
    case .merged(let adapters):
      "\(Self.list(adapters)) merged into the base; unmerge first"
    case .notMerged:
      "no adapter is merged into the base"
    case .notEnoughMemory(let rank, let needed, let available):
      "an adapter of rank \(rank) holds numbers of "
        + (needed == .max ? "more than 8 EiB" : mebibytes(needed))
        + ", and \(mebibytes(available)) of memory are available; take a lower rank or fewer layers"
    case .brokenModule(let problems):
      "there is no layer to adapt: \(problems.prefix(3).joined(separator: "; "))"
    case .unsupported(let layer, let reason):
      "layer \(layer): \(reason)"
    }
  }

  /// Names in quotes, the first few if there are many.
  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(12).map { "'\($0)'" }.joined(separator: ", ")
    return names.count > 12 ? "\(shown) and \(names.count - 12) more" : shown
  }
}
