package import LoRATensor

/// Writes GGUF files of version 3, byte for byte as gguf-py does: key-values and tensors in the
/// given order, every tensor's data padded to the alignment.
///
/// ```swift
/// try GGUFWriter.write(
///   [.init(key: "general.architecture", value: .string("llama"))],
///   tensors: [.init(name: "output_norm.weight", tensor: norm)], to: "model.gguf")
/// ```
package enum GGUFWriter {
  /// A tensor to be written.
  package struct Item: Sendable {
    let name: String
    let shape: Shape
    let content: Content
    let isCopy: Bool

    enum Content: Sendable {
      case plain(Tensor)
      case blocks(GGUFBlocks)
      case made(DType, Making)
    }

    /// A tensor whose elements are written as they are.
    ///
    /// With `isCopy` it is copied from another file, whatever it holds; other tensors may have finite
    /// numbers only.
    package init(name: String, tensor: Tensor, isCopy: Bool = false) {
      self.name = name
      shape = tensor.shape
      content = .plain(tensor)
      self.isCopy = isCopy
    }

    /// A quantized tensor.
    package init(name: String, blocks: GGUFBlocks) {
      self.name = name
      shape = blocks.shape
      content = .blocks(blocks)
      isCopy = true
    }

    /// Makes the numbers of a tensor: hands parts of it on, in their order and of its type.
    package typealias Making = @Sendable (_ emit: (Tensor) throws -> Void) throws -> Void

    /// A tensor of this shape and type that is made when its turn comes to be written, part by part, each
    /// of which is forgotten then. `make` has checked its numbers.
    package init(name: String, shape: Shape, type: DType, make: @escaping Making) {
      self.name = name
      self.shape = shape
      content = .made(type, make)
      isCopy = true
    }
  }

  /// ggml's limits, beyond which llama.cpp refuses a file.
  private static let greatestName = 63
  private static let greatestDimensionCount = 4

  /// Writes a file to `path`, atomically (see `AtomicFile`). Copies nothing: the tensors' bytes go
  /// to the file from where they lie.
  ///
  /// The alignment is 32 unless `general.alignment` is among the key-values. Throws ``FormatError``
  /// if a key or a name occurs twice, if a name or shape is more than llama.cpp reads, if the
  /// format has no such element type (unsigned integers, booleans), or if a tensor that is not copied
  /// from another file as it is holds a number that is not finite; `FileError` if writing fails.
  package static func write(
    _ keyValues: [GGUFFile.KeyValue], tensors: [Item], to path: String
  ) throws {
    try AtomicFile.writeAll([try part(keyValues, tensors: tensors, path: path)])
  }

  /// The file as one of several that are written together with `AtomicFile/writeAll(_:)`. Throws
  /// ``FormatError`` as ``write(_:tensors:to:)`` does.
  package static func part(
    _ keyValues: [GGUFFile.KeyValue], tensors: [Item], path: String
  ) throws(FormatError) -> AtomicFile.Part {
    let alignment = try alignment(keyValues, path)
    var header = preamble(tensors: tensors.count, keyValues: keyValues.count)
    try append(keyValues, to: &header, path)
    let padding = try append(tensors, to: &header, alignment, path)
    header.append(contentsOf: repeatElement(0, count: gap(header.count, alignment)))
    return AtomicFile.Part(path) { [header] writer in
      try writer.write(header)
      for (tensor, padding) in zip(tensors, padding) {
        switch tensor.content {
        case .plain(let tensor):
          try tensor.withUnsafeBytes { (bytes) throws(FileError) in try writer.write(bytes) }
        case .blocks(let blocks):
          try blocks.withUnsafeBytes { (bytes) throws(FileError) in try writer.write(bytes) }
        case .made(let type, let make):
          var count = 0
          try make { part in
            require(part.dtype == type, "a part of '\(tensor.name)' is \(part.dtype), not \(type)")
            count += part.elementCount
            try part.withUnsafeBytes { (bytes) throws(FileError) in try writer.write(bytes) }
          }
          require(
            count == tensor.shape.elementCount,
            "'\(tensor.name)' of \(tensor.shape) was made of \(count) elements")
        }
        try writer.write([UInt8](repeating: 0, count: padding))
      }
    }
  }

  private static func alignment(
    _ keyValues: [GGUFFile.KeyValue], _ path: String
  ) throws(FormatError) -> Int {
    guard
      let item = keyValues.first(where: { ExactName($0.key) == ExactName(GGUFFile.alignmentKey) })
    else { return GGUFFile.defaultAlignment }
    return try GGUFFile.alignment(from: item.value, file: path)
  }

  /// The bytes from `count` to the next multiple of `alignment`.
  private static func gap(_ count: Int, _ alignment: Int) -> Int {
    (alignment - count % alignment) % alignment
  }

  private static func preamble(tensors: Int, keyValues: Int) -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    append(UInt32(3), to: &bytes)
    append(UInt64(tensors), to: &bytes)
    append(UInt64(keyValues), to: &bytes)
    return bytes
  }

  private static func append(
    _ keyValues: [GGUFFile.KeyValue], to bytes: inout [UInt8], _ path: String
  ) throws(FormatError) {
    var keys: Set<ExactName> = []
    for item in keyValues {
      guard !item.key.isEmpty else {
        throw FormatError(.invalidValue, file: path, key: "", "a key to be written is empty")
      }
      guard keys.insert(ExactName(item.key)).inserted else {
        throw FormatError(
          .duplicate, file: path, key: item.key, "two values to be written have this key")
      }
      append(item.key, to: &bytes)
      append(item.value.typeCode, to: &bytes)
      append(item.value, to: &bytes)
    }
  }

  /// Appends the tensors' descriptions; returns how many zeros follow each one's data.
  private static func append(
    _ tensors: [Item], to bytes: inout [UInt8], _ alignment: Int, _ path: String
  ) throws(FormatError) -> [Int] {
    var names: Set<ExactName> = []
    var padding: [Int] = []
    var offset = 0
    for tensor in tensors {
      func failure(_ kind: FormatError.Kind, _ problem: String) -> FormatError {
        FormatError(kind, file: path, tensor: tensor.name, problem)
      }
      guard names.insert(ExactName(tensor.name)).inserted else {
        throw failure(.duplicate, "two tensors to be written have this name")
      }
      guard tensor.name.utf8.count <= greatestName else {
        throw failure(
          .invalidValue,
          "its name has \(tensor.name.utf8.count) bytes, llama.cpp reads \(greatestName)")
      }
      guard tensor.shape.count <= greatestDimensionCount else {
        throw failure(
          .invalidValue,
          "it has \(tensor.shape.count) dimensions, the format has \(greatestDimensionCount)")
      }
      let type: GGUFTensorType
      let byteCount: Int
      switch tensor.content {
      case .plain(let content):
        guard let plain = GGUFTensorType(content.dtype) else {
          throw failure(.unsupported, "the format has no elements of type \(content.dtype)")
        }
        do throws(UnstorableNumber) {
          if !tensor.isCopy { try content.checkFinite() }
        } catch {
          throw FormatError(file: path, tensor: tensor.name, error)
        }
        (type, byteCount) = (plain, content.byteCount)
      case .blocks(let blocks):
        (type, byteCount) = (blocks.type, blocks.byteCount)
      case .made(let made, _):
        guard let known = GGUFTensorType(made), let count = known.byteCount(of: tensor.shape) else {
          throw failure(.unsupported, "the format has no \(tensor.shape) of type \(made)")
        }
        (type, byteCount) = (known, count)
      }
      append(tensor.name, to: &bytes)
      append(UInt32(tensor.shape.count), to: &bytes)
      for extent in tensor.shape.dimensions.reversed() { append(UInt64(extent), to: &bytes) }
      append(type.rawValue, to: &bytes)
      append(UInt64(offset), to: &bytes)
      padding.append(gap(byteCount, alignment))
      offset += byteCount + gap(byteCount, alignment)
    }
    return padding
  }

  private static func append<T: BitwiseCopyable>(_ number: T, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &bytes)
    bytes.append(contentsOf: text.utf8)
  }

  private static func append(_ value: GGUFValue, to bytes: inout [UInt8]) {
    switch value {
    case .uint8(let number): append(number, to: &bytes)
    case .int8(let number): append(number, to: &bytes)
    case .uint16(let number): append(number, to: &bytes)
    case .int16(let number): append(number, to: &bytes)
    case .uint32(let number): append(number, to: &bytes)
    case .int32(let number): append(number, to: &bytes)
    case .float32(let number): append(number, to: &bytes)
    case .bool(let isTrue): bytes.append(isTrue ? 1 : 0)
    case .string(let text): append(text, to: &bytes)
    case .array(let array): append(array, to: &bytes)
    case .uint64(let number): append(number, to: &bytes)
    case .int64(let number): append(number, to: &bytes)
    case .float64(let number): append(number, to: &bytes)
    }
  }

  private static func append(_ array: GGUFArray, to bytes: inout [UInt8]) {
    append(array.typeCode, to: &bytes)
    append(UInt64(array.count), to: &bytes)
    func numbers<T: BitwiseCopyable>(_ values: [T]) {
      values.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
    switch array {
    case .uint8(let values): numbers(values)
    case .int8(let values): numbers(values)
    case .uint16(let values): numbers(values)
    case .int16(let values): numbers(values)
    case .uint32(let values): numbers(values)
    case .int32(let values): numbers(values)
    case .float32(let values): numbers(values)
    case .bool(let values): for isTrue in values { bytes.append(isTrue ? 1 : 0) }
    case .string(let values): for text in values { append(text, to: &bytes) }
    case .array(let values): for array in values { append(array, to: &bytes) }
    case .uint64(let values): numbers(values)
    case .int64(let values): numbers(values)
    case .float64(let values): numbers(values)
    }
  }
}
