import LoRATensor

/// One array as `numpy.save` writes it: a short description, then its elements.
///
/// Source: `numpy.lib.format`, versions 1 to 3.
struct NPYArray: Sendable {
  /// The elements, in C's order.
  let tensor: Tensor

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// Reads `bytes`; `file` and `name` are for errors.
  init(_ bytes: [UInt8], file: String, name: String) throws(FormatError) {
    func malformed(_ problem: String) -> FormatError {
      FormatError(.malformed, file: file, tensor: name, problem)
    }
    guard bytes.count >= 12, bytes.starts(with: Self.magic) else {
      throw malformed("it is no array of NumPy's")
    }
    guard (1...3).contains(bytes[6]) else {
      throw FormatError(
        .unsupported, file: file, tensor: name,
        "version \(bytes[6]) of NumPy's format is not supported")
    }
    let lengthSize = bytes[6] == 1 ? 2 : 4
    let length = (0..<lengthSize).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
    let start = 8 + lengthSize + length
    guard start <= bytes.count else { throw malformed("its description lies beyond its end") }
    let text = String(decoding: bytes[(8 + lengthSize)..<start], as: UTF8.self)
    guard let header = Header(text) else {
      throw malformed("its description '\(text.prefix(80))' cannot be read")
    }
    let dtype = try Self.dtype(header.type, file, name)
    guard let shape = Shape(checking: header.extents) else {
      throw malformed("the number of elements of its shape \(header.extents) overflows")
    }
    let (size, overflow) = shape.elementCount.multipliedReportingOverflow(by: dtype.stride)
    guard !overflow, size == bytes.count - start else {
      throw FormatError(
        .shapeMismatch, file: file, tensor: name,
        "\(header.type) \(shape) needs \(overflow ? "more" : "\(size)") bytes, it has "
          + "\(bytes.count - start)")
    }
    let data = bytes[start...]
    // Fortran's order is C's of the array with its axes reversed.
    let stored = header.isFortran ? Shape(shape.dimensions.reversed()) : shape
    let array = Tensor(shape: stored, dtype: dtype) { $0.copyBytes(from: data) }
    tensor =
      header.isFortran && shape.count > 1 ? array.permuted(shape.indices.reversed()) : array
  }

  private static func dtype(
    _ type: String, _ file: String, _ name: String
  ) throws(FormatError) -> DType {
    switch type {
    case "<f4": return .float32
    case "<f2": return .float16
    case "<f8": return .float64
    // NumPy has no bfloat16: MLX writes it as two bytes without a meaning.
    case "<V2", "|V2": return .bfloat16
    default:
      let isObject = type.hasSuffix("O")
      throw FormatError(
        isObject ? .unsupported : .typeMismatch, file: file, tensor: name,
        isObject
          ? "it holds Python objects, pickled: opening them can run code"
          : "expected float32, float16 or bfloat16 numbers, found NumPy's '\(type)'",
        remedy: "save the adapter in one of these types")
    }
  }
}

extension NPYArray {
  /// `{'descr': '<f4', 'fortran_order': False, 'shape': (8, 64), }`
  private struct Header {
    var type = ""
    var isFortran = false
    var extents: [Int] = []

    init?(_ text: String) {
      var scanner = Scanner(text: Array(text.utf8))
      guard scanner.skip("{") else { return nil }
      var keys: Set<String> = []
      while !scanner.skip("}") {
        guard let key = scanner.string(), scanner.skip(":"), keys.insert(key).inserted else {
          return nil
        }
        switch key {
        case "descr":
          guard let type = scanner.string() else { return nil }
          self.type = type
        case "fortran_order":
          if scanner.skip("True") {
            isFortran = true
          } else if !scanner.skip("False") {
            return nil
          }
        case "shape":
          guard let extents = scanner.numbers() else { return nil }
          self.extents = extents
        default: return nil
        }
        if !scanner.skip(",") {
          guard scanner.skip("}") else { return nil }
          break
        }
      }
      guard keys.count == 3, scanner.isAtEnd else { return nil }
    }
  }

  /// Reads the few kinds of Python's literals that occur there.
  private struct Scanner {
    let text: [UInt8]
    private var place = 0

    init(text: [UInt8]) { self.text = text }

    private mutating func skipSpace() {
      while place < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[place]) { place += 1 }
    }

    var isAtEnd: Bool { text[place...].allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) } }

    mutating func skip(_ word: String) -> Bool {
      skipSpace()
      guard text[place...].starts(with: word.utf8) else { return false }
      place += word.utf8.count
      return true
    }

    mutating func string() -> String? {
      skipSpace()
      guard place < text.count, [UInt8(ascii: "'"), UInt8(ascii: "\"")].contains(text[place]),
        let end = text[(place + 1)...].firstIndex(of: text[place])
      else { return nil }
      defer { place = end + 1 }
      return String(decoding: text[(place + 1)..<end], as: UTF8.self)
    }

    mutating func numbers() -> [Int]? {
      guard skip("(") else { return nil }
      var result: [Int] = []
      while !skip(")") {
        skipSpace()
        let start = place
        while place < text.count, (0x30...0x39).contains(text[place]) { place += 1 }
        guard let number = Int(String(decoding: text[start..<place], as: UTF8.self)) else {
          return nil
        }
        result.append(number)
        // Python 2 wrote long integers so.
        _ = skip("L")
        if !skip(",") {
          guard skip(")") else { return nil }
          break
        }
      }
      return result
    }
  }
}
