import LoRATensor

/// Computes `body(x)` without keeping what happens inside for the backward pass, which computes it
/// again instead: memory for one more forward computation.
///
/// `body` must compute the same on both runs. It runs the second time during the backward pass,
/// outside of the scopes of the first: capture what it needs of them.
///
/// Source: Chen et al., *Training deep nets with sublinear memory cost*, 2016.
public func checkpointed(
  _ x: Variable, _ body: @escaping @Sendable (Variable) -> Variable
) -> Variable {
  guard GradientMode.isRecording else { return body(x) }
  let input = x.value
  let output = withoutGradients { body(Variable(input)) }.value
  let node = Node(inputs: [x.node]) { dy, inputs in
    let leaf = Node(leafOf: nil)
    let again = withGradients { body(Variable(value: input, node: leaf)) }
    guard let root = again.node else { return }
    let table = Variable.propagate(dy, from: root)
    if let dx = table.take(leaf) { inputs.add(dx, to: 0) }
    inputs.add(table.leaves)
  }
  return Variable(value: output, node: node)
}
