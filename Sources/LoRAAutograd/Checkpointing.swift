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
  guard GradientMode.isRecording else { return body(x) }
  let (input, isNeeded) = (x.saved, x.requiresGradient)
  let precision = ProductPrecision.current
  // Recorded, to learn whether there will be anything to differentiate; the record goes at once.
  let first = body(Variable(value: x.value, node: isNeeded ? Node(leafOf: nil) : nil))
  guard first.requiresGradient else { return first }
  let node = Node(inputs: [x.node]) { dy, inputs in
    let leaf = isNeeded ? Node(leafOf: nil) : nil
    // Of the result only how it was computed is wanted.
    let root = ProductPrecision.withValue(precision) {
      withGradients { body(Variable(value: input(), node: leaf)).node }
    }
    guard let root else { return }
    let seed = dy
    dy = .zeros([0])
    if let dx = inputs.propagate(seed, from: root, to: leaf) { inputs.add(dx, to: 0) }
  }
  return Variable(value: first.value, node: node)
}
