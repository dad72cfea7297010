import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// AdamW whose moments are codes of 8 bits, as `bitsandbytes.optim.AdamW8bit` keeps them.
///
/// ```swift
/// trainer.optimizer = AdamW8Bit()
/// ```
///
/// Blocks of 256 elements share the largest magnitude of each moment; an element's moment is the
/// nearest of 256 fixed fractions of it, which lie the denser the smaller they are. Parameters of fewer
/// than 4,096 elements keep float32 moments: they take little memory, and their steps are AdamW's. A
/// moment that is far below its block's largest becomes zero: below 3e-7 of it a first one, and below 6e-7 a
/// second one.
///
/// Memory: 2.03 bytes per element of a trainable parameter instead of AdamW's 8. That pays where a
/// whole model is trained; an adapter's moments are small beside everything else. Time: one pass,
/// longer than AdamW's for the search of the codes.
///
/// Source: Dettmers et al., *8-bit optimizers via block-wise quantization*, 2021.
public struct AdamW8Bit: Optimizer, Hashable {
  /// The exponential decay rate of the first moment (the mean of the gradients).
  public var beta1: Double
  /// The exponential decay rate of the second moment (the mean of the squared gradients).
  public var beta2: Double
  /// The term added to the denominator for numerical stability.
  public var epsilon: Double
  /// The fewest elements of a parameter whose moments are codes.
  public var leastElements: Int

  /// Creates the recipe. Values are checked when it is used.
  public init(
    beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, leastElements: Int = 4096
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.leastElements = leastElements
  }

  /// The name and the settings.
  public var identifier: String {
    "AdamW8Bit(beta1: \(beta1), beta2: \(beta2), epsilon: \(epsilon), leastElements: \(leastElements))"
  }

  /// Throws for a setting out of range.
  public func check() throws(TrainingError) {
    try exact.check()
    try demand(leastElements >= 0, "the fewest elements", Double(leastElements), "at least 0")
  }

  private var exact: AdamW { AdamW(beta1: beta1, beta2: beta2, epsilon: epsilon) }

  // As bitsandbytes calls them.
  private static let (mean, square) = ("state1", "state2")
  private static let (meanMost, squareMost) = ("absmax1", "absmax2")
  static let blockSize = 256

  private func isCoded(_ shape: Shape) -> Bool { shape.elementCount >= leastElements }

  /// The codes `state1` and `state2`, of the parameter's shape, and the largest magnitudes `absmax1`
  /// and `absmax2` of each block; of small parameters AdamW's moments.
  public func stateShapes(of shape: Shape) -> [String: Shape] {
    guard isCoded(shape) else { return exact.stateShapes(of: shape) }
    let blocks: Shape = [(shape.elementCount + Self.blockSize - 1) / Self.blockSize]
    return [Self.mean: shape, Self.square: shape, Self.meanMost: blocks, Self.squareMost: blocks]
  }

  /// `uint8` for the codes.
  public func stateTypes(of shape: Shape) -> [String: DType] {
    isCoded(shape) ? [Self.mean: .uint8, Self.square: .uint8] : [:]
  }

  /// Updates the codes and the value, in place if only the parameter holds it.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    guard isCoded(parameter.shape) else {
      return exact.update(parameter, gradient: gradient, settings: settings, state: &state)
    }
    let step = state.updates
    var (mean, square) = (state.take(Self.mean), state.take(Self.square))
    var (meanMost, squareMost) = (state.take(Self.meanMost), state.take(Self.squareMost))
    mean.withUnsafeMutableBytes { mean in
      square.withUnsafeMutableBytes { square in
        meanMost.withUnsafeMutableBytes { meanMost in
          squareMost.withUnsafeMutableBytes { squareMost in
            guard let m = mean.baseAddress?.assumingMemoryBound(to: UInt8.self),
              let v = square.baseAddress?.assumingMemoryBound(to: UInt8.self),
              let mMost = meanMost.baseAddress?.floats, let vMost = squareMost.baseAddress?.floats
            else { return }
            rewrite(parameter, gradient, settings, step: step, m, v, mMost, vMost)
          }
        }
      }
    }
    (state.tensors[Self.mean], state.tensors[Self.square]) = (mean, square)
    (state.tensors[Self.meanMost], state.tensors[Self.squareMost]) = (meanMost, squareMost)
  }

  private func rewrite(
    _ parameter: Parameter, _ gradient: Tensor, _ settings: UpdateSettings, step: Int,
    _ m: UnsafeMutablePointer<UInt8>, _ v: UnsafeMutablePointer<UInt8>,
    _ mMost: UnsafeMutablePointer<Float>, _ vMost: UnsafeMutablePointer<Float>
  ) {
    let (count, size) = (parameter.shape.elementCount, Self.blockSize)
    Self.signedFractions.withUnsafeBufferPointer { signed in
      Self.fractions.withUnsafeBufferPointer { unsigned in
        withExtendedLifetime(gradient) {
          parameter.rewrite { old, new in
            parallelTiles((count + size - 1) / size, tile: elementTile / size) { blocks in
              for block in blocks {
                let start = block * size
                lk_adamw_8bit(
                  min(size, count - start), old + start, new + start, gradient.floats + start,
                  settings.gradientScale, m + start, v + start, mMost + block, vMost + block,
                  signed.baseAddress, unsigned.baseAddress, settings.learningRate, beta1, beta2,
                  epsilon, settings.weightDecay, step)
              }
            }
          }
        }
      }
    }
  }
}

// MARK: - What codes stand for

extension AdamW8Bit {
  /// The fractions of the largest magnitude that codes of the first moment stand for, ascending from
  /// -0.993 to 1: `create_dynamic_map(signed: True)` of bitsandbytes.
  package static let signedFractions = dynamicMap(isSigned: true)
  /// Those of the second moment, ascending from 0 to 1.
  package static let fractions = dynamicMap(isSigned: false)

  /// In every decade from 1e-7 on, twice as many fractions as in the one below: the means of evenly
  /// spaced borders from a tenth to the whole of it; zero, and one.
  private static func dynamicMap(isSigned: Bool) -> [Float] {
    var result: [Float] = [0, 1]
    for exponent in 0..<7 {
      let count = 1 << (isSigned ? exponent : exponent + 1)
      // As PyTorch's linspace: from both ends.
      let step = Float(0.9) / Float(count)
      let borders = (0...count).map { index in
        index < (count + 1) / 2 ? 0.1 + step * Float(index) : 1 - step * Float(count - index)
      }
      let decade = Float(powerOfTen(exponent - 6))
      for (low, high) in zip(borders, borders.dropFirst()) {
        let fraction = decade * ((low + high) / 2)
        result.append(fraction)
        if isSigned { result.append(-fraction) }
      }
    }
    return result.sorted()
  }

  private static func powerOfTen(_ exponent: Int) -> Double {
    (0..<abs(exponent)).reduce(1.0) { power, _ in exponent < 0 ? power / 10 : power * 10 }
  }
}
