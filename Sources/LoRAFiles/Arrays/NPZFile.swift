package import LoRATensor

/// NumPy's archive of named arrays, as `mlx.core.savez` and `numpy.savez` write it: what MLX kept
/// adapters in before safetensors.
package struct NPZFile: Sendable {
  /// The file's path.
  package var path: String { archive.path }
  private let archive: ZipArchive
  private let positions: [ExactName: Int]

  private static let suffix = ".npy"

  /// Opens the file at `path` and reads its table of contents.
  package init(path: String) throws(FormatError) {
    archive = try ZipArchive(path: path)
    var positions: [ExactName: Int] = [:]
    for (index, entry) in archive.entries.enumerated() {
      guard entry.name.hasSuffix(Self.suffix) else {
        throw FormatError(
          .unexpectedTensor, file: path, subject: "entry '\(entry.name)'",
          problem: "it is no array: those are called '<name>.npy'")
      }
      positions[ExactName(String(entry.name.dropLast(Self.suffix.count)))] = index
    }
    self.positions = positions
  }

  /// Whether the file is such an archive rather than one of PyTorch's.
  package static func isOne(startingWith start: [UInt8], path: String) -> Bool {
    guard start.starts(with: ZipArchive.magic) else { return false }
    if path.lowercased().hasSuffix(".npz") { return true }
    guard let archive = try? ZipArchive(path: path), !archive.entries.isEmpty else { return false }
    return archive.entries.allSatisfy { $0.name.hasSuffix(suffix) }
  }

  /// The arrays' names in the file's order.
  package var names: [String] {
    archive.entries.map { String($0.name.dropLast(Self.suffix.count)) }
  }

  /// The array `name`.
  package func tensor(named name: String) throws(FormatError) -> Tensor {
    guard let position = positions[ExactName(name)] else {
      throw FormatError(
        .missingTensor, file: path, tensor: name,
        "there is no such array; there are \(listed(names))")
    }
    return try NPYArray(
      try archive.content(of: archive.entries[position]), file: path, name: name
    ).tensor
  }
}

/// Where an adapter's tensors come from.
package enum TensorSource: Sendable {
  case safetensors(SafetensorsFile)
  case arrays(NPZFile)

  package var path: String {
    switch self {
    case .safetensors(let file): file.path
    case .arrays(let file): file.path
    }
  }

  package var names: [String] {
    switch self {
    case .safetensors(let file): file.names
    case .arrays(let file): file.names
    }
  }

  /// What the file says about itself.
  package var metadata: [String: String] {
    switch self {
    case .safetensors(let file): file.metadata
    case .arrays: [:]
    }
  }

  package func tensor(named name: String) throws(FormatError) -> Tensor {
    switch self {
    case .safetensors(let file): try file.tensor(named: name)
    case .arrays(let file): try file.tensor(named: name)
    }
  }
}
