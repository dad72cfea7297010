public import LoRAAutograd
public import LoRATensor

/// A layer that computes `x Wᵀ + bias`, however it stores W: what adapters attach to.
///
/// Conform a layer of your own, and every adapter method works on it: injection, training, merging,
/// saving. Call it as a function; that adds what the attached adapters contribute.
///
/// ```swift
/// final class BlockDiagonal: LinearLayer {
///   let blocks: [Parameter]
///   let slot = AdapterSlot()
///   ...
///   func project(_ x: Variable) -> Variable { ... }  // x Wᵀ of the base alone
///   func denseWeight() -> Tensor { ... }             // W, [outputSize, inputSize]
/// }
/// ```
public protocol LinearLayer: AdaptableModule {
  /// The size of the last dimension of inputs.
  var inputSize: Int { get }
  /// The size of the last dimension of outputs.
  var outputSize: Int { get }
  /// The layer's bias, `[outputSize]`. Nil by default.
  var bias: Parameter? { get }
  /// W itself if the layer stores it densely, `[outputSize, inputSize]`: lets low-rank adapters be
  /// computed in one operation with the base. Nil by default.
  var weight: Parameter? { get }
  /// Whether checkpoints have W as its transpose, `[inputSize, outputSize]`, as GPT-2's `Conv1D`.
  /// False by default.
  var storesTransposedWeight: Bool { get }
  /// `x Wᵀ` of the base alone, without bias or adapters.
  func project(_ x: Variable) -> Variable
  /// W as float32, `[outputSize, inputSize]`: what merging starts from.
  func denseWeight() -> Tensor
}

extension LinearLayer {
  /// No bias.
  public var bias: Parameter? { nil }
  /// Not stored densely.
  public var weight: Parameter? { nil }
  /// As `[outputSize, inputSize]`.
  public var storesTransposedWeight: Bool { false }

  /// The layer's output with what the adapters that apply now contribute.
  ///
  /// - Parameter x: `[..., inputSize]`.
  /// - Returns: `[..., outputSize]`.
  public func callAsFunction(_ x: Variable) -> Variable {
    let y = output(of: x)
    OutputProbe.current?.examine(input: x, output: y, of: self)
    return y
  }

  private func output(of x: Variable) -> Variable {
    switch slot.contribution() {
    case .none:
      return base(x)
    case .merged(let weights):
      return x.linear(
        weight: Variable(weights.weight), bias: weights.bias.map { Variable($0) })
    case .adapters(let active):
      return adapted(x, AppliedEffects(active))
    case .items(let assignment):
      return adapted(x, assignment)
    }
  }

  /// The output where items of the batch have adapters of their own. The base is computed once for
  /// all items if the adapters are of low rank, else once for each group of items.
  private func adapted(_ x: Variable, _ assignment: ItemAdapters) -> Variable {
    assignment.check(x.shape)
    let positions = x.shape.rowCount / max(assignment.itemCount, 1)
    guard let parts = assignment.lowRankParts(positions: positions) else {
      return slot.grouped(x) { self($0) }
    }
    return base(x).adding(parts, input: x)
  }

  /// The output of the base alone.
  func base(_ x: Variable) -> Variable {
    if let weight { return x.linear(weight: Variable(weight), bias: bias.map { Variable($0) }) }
    let y = project(x)
    require(
      y.shape.innermost == outputSize && y.shape.rowCount == x.shape.rowCount,
      "\(Self.self).project(_:) of an input \(x.shape) gives \(y.shape); expected "
        + "\(x.shape.replacingInnermost(with: outputSize)), \(outputSize) being its outputSize")
    return bias.map { y + Variable($0) } ?? y
  }

  /// Weight and bias of the base.
  public func baseWeights() -> LinearWeights {
    let weight = denseWeight()
    require(
      weight.shape == [outputSize, inputSize] && weight.dtype == .float32,
      "\(Self.self).denseWeight() gives \(weight.dtype) \(weight.shape); expected float32 "
        + "[outputSize, inputSize], \([outputSize, inputSize])")
    return LinearWeights(weight: weight, bias: bias?.value.converted(to: .float32))
  }
}

/// The numbers of a linear layer, float32.
public struct LinearWeights: Sendable {
  /// `[outputSize, inputSize]`.
  public var weight: Tensor
  /// `[outputSize]`, if the layer has a bias.
  public var bias: Tensor?

  /// Creates weights from their parts.
  public init(weight: Tensor, bias: Tensor? = nil) {
    self.weight = weight
    self.bias = bias
  }
}
