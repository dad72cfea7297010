import LoRAAutograd
import LoRATensor

/// What the adapters that apply to a pass do to one module, by kind.
struct AppliedEffects {
  /// A change that is added to what the base computes.
  enum Change {
    case lowRank(LowRankEffect)
    case normalized(NormalizedEffect)
    case computed(ComputedEffect)
  }

  /// New values of parameters, in the order of attachment, as all that follows.
  private(set) var parameters: [(new: ParameterReplacement, strength: Float)] = []
  /// New vectors.
  private(set) var tokenVectors: [(new: TokenVectorReplacement, strength: Float)] = []
  /// What the base is multiplied by.
  private(set) var scalings: [(effect: ScalingEffect, strength: Float)] = []
  /// What is added, and who adds it.
  private(set) var changes: [(change: Change, adapter: ActiveAdapter)] = []

  init(_ active: [ActiveAdapter]) {
    for item in active {
      switch item.adapter.effect {
      case .lowRank(let effect): changes.append((.lowRank(effect), item))
      case .normalized(let effect): changes.append((.normalized(effect), item))
      case .computed(let effect): changes.append((.computed(effect), item))
      case .scaling(let effect): scalings.append((effect, item.strength))
      case .parameters(let new): parameters.append((new, item.strength))
      case .tokenVectors(let new): tokenVectors.append((new, item.strength))
      // Read by blocks, see AdapterSlot.adapting, and by the model, see AppliedVirtualTokens.
      case .block, .virtualTokens: continue
      }
    }
  }

  /// Whether the module's own parameters are replaced.
  var replaces: Bool { !parameters.isEmpty || !tokenVectors.isEmpty }

  /// The factors that inputs, or outputs, are multiplied by; nil if none scales them.
  func factors(ofInputs: Bool) -> Variable? {
    var product: Variable?
    for (effect, strength) in scalings where effect.scalesInput == ofInputs {
      let factors = effect.factors(strength: strength)
      product = product.map { $0 * factors } ?? factors
    }
    return product
  }

  /// The value of the module's own `parameter`, which it calls `name`.
  func value(of parameter: Parameter, named name: String) -> Variable {
    var result: Variable?
    for item in parameters {
      guard let new = item.new.parameters[name] else { continue }
      if result == nil, item.strength == 1 {
        result = Variable(new)
        continue
      }
      let base = Variable(parameter.value.converted(to: .float32))
      result = (result ?? base) + (Variable(new) - base).scaled(by: item.strength)
    }
    return result ?? Variable(parameter)
  }
}
