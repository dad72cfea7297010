public import LoRAAutograd
public import LoRATensor

/// What an adapter puts before the tokens of a model: positions that have no token.
///
/// The tokens' own positions go on behind them. Their hidden states are dropped, but for those that the head
/// of a sequence classifier reads. They are put there once a sequence: a cache that has begun with them
/// holds them.
public enum VirtualTokens: Sendable {
  /// Vectors before those of the tokens, `[count, hiddenSize]`: prompt tuning.
  case embeddings(Variable)
  /// Keys and values before those of every layer, without rotary positions, `[count, layers, 2, keyHeads,
  /// headSize]`: prefix tuning.
  case keysAndValues(Variable)

  /// How many there are.
  public var count: Int {
    switch self {
    case .embeddings(let vectors): vectors.shape[0]
    case .keysAndValues(let states): states.shape[0]
    }
  }
}

/// A model that virtual tokens can be put before. Its ``AdaptableModule/slot`` holds the adapters that do.
public protocol VirtualTokenModel: AdaptableModule {
  /// The size of a hidden state.
  var hiddenSize: Int { get }
  /// The number of layers that have keys and values.
  var layerCount: Int { get }
  /// The number of heads of keys and values.
  var keyHeadCount: Int { get }
  /// The size of a head.
  var headSize: Int { get }
  /// The vectors of the tokens.
  var inputEmbedding: Embedding { get }
  /// Whether vectors can come before those of the tokens, beside keys and values.
  var takesPrompts: Bool { get }
  /// Why no virtual tokens can be put before it, as part of a sentence; nil if they can, the default.
  var refusalOfVirtualTokens: String? { get }
  /// The hidden states of the last virtual token, which predicts the first token, and of `tokens`,
  /// `[batch, 1 + positions, hiddenSize]`; nil where no virtual token that applies has any.
  func hiddenStatesFromLastVirtualToken(_ tokens: Tensor) -> Variable?
}

extension VirtualTokenModel {
  /// Nil: they can.
  public var refusalOfVirtualTokens: String? { nil }
}

extension AdapterError {
  static func noVirtualTokens(_ module: any Module) -> AdapterError {
    .unsupported(
      layer: "the model's input",
      reason:
        "virtual tokens can't be put before a \(type(of: module)), only before a transformer of one stack"
    )
  }
}

// MARK: - In a pass

/// The virtual tokens of one pass.
struct AppliedVirtualTokens: Sendable {
  /// Those with keys and values, in the order of attachment.
  private(set) var prefixes: [any LinearAdapter] = []
  /// The vectors of the others.
  private(set) var embeddings: [Variable] = []
  /// How many of them have keys and values.
  private(set) var prefixCount = 0
  /// Whether the tokens' positions are counted from those with keys and values on, as a decoder's are.
  var shiftsPositions = true

  /// None.
  init() {}

  init(_ active: [ActiveAdapter]) {
    for item in active {
      guard case .virtualTokens(let tokens) = item.adapter.effect else { continue }
      switch tokens {
      case .embeddings(let vectors): embeddings.append(vectors)
      case .keysAndValues:
        prefixes.append(item.adapter)
        prefixCount += tokens.count
      }
    }
  }

  /// The position of the first of what comes behind those with keys and values.
  var firstPosition: Int { shiftsPositions ? prefixCount : 0 }

  /// How many there are.
  var count: Int { prefixCount + promptCount }

  /// How many of them have vectors, and hidden states.
  var promptCount: Int { embeddings.reduce(0) { $0 + $1.shape[0] } }

  /// The keys and values of one layer for each of a batch, `[batch, prefixCount, keyHeads, headSize]`.
  /// Made from the parameters anew, so that a block may be computed twice.
  func keysAndValues(layer: Int, batch: Int) -> (keys: Variable, values: Variable) {
    var parts: (keys: [Variable], values: [Variable]) = ([], [])
    for adapter in prefixes {
      guard case .virtualTokens(.keysAndValues(let states)) = adapter.effect else { continue }
      let shape = states.shape
      func part(_ index: Int) -> Variable {
        states.sliced(axis: 1, layer..<layer + 1).sliced(axis: 2, index..<index + 1)
          .reshaped(to: [1, shape[0], shape[3], shape[4]])
      }
      parts.keys.append(part(0))
      parts.values.append(part(1))
    }
    func joined(_ parts: [Variable]) -> Variable {
      let one = parts.count == 1 ? parts[0] : .concatenated(parts, axis: 1)
      return batch == 1 ? one : .concatenated(Array(repeating: one, count: batch))
    }
    return (joined(parts.keys), joined(parts.values))
  }

  /// `x`, vectors of tokens, `[batch, tokens, hiddenSize]`, with the virtual tokens' before them.
  func before(_ x: Variable) -> Variable {
    if embeddings.isEmpty { return x }
    let (batch, size) = (x.shape[0], x.shape[2])
    let items = embeddings.map { $0.reshaped(to: [1, $0.shape[0], size]) }
    let prompt = items.count == 1 ? items[0] : .concatenated(items, axis: 1)
    let prompts = batch == 1 ? prompt : .concatenated(Array(repeating: prompt, count: batch))
    return .concatenated([prompts, x], axis: 1)
  }
}

extension AdapterSlot {
  /// What applies to the pass that runs now, where its items do not differ.
  var virtualTokens: AppliedVirtualTokens {
    if case .adapters(let active) = contribution() { return AppliedVirtualTokens(active) }
    return AppliedVirtualTokens()
  }
}

extension LanguageModel {
  /// What prompt tuning minimizes: the cross-entropies of `targets`, and those of the first tokens,
  /// which the last virtual token predicts; as PEFT has it `scale` times as many as there are of the
  /// former. Nil without a prompt.
  ///
  /// Where the second token is not trained on, the item begins with what is not, and the first is not
  /// either.
  package func promptedLoss(tokens: Tensor, targets: Tensor, scale: Float) -> Variable? {
    guard let hidden = (self as? any VirtualTokenModel)?.hiddenStatesFromLastVirtualToken(tokens)
    else { return nil }
    let (items, count) = (tokens.shape[0], tokens.shape[1])
    let (ids, wanted) = (tokens.scalars(as: Int64.self), targets.scalars(as: Int64.self))
    var all: [Int64] = []
    for item in 0..<items {
      let first = item * count
      all.append(wanted[first] >= 0 ? ids[first] : -1)
      all += wanted[first..<first + count]
    }
    let trained = all.count { $0 >= 0 }
    let given = Float(wanted.count { $0 >= 0 })
    return loss(
      hidden, targets: Tensor(all, shape: [items, count + 1]),
      scale: trained == 0 ? scale : scale * given / Float(trained))
  }
}

extension VirtualTokenModel {
  /// How many virtual tokens with vectors come before a sequence that is passed now; of a batch whose
  /// items differ the most.
  package var promptCount: Int {
    withoutGradients {
      switch slot.contribution() {
      case .none, .merged: 0
      case .adapters(let active): AppliedVirtualTokens(active).promptCount
      case .items(let items):
        items.parts.map { AppliedVirtualTokens($0.adapters).promptCount }.max() ?? 0
      }
    }
  }

  /// How many virtual tokens with vectors come before each of so many batch items.
  func promptCounts(items: Int) -> [Int] {
    withoutGradients {
      switch slot.contribution() {
      case .none, .merged: return Array(repeating: 0, count: items)
      case .adapters(let active):
        return Array(repeating: AppliedVirtualTokens(active).promptCount, count: items)
      case .items(let assignment):
        var counts = Array(repeating: 0, count: items)
        for part in assignment.parts {
          let count = AppliedVirtualTokens(part.adapters).promptCount
          for item in part.items { counts[item] = count }
        }
        return counts
      }
    }
  }
}

extension TokenModel {
  /// How many virtual tokens come before a sequence that is passed now; of a batch whose items differ the
  /// most.
  package var virtualTokenCount: Int {
    guard let model = self as? any VirtualTokenModel else { return 0 }
    return withoutGradients {
      switch model.slot.contribution() {
      case .none, .merged: 0
      case .adapters(let active): AppliedVirtualTokens(active).count
      case .items(let items):
        items.parts.map { AppliedVirtualTokens($0.adapters).count }.max() ?? 0
      }
    }
  }
}
