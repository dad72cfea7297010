public import LoRAAutograd
import LoRATensor

/// Whole new values of a module's own parameters, as one adapter brings them: PEFT's
/// `modules_to_save` and trained biases. The base's parameters stay as they are.
///
/// At strength k a parameter is `base + k (new - base)`; at strength 1 it is the new value, bit for
/// bit.
public final class ParameterOverride: LinearAdapter {
  /// The new values, under the names that the module gives its parameters.
  public let parameters: Named<Parameter>

  /// Creates an override of the parameters with these names.
  public init(_ parameters: Named<Parameter>) { self.parameters = parameters }

  /// The new values.
  public var effect: AdapterEffect { .parameters(ParameterReplacement(parameters)) }
}

/// New rows of an embedding's table, as one adapter brings them (PEFT's `trainable_token_indices`).
/// A head that shares the table has them too.
///
/// At strength k a row is `base + k (new - base)`; at strength 1 it is the new row, bit for bit.
public final class RowOverride: LinearAdapter {
  /// The tokens and their rows.
  public let replacement: TokenRowReplacement

  /// Creates an override by rows `[ids, size]`. Traps unless there is a row for every id.
  public init(ids: [Int], rows: Parameter) {
    replacement = TokenRowReplacement(ids: ids, rows: rows)
  }

  /// The rows, under the name that PEFT gives them.
  public var parameters: Named<Parameter> {
    ["token_adapter.trainable_tokens_delta": replacement.rows]
  }

  /// The new rows.
  public var effect: AdapterEffect { .tokenRows(replacement) }
}

/// New values of a module's own parameters. At strength k a parameter is `base + k (new - base)`; at
/// strength 1 it is the new value, bit for bit.
public struct ParameterReplacement: Sendable {
  /// The new values, under the names that the module gives its parameters. A weight is
  /// `[outputSize, inputSize]`, an embedding's its table, a norm's a vector.
  public let parameters: Named<Parameter>

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

/// New rows of a table of tokens, and of the head that shares it. At strength k a row is
/// `base + k (new - base)`; at strength 1 it is the new row, bit for bit.
public struct TokenRowReplacement: Sendable {
  /// The tokens whose rows are new.
  public let ids: [Int]
  /// The rows, `[ids, size]`.
  public let rows: Parameter

  /// Creates a replacement. Traps unless there is a row for every id.
  public init(ids: [Int], rows: Parameter) {
    require(
      rows.shape.count == 2 && rows.shape[0] == ids.count,
      "\(rows.shape) are not the rows of \(ids.count) tokens")
    self.ids = ids
    self.rows = rows
  }
}

extension TokenRowReplacement {
  /// Where in `ids` the tokens with new rows are, and which rows theirs are.
  func positions(of ids: Tensor) -> [(position: Int, row: Int)] {
    let rowOfToken = Dictionary(
      zip(self.ids, self.ids.indices), uniquingKeysWith: { first, _ in first })
    return ids.scalars(as: Int64.self).enumerated().compactMap { position, id in
      rowOfToken[Int(id)].map { (position, $0) }
    }
  }

  /// `base`, a table or the weight of a head, with the new rows mixed in.
  func replacing(_ base: LinearWeights, strength: Float) -> LinearWeights {
    var weight = base.weight.converted(to: .float32)
    let size = weight.shape[1]
    let new = rows.value
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
  /// Inside ``grouped(_:_:)`` where rows of a batch may differ.
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
    case .rows:
      misuse(
        "rows of the batch have different values of '\(name)'; the module must compute inside "
          + "slot.grouped(x) { ... }")
    }
  }
}
