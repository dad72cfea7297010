import LoRAJSON
public import LoRATensor

/// Writes safetensors files as the reference implementation lays them out: larger element types
/// first, then by name, behind a header padded with spaces to a multiple of 8 bytes, so that every
/// tensor lies aligned.
public enum SafetensorsWriter {
  /// Writes `tensors` to the file at `path`, atomically (see `AtomicFile`). Copies nothing: the
  /// bytes go to the file from where they lie.
  ///
  /// `copies` names the tensors that are copied from another file as they are: the only ones that may
  /// hold numbers that are not finite, as the masks of old checkpoints do.
  ///
  /// Throws ``FormatError`` if a name occurs twice or is `__metadata__`, if a tensor is quantized, or
  /// if it holds a number that is not finite; `FileError` if writing fails.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:],
    copies: Set<String> = [], to path: String
  ) throws {
    try AtomicFile.writeAll([try part(tensors, metadata: metadata, copies: copies, path: path)])
  }

  /// The file as one of several that are written together with `AtomicFile/writeAll(_:)`. Throws
  /// ``FormatError`` as ``write(_:metadata:copies:to:)`` does.
  package static func part(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:],
    copies: Set<String> = [], path: String
  ) throws(FormatError) -> AtomicFile.Part {
    let sorted = tensors.sorted { a, b in
      let ranks = (
        SafetensorsType.rank(of: a.tensor.dtype), SafetensorsType.rank(of: b.tensor.dtype)
      )
      return ranks.0 != ranks.1
        ? ranks.0 > ranks.1 : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
    }
    let header = try header(sorted, metadata: metadata, path: path)
    for (name, tensor) in sorted where !copies.contains(name) {
      do throws(UnstorableNumber) {
        try tensor.checkFinite()
      } catch {
        throw FormatError(file: path, tensor: name, error)
      }
    }
    return AtomicFile.Part(path) { writer in
      try writer.write(header)
      for (_, tensor) in sorted {
        try tensor.withUnsafeBytes { (bytes) throws(FileError) in try writer.write(bytes) }
      }
    }
  }

  private static func header(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String], path: String
  ) throws(FormatError) -> [UInt8] {
    var object = JSONObject()
    object.reserveCapacity(tensors.count + 1)
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      object.append(
        SafetensorsHeader.metadataKey,
        .object(JSONObject(pairs.map { ($0.key, JSONValue.string($0.value)) })))
    }
    var offset = 0
    for (name, tensor) in tensors {
      guard !name.hasSameBytes(as: SafetensorsHeader.metadataKey) else {
        throw FormatError(.invalidValue, file: path, tensor: name, "the name is reserved")
      }
      guard !tensor.dtype.isQuantized else {
        throw FormatError(
          .unsupported, file: path, tensor: name,
          "safetensors files have no elements of type \(tensor.dtype)",
          remedy: "convert it to float32, bfloat16 or float16")
      }
      let end = offset + tensor.byteCount
      let isNew = object.append(
        name,
        [
          "dtype": .string(SafetensorsType.name(of: tensor.dtype)),
          "shape": .array(tensor.shape.map { .integer(Int64($0)) }),
          "data_offsets": [.integer(Int64(offset)), .integer(Int64(end))],
        ])
      guard isNew else {
        throw FormatError(
          .duplicate, file: path, tensor: name, "two tensors to be written have this name")
      }
      offset = end
    }
    var text = JSONValue.object(object).encodedBytes()
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    guard text.count <= SafetensorsFile.greatestHeader else {
      throw FormatError(
        .invalidValue, file: path, subject: "header",
        problem: "it would have \(text.count) bytes, allowed are \(SafetensorsFile.greatestHeader)")
    }
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
  }
}
