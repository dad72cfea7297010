public import LoRATensor

/// The gradients of a scalar with respect to its trainable parameters.
public struct Gradients: Sendable {
  private var values: [ObjectIdentifier: Tensor] = [:]
  /// The parameters that have a gradient. Keeps them alive, so that identifiers stay theirs.
  public private(set) var parameters: [Parameter] = []

  /// Creates an empty set of gradients.
  public init() {}

  /// The gradient of `parameter`, in its shape; nil if the scalar does not depend on it.
  public subscript(parameter: Parameter) -> Tensor? {
    get { values[ObjectIdentifier(parameter)] }
    set {
      let key = ObjectIdentifier(parameter)
      if values[key] == nil, newValue != nil { parameters.append(parameter) }
      if newValue == nil { parameters.removeAll { $0 === parameter } }
      values[key] = newValue
    }
  }

  /// Whether there are no gradients.
  public var isEmpty: Bool { values.isEmpty }

  /// Adds `other`, for example to accumulate over several batches.
  public mutating func add(_ other: Gradients) {
    for parameter in other.parameters {
      guard let gradient = other[parameter] else { continue }
      accumulate(gradient, for: parameter)
    }
  }

  mutating func accumulate(_ gradient: Tensor, for parameter: Parameter) {
    require(
      gradient.shape == parameter.shape,
      "a backward step gives a parameter of shape \(parameter.shape) a gradient of \(gradient.shape)"
    )
    let key = ObjectIdentifier(parameter)
    if !values.accumulate(gradient, at: key) { parameters.append(parameter) }
  }

  mutating func accumulate(
    for parameter: Parameter, shape: Shape, _ body: (UnsafeMutablePointer<Float>, Float) -> Void
  ) {
    let key = ObjectIdentifier(parameter)
    if !values.accumulate(at: key, shape: shape, body) { parameters.append(parameter) }
  }

  /// The norm of the gradients of `parameters`: the square root of the sum of squares, added in
  /// that order.
  public func norm(over parameters: [Parameter]) -> Float {
    var sum = 0.0
    for parameter in parameters {
      sum += self[parameter]?.sumOfSquares() ?? 0
    }
    return Float(sum.squareRoot())
  }
}

extension [ObjectIdentifier: Tensor] {
  /// Adds `gradient` to what is at `key`, in place; false if nothing was there before.
  fileprivate mutating func accumulate(_ gradient: Tensor, at key: ObjectIdentifier) -> Bool {
    guard var sum = removeValue(forKey: key) else {
      self[key] = gradient
      return false
    }
    sum.add(gradient)
    self[key] = sum
    return true
  }

  /// Lets `body` compute `d = contribution + beta d` on what is at `key`; false if nothing was there
  /// before, and beta 0.
  fileprivate mutating func accumulate(
    at key: ObjectIdentifier, shape: Shape, _ body: (UnsafeMutablePointer<Float>, Float) -> Void
  ) -> Bool {
    guard var sum = removeValue(forKey: key) else {
      self[key] = Tensor(shape: shape) { body($0, 0) }
      return false
    }
    require(
      sum.shape == shape,
      "a backward step gives its input a gradient of shape \(shape), and there is one of \(sum.shape); "
        + "the gradient of an input has the input's shape")
    sum.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { body(base.floats, 1) }
    }
    self[key] = sum
    return true
  }
}

/// The gradients that have reached the nodes of a graph so far, during one backward pass.
///
/// What reaches a parameter adds up under the parameter, however many variables stand for it: a
/// table that input and output share has one gradient, not two.
final class GradientTable {
  private var pending: [ObjectIdentifier: Tensor] = [:]
  var leaves: Gradients

  init(leaves: Gradients) { self.leaves = leaves }

  /// Hands over the gradient of a node within the graph, which is complete.
  func take(_ node: Node) -> Tensor? { pending.removeValue(forKey: ObjectIdentifier(node)) }

  func add(_ gradient: Tensor, to node: Node) {
    if let parameter = node.parameter {
      leaves.accumulate(gradient, for: parameter)
    } else {
      _ = pending.accumulate(gradient, at: ObjectIdentifier(node))
    }
  }

  func accumulate(
    to node: Node, shape: Shape, _ body: (UnsafeMutablePointer<Float>, Float) -> Void
  ) {
    if let parameter = node.parameter {
      leaves.accumulate(for: parameter, shape: shape, body)
    } else {
      _ = pending.accumulate(at: ObjectIdentifier(node), shape: shape, body)
    }
  }
}

/// The gradients of an operation's inputs, which its backward closure adds to.
///
/// Inputs are numbered in the order of the argument of
/// ``Variable/record(_:inputs:recompute:backward:)``.
public struct InputGradients {
  let inputs: [Node?]
  let table: GradientTable

  /// Whether input `index` needs a gradient. Skip the work if not.
  public func isNeeded(_ index: Int) -> Bool { inputs[index] != nil }

  /// Adds `gradient`, in the input's shape, to the gradient of input `index`.
  public func add(_ gradient: Tensor, to index: Int) {
    if let node = inputs[index] { table.add(gradient, to: node) }
  }

  /// Lets `body` write the gradient of input `index` in place: it computes
  /// `d = contribution + beta d`, where beta is 0 for uninitialized memory or 1. Saves a temporary
  /// and a pass over it if matrix products can accumulate.
  package func accumulate(
    to index: Int, shape: Shape, _ body: (_ d: UnsafeMutablePointer<Float>, _ beta: Float) -> Void
  ) {
    if let node = inputs[index] { table.accumulate(to: node, shape: shape, body) }
  }

  /// Differentiates a recomputed part of the graph: its parameters' gradients add up with the
  /// others', those of `leaves` are returned.
  func propagate(_ seed: consuming Tensor, from root: Node, to leaves: [Node?]) -> [Tensor?] {
    let part = GradientTable(leaves: table.leaves)
    // One owner, so that sums happen in place.
    table.leaves = Gradients()
    Variable.propagate(seed, from: root, into: part)
    table.leaves = part.leaves
    return leaves.map { $0.flatMap { part.take($0) } }
  }
}

extension Variable {
  /// Records a differentiable operation, for the library's operations and yours.
  ///
  /// ```swift
  /// func squared(_ x: Variable) -> Variable {
  ///   let value = x.value
  ///   return .record(value * value, inputs: [x]) { dy, inputs in
  ///     inputs.add((dy * value).scaled(by: 2), to: 0)
  ///   }
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - value: the result of the forward pass.
  ///   - inputs: the variables that it was computed from.
  ///   - recompute: recomputes `value`, to the same bits. Pass it if recomputing is much cheaper
  ///     than the memory and uses only what `backward` keeps anyway; backward closures that capture
  ///     the result with ``saved`` then keep nothing of it.
  ///   - backward: takes the gradient of the result and adds the gradients of the inputs that need
  ///     one. It runs at most once, after the forward pass, outside its scopes. Its captures stay
  ///     alive until then, so capture only what it needs. It is dropped at once, and the result is
  ///     a constant, if no input needs a gradient or nothing is being recorded.
  public static func record(
    _ value: Tensor, inputs: [Variable], recompute: (@Sendable () -> Tensor)? = nil,
    backward: @escaping @Sendable (_ gradient: Tensor, _ inputs: InputGradients) -> Void
  ) -> Variable {
    recordOwning(value, inputs: inputs, recompute: recompute) { backward($0, $1) }
  }

  /// Records an operation whose backward step may write into the gradient that it is given, which
  /// saves a buffer where nobody else sees that gradient (and costs a copy where somebody does).
  package static func recordOwning(
    _ value: Tensor, inputs: [Variable], recompute: (@Sendable () -> Tensor)? = nil,
    backward: @escaping Node.Backward
  ) -> Variable {
    guard GradientMode.isRecording, inputs.contains(where: { $0.node != nil }) else {
      return Variable(value)
    }
    let recomputation = recompute.map { Recomputation($0) }
    let node = Node(
      inputs: inputs.map(\.node), recomputation: recomputation, backward: backward)
    return Variable(value: value, node: node, recomputation: recomputation)
  }

  /// The gradients of this scalar with respect to the trainable parameters it was computed from.
  ///
  /// Each recorded operation runs its backward closure once and is then dropped, with its memory: a
  /// second call on the same graph traps.
  public func gradients() -> Gradients {
    require(
      value.elementCount == 1,
      "gradients() of a variable of shape \(shape), which is not one number; add it up with sum() or "
        + "mean(), or call gradients(from:) with a seed of its shape")
    return gradients(from: Tensor([1], shape: shape))
  }

  /// The gradients of `sum(self * seed)`, with `seed` in this variable's shape.
  public func gradients(from seed: Tensor) -> Gradients {
    require(
      seed.shape == shape,
      "gradients(from:) with a seed of shape \(seed.shape) for a variable of \(shape); they must be "
        + "equal")
    var gradients = Gradients()
    accumulateGradients(from: seed, into: &gradients)
    return gradients
  }

  /// Adds the gradients of this scalar to `gradients`, in place, so that accumulating over batches
  /// needs no second set.
  package func accumulateGradients(into gradients: inout Gradients) {
    require(
      value.elementCount == 1, "gradients of a variable of shape \(shape), which is not one number")
    accumulateGradients(from: Tensor([1], shape: shape), into: &gradients)
  }

  private func accumulateGradients(from seed: Tensor, into gradients: inout Gradients) {
    guard let node else { return }
    let table = GradientTable(leaves: gradients)
    gradients = Gradients()
    Self.propagate(seed, from: node, into: table)
    gradients = table.leaves
  }

  /// Runs the backward pass. What reaches leaves without a parameter stays in the table.
  static func propagate(_ seed: consuming Tensor, from root: Node, into table: GradientTable) {
    table.add(seed, to: root)
    for node in reachable(from: root) {
      if node.inputs.isEmpty { continue }
      node.releaseValue()
      guard var gradient = table.take(node) else { continue }
      guard let backward = node.takeBackward() else {
        misuse(
          "gradients() a second time on one graph, which the first forgot; compute the value again, or "
            + "add up what both are wanted for before one call")
      }
      withoutGradients {
        backward(&gradient, InputGradients(inputs: node.inputs, table: table))
      }
    }
  }

  /// Every node that `root` depends on, latest first.
  private static func reachable(from root: Node) -> [Node] {
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(root)]
    var nodes = [root]
    var next = 0
    while next < nodes.count {
      for case let input? in nodes[next].inputs
      where seen.insert(ObjectIdentifier(input)).inserted {
        nodes.append(input)
      }
      next += 1
    }
    return nodes.sorted { $0.id > $1.id }
  }
}
