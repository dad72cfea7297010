import CLoRAKernels
public import LoRATensor

/// What becomes of a merged weight whose base is quantized.
public enum QuantizedMerging: Sendable, Hashable {
  /// It stays float32: exact, and larger.
  case float32
  /// It is quantized again, in the base's type, or in `DType.q8_0` where the base's can
  /// only be read. What that loses is reported.
  case requantized
}

/// What quantizing merged weights again lost.
public struct RequantizationReport: Sendable, Hashable {
  /// One layer's loss.
  public struct Layer: Sendable, Hashable {
    /// The layer's path.
    public let path: String
    /// The type of the base's weight.
    public let original: DType
    /// The type that the merged weight is stored in.
    public let stored: DType
    /// The Frobenius norm of what rounding changed, relative to that of the merged weight.
    public let relativeError: Double
    /// The most that a single element changed.
    public let largestError: Double
  }

  /// The layers whose merged weights were quantized, in the model's order.
  public internal(set) var layers: [Layer] = []

  /// The layer that lost most; nil if nothing was quantized.
  public var worst: Layer? { layers.max { $0.relativeError < $1.relativeError } }
}

extension RequantizationReport.Layer {
  /// Compares the float32 numbers of a merged weight with what they are stored as.
  init(path: String, original: DType, stored: DType, from numbers: Tensor, to blocks: Tensor) {
    let difference = blocks.converted(to: .float32) - numbers
    func norm(_ x: Tensor) -> Double {
      x.withUnsafeElements(of: Float.self) { lk_sum_squares(x.elementCount, $0.baseAddress) }
        .squareRoot()
    }
    let size = norm(numbers)
    self.path = path
    self.original = original
    self.stored = stored
    relativeError = size > 0 ? norm(difference) / size : 0
    largestError = difference.withUnsafeElements(of: Float.self) { difference in
      difference.reduce(0) { max($0, Double(abs($1))) }
    }
  }
}
