import LoRATensor

/// The checked header of a GGUF file: everything before the tensors' data.
///
/// Parsing costs a small multiple of the header's own size in memory, whatever the header claims:
/// every count and length is compared with the bytes that are left before anything is allocated.
struct GGUFHeader {
  var version: UInt32 = 0
  var keyValues: [GGUFFile.KeyValue] = []
  var keyPositions: [ExactName: Int] = [:]
  var entries: [GGUFFile.Entry] = []
  var positions: [ExactName: Int] = [:]
  var alignment = GGUFFile.defaultAlignment
  var dataStart = 0

  /// Arrays in arrays in arrays have no use in a file; ones nested deeper only cost stack.
  private static let greatestDepth = 8
  /// ggml's limit.
  private static let greatestDimensionCount = 4

  /// Parses the beginning of `bytes`, which are the whole file.
  init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
    var cursor = GGUFCursor(bytes: bytes, file: file)
    let counts = try parsePreamble(&cursor)
    try parseKeyValues(counts.keyValues, &cursor)
    try checkAlignment(file)
    try parseTensors(counts.tensors, &cursor)
    let (start, overflow) = cursor.position.addingReportingOverflow(alignment - 1)
    // A file without tensors may end where its header does.
    dataStart = overflow ? bytes.count : min(start & ~(alignment - 1), bytes.count)
    try placeTensors(byteCount: bytes.count, file: file)
  }

  private mutating func parsePreamble(
    _ cursor: inout GGUFCursor
  ) throws(FormatError) -> (tensors: Int, keyValues: Int) {
    let file = cursor.file
    guard cursor.remaining >= 4, try cursor.integer(UInt32.self, "magic") == 0x4655_4747 else {
      throw FormatError(
        .malformed, file: file, problem: "it does not begin with 'GGUF'",
        remedy: "check that this is a GGUF file")
    }
    version = try cursor.integer(UInt32.self, "version")
    if version & 0xFFFF == 0, version != 0 {
      throw FormatError(
        .unsupported, file: file, problem: "its numbers are big-endian",
        remedy: "convert it with gguf-py's gguf_convert_endian.py")
    }
    guard version == 2 || version == 3 else {
      throw FormatError(
        .unsupported, file: file,
        problem: "it has version \(version) of the format, supported are 2 and 3",
        remedy: version == 1 ? "convert the model again with today's llama.cpp" : "")
    }
    let tensors = try cursor.integer(UInt64.self, "number of tensors")
    let keyValues = try cursor.integer(UInt64.self, "number of key-values")
    // The least that a tensor's and a key-value's descriptions take.
    return (
      try cursor.checkedCount(tensors, of: 24, "number of tensors"),
      try cursor.checkedCount(keyValues, of: 13, "number of key-values")
    )
  }

  private mutating func parseKeyValues(
    _ count: Int, _ cursor: inout GGUFCursor
  ) throws(FormatError) {
    keyValues.reserveCapacity(count)
    keyPositions.reserveCapacity(count)
    for index in 0..<count {
      let key = try cursor.string("key of key-value \(index)")
      guard !key.isEmpty else {
        throw FormatError(
          .malformed, file: cursor.file, subject: "key-value \(index)", problem: "its key is empty")
      }
      guard keyPositions.updateValue(keyValues.count, forKey: ExactName(key)) == nil else {
        throw FormatError(.duplicate, file: cursor.file, key: key, "the key occurs twice")
      }
      let type = try cursor.integer(UInt32.self, "type of '\(key)'")
      keyValues.append(GGUFFile.KeyValue(key: key, value: try value(type, key, &cursor)))
    }
  }

  private func value(
    _ type: UInt32, _ key: String, _ cursor: inout GGUFCursor
  ) throws(FormatError) -> GGUFValue {
    switch type {
    case 0: .uint8(try cursor.integer(UInt8.self, key))
    case 1: .int8(try cursor.integer(Int8.self, key))
    case 2: .uint16(try cursor.integer(UInt16.self, key))
    case 3: .int16(try cursor.integer(Int16.self, key))
    case 4: .uint32(try cursor.integer(UInt32.self, key))
    case 5: .int32(try cursor.integer(Int32.self, key))
    case 6: .float32(Float(bitPattern: try cursor.integer(UInt32.self, key)))
    case 7: .bool(try cursor.bool(key))
    case 8: .string(try cursor.string(key))
    case 9: .array(try array(key, depth: 1, &cursor))
    case 10: .uint64(try cursor.integer(UInt64.self, key))
    case 11: .int64(try cursor.integer(Int64.self, key))
    case 12: .float64(Double(bitPattern: try cursor.integer(UInt64.self, key)))
    default:
      throw FormatError(
        .unsupported, file: cursor.file, key: key,
        "it has the type number \(type), known are 0 to 12")
    }
  }

  private func array(
    _ key: String, depth: Int, _ cursor: inout GGUFCursor
  ) throws(FormatError) -> GGUFArray {
    guard depth <= Self.greatestDepth else {
      throw FormatError(
        .malformed, file: cursor.file, key: key,
        "its arrays are nested deeper than \(Self.greatestDepth)")
    }
    let type = try cursor.integer(UInt32.self, key)
    let length = try cursor.integer(UInt64.self, key)
    let least: Int
    switch type {
    case 0, 1, 7: least = 1
    case 2, 3: least = 2
    case 4, 5, 6: least = 4
    case 8, 10, 11, 12: least = 8
    case 9: least = 12
    default:
      throw FormatError(
        .unsupported, file: cursor.file, key: key,
        "it is an array of the type number \(type), known are 0 to 12")
    }
    let count = try cursor.checkedCount(length, of: least, "length of '\(key)'")
    switch type {
    case 0: return .uint8(try cursor.numbers(count, key))
    case 1: return .int8(try cursor.numbers(count, key))
    case 2: return .uint16(try cursor.numbers(count, key))
    case 3: return .int16(try cursor.numbers(count, key))
    case 4: return .uint32(try cursor.numbers(count, key))
    case 5: return .int32(try cursor.numbers(count, key))
    case 6: return .float32(try cursor.numbers(count, key))
    case 10: return .uint64(try cursor.numbers(count, key))
    case 11: return .int64(try cursor.numbers(count, key))
    case 12: return .float64(try cursor.numbers(count, key))
    case 7:
      var values: [Bool] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try cursor.bool(key)) }
      return .bool(values)
    case 8:
      var values: [String] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try cursor.string(key)) }
      return .string(values)
    default:
      var values: [GGUFArray] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try array(key, depth: depth + 1, &cursor)) }
      return .array(values)
    }
  }

  private mutating func checkAlignment(_ file: String) throws(FormatError) {
    guard let index = keyPositions[ExactName(GGUFFile.alignmentKey)] else { return }
    alignment = try GGUFFile.alignment(from: keyValues[index].value, file: file)
  }

  private mutating func parseTensors(
    _ count: Int, _ cursor: inout GGUFCursor
  ) throws(FormatError) {
    entries.reserveCapacity(count)
    positions.reserveCapacity(count)
    for index in 0..<count {
      let name = try cursor.string("name of tensor \(index)")
      guard !name.isEmpty else {
        throw FormatError(
          .malformed, file: cursor.file, subject: "tensor \(index)", problem: "its name is empty")
      }
      guard positions.updateValue(entries.count, forKey: ExactName(name)) == nil else {
        throw FormatError(.duplicate, file: cursor.file, tensor: name, "the name occurs twice")
      }
      entries.append(try tensor(name, &cursor))
    }
  }

  /// One tensor's description; the range of its bytes counts from the beginning of the data.
  private func tensor(
    _ name: String, _ cursor: inout GGUFCursor
  ) throws(FormatError) -> GGUFFile.Entry {
    func failure(_ kind: FormatError.Kind, _ problem: String) -> FormatError {
      FormatError(kind, file: cursor.file, tensor: name, problem)
    }
    let what = "description of tensor '\(name)'"
    let dimensionCount = try cursor.integer(UInt32.self, what)
    guard dimensionCount <= Self.greatestDimensionCount else {
      throw failure(
        .malformed,
        "it has \(dimensionCount) dimensions, allowed are \(Self.greatestDimensionCount)")
    }
    var extents: [Int] = []
    for _ in 0..<dimensionCount {
      let extent = try cursor.integer(UInt64.self, what)
      guard let extent = Int(exactly: extent) else {
        throw failure(.malformed, "its extent \(extent) is too large")
      }
      extents.append(extent)
    }
    // The format lists the innermost extent first.
    guard let shape = Shape(checking: extents.reversed()) else {
      throw failure(.malformed, "the number of elements of its extents \(extents) overflows")
    }
    let code = try cursor.integer(UInt32.self, what)
    guard let type = GGUFTensorType(rawValue: code) else {
      throw failure(.unsupported, "its elements have the type number \(code), which is not known")
    }
    guard let byteCount = type.byteCount(of: shape) else {
      throw failure(
        .shapeMismatch,
        "rows of \(shape.innermost) elements do not divide into \(type) blocks of \(type.blockSize)"
      )
    }
    let start = try cursor.integer(UInt64.self, what)
    guard let start = Int(exactly: start),
      case let (end, overflow) = start.addingReportingOverflow(byteCount), !overflow
    else {
      throw failure(.malformed, "its offset \(start) is too large")
    }
    guard start % alignment == 0 else {
      throw failure(
        .malformed, "its offset \(start) is not a multiple of the alignment \(alignment)")
    }
    return GGUFFile.Entry(name: name, shape: shape, type: type, byteRange: start..<end)
  }

  /// Tensors must lie inside the file and apart from each other. Holes are allowed.
  private func placeTensors(byteCount: Int, file: String) throws(FormatError) {
    let dataCount = byteCount - dataStart
    var end = 0
    var previous = ""
    let order = entries.sorted {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    for entry in order {
      guard entry.byteRange.upperBound <= dataCount else {
        throw FormatError(
          .truncated, file: file, tensor: entry.name,
          "its bytes \(entry.byteRange) lie beyond the \(dataCount) bytes of data",
          remedy: "copy or download the file again")
      }
      guard entry.byteRange.lowerBound >= end else {
        throw FormatError(
          .malformed, file: file, tensor: entry.name,
          "its bytes begin at \(entry.byteRange.lowerBound), inside those of '\(previous)', "
            + "which end at \(end)")
      }
      end = entry.byteRange.upperBound
      previous = entry.name
    }
  }
}

/// Reads the parts of a GGUF header one after the other, never beyond its end.
struct GGUFCursor {
  let bytes: UnsafeRawBufferPointer
  let file: String
  private(set) var position = 0

  init(bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  var remaining: Int { bytes.count - position }

  private mutating func take(_ count: Int, _ what: String) throws(FormatError) -> Int {
    guard count <= remaining else {
      throw FormatError(
        .truncated, file: file, subject: what,
        problem: "\(count) bytes are expected, the file has \(remaining) left",
        remedy: "copy or download the file again")
    }
    defer { position += count }
    return position
  }

  /// A little-endian integer.
  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ what: @autoclosure () -> String
  ) throws(FormatError) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { return T(try take(size, what())) }
    defer { position += size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  mutating func bool(_ key: String) throws(FormatError) -> Bool {
    let byte = try integer(UInt8.self, key)
    guard byte <= 1 else {
      throw FormatError(.invalidValue, file: file, key: key, "a truth value is \(byte), not 0 or 1")
    }
    return byte == 1
  }

  mutating func string(_ what: @autoclosure () -> String) throws(FormatError) -> String {
    let length = try integer(UInt64.self, what())
    guard length <= UInt64(remaining) else {
      throw FormatError(
        .truncated, file: file, subject: what(),
        problem: "it has \(length) bytes, the file has \(remaining) left",
        remedy: "copy or download the file again")
    }
    let range = position..<position + Int(length)
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw FormatError(.malformed, file: file, subject: what(), problem: "it is not UTF-8")
    }
    position = range.upperBound
    return text
  }

  /// `count` numbers as they lie there; the caller has checked that they exist.
  mutating func numbers<T: BitwiseCopyable>(
    _ count: Int, _ what: String
  ) throws(FormatError) -> [T] {
    let size = count * MemoryLayout<T>.stride
    let start = try take(size, what)
    return [T](unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + size]))
      initialized = count
    }
  }

  /// A number of things, of which each takes at least `size` bytes of what is left.
  func checkedCount(
    _ count: UInt64, of size: Int, _ what: String
  ) throws(FormatError) -> Int {
    guard count <= UInt64(remaining / size) else {
      throw FormatError(
        .truncated, file: file, subject: what,
        problem: "it is given as \(count), the \(remaining) bytes that are left hold at most "
          + "\(remaining / size)",
        remedy: "copy or download the file again")
    }
    return Int(count)
  }
}
