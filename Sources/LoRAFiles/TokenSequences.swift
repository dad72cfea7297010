package import LoRAJSON
import LoRATensor

/// Sequences of token ids from a file: JSON `[[id, ...], ...]`, or a `.safetensors` file with an
/// int64 or int32 tensor [sequences, length].
package struct TokenSequences: Sendable, Hashable {
  /// The sequences; at least one, each with at least one id, none negative.
  package let sequences: [[Int]]
  /// The file that they come from, with the tensor's name after a `#` if it has one.
  package let source: String

  /// Reads the sequences that `specification` names: `FILE`, or `FILE#name` for one tensor of a
  /// safetensors file. Without a name `defaultName` is taken if the file has it, otherwise its only
  /// tensor.
  package init(_ specification: String, defaultName: String? = nil) throws(FormatError) {
    let (path, name) = Self.split(specification)
    guard Self.isSafetensors(path) else {
      guard name == nil else {
        throw FormatError(
          .invalidValue, file: path, subject: "'\(name ?? "")'",
          problem: "only .safetensors files have named tensors", remedy: "leave out the '#'")
      }
      sequences = try Self.sequences(json: path)
      source = path
      return
    }
    let file = try SafetensorsFile(path: path, access: .copied)
    let choice = try Self.choice(in: file, name, defaultName)
    sequences = try Self.sequences(of: choice, in: file)
    source = "\(path)#\(choice)"
  }

  /// Reads the tensor `name` of the safetensors file that `specification` names (what follows a `#`
  /// is ignored); nil if there is no such tensor or if it is another kind of file.
  package static func ifPresent(
    _ name: String, in specification: String
  ) throws(FormatError) -> TokenSequences? {
    let (path, _) = split(specification)
    guard isSafetensors(path) else { return nil }
    guard try SafetensorsFile(path: path).entry(named: name) != nil else { return nil }
    return try TokenSequences("\(path)#\(name)")
  }

  /// The largest id.
  package var largestID: Int { sequences.lazy.compactMap { $0.max() }.max() ?? 0 }

  /// The file of a specification, without a tensor's name.
  package static func file(of specification: String) -> String { split(specification).path }

  /// Whether the file at `path` is one of safetensors, by its name, or by its beginning where the name
  /// has no suffix.
  package static func isSafetensors(_ path: String) -> Bool {
    if path.lowercased().hasSuffix(".safetensors") { return true }
    guard !FileSystem.name(of: path).contains("."),
      let bytes = try? ByteReader.beginning(of: path), bytes.count > 8
    else { return false }
    // The length of the header in eight bytes, and the header, an object.
    return bytes[4..<8].allSatisfy { $0 == 0 } && bytes[8] == UInt8(ascii: "{")
  }

  /// Path and tensor's name; a file whose own name has a `#` counts as a file.
  private static func split(_ specification: String) -> (path: String, name: String?) {
    guard !FileSystem.exists(specification),
      let mark = specification.lastIndex(of: "#")
    else { return (specification, nil) }
    return (
      String(specification[..<mark]), String(specification[specification.index(after: mark)...])
    )
  }

  private static func choice(
    in file: SafetensorsFile, _ name: String?, _ defaultName: String?
  ) throws(FormatError) -> String {
    if let name {
      guard file.entry(named: name) != nil else {
        throw FormatError(
          .missingTensor, file: file.path, tensor: name, "there is no such tensor",
          remedy: "it holds \(listed(file.names))")
      }
      return name
    }
    if let defaultName, file.entry(named: defaultName) != nil { return defaultName }
    if file.names.count == 1, let only = file.names.first { return only }
    throw FormatError(
      .missingTensor, file: file.path,
      problem: file.names.isEmpty
        ? "it holds no tensors"
        : "it holds \(file.names.count) tensors"
          + (defaultName.map { ", none named '\($0)'" } ?? ""),
      remedy: file.names.isEmpty
        ? "give a file with a tensor of token ids"
        : "choose one with \(file.path)#NAME: \(listed(file.names))")
  }

  private static func sequences(
    of name: String, in file: SafetensorsFile
  ) throws(FormatError) -> [[Int]] {
    let tensor = try file.tensor(named: name)
    guard tensor.dtype == .int64 || tensor.dtype == .int32 else {
      throw FormatError(
        .typeMismatch, file: file.path, tensor: name,
        "token ids must be int64 or int32, found \(tensor.dtype)")
    }
    guard tensor.shape.count == 2 else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "expected [sequences, length], found \(tensor.shape)")
    }
    guard tensor.elementCount > 0 else {
      throw FormatError(
        .invalidValue, file: file.path, tensor: name, "it is empty: its shape is \(tensor.shape)")
    }
    let ids = tensor.converted(to: .int64).scalars(as: Int.self)
    let length = tensor.shape[1]
    if let bad = ids.firstIndex(where: { $0 < 0 }) {
      throw FormatError(
        .invalidValue, file: file.path, tensor: name,
        "the id \(ids[bad]) at [\(bad / length), \(bad % length)] is negative")
    }
    return stride(from: 0, to: ids.count, by: length).map { Array(ids[$0..<$0 + length]) }
  }

  private static func sequences(json path: String) throws(FormatError) -> [[Int]] {
    let reader = try JSONListReader(path: path, form: "[[id, ...], ...]")
    var sequences: [[Int]] = []
    while let (value, line) = try reader.next() {
      let place = "sequence \(sequences.count + 1) (line \(line))"
      guard let elements = value.arrayValue else {
        throw FormatError(
          .typeMismatch, file: path, subject: place,
          problem: "expected [[id, ...], ...], found \(value.kind)")
      }
      sequences.append(try ids(elements, file: path, subject: place))
    }
    guard !sequences.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no sequences")
    }
    return sequences
  }

  /// The ids of one sequence as JSON has them; `subject` says in errors which one it is.
  package static func ids(
    _ elements: [JSONValue], file: String, subject: String
  ) throws(FormatError) -> [Int] {
    guard !elements.isEmpty else {
      throw FormatError(.invalidValue, file: file, subject: subject, problem: "it is empty")
    }
    var ids: [Int] = []
    ids.reserveCapacity(elements.count)
    for (column, element) in elements.enumerated() {
      guard let id = element.intValue, id >= 0 else {
        throw FormatError(
          element.intValue == nil ? .typeMismatch : .invalidValue, file: file, subject: subject,
          problem: "expected a token id at position \(column), found \(element.encoded())")
      }
      ids.append(id)
    }
    return ids
  }
}
