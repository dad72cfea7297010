import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// A module that predicts the next token: what training, scoring and generation work with.
public protocol LanguageModel: TokenModel {
  /// The number of layers that keep keys and values.
  var layerCount: Int { get }
  /// The layer that makes logits of hidden states. May share its weight with the embedding.
  var head: any LinearLayer { get }
  /// What logits are capped at, c: l becomes `c tanh(l / c)`. Nil, none, by default.
  var logitSoftCap: Float? { get }
  /// The hidden states that the head is applied to, `[batch, positions, size]`.
  ///
  /// - Parameters:
  ///   - tokens: int64, `[batch, positions]`, ids checked by the caller.
  ///   - cache: the positions that came before; the new ones are appended. Nil for none.
  func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable
}

extension LanguageModel {
  /// The head, which ``LayerSelector/allLinear`` leaves out.
  public var outputHead: (any LinearLayer)? { head }

  /// None.
  public var logitSoftCap: Float? { nil }

  /// The hidden states of whole sequences. What follows a token changes nothing, so padding is read as
  /// tokens. Traps for packed sequences and types, which a model says what to do with by a function of
  /// its own.
  public func hiddenStates(_ batch: TokenBatch) -> Variable {
    if case .packed = batch.sequences {
      misuse(
        "\(type(of: self)) can't keep packed sequences apart: it needs hiddenStates(_:) of a batch")
    }
    require(
      batch.types == nil,
      "\(type(of: self)) knows no types of tokens: it needs hiddenStates(_:) of a batch")
    return hiddenStates(batch.tokens, cache: nil)
  }

  /// The logits of every position of a batch, `[batch, positions, vocabulary]`.
  public func callAsFunction(_ batch: TokenBatch) -> Variable { logits(of: hiddenStates(batch)) }

  /// The logits of hidden states, `[..., vocabulary]`.
  public func logits(of hidden: Variable) -> Variable {
    let logits = head(hidden)
    return logitSoftCap.map { logits.capped(at: $0) } ?? logits
  }

  /// The logits of every position, `[batch, positions, vocabulary]`.
  public func callAsFunction(_ tokens: Tensor) -> Variable {
    logits(of: hiddenStates(tokens, cache: nil))
  }

  /// `scale` times the sum of the cross-entropies of `targets`, int64 of the tokens' shape;
  /// negative targets are ignored. Does not form all logits unless the head itself is adapted.
  public func loss(tokens: Tensor, targets: Tensor, scale: Float) -> Variable {
    loss(hiddenStates(tokens, predicting: targets), targets: targets, scale: scale)
  }

  /// The same of a batch, whose sequences may be packed or padded; targets of padding must be
  /// negative.
  public func loss(_ batch: TokenBatch, targets: Tensor, scale: Float) -> Variable {
    loss(hiddenStates(batch), targets: targets, scale: scale)
  }

  /// The hidden states of `tokens` where there is a target. What follows the last target of an item changes
  /// nothing: of an encoder-decoder's it is left out, since sources and targets are padded apart.
  package func hiddenStates(_ tokens: Tensor, predicting targets: Tensor) -> Variable {
    guard targetStart != nil else { return hiddenStates(tokens, cache: nil) }
    let (wanted, count) = (targets.scalars(as: Int64.self), tokens.shape[1])
    let lengths = (0..<tokens.shape[0]).map { item in
      (wanted[item * count..<(item + 1) * count].lastIndex { $0 >= 0 } ?? item * count)
        - item * count + 1
    }
    return hiddenStates(TokenBatch(tokens, lengths: lengths))
  }

  /// The same of hidden states.
  package func loss(_ hidden: Variable, targets: Tensor, scale: Float) -> Variable {
    if let weight = plainHeadWeight {
      return hidden.linearCrossEntropy(
        weight: weight, targets: targets, scale: scale, softCap: logitSoftCap)
    }
    return logits(of: hidden).crossEntropy(targets: targets, reduction: .sum).scaled(by: scale)
  }

  /// `scale` times the sum over the positions with a target of the divergence of the next token's distribution
  /// from that of `teacher`, hidden states of the same model; see
  /// ``LoRAAutograd/Variable/divergence(from:temperature:)``.
  package func divergence(
    _ hidden: Variable, from teacher: Tensor, targets: Tensor, temperature: Float, scale: Float
  ) -> Variable {
    let size = hidden.shape.innermost
    let ids = targets.scalars(as: Int64.self)
    let kept = Tensor(ids.indices.filter { ids[$0] >= 0 }.map { Int64($0) })
    let own = hidden.reshaped(to: [ids.count, size]).gathered(kept)
    let other = withoutGradients {
      Variable(teacher).reshaped(to: [ids.count, size]).gathered(kept)
    }
    if let weight = plainHeadWeight, logitSoftCap == nil {
      return own.linearDivergence(
        weight: weight, from: other.value, temperature: temperature, scale: scale)
    }
    let logits = withoutGradients { self.logits(of: other) }
    return self.logits(of: own).divergence(from: logits.value, temperature: temperature)
      .scaled(by: scale)
  }

  /// The cross-entropy of each target that counts, in the order of positions, `[count]`, with gradients;
  /// negative targets are left out. Costs one more product with the head than ``loss(tokens:targets:scale:)``.
  public func targetLosses(tokens: Tensor, targets: Tensor) -> Variable {
    let hidden = hiddenStates(tokens, predicting: targets)
    if let weight = plainHeadWeight {
      return hidden.targetLosses(weight: weight, targets: targets, softCap: logitSoftCap)
    }
    return logits(of: hidden).targetLosses(targets)
  }

  /// The negative log-likelihood of each target, natural logarithm, `[batch, positions]`; 0 where a
  /// target is negative.
  ///
  /// Throws ``NonFiniteOutput`` instead of returning losses that are no finite numbers.
  public func tokenLosses(
    tokens: Tensor, targets: Tensor
  ) throws(NonFiniteOutput) -> Tensor {
    let losses = uncheckedTokenLosses(tokens: tokens, targets: targets)
    if losses.firstNonFiniteIndex() != nil { throw NonFiniteOutput(of: self, TokenBatch(tokens)) }
    return losses
  }

  private func uncheckedTokenLosses(tokens: Tensor, targets: Tensor) -> Tensor {
    withoutGradients {
      let hidden = hiddenStates(tokens, predicting: targets)
      if let weight = plainHeadWeight {
        return hidden.tokenLosses(weight: weight.value, targets: targets, softCap: logitSoftCap)
          .reshaped(to: tokens.shape)
      }
      let logits = logits(of: hidden).value
      let (rows, columns) = (logits.shape.rowCount, logits.shape.innermost)
      return logits.withUnsafeElements(of: Float.self) { logits in
        targets.withUnsafeElements(of: Int64.self) { targets in
          Tensor(shape: tokens.shape, dtype: .float32) { losses in
            lk_cross_entropy(
              rows, columns, logits.baseAddress, targets.baseAddress,
              losses.baseAddress?.assumingMemoryBound(to: Float.self), nil)
          }
        }
      }
    }
  }

  /// For each position the most likely next token, `[batch, positions]`, int64. Positions whose
  /// `targets` are negative are not computed and hold -1.
  public func greedyTokens(tokens: Tensor, targets: Tensor) -> Tensor {
    withoutGradients {
      let hidden = hiddenStates(tokens, predicting: targets).value
      let size = hidden.shape.innermost
      let wanted = targets.scalars(as: Int64.self)
      let rows = wanted.indices.filter { wanted[$0] >= 0 }
      var chosen = Array(repeating: Int64(-1), count: wanted.count)
      let states = hidden.reshaped(to: [hidden.shape.rowCount, size])
      for part in partsWithOneHead(rows, positions: tokens.shape[1]) {
        let logits = AdapterScope.$current.withValue(part.scope) {
          head(Variable(.concatenated(part.rows.map { states[rows: $0..<$0 + 1] }))).value
        }
        logits.withUnsafeElements(of: Float.self) { logits in
          guard let base = logits.baseAddress else { return }
          for (index, row) in part.rows.enumerated() {
            chosen[row] = Int64(lk_argmax(vocabularySize, base + index * vocabularySize))
          }
        }
      }
      return Tensor(chosen, shape: tokens.shape)
    }
  }

  /// `rows` of all positions in parts that the same adapters of the head apply to, and that are not
  /// too many: those of each item of the batch where items have adapters of their own.
  private func partsWithOneHead(
    _ rows: [Int], positions: Int
  ) -> [(rows: ArraySlice<Int>, scope: AdapterSnapshot?)] {
    let snapshot = AdapterScope.current
    let isSplit = snapshot?.groupOfItem != nil && !head.slot.isUnused
    var parts: [(rows: ArraySlice<Int>, scope: AdapterSnapshot?)] = []
    var start = 0
    while start < rows.count {
      let item = rows[start] / max(positions, 1)
      var end = start + 1
      while end < rows.count, end - start < 256,
        !isSplit || rows[end] / max(positions, 1) == item
      {
        end += 1
      }
      parts.append((rows[start..<end], isSplit ? snapshot?.only(item: item) : snapshot))
      start = end
    }
    return parts
  }

  /// The head's weight if nothing but a product with it makes the logits now.
  private var plainHeadWeight: Variable? {
    guard let weight = head.weight, head.bias == nil, head.slot.isUnused else { return nil }
    return Variable(weight)
  }
}

/// The head of a model whose input and output share one table.
public final class TiedHead: LinearLayer {
  private let table: Parameter
  /// Where adapters are attached.
  public let slot = AdapterSlot()

  /// What is added to the logits, `[vocabulary]`; nil for nothing.
  public let bias: Parameter?

  /// Creates a head on an embedding's table, `[vocabulary, size]`. Traps for a bias that does not fit.
  public init(table: Parameter, bias: Parameter? = nil) {
    require(
      bias == nil || bias?.shape == [table.shape[0]],
      "a head of table \(table.shape) and bias \(bias.map { "\($0.shape)" } ?? "none")")
    self.table = table
    self.bias = bias
  }

  /// The embedding's table.
  public var weight: Parameter? { table }
  /// The size of a hidden state.
  public var inputSize: Int { table.shape[1] }
  /// The number of token ids.
  public var outputSize: Int { table.shape[0] }
  /// The table, which belongs to the embedding too and counts once, and the bias.
  public var parameters: Named<Parameter> {
    bias.map { ["weight": table, "bias": $0] } ?? ["weight": table]
  }
  /// The logits of hidden states, without adapters.
  public func project(_ x: Variable) -> Variable { x.linear(weight: Variable(table)) }
  /// The table as float32.
  public func denseWeight() -> Tensor { table.value.converted(to: .float32) }
}
