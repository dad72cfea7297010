public import LoRAAutograd
import LoRATensor

/// What an adapter adds to the parts of a block, before each is added to the block's input: the effect
/// of bottleneck adapters.
///
/// ```swift
/// .block(
///   BlockEffect { part, inputs in
///     part == .feedForward ? inputs.output.linear(weight: down)(.relu).linear(weight: up) : nil
///   })
/// ```
///
/// It belongs to an ``AdaptableBlock``, can't be merged into weights, and costs generation the general
/// pass of its block.
public struct BlockEffect: Sendable {
  /// A part of a block.
  public enum Part: Sendable, Hashable, CaseIterable {
    case attention, feedForward
  }

  /// What the change of a part may read, each `[batch, positions, hiddenSize]`.
  public struct Inputs {
    /// The part's output.
    public let output: Variable
    /// What that is added to.
    public let residual: Variable
    let norm: ((Variable) -> Variable)?

    /// Their sum, normed where the block norms it. Computed anew at each access.
    public var sum: Variable {
      let sum = output + residual
      return norm?(sum) ?? sum
    }
  }

  /// What is added to a part's output, of the same shape; nil: nothing.
  public typealias Change = @Sendable (_ part: Part, _ inputs: Inputs) -> Variable?

  let change: Change
  /// The parts that it changes.
  package let parts: Set<Part>
  let hiddenSize: Int?

  /// Creates an effect from what computes it.
  ///
  /// - Parameters:
  ///   - hiddenSize: the size of the hidden states that it fits; nil for what does not depend on it.
  ///   - parts: the parts for which `change` gives something.
  ///   - change: what is added.
  public init(
    hiddenSize: Int? = nil, parts: Set<Part> = Set(Part.allCases), change: @escaping Change
  ) {
    self.hiddenSize = hiddenSize
    self.parts = parts
    self.change = change
  }
}

/// A block of a model: a module that adds the outputs of its parts to its input, and lets adapters
/// change them before.
///
/// ```swift
/// func callAsFunction(_ x: Variable) -> Variable {
///   let attended = slot.adapting(.attention, attention(norm1(x)), residual: x)
///   let sum = x + attended
///   return sum + slot.adapting(.feedForward, feedForward(norm2(sum)), residual: sum)
/// }
/// ```
public protocol AdaptableBlock: AdaptableModule {
  /// The size of a hidden state.
  var hiddenSize: Int { get }
}

extension AdapterSlot {
  /// `output`, what a part of a block computed, with what adapters add to it.
  ///
  /// - Parameters:
  ///   - part: the part.
  ///   - output: `[batch, positions, hiddenSize]`.
  ///   - residual: what the block adds it to.
  ///   - norm: what the block does to the sum; nil for a block that norms its parts' inputs.
  public func adapting(
    _ part: BlockEffect.Part, _ output: Variable, residual: Variable,
    norm: ((Variable) -> Variable)? = nil
  ) -> Variable {
    if isUnused { return output }
    return grouped(shape: output.shape) { items in
      func own(_ x: Variable) -> Variable {
        guard let items else { return x }
        return .concatenated(items.map { x.sliced(axis: 0, $0..<$0 + 1) })
      }
      guard case .adapters(let active) = contribution() else { return own(output) }
      let inputs = BlockEffect.Inputs(output: own(output), residual: own(residual), norm: norm)
      return active.reduce(inputs.output) { sum, item in
        guard case .block(let effect) = item.adapter.effect,
          let change = effect.change(part, inputs)
        else { return sum }
        require(
          change.shape == sum.shape,
          "the effect of \(type(of: item.adapter)) makes \(change.shape) of \(sum.shape); what it adds "
            + "has the shape of the output")
        return sum + (item.strength == 1 ? change : change.scaled(by: item.strength))
      }
    }
  }
}
