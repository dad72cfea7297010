import LoRAJSON
import LoRATensor

/// The checked header of a safetensors file.
///
/// Parsing costs a small multiple of the header's own size in memory, whatever the header claims.
struct SafetensorsHeader {
  var entries: [SafetensorsFile.Entry] = []
  var positions: [ExactName: Int] = [:]
  var metadata: [String: String] = [:]
  private let file: String

  static let metadataKey = "__metadata__"

  init(parsing bytes: UnsafeRawBufferPointer, dataCount: Int, file: String) throws(FormatError) {
    self.file = file
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: bytes, maximumDepth: 8)
    } catch {
      throw FormatError(.malformed, file: file, subject: "header", problem: "\(error)")
    }
    guard let object = value.objectValue else {
      throw FormatError(
        .malformed, file: file, subject: "header",
        problem: "expected a JSON object, found \(value.kind)")
    }
    entries.reserveCapacity(object.count)
    positions.reserveCapacity(object.count)
    for (name, value) in object {
      if name.hasSameBytes(as: Self.metadataKey) {
        metadata = try parseMetadata(value)
      } else {
        positions[ExactName(name)] = entries.count
        entries.append(try parseEntry(name, value, dataCount: dataCount))
      }
    }
    try checkLayout(dataCount: dataCount)
  }

  private func parseMetadata(_ value: JSONValue) throws(FormatError) -> [String: String] {
    // MLX writes null where it has none, and the reference implementation reads it.
    if value.isNull { return [:] }
    guard let object = value.objectValue else {
      throw FormatError(
        .malformed, file: file, key: Self.metadataKey, "expected an object, found \(value.kind)")
    }
    var result: [String: String] = [:]
    for (key, value) in object {
      guard let text = value.stringValue else {
        throw FormatError(
          .malformed, file: file, key: "\(Self.metadataKey).\(key)",
          "expected a string, found \(value.kind)")
      }
      guard result.updateValue(text, forKey: key) == nil else {
        throw FormatError(
          .duplicate, file: file, key: "\(Self.metadataKey).\(key)", "the key occurs twice")
      }
    }
    return result
  }

  private func parseEntry(
    _ name: String, _ value: JSONValue, dataCount: Int
  ) throws(FormatError) -> SafetensorsFile.Entry {
    func malformed(_ problem: String) -> FormatError {
      FormatError(.malformed, file: file, tensor: name, problem)
    }
    guard let object = value.objectValue else {
      throw malformed("expected an object that describes it, found \(value.kind)")
    }
    for key in object.keys where !["dtype", "shape", "data_offsets"].contains(key) {
      throw malformed("its description has an unknown member '\(key)'")
    }
    guard let typeName = object["dtype"]?.stringValue else {
      throw malformed("'dtype' must be a string, found \(object["dtype"]?.kind ?? "nothing")")
    }
    let extents = try integers(object["shape"], "shape", of: name)
    let offsets = try integers(object["data_offsets"], "data_offsets", of: name)
    guard offsets.count == 2 else {
      throw malformed("'data_offsets' must be two numbers, found \(offsets.count)")
    }
    guard offsets[0] <= offsets[1] else {
      throw malformed("its bytes end at \(offsets[1]), before they begin at \(offsets[0])")
    }
    guard offsets[1] <= dataCount else {
      throw FormatError(
        .truncated, file: file, tensor: name,
        "its bytes \(offsets[0])..<\(offsets[1]) lie beyond the \(dataCount) bytes of data",
        remedy: "copy or download the file again")
    }
    guard let shape = Shape(checking: extents) else {
      throw malformed("the number of elements of its shape \(extents) overflows")
    }
    let range = offsets[0]..<offsets[1]
    if let bits = SafetensorsType.bits(of: typeName) {
      let (total, overflow) = shape.elementCount.multipliedReportingOverflow(by: bits)
      guard !overflow, total % 8 == 0, total / 8 == range.count else {
        throw FormatError(
          .shapeMismatch, file: file, tensor: name,
          "\(typeName) \(shape) needs \(overflow ? "more" : "\(total / 8)") bytes, "
            + "its 'data_offsets' give it \(range.count)")
      }
    }
    return SafetensorsFile.Entry(
      name: name, shape: shape, dtype: SafetensorsType.dtype(named: typeName),
      typeName: typeName, byteRange: range)
  }

  private func integers(
    _ value: JSONValue?, _ key: String, of name: String
  ) throws(FormatError) -> [Int] {
    guard let array = value?.arrayValue else {
      throw FormatError(
        .malformed, file: file, tensor: name,
        "'\(key)' must be a list, found \(value?.kind ?? "nothing")")
    }
    var result: [Int] = []
    result.reserveCapacity(array.count)
    for element in array {
      guard let number = element.intValue, number >= 0 else {
        throw FormatError(
          .malformed, file: file, tensor: name,
          "'\(key)' must hold whole numbers from 0, found \(element.encoded())")
      }
      result.append(number)
    }
    return result
  }

  /// Tensors must follow each other without overlaps or holes and fill the data.
  private func checkLayout(dataCount: Int) throws(FormatError) {
    var end = 0
    var previous = ""
    let order = entries.sorted {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    for entry in order {
      let start = entry.byteRange.lowerBound
      guard start >= end else {
        throw FormatError(
          .malformed, file: file, tensor: entry.name,
          "its bytes begin at \(start), inside those of '\(previous)', which end at \(end)")
      }
      guard start == end else {
        throw FormatError(
          .malformed, file: file, tensor: entry.name,
          "its bytes begin at \(start), leaving a hole from \(end)")
      }
      end = entry.byteRange.upperBound
      previous = entry.name
    }
    guard end == dataCount else {
      throw FormatError(
        .malformed, file: file,
        problem: "its tensors end at byte \(end) of the data, which has \(dataCount) bytes")
    }
  }
}
