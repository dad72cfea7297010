import LoRAAutograd
import LoRATensor

/// What a model computed is no finite number: no loss and no token follows from it.
///
/// Names the first layer that it happened in, which another pass finds, and says whether the base
/// alone computes finite numbers: then the adapters, or their strengths, are the cause.
public struct NonFiniteOutput: Error, Sendable, Hashable {
  /// What makes numbers overflow.
  public enum Cause: Sendable, Hashable {
    /// The adapters that applied: without them all numbers are finite.
    case adapters
    /// The weights of the base, with merged adapters if there are any.
    case base
  }

  /// The path of the first layer with a number that is not finite; empty if all layers' are finite,
  /// and only the loss is not.
  public let layer: String
  /// Whether the layer got such a number rather than made it: what lies between it and the layers
  /// before, attention or a sum, did.
  public let isInput: Bool
  /// The place of the number in the layer's input or output.
  public let position: [Int]
  /// The number, infinite or NaN.
  public let value: Float
  /// What makes numbers overflow.
  public let cause: Cause

  /// Creates a description from its parts.
  package init(
    layer: String, isInput: Bool = false, position: [Int] = [], value: Float = .nan, cause: Cause
  ) {
    self.layer = layer
    self.isInput = isInput
    self.position = position
    self.value = value
    self.cause = cause
  }

  /// Whether both say the same of the same number, also where that is a NaN, which equals nothing.
  public static func == (a: NonFiniteOutput, b: NonFiniteOutput) -> Bool {
    (a.layer, a.isInput, a.position, a.value.bitPattern, a.cause)
      == (b.layer, b.isInput, b.position, b.value.bitPattern, b.cause)
  }
}

extension NonFiniteOutput: CustomStringConvertible {
  /// Where, what, why, and what to do.
  public var description: String {
    let place =
      layer.isEmpty
      ? "the loss is not a finite number, though every layer's output is"
      : "layer \(layer): element \(position) of its \(isInput ? "input" : "output") is \(value)"
    let reason =
      switch cause {
      case .adapters:
        "the base alone computes finite numbers: the adapters are too strong or damaged; use a "
          + "smaller strength, or check them with lora inspect"
      case .base:
        "the base's weights are finite, but too large for the sums: they are damaged, or were merged "
          + "or trained with numbers near the limits of their type"
      }
    return "\(place); \(reason)"
  }
}

extension NonFiniteOutput {
  /// Looks for the cause by running `model` again on `batch`, under the adapters of the pass that failed:
  /// those that apply here.
  package init(of model: any TokenModel, _ batch: TokenBatch) {
    let found = OutputProbe.firstFinding(in: model, batch)
    let isBase: Bool
    do {
      isBase = try model.withAdapters([:]) {
        OutputProbe.firstFinding(in: model, batch) != nil
      }
    } catch {
      // Adapters are merged: the weights are all there is.
      isBase = true
    }
    let path = found.flatMap { found in model.modules().first { $0.module === found.module }?.path }
    self.init(
      layer: path ?? "", isInput: found?.isInput ?? false, position: found?.position ?? [],
      value: found?.value ?? .nan, cause: isBase || found == nil ? .base : .adapters)
  }
}

/// Watches the outputs of a pass's layers for numbers that are not finite. Costs a look at each of
/// them, so a pass has one only when something is known to be wrong.
final class OutputProbe: Sendable {
  /// The first such number.
  struct Finding: Sendable {
    let module: any Module
    let isInput: Bool
    let position: [Int]
    let value: Float
  }

  /// The probe of the pass that runs now.
  @TaskLocal static var current: OutputProbe?

  private let found = Locked<Finding?>(nil)

  /// Looks at what `module` got and made.
  func examine(input: Variable? = nil, output: Variable, of module: any Module) {
    if found.withLock({ $0 != nil }) { return }
    let numbers = [(input?.value, true), (output.value, false)]
    for case (let tensor?, let isInput) in numbers {
      guard let index = tensor.firstNonFiniteIndex() else { continue }
      let finding = Finding(
        module: module, isInput: isInput, position: tensor.position(of: index),
        value: tensor.number(at: index))
      return found.withLock { $0 = $0 ?? finding }
    }
  }

  /// The first number that is not finite in a pass of `model` over `batch`; nil if there is none.
  static func firstFinding(in model: any TokenModel, _ batch: TokenBatch) -> Finding? {
    let probe = OutputProbe()
    $current.withValue(probe) {
      withoutGradients {
        let hidden = model.hiddenStates(batch)
        switch model {
        case let model as any LanguageModel: _ = model.logits(of: hidden)
        case let model as any Classifier: _ = model.logits(of: hidden, batch)
        default: break
        }
      }
    }
    return probe.found.withLock { $0 }
  }
}
