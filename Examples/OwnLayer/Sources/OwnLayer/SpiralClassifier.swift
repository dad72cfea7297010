public import LoRAKit

/// A residual block: `x + mix(gelu(up(norm(x))))`, where `mix` is the layer of this package.
public final class MixingBlock: Module {
  let norm: RMSNorm
  let up: Linear
  let mix: BlockDiagonal

  /// Creates a block with random values. They follow from the seed and `path` alone.
  public init(size: Int, blockCount: Int, seed: UInt64, path: String) {
    norm = RMSNorm(size: size)
    var random = SeededRandom(seed: seed, path: path)
    up = Linear(inputSize: size, outputSize: size, using: &random)
    mix = BlockDiagonal(inputSize: size, outputSize: size, blockCount: blockCount, using: &random)
  }

  /// The names are those in files, as `blocks.0.mix.blocks`.
  public var children: Named<any Module> { ["norm": norm, "up": up, "mix": mix] }

  /// `[points, size]` to `[points, size]`.
  public func callAsFunction(_ x: Variable) -> Variable {
    x + mix(up(norm(x))(.gelu))
  }
}

/// Tells which arm of a spiral a point of the plane lies on.
public final class SpiralClassifier: Module {
  let input: Linear
  let blocks: [MixingBlock]
  let head: Linear

  /// Creates a classifier with random values.
  public init(size: Int = 48, depth: Int = 2, classCount: Int = 3, seed: UInt64 = 0) {
    var random = SeededRandom(seed: seed, path: "input")
    input = Linear(inputSize: 2, outputSize: size, using: &random)
    blocks = (0..<depth).map {
      MixingBlock(size: size, blockCount: 4, seed: seed, path: "blocks.\($0)")
    }
    random = SeededRandom(seed: seed, path: "head")
    head = Linear(inputSize: size, outputSize: classCount, using: &random)
  }

  /// Children in order: `input`, `blocks.0`, `blocks.1`, ..., `head`.
  public var children: Named<any Module> {
    ["input": input] + .list("blocks", blocks) + ["head": head]
  }

  /// `LayerSelector.allLinear` leaves this layer out.
  public var outputHead: (any LinearLayer)? { head }

  /// The logits, `[points, classes]`, of points `[points, 2]`.
  public func callAsFunction(_ points: Variable) -> Variable {
    head(blocks.reduce(input(points)) { x, block in block(x) })
  }

  /// `scale` times the sum of the cross-entropies: what a trainer wants of a loss.
  public func loss(of batch: SpiralData.Batch, scale: Float) -> Variable {
    self(Variable(batch.points)).crossEntropy(targets: batch.labels, reduction: .sum)
      .scaled(by: scale)
  }

  /// The share of the points that it finds the right arm of.
  public func accuracy(on data: SpiralData) -> Double {
    let batch = data.batch(of: Array(0..<data.exampleCount))
    let logits = withoutGradients { self(Variable(batch.points)).value }
    let labels = batch.labels.scalars(as: Int64.self)
    let right = labels.indices.filter { index in
      let scores = logits[row: index].scalars()
      return scores.max() == scores[Int(labels[index])]
    }
    return Double(right.count) / Double(labels.count)
  }
}
