public import LoRAAutograd
import LoRATensor

/// Whole new values of a module's own parameters, as one adapter brings them: PEFT's
/// `modules_to_save` and trained biases. The base's parameters stay as they are.
///
/// At strength k a parameter is `base + k (new - base)`; at strength 1 it is the new value, bit for
/// bit.
package final class ParameterOverride: LinearAdapter {
  /// The new values, under the names that the module gives its parameters.
  package let parameters: Named<Parameter>

  /// Creates an override of the parameters with these names.
  package init(_ parameters: Named<Parameter>) { self.parameters = parameters }

  /// The new values.
  package var effect: AdapterEffect { .parameters(ParameterReplacement(parameters)) }
}

/// New vectors of some tokens of an embedding, as one adapter brings them (PEFT's
/// `trainable_token_indices`). A head that shares the table has them too.
///
/// At strength k a vector is `base + k (new - base)`; at strength 1 it is the new vector, bit for bit.
package final class TokenVectorOverride: LinearAdapter {
  /// The tokens and their vectors.
  package let replacement: TokenVectorReplacement

  /// Creates an override by vectors `[ids, size]`. Traps unless there is one for every id.
  package init(ids: [Int], vectors: Parameter) {
    replacement = TokenVectorReplacement(ids: ids, vectors: vectors)
  }

  /// The vectors, under the name that PEFT gives them.
  package var parameters: Named<Parameter> {
    ["token_adapter.trainable_tokens_delta": replacement.vectors]
  }

  /// The new vectors.
  package var effect: AdapterEffect { .tokenVectors(replacement) }
}

/// New values of a module's own parameters. At strength k a parameter is `base + k (new - base)`; at
/// strength 1 it is the new value, bit for bit.
public struct ParameterReplacement: Sendable {
  /// The new values, under the names that the module gives its parameters. A weight is
  /// `[outputSize, inputSize]`, an embedding's its table, a norm's a vector.
  package let parameters: Named<Parameter>

  /// Creates a replacement.
  public init(_ parameters: Named<Parameter>) { self.parameters = parameters }
}

extension ParameterReplacement {
  /// `base` with the new values mixed in.
  func replacing(_ base: LinearWeights, strength: Float) -> LinearWeights {
    var result = base
    if let weight = parameters["weight"]?.value {
      result.weight = mixed(base.weight, weight, strength)
    }
    if let bias = parameters["bias"]?.value {
      result.bias = mixed(base.bias ?? .zeros(bias.shape), bias, strength)
    }
    return result
  }
}

/// New vectors of some tokens of a table, and of the head that shares it. At strength k a vector is
/// `base + k (new - base)`; at strength 1 it is the new vector, bit for bit.
public struct TokenVectorReplacement: Sendable {
  /// The tokens whose vectors are new.
  package let ids: [Int]
  /// The vectors, `[ids, size]`.
  package let vectors: Parameter

  /// Creates a replacement. Traps unless there is a vector for every id.
  public init(ids: [Int], vectors: Parameter) {
    require(
      vectors.shape.count == 2 && vectors.shape[0] == ids.count,
      "\(vectors.shape) are not the vectors of \(ids.count) tokens")
    self.ids = ids
    self.vectors = vectors
  }
}

extension TokenVectorReplacement {
  /// Where in `ids` the tokens with new vectors are, and which of the vectors theirs are.
  func positions(of ids: Tensor) -> [(position: Int, row: Int)] {
    let vectorOfToken = Dictionary(
      zip(self.ids, self.ids.indices), uniquingKeysWith: { first, _ in first })
    return ids.scalars(as: Int64.self).enumerated().compactMap { position, id in
      vectorOfToken[Int(id)].map { (position, $0) }
    }
  }

  /// `base`, a table or the weight of a head, with the new vectors mixed in.
  func replacing(_ base: LinearWeights, strength: Float) -> LinearWeights {
    var weight = base.weight.converted(to: .float32)
    let size = weight.shape[1]
    let new = vectors.value
    weight.withUnsafeMutableBytes { bytes in
      new.withUnsafeElements(of: Float.self) { new in
        guard let table = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        for (index, id) in ids.enumerated() {
          for column in 0..<size {
            let value = new[index * size + column]
            let old = table[id * size + column]
            table[id * size + column] = strength == 1 ? value : old + strength * (value - old)
          }
        }
      }
    }
    return LinearWeights(weight: weight, bias: base.bias)
  }
}

/// `base + strength (new - base)`; `new` itself, bit for bit, at strength 1.
private func mixed(_ base: Tensor, _ new: Tensor, _ strength: Float) -> Tensor {
  if strength == 1 { return new }
  var result = base.converted(to: .float32)
  result.add(new - result, times: strength)
  return result
}

extension AdapterSlot {
  /// The value of a module's own `parameter`, which it calls `name`, in the pass that runs now: what
  /// the adapters that apply make of it, or else the base's.
  ///
  /// Inside ``grouped(_:_:)`` where items of a batch may differ.
  public func value(of parameter: Parameter, named name: String) -> Variable {
    switch contribution() {
    case .none: return Variable(parameter)
    case .merged(let weights):
      switch name {
      case "weight": return Variable(weights.weight)
      case "bias": return Variable(weights.bias ?? parameter.value)
      default: return Variable(parameter)
      }
    case .adapters(let active):
      return AppliedEffects(active).value(of: parameter, named: name)
    case .items:
      misuse(
        "items of the batch have different values of '\(name)'; the module must compute inside "
          + "slot.grouped(x) { ... }")
    }
  }
}
