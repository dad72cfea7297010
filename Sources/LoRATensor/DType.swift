/// The type of a tensor's elements.
///
/// Computation is float32. Weights are stored in `bfloat16`, `float16` and the quantized types and
/// widened from them. Integer types hold token ids and other data in files.
///
/// A quantized type stores blocks of consecutive elements of a row, each with its own scale; a row
/// consists of whole blocks. The types are GGUF's, and their values are bit for bit those of
/// gguf-py.
public enum DType: String, Sendable, Hashable, CaseIterable {
  case float64, float32, float16, bfloat16
  case int64, int32, int16, int8
  case uint64, uint32, uint16, uint8
  case bool
  /// 4 bits and a scale, 32 elements per block.
  case q4_0
  /// 4 bits, a scale and a minimum, 32 elements per block.
  case q4_1
  /// 5 bits and a scale, 32 elements per block.
  case q5_0
  /// 5 bits, a scale and a minimum, 32 elements per block.
  case q5_1
  /// 8 bits and a scale, 32 elements per block.
  case q8_0
  /// 4 bits, 256 elements per block; its eight parts have scales and minima of 6 bits.
  case q4K = "q4_K"
  /// 5 bits, otherwise as ``q4K``.
  case q5K = "q5_K"
  /// 6 bits, 256 elements per block; its sixteen parts have scales of 8 bits.
  case q6K = "q6_K"
  /// Floating-point numbers of 4 bits and an exponent, 32 elements per block (gpt-oss).
  case mxfp4

  /// The number of bytes of `count` elements. Traps unless they are whole blocks of a quantized
  /// type.
  public func byteCount(ofElements count: Int) -> Int {
    if !isQuantized { return count * stride }
    require(count % blockElements == 0, "\(count) elements are not whole blocks of \(self)")
    return count / blockElements * blockBytes
  }

  /// The number of bytes of one element. Traps for a quantized type, whose elements share bytes.
  public var stride: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool: 1
    default: misuse("elements of type \(self) have no bytes of their own")
    }
  }

  /// Whether the elements are floating-point numbers, those of quantized types included.
  public var isFloatingPoint: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    default: isQuantized
    }
  }
}

extension DType: CustomStringConvertible {
  /// The name.
  public var description: String { rawValue }
}

/// A Swift type that a tensor's elements can be read and written as.
///
/// `bfloat16` has no Swift type; its elements are read as `UInt16` bit patterns through
/// ``Tensor/withUnsafeBytes(_:)`` or converted first with ``Tensor/converted(to:)``.
public protocol TensorElement: BitwiseCopyable, Sendable {
  /// The corresponding element type.
  static var dtype: DType { get }
}

extension Double: TensorElement {
  /// ``DType/float64``.
  public static var dtype: DType { .float64 }
}
extension Float: TensorElement {
  /// ``DType/float32``.
  public static var dtype: DType { .float32 }
}
extension Int64: TensorElement {
  /// ``DType/int64``.
  public static var dtype: DType { .int64 }
}
extension Int: TensorElement {
  /// ``DType/int64``.
  public static var dtype: DType { .int64 }
}
extension Int32: TensorElement {
  /// ``DType/int32``.
  public static var dtype: DType { .int32 }
}
extension Int16: TensorElement {
  /// ``DType/int16``.
  public static var dtype: DType { .int16 }
}
extension Int8: TensorElement {
  /// ``DType/int8``.
  public static var dtype: DType { .int8 }
}
extension UInt64: TensorElement {
  /// ``DType/uint64``.
  public static var dtype: DType { .uint64 }
}
extension UInt32: TensorElement {
  /// ``DType/uint32``.
  public static var dtype: DType { .uint32 }
}
extension UInt16: TensorElement {
  /// ``DType/uint16``.
  public static var dtype: DType { .uint16 }
}
extension UInt8: TensorElement {
  /// ``DType/uint8``.
  public static var dtype: DType { .uint8 }
}
extension Bool: TensorElement {
  /// ``DType/bool``.
  public static var dtype: DType { .bool }
}
