import CLoRAKernels
import LoRAArchitectures
import LoRAAutograd
import LoRATensor

/// Feed-forward networks of one shape, of which a router chooses a few for each token: the sum of their
/// outputs, each times its weight. A network computes its own tokens alone.
///
/// Source: Shazeer et al., *Outrageously large neural networks*, 2017; the weighting is transformers'.
struct Experts: BlockNetwork {
  /// One of the networks, and its gate and up as one layer.
  struct Expert: Sendable {
    let network: FeedForward
    /// Nil for one whose layers are parameters of the block.
    let pair: PairedLinear?

    /// The output of its tokens `x`, `[rows, C]`.
    func callAsFunction(_ x: Variable) -> Variable {
      guard let pair, pair.isUsed else { return network(x) }
      return FeedForward(
        gate: nil, up: pair, isFused: true, down: network.down, activation: network.activation)(x)
    }

    var layers: [any LinearLayer] { inputLayers + [network.down] }
    var inputLayers: [any LinearLayer] { network.inputLayers + (pair.map { [$0] } ?? []) }
    var usesPair: Bool { pair?.isUsed ?? false }
  }

  let router: any LinearLayer
  let experts: [Expert]
  /// How many of them a token passes through.
  let active: Int
  let weighting: TransformerStructure.FeedForward.Experts.Weighting

  func callAsFunction(_ x: Variable) -> Variable {
    // Tokens of items with different adapters would be mixed.
    AdapterSlot.grouped(x, among: slots) { x in
      let (rows, size) = (x.shape.rowCount, x.shape.innermost)
      let logits = router(x).reshaped(to: [rows, experts.count])
      return mixed(x.reshaped(to: [rows, size]), logits).reshaped(to: x.shape)
    }
  }

  private var slots: [AdapterSlot] { experts.flatMap { $0.layers.map(\.slot) } }

  /// The sum for the tokens `x`, `[rows, C]`, with the router's logits, `[rows, experts]`.
  private func mixed(_ x: Variable, _ logits: Variable) -> Variable {
    let places = places(logits.value)
    var chosen: [[(row: Int, place: Int)]] = Array(repeating: [], count: experts.count)
    places.withUnsafeElements(of: Int64.self) { places in
      for (index, place) in places.enumerated() {
        chosen[Int(place) % experts.count].append((index / active, index))
      }
    }
    let weights = weights(logits, places)
    var terms: [MixtureTerm] = []
    for (expert, tokens) in zip(experts, chosen) where !tokens.isEmpty {
      let input = x.gathered(Tensor(tokens.map { Int64($0.row) }))
      terms.append(
        MixtureTerm(
          output: expert(input), rows: tokens.map(\.row), weights: tokens.map(\.place)))
    }
    let sum = Variable.mixture(terms, weights: weights, shape: x.shape)
    guard GradientMode.isRecording else { return sum }
    // What an expert without tokens holds has a gradient of zeros, as a stack's part in PyTorch.
    let idle = zip(experts, chosen).filter { $1.isEmpty }.flatMap { $0.0.layers }
    return sum.dependent(on: idle.flatMap(\.trainableVariables))
  }

  /// The places of the chosen experts' logits among all, `[rows, active]`, int64. What is chosen has no
  /// derivative: comparisons with finite differences hold it.
  private func places(_ logits: Tensor) -> Tensor {
    let (rows, count) = (logits.shape[0], experts.count)
    func choose() -> Tensor {
      let places = logits.withUnsafeElements(of: Float.self) { values in
        (0..<rows).flatMap { row in
          Self.largest(active, of: values, from: row * count, count)
            .map { Int64(row * count + $0) }
        }
      }
      return Tensor(places, shape: [rows, active])
    }
    let held = HeldConstants.value(of: router, choose)
    return held.shape[0] == rows ? held : choose()
  }

  /// The weights of the chosen experts, whose places among all logits are `ids`, `[rows, active]`.
  private func weights(_ logits: Variable, _ ids: Tensor) -> Variable {
    let all = weighting == .softmaxOfChosen ? logits : logits.softmax()
    let chosen = all.reshaped(to: [logits.shape.elementCount, 1]).gathered(ids)
      .reshaped(to: ids.shape)
    return switch weighting {
    case .softmaxOfAll: chosen
    case .softmaxOfAllNormalized: chosen / chosen.sum(axis: 1)
    case .softmaxOfChosen: chosen.softmax()
    }
  }

  /// The places of the largest of `count` values from `start` on, the largest first; of equal ones the
  /// first.
  private static func largest(
    _ active: Int, of values: UnsafeBufferPointer<Float>, from start: Int, _ count: Int
  ) -> [Int] {
    var best: [Int] = []
    best.reserveCapacity(active + 1)
    for place in 0..<count {
      let value = values[start + place]
      if best.count == active, !(value > values[start + best[active - 1]]) { continue }
      let rank = best.firstIndex { values[start + $0] < value } ?? best.count
      best.insert(place, at: rank)
      if best.count > active { best.removeLast() }
    }
    return best
  }
}

extension AdaptableModule {
  /// What is trained of the module, and of the adapters that apply to it now.
  fileprivate var trainableVariables: [Variable] {
    let adapters: [any LinearAdapter] =
      if case .adapters(let active) = slot.contribution() { active.map(\.adapter) } else { [] }
    return (parameters.map(\.value) + adapters.flatMap { $0.namedParameters().map(\.parameter) })
      .filter(\.isTrainable).map { Variable($0) }
  }
}

extension Experts {
  /// The layers of the experts by their roles, each in the order of the experts.
  var modules: [String: [any Module]] {
    [
      "ffn_gate_exps": experts.compactMap(\.network.gate), "ffn_up_exps": experts.map(\.network.up),
      "ffn_down_exps": experts.map(\.network.down),
      "ffn_gate_up_exps": experts.compactMap(\.pair),
    ]
  }
}

// MARK: - A few new tokens

extension Experts {
  func decode(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    addingTo y: UnsafeMutablePointer<Float>
  ) {
    let rows = decoding.rows
    if AdapterScope.current?.groupOfItem != nil {
      let sum = decoding.general(x, size) { self($0) }
      return withExtendedLifetime(sum) { lk_add_row(1, rows * size, sum.floats, y) }
    }
    withScratch(rows * experts.count) { logits in
      DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(router), logits)])
      let chosen = choose(logits, rows: rows)
      if rows == 1, decodeOne(x, size: size, decoding, chosen, addingTo: y) { return }
      for (index, tokens) in chosen.enumerated() where !tokens.isEmpty {
        decode(
          experts[index], x, size: size, decoding.with(rows: tokens.count), tokens, addingTo: y)
      }
    }
  }

  /// The tokens of each expert and their weights, from the router's logits, which are overwritten.
  private func choose(
    _ logits: UnsafeMutablePointer<Float>, rows: Int
  ) -> [[(row: Int, weight: Float)]] {
    let count = experts.count
    let all = UnsafeBufferPointer(start: logits, count: rows * count)
    var chosen: [[(row: Int, weight: Float)]] = Array(repeating: [], count: count)
    let places = (0..<rows).map { Self.largest(active, of: all, from: $0 * count, count) }
    if weighting != .softmaxOfChosen { lk_softmax(rows, count, logits, logits) }
    for (row, places) in places.enumerated() {
      var weights = places.map { all[row * count + $0] }
      switch weighting {
      case .softmaxOfAll: break
      case .softmaxOfAllNormalized:
        let sum = weights.reduce(0, +)
        weights = weights.map { $0 / sum }
      case .softmaxOfChosen:
        weights.withUnsafeMutableBufferPointer { buffer in
          guard let start = buffer.baseAddress else { return }
          lk_softmax(1, buffer.count, start, start)
        }
      }
      for (place, weight) in zip(places, weights) { chosen[place].append((row, weight)) }
    }
    return chosen
  }

  /// One token, whose experts read one input: their first projections share a parallel region. False,
  /// and nothing is done, if an adapter asks for something else.
  private func decodeOne(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    _ chosen: [[(row: Int, weight: Float)]], addingTo y: UnsafeMutablePointer<Float>
  ) -> Bool {
    let used = chosen.indices.filter { !chosen[$0].isEmpty }
    let networks = used.map { experts[$0].network }
    guard !used.contains(where: { experts[$0].usesPair }), let first = networks.first,
      !first.isFused
    else {
      return false
    }
    let inner = first.down.inputSize
    withScratch(networks.count * (2 * inner + size)) { states in
      let (raised, output) = (
        states + networks.count * inner, states + 2 * networks.count * inner
      )
      var layers: [(layer: DecodingLinear, y: UnsafeMutablePointer<Float>)] = []
      for (index, network) in networks.enumerated() {
        guard let gate = network.gate else { continue }
        layers.append((DecodingLinear(gate), states + index * inner))
        layers.append((DecodingLinear(network.up), raised + index * inner))
      }
      DecodingLinear.project(x, size: size, decoding, layers)
      lk_gated_forward(first.activation.kernel, networks.count * inner, states, raised, states)
      for (index, network) in networks.enumerated() {
        let result = output + index * size
        DecodingLinear.project(
          states + index * inner, size: inner, decoding, [(DecodingLinear(network.down), result)])
        lk_axpy(size, chosen[used[index]][0].weight, result, y)
      }
    }
    return true
  }

  /// Adds what one expert makes of its tokens.
  private func decode(
    _ expert: Expert, _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    _ tokens: [(row: Int, weight: Float)], addingTo y: UnsafeMutablePointer<Float>
  ) {
    let count = tokens.count * size
    withScratch(2 * count) { input in
      let output = input + count
      for (index, token) in tokens.enumerated() {
        (input + index * size).update(from: x + token.row * size, count: size)
      }
      if expert.usesPair {
        decoding.general(input, size) { expert($0) }.withUnsafeElements(of: Float.self) {
          if let from = $0.baseAddress { output.update(from: from, count: count) }
        }
      } else {
        output.update(repeating: 0, count: count)
        expert.network.decode(input, size: size, decoding, addingTo: output)
      }
      for (index, token) in tokens.enumerated() {
        lk_axpy(size, token.weight, output + index * size, y + token.row * size)
      }
    }
  }
}

// MARK: - Memory

extension Experts {
  var inputLayers: [any LinearLayer] {
    [router] + experts.flatMap(\.inputLayers)
  }
  var outputLayers: [any LinearLayer] { experts.map(\.network.down) }

  private var inner: Int { experts.first?.network.down.inputSize ?? 0 }
  private var size: Int { experts.first?.network.down.outputSize ?? 0 }

  /// A token passes through `active` networks: of each the two states that the activation reads, and
  /// the output, which the gradient of the weights reads; and the input, if an adapter of the first
  /// layers, or they themselves, are trained. The pair's outputs are cut into two.
  func keptWidths(isEntered: Bool, _ training: TrainedLayers) -> [Int] {
    guard isEntered else { return [active * inner] }
    let readers = experts.flatMap(\.inputLayers)
    return [active * inner, active * inner, active * size]
      + (training.contains(readers) ? [active * size] : []) + [experts.count, active, active]
  }

  /// An adapter sees the tokens of its expert alone: on average, as many as there are for each.
  func adapterWidths(_ training: TrainedLayers) -> [Int] {
    let all = experts.flatMap { $0.layers.flatMap { training.keptWidths(of: $0) } }.reduce(0, +)
    let share = all * active
    return training.keptWidths(of: router)
      + (share > 0 ? [(share + experts.count - 1) / experts.count] : [])
  }

  /// The gradients of all outputs, and of what is inside of one network that every token may have
  /// chosen.
  var scratchWidths: [Int] { [active * size, inner, inner, size] }
}
