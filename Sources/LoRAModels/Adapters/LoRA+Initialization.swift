import LoRAAutograd
import LoRATensor

extension LoRA {
  /// How the factors of a fresh adapter start. None of them changes what the model computes, and none
  /// writes to the base.
  public enum Initialization: String, Sendable, Hashable, Codable, CaseIterable {
    /// A uniform within `1 / sqrt(inputSize)`, B zero: PEFT's standard.
    case kaiming
    /// A normally distributed with deviation `1 / rank`, B zero.
    case gaussian
    /// A and B random, with rows of A that are orthogonal to the columns of B, so that their product
    /// is zero within rounding. Needs an even rank.
    ///
    /// Source: <https://datta0.github.io/posts/rethink-lora-init/>, as PEFT has it.
    case orthogonal
    /// The largest singular values and vectors of W, exactly (no random projections).
    ///
    /// PEFT takes the product off the base's weights; here the adapter carries it along, see
    /// ``LowRankAdapter/origin``.
    ///
    /// Source: Meng et al., *PiSSA: principal singular values and singular vectors adaptation of
    /// large language models*, 2024.
    case pissa
    /// The first columns and rows of the QR decomposition of W, carried along as for ``pissa``.
    ///
    /// Source: Büyükakyüz, *OLoRA: orthonormal low-rank adaptation of large language models*, 2024.
    case olora
  }

  /// A and B as they start, and whether their product must be taken off again.
  func initialFactors(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> (a: Tensor, b: Tensor, hasEffect: Bool) {
    let (inputs, outputs) = (layer.inputSize, layer.outputSize)
    switch initialization {
    case .kaiming:
      return (random.kaiming([rank, inputs]), .zeros([outputs, rank]), false)
    case .gaussian:
      let a = random.normal([rank, inputs], standardDeviation: 1 / Float(rank))
      return (a, .zeros([outputs, rank]), false)
    case .orthogonal:
      return try orthogonalFactors(inputs, outputs, path, &random)
    case .pissa, .olora:
      let (a, b) = try factors(of: layer.denseWeight(), path)
      return (a, b, true)
    }
  }

  /// Half of the rows of one random orthonormal basis span A's columns, the others B's rows.
  private func orthogonalFactors(
    _ inputs: Int, _ outputs: Int, _ path: String, _ random: inout SeededRandom
  ) throws(AdapterError) -> (a: Tensor, b: Tensor, hasEffect: Bool) {
    guard rank % 2 == 0 else {
      throw .invalidValue(
        parameter: "rank", value: "\(rank)", expected: "an even one for orthogonal factors")
    }
    let basis: Tensor
    do throws(LinearAlgebraError) {
      basis = try random.normal([rank, rank]).qrDecomposition().q
    } catch {
      throw .unsupported(layer: path, reason: "\(error)")
    }
    let half = rank / 2
    func rows(_ first: Int) -> Tensor {
      .concatenated((0..<half).map { basis[rows: 2 * $0 + first..<2 * $0 + first + 1] })
    }
    let (left, right) = (random.normal([inputs, half]), random.normal([outputs, half]))
    let a = left.matrixProduct(with: rows(1)).transposed()
    let b = right.matrixProduct(with: rows(0))
    return (a.scaled(by: 0.1), b.scaled(by: 0.1), false)
  }

  /// A and B of PiSSA or OLoRA: `scale B A` is the part of `weight` that the adapter starts from.
  private func factors(
    of weight: Tensor, _ path: String
  ) throws(AdapterError) -> (a: Tensor, b: Tensor) {
    let side = min(weight.shape[0], weight.shape[1])
    guard rank <= side else {
      throw .invalidValue(
        parameter: "rank", value: "\(rank)",
        expected: "at most the smaller side of layer \(path), \(side), for \(initialization)")
    }
    guard scale > 0 else {
      throw .invalidValue(
        parameter: "alpha", value: "\(alpha)", expected: "above 0 for \(initialization)")
    }
    do throws(LinearAlgebraError) {
      if initialization == .olora {
        let (q, r) = try weight.qrDecomposition()
        return (r[rows: 0..<rank], q.sliced(axis: 1, 0..<rank))
      }
      let svd = try weight.singularValueDecomposition()
      let roots = Tensor(
        svd.singularValues.scalars().prefix(rank).map { ($0 / scale).squareRoot() })
      return (
        svd.vt[rows: 0..<rank] * roots.reshaped(to: [rank, 1]),
        svd.u.sliced(axis: 1, 0..<rank) * roots
      )
    } catch {
      throw .unsupported(layer: path, reason: "\(error)")
    }
  }
}
