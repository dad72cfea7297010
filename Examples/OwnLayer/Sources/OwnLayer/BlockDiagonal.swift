public import LoRAKit

/// A linear layer whose weight is zero outside of square blocks on the diagonal: output block `k`
/// sees input block `k` alone. It holds `inputSize * outputSize / blockCount` numbers.
///
/// ```swift
/// var random = SeededRandom(seed: 0, path: "mix")
/// let layer = BlockDiagonal(inputSize: 32, outputSize: 32, blockCount: 4, using: &random)
/// let y = layer(Variable(x))                                   // [..., 32] -> [..., 32]
/// try layer.inject(LoRA(rank: 2, alpha: 4), named: "support")  // any method works on it
/// ```
///
/// A low-rank adapter connects the blocks, which the layer itself cannot.
public final class BlockDiagonal: LinearLayer {
  /// `[blockCount, outputSize / blockCount, inputSize / blockCount]`.
  public let blocks: Parameter
  /// `[outputSize]`.
  public let bias: Parameter?
  /// Where adapters are attached.
  public let slot = AdapterSlot()

  /// Creates a layer from its parameters. Traps if their shapes do not fit.
  public init(blocks: Parameter, bias: Parameter? = nil) {
    precondition(blocks.shape.count == 3, "blocks of shape \(blocks.shape), three extents wanted")
    self.blocks = blocks
    self.bias = bias
    precondition(bias == nil || bias?.shape == [outputSize], "a bias that is not [\(outputSize)]")
  }

  /// Creates a layer with random values, uniform within `1 / sqrt(inputSize / blockCount)`.
  public convenience init(
    inputSize: Int, outputSize: Int, blockCount: Int, using random: inout SeededRandom
  ) {
    precondition(
      inputSize % blockCount == 0 && outputSize % blockCount == 0,
      "\(blockCount) blocks do not divide \(inputSize) inputs and \(outputSize) outputs")
    let (rows, columns) = (outputSize / blockCount, inputSize / blockCount)
    let bound = 1 / Float(columns).squareRoot()
    self.init(
      blocks: Parameter(random.uniform([blockCount, rows, columns], in: -bound..<bound)),
      bias: Parameter(random.uniform([outputSize], in: -bound..<bound)))
  }

  /// The number of blocks.
  public var blockCount: Int { blocks.shape[0] }
  /// The size of the last dimension of inputs.
  public var inputSize: Int { blockCount * blocks.shape[2] }
  /// The size of the last dimension of outputs.
  public var outputSize: Int { blockCount * blocks.shape[1] }

  /// The names are those in files: `mix.blocks` and `mix.bias` if the layer is called `mix`.
  public var parameters: Named<Parameter> { ["blocks": blocks] + .optional("bias", bias) }

  /// `x Wᵀ` of the base alone. Made of the library's operations, so its backward pass is there.
  public func project(_ x: Variable) -> Variable {
    let rows = x.shape.rowCount
    // One product a block: [blocks, rows, in] times [blocks, in, out].
    let parts = x.reshaped(to: [rows, blockCount, blocks.shape[2]]).permuted([1, 0, 2])
    let products = parts.matrixProduct(with: Variable(blocks).permuted([0, 2, 1]))
    return products.permuted([1, 0, 2])
      .reshaped(to: x.shape.replacingInnermost(with: outputSize))
  }

  /// W with its zeros, `[outputSize, inputSize]`: what merging starts from.
  public func denseWeight() -> Tensor {
    let (rows, columns) = (blocks.shape[1], blocks.shape[2])
    let value = blocks.value
    return .concatenated(
      (0..<blockCount).map { k in
        let left = Tensor.zeros([rows, k * columns])
        let right = Tensor.zeros([rows, (blockCount - 1 - k) * columns])
        return .concatenated([left, value[row: k], right], axis: 1)
      })
  }
}
