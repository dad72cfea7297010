/// What a GGUF file says about itself under one key: one of the format's thirteen types.
///
/// ```swift
/// let file = try GGUFFile(path: "model.gguf")
/// file["general.architecture"]              // .string("llama")
/// file["llama.block_count"]?.intValue       // 5, whichever integer type it has
/// file["tokenizer.ggml.tokens"]?.strings    // ["<unk>", "<s>", ...]
/// ```
///
/// Source: the specification of GGUF version 3, `gguf_metadata_value_type`.
package enum GGUFValue: Sendable, Hashable {
  /// An unsigned integer of 8 bits.
  case uint8(UInt8)
  /// A signed integer of 8 bits.
  case int8(Int8)
  /// An unsigned integer of 16 bits.
  case uint16(UInt16)
  /// A signed integer of 16 bits.
  case int16(Int16)
  /// An unsigned integer of 32 bits.
  case uint32(UInt32)
  /// A signed integer of 32 bits.
  case int32(Int32)
  /// A float32 number.
  case float32(Float)
  /// True or false.
  case bool(Bool)
  /// Text.
  case string(String)
  /// Values of one type.
  case array(GGUFArray)
  /// An unsigned integer of 64 bits.
  case uint64(UInt64)
  /// A signed integer of 64 bits.
  case int64(Int64)
  /// A float64 number.
  case float64(Double)

  /// An array of strings.
  package static func strings(_ values: [String]) -> GGUFValue { .array(.string(values)) }

  /// The text; nil for other types.
  package var stringValue: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The integer, whichever type it has; nil for other types and for what `Int` cannot hold.
  package var intValue: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(value)
    case .float32, .bool, .string, .array, .float64: nil
    }
  }

  /// The floating-point number; nil for other types.
  package var doubleValue: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    default: nil
    }
  }

  /// True or false; nil for other types.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The array; nil for other types.
  package var arrayValue: GGUFArray? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The texts of an array of strings; nil for other types.
  package var strings: [String]? {
    if case .array(.string(let values)) = self { values } else { nil }
  }

  /// The integers of an array of any integer type; nil for other types and for what `Int` cannot
  /// hold.
  package var ints: [Int]? { arrayValue?.ints }

  /// The numbers of an array of float32 or float64 numbers; nil for other types.
  package var doubles: [Double]? { arrayValue?.doubles }

  /// The number that stands for the type in a file.
  var typeCode: UInt32 {
    switch self {
    case .uint8: 0
    case .int8: 1
    case .uint16: 2
    case .int16: 3
    case .uint32: 4
    case .int32: 5
    case .float32: 6
    case .bool: 7
    case .string: 8
    case .array: 9
    case .uint64: 10
    case .int64: 11
    case .float64: 12
    }
  }

  /// The type for messages, as in "a string".
  package var kind: String {
    switch self {
    case .array(let array): "an array of type \(GGUFArray.typeName(array.typeCode))"
    case .string: "a string"
    default: "a value of type \(GGUFArray.typeName(typeCode))"
    }
  }
}

/// Values of one type under a key of a GGUF file; the type is known even when there are none.
package enum GGUFArray: Sendable, Hashable {
  /// Unsigned integers of 8 bits.
  case uint8([UInt8])
  /// Signed integers of 8 bits.
  case int8([Int8])
  /// Unsigned integers of 16 bits.
  case uint16([UInt16])
  /// Signed integers of 16 bits.
  case int16([Int16])
  /// Unsigned integers of 32 bits.
  case uint32([UInt32])
  /// Signed integers of 32 bits.
  case int32([Int32])
  /// Float32 numbers.
  case float32([Float])
  /// Truth values.
  case bool([Bool])
  /// Texts.
  case string([String])
  /// Arrays.
  case array([GGUFArray])
  /// Unsigned integers of 64 bits.
  case uint64([UInt64])
  /// Signed integers of 64 bits.
  case int64([Int64])
  /// Float64 numbers.
  case float64([Double])

  /// The number of values.
  package var count: Int {
    switch self {
    case .uint8(let values): values.count
    case .int8(let values): values.count
    case .uint16(let values): values.count
    case .int16(let values): values.count
    case .uint32(let values): values.count
    case .int32(let values): values.count
    case .float32(let values): values.count
    case .bool(let values): values.count
    case .string(let values): values.count
    case .array(let values): values.count
    case .uint64(let values): values.count
    case .int64(let values): values.count
    case .float64(let values): values.count
    }
  }

  /// The integers, whichever type they have; nil for other types and for what `Int` cannot hold.
  package var ints: [Int]? {
    switch self {
    case .uint8(let values): values.map { Int($0) }
    case .int8(let values): values.map { Int($0) }
    case .uint16(let values): values.map { Int($0) }
    case .int16(let values): values.map { Int($0) }
    case .uint32(let values): values.map { Int($0) }
    case .int32(let values): values.map { Int($0) }
    case .int64(let values): values.map { Int($0) }
    case .uint64(let values):
      values.allSatisfy { $0 <= UInt64(Int.max) } ? values.map { Int($0) } : nil
    case .float32, .bool, .string, .array, .float64: nil
    }
  }

  /// The floating-point numbers; nil for other types.
  package var doubles: [Double]? {
    switch self {
    case .float32(let values): values.map { Double($0) }
    case .float64(let values): values
    default: nil
    }
  }

  /// The number that stands for the elements' type in a file.
  var typeCode: UInt32 {
    switch self {
    case .uint8: 0
    case .int8: 1
    case .uint16: 2
    case .int16: 3
    case .uint32: 4
    case .int32: 5
    case .float32: 6
    case .bool: 7
    case .string: 8
    case .array: 9
    case .uint64: 10
    case .int64: 11
    case .float64: 12
    }
  }

  /// The name of the type that a number stands for.
  static func typeName(_ code: UInt32) -> String {
    let names = [
      "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array",
      "uint64", "int64", "float64",
    ]
    return Int(code) < names.count ? names[Int(code)] : "number \(code)"
  }
}
