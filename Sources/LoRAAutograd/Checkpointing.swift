import LoRATensor

/// Computes `body(x)` without keeping its activations; the backward pass recomputes them. Saves
/// memory at the cost of one more forward computation.
///
/// `body` must compute the same on both runs. The second run is during the backward pass, outside
/// the scopes of the first, so capture everything it needs. The precision of products is kept.
///
/// Source: Chen et al., *Training deep nets with sublinear memory cost*, 2016.
public func checkpointed(
  _ x: Variable, _ body: @escaping @Sendable (Variable) -> Variable
) -> Variable {
  checkpointed([x]) { body($0[0]) }
}

/// The same of several inputs, all of which are kept.
public func checkpointed(
  _ x: [Variable], _ body: @escaping @Sendable ([Variable]) -> Variable
) -> Variable {
  guard GradientMode.isRecording else { return body(x) }
  let (inputs, isNeeded) = (x.map(\.saved), x.map(\.requiresGradient))
  let precision = ProductPrecision.current
  // Recorded, to learn whether there will be anything to differentiate; the record goes at once.
  let first = body(
    zip(x, isNeeded).map { Variable(value: $0.value, node: $1 ? Node(leafOf: nil) : nil) })
  guard first.requiresGradient else { return first }
  let node = Node(inputs: x.map(\.node)) { dy, gradients in
    let leaves = isNeeded.map { $0 ? Node(leafOf: nil) : nil }
    // Of the result only how it was computed is wanted.
    let root = ProductPrecision.withValue(precision) {
      withGradients {
        body(zip(inputs, leaves).map { Variable(value: $0(), node: $1) }).node
      }
    }
    guard let root else { return }
    let seed = dy
    dy = .zeros([0])
    let found = gradients.propagate(seed, from: root, to: leaves)
    for (index, gradient) in found.enumerated() {
      if let gradient { gradients.add(gradient, to: index) }
    }
  }
  return Variable(value: first.value, node: node)
}
