public import LoRATensor

/// The gradients of a scalar with respect to the trainable parameters that it depends on.
public struct Gradients: Sendable {
  private var values: [ObjectIdentifier: Tensor] = [:]
  /// The parameters that have a gradient. Keeps them alive, so that identifiers stay theirs.
  public private(set) var parameters: [Parameter] = []

  /// No gradients.
  public init() {}

  /// The gradient of `parameter`, of the parameter's shape; nil if the scalar does not depend on it.
  public subscript(parameter: Parameter) -> Tensor? {
    get { values[ObjectIdentifier(parameter)] }
    set {
      let key = ObjectIdentifier(parameter)
      if values[key] == nil, newValue != nil { parameters.append(parameter) }
      if newValue == nil { parameters.removeAll { $0 === parameter } }
      values[key] = newValue
    }
  }

  /// Whether there is none.
  public var isEmpty: Bool { values.isEmpty }

  /// Adds `other`, as when accumulating over several batches.
  public mutating func add(_ other: Gradients) {
    for parameter in other.parameters {
      guard let gradient = other[parameter] else { continue }
      accumulate(gradient, for: parameter)
    }
  }

  mutating func accumulate(_ gradient: Tensor, for parameter: Parameter) {
    let key = ObjectIdentifier(parameter)
    if var sum = values.removeValue(forKey: key) {
      sum.add(gradient)
      values[key] = sum
    } else {
      parameters.append(parameter)
      values[key] = gradient
    }
  }

  /// The square root of the sum of squares over the gradients of `parameters`, in that order.
  public func norm(over parameters: [Parameter]) -> Float {
    var sum = 0.0
    for parameter in parameters {
      sum += self[parameter]?.sumOfSquares() ?? 0
    }
    return Float(sum.squareRoot())
  }
}

/// The gradients that have reached the nodes of a graph so far, during one backward pass.
final class GradientTable {
  private var pending: [ObjectIdentifier: Tensor] = [:]
  var leaves = Gradients()

  func take(_ node: Node) -> Tensor? { pending.removeValue(forKey: ObjectIdentifier(node)) }
  func put(_ gradient: Tensor, for node: Node) { pending[ObjectIdentifier(node)] = gradient }
}

/// Where an operation's backward step puts the gradients of its inputs.
///
/// Inputs are numbered as they were given to ``Variable/record(_:inputs:backward:)``.
public struct InputGradients {
  let inputs: [Node?]
  let table: GradientTable

  /// Whether anybody wants the gradient of input `index`. Skip the work if not.
  public func isNeeded(_ index: Int) -> Bool { inputs[index] != nil }

  /// Adds `gradient`, of the input's shape, to what has reached input `index` from elsewhere.
  public func add(_ gradient: Tensor, to index: Int) {
    guard let node = inputs[index] else { return }
    if var sum = table.take(node) {
      sum.add(gradient)
      table.put(sum, for: node)
    } else {
      table.put(gradient, for: node)
    }
  }

  /// Lets `body` write the gradient of input `index` where it belongs: it computes
  /// `d = contribution + beta d`, beta being 0 on uninitialized memory or 1. Saves a temporary and
  /// a pass over it where matrix products can accumulate.
  package func accumulate(
    to index: Int, shape: Shape, _ body: (_ d: UnsafeMutablePointer<Float>, _ beta: Float) -> Void
  ) {
    guard let node = inputs[index] else { return }
    if var sum = table.take(node) {
      precondition(sum.shape == shape, "a gradient of shape \(shape) for one of \(sum.shape)")
      sum.withUnsafeMutableBytes { bytes in
        if let base = bytes.baseAddress { body(base.floats, 1) }
      }
      table.put(sum, for: node)
    } else {
      table.put(Tensor(shape: shape) { body($0, 0) }, for: node)
    }
  }

  /// Adds what a recomputed part of the graph found for its own parameters.
  func add(_ gradients: Gradients) { table.leaves.add(gradients) }
}

extension Variable {
  /// Records a differentiable operation: the one door for the library's operations and yours.
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
  ///   - value: the result of the forward computation.
  ///   - inputs: what it was computed from.
  ///   - backward: given the gradient of the result, adds the gradients of the inputs that need
  ///     one. It runs at most once, after the forward pass, outside of its scopes; what it captures
  ///     is kept until then, so capture no more than it needs. It is dropped at once, and the result
  ///     is a constant, if no input needs a gradient or nothing is being recorded.
  public static func record(
    _ value: Tensor, inputs: [Variable],
    backward: @escaping @Sendable (_ gradient: Tensor, _ inputs: InputGradients) -> Void
  ) -> Variable {
    guard GradientMode.isRecording, inputs.contains(where: { $0.node != nil }) else {
      return Variable(value)
    }
    return Variable(value: value, node: Node(inputs: inputs.map(\.node), backward: backward))
  }

  /// The gradients of this scalar with respect to the trainable parameters it was computed from.
  ///
  /// Each recorded operation runs its backward step once and is then forgotten, its memory freed:
  /// a second call on the same graph traps.
  public func gradients() -> Gradients {
    precondition(value.elementCount == 1, "gradients() of a variable of shape \(shape)")
    return gradients(from: Tensor([1], shape: shape))
  }

  /// The gradients of `sum(self * seed)`, seed being of this variable's shape.
  public func gradients(from seed: Tensor) -> Gradients {
    precondition(seed.shape == shape, "a seed of shape \(seed.shape) for one of \(shape)")
    guard let node else { return Gradients() }
    return Self.propagate(seed, from: node).leaves
  }

  /// Runs the backward pass. What reaches leaves without a parameter stays in the table.
  static func propagate(_ seed: Tensor, from root: Node) -> GradientTable {
    let table = GradientTable()
    table.put(seed, for: root)
    for node in reachable(from: root) {
      if let parameter = node.parameter {
        if let gradient = table.take(node) { table.leaves.accumulate(gradient, for: parameter) }
        continue
      }
      if node.inputs.isEmpty { continue }
      guard let gradient = table.take(node) else { continue }
      guard let backward = node.takeBackward() else {
        preconditionFailure("the graph was differentiated before; compute the value again")
      }
      withoutGradients {
        backward(gradient, InputGradients(inputs: node.inputs, table: table))
      }
    }
    return table
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
