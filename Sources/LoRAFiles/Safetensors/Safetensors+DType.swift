package import LoRATensor

/// The element types that safetensors files can name.
package enum SafetensorsType {
  /// The types in the order in which the reference implementation ranks them (its writer puts
  /// higher ranks first, so that every tensor starts aligned), with their sizes in bits.
  static let known: [(name: String, bits: Int)] = [
    ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8),
    ("F8_E4M3", 8), ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16),
    ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64),
    ("F64", 64), ("I64", 64), ("U64", 64),
  ]

  /// The size in bits of an element of the named type; nil for a name that nobody knows.
  static func bits(of name: String) -> Int? { known.first { $0.name == name }?.bits }

  /// The place of a type in the order of the reference implementation.
  static func rank(of dtype: DType) -> Int {
    known.firstIndex { $0.name == name(of: dtype) } ?? 0
  }

  /// The type of tensors with the named elements; nil if tensors cannot hold them.
  package static func dtype(named name: String) -> DType? {
    DType.allCases.first { !$0.isQuantized && self.name(of: $0) == name }
  }

  /// How files name a type; they have no quantized ones.
  package static func name(of dtype: DType) -> String {
    switch dtype {
    case .float64: "F64"
    case .float32: "F32"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .int64: "I64"
    case .int32: "I32"
    case .int16: "I16"
    case .int8: "I8"
    case .uint64: "U64"
    case .uint32: "U32"
    case .uint16: "U16"
    case .uint8: "U8"
    case .bool: "BOOL"
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4K, .q5K, .q6K, .mxfp4: dtype.rawValue
    }
  }
}
