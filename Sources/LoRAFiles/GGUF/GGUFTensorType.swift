package import LoRATensor

// The names are the format's own.
// swift-format-ignore: AlwaysUseLowerCamelCase
/// How the elements of a tensor in a GGUF file are stored: as numbers, or in blocks of quantized
/// ones that share scales.
///
/// Source: `enum ggml_type` of ggml, whose numbers these are; sizes as in gguf-py's
/// `GGML_QUANT_SIZES`.
package enum GGUFTensorType: UInt32, Sendable, Hashable, CaseIterable {
  /// Float32 numbers.
  case f32 = 0
  /// IEEE half-precision numbers.
  case f16 = 1
  /// 4 bits, a scale for 32 elements.
  case q4_0 = 2
  /// 4 bits, a scale and a minimum for 32 elements.
  case q4_1 = 3
  /// 5 bits, a scale for 32 elements.
  case q5_0 = 6
  /// 5 bits, a scale and a minimum for 32 elements.
  case q5_1 = 7
  /// 8 bits, a scale for 32 elements.
  case q8_0 = 8
  /// 8 bits, a scale and a sum for 32 elements; for intermediate results, not for files.
  case q8_1 = 9
  /// 2 bits in superblocks of 256 elements.
  case q2_K = 10
  /// 3 bits in superblocks of 256 elements.
  case q3_K = 11
  /// 4 bits in superblocks of 256 elements.
  case q4_K = 12
  /// 5 bits in superblocks of 256 elements.
  case q5_K = 13
  /// 6 bits in superblocks of 256 elements.
  case q6_K = 14
  /// 8 bits in superblocks of 256 elements; for intermediate results, not for files.
  case q8_K = 15
  /// About 2.06 bits, vectors from a codebook.
  case iq2_xxs = 16
  /// About 2.31 bits, vectors from a codebook.
  case iq2_xs = 17
  /// About 3.06 bits, vectors from a codebook.
  case iq3_xxs = 18
  /// About 1.56 bits, vectors from a codebook.
  case iq1_s = 19
  /// 4 bits, unevenly spaced values, a scale for 32 elements.
  case iq4_nl = 20
  /// About 3.44 bits, vectors from a codebook.
  case iq3_s = 21
  /// About 2.5 bits, vectors from a codebook.
  case iq2_s = 22
  /// About 4.25 bits, unevenly spaced values.
  case iq4_xs = 23
  /// Integers of 8 bits.
  case i8 = 24
  /// Integers of 16 bits.
  case i16 = 25
  /// Integers of 32 bits.
  case i32 = 26
  /// Integers of 64 bits.
  case i64 = 27
  /// Float64 numbers.
  case f64 = 28
  /// About 1.75 bits, vectors from a codebook.
  case iq1_m = 29
  /// Bfloat16 numbers.
  case bf16 = 30
  /// Ternary values, about 1.69 bits.
  case tq1_0 = 34
  /// Ternary values, about 2.06 bits.
  case tq2_0 = 35
  /// 4-bit floating point, an exponent for 32 elements.
  case mxfp4 = 39
  /// 4-bit floating point, four 8-bit scales for 64 elements.
  case nvfp4 = 40
  /// 1 bit, a scale for 128 elements.
  case q1_0 = 41

  /// The name that gguf-py and llama.cpp print, as in "Q4_K".
  package var name: String { layout.name }

  /// The number of elements in a block; 1 for plain numbers.
  package var blockSize: Int { layout.block }

  /// The number of bytes of a block.
  package var bytesPerBlock: Int { layout.bytes }

  /// The type of tensors that hold such elements as they are; nil for blocks that no tensor holds.
  package var dtype: DType? {
    switch self {
    case .f32: .float32
    case .f16: .float16
    case .bf16: .bfloat16
    case .f64: .float64
    case .i8: .int8
    case .i16: .int16
    case .i32: .int32
    case .i64: .int64
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q8_0: .q8_0
    case .q4_K: .q4K
    case .q5_K: .q5K
    case .q6_K: .q6K
    case .mxfp4: .mxfp4
    default: nil
    }
  }

  /// The type that holds a tensor's elements as they are; nil if the format has none.
  package init?(_ dtype: DType) {
    switch dtype {
    case .float32: self = .f32
    case .float16: self = .f16
    case .bfloat16: self = .bf16
    case .float64: self = .f64
    case .int8: self = .i8
    case .int16: self = .i16
    case .int32: self = .i32
    case .int64: self = .i64
    case .q4_0: self = .q4_0
    case .q4_1: self = .q4_1
    case .q5_0: self = .q5_0
    case .q5_1: self = .q5_1
    case .q8_0: self = .q8_0
    case .q4K: self = .q4_K
    case .q5K: self = .q5_K
    case .q6K: self = .q6_K
    case .mxfp4: self = .mxfp4
    case .uint8, .uint16, .uint32, .uint64, .bool: return nil
    }
  }

  /// The number of bytes of a tensor with these extents; nil if rows do not divide into blocks or
  /// if the number overflows.
  func byteCount(of shape: Shape) -> Int? {
    guard shape.innermost % blockSize == 0 else { return nil }
    let (count, overflow) = (shape.elementCount / blockSize)
      .multipliedReportingOverflow(by: bytesPerBlock)
    return overflow ? nil : count
  }

  private var layout: (name: String, block: Int, bytes: Int) {
    switch self {
    case .f32: ("F32", 1, 4)
    case .f16: ("F16", 1, 2)
    case .q4_0: ("Q4_0", 32, 18)
    case .q4_1: ("Q4_1", 32, 20)
    case .q5_0: ("Q5_0", 32, 22)
    case .q5_1: ("Q5_1", 32, 24)
    case .q8_0: ("Q8_0", 32, 34)
    case .q8_1: ("Q8_1", 32, 40)
    case .q2_K: ("Q2_K", 256, 84)
    case .q3_K: ("Q3_K", 256, 110)
    case .q4_K: ("Q4_K", 256, 144)
    case .q5_K: ("Q5_K", 256, 176)
    case .q6_K: ("Q6_K", 256, 210)
    case .q8_K: ("Q8_K", 256, 292)
    case .iq2_xxs: ("IQ2_XXS", 256, 66)
    case .iq2_xs: ("IQ2_XS", 256, 74)
    case .iq3_xxs: ("IQ3_XXS", 256, 98)
    case .iq1_s: ("IQ1_S", 256, 50)
    case .iq4_nl: ("IQ4_NL", 32, 18)
    case .iq3_s: ("IQ3_S", 256, 110)
    case .iq2_s: ("IQ2_S", 256, 82)
    case .iq4_xs: ("IQ4_XS", 256, 136)
    case .i8: ("I8", 1, 1)
    case .i16: ("I16", 1, 2)
    case .i32: ("I32", 1, 4)
    case .i64: ("I64", 1, 8)
    case .f64: ("F64", 1, 8)
    case .iq1_m: ("IQ1_M", 256, 56)
    case .bf16: ("BF16", 1, 2)
    case .tq1_0: ("TQ1_0", 256, 54)
    case .tq2_0: ("TQ2_0", 256, 66)
    case .mxfp4: ("MXFP4", 32, 17)
    case .nvfp4: ("NVFP4", 64, 36)
    case .q1_0: ("Q1_0", 128, 18)
    }
  }
}

extension GGUFTensorType: CustomStringConvertible {
  /// The name.
  package var description: String { name }
}
