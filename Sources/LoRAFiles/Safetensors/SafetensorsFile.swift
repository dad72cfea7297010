public import LoRATensor

/// A safetensors file: named tensors behind a header in JSON.
///
/// ```swift
/// let file = try SafetensorsFile(path: "model.safetensors")
/// file.names                                     // in the file's order
/// let weight = try file.tensor(named: "lm_head.weight")
/// ```
///
/// Opening reads and checks the header alone. A mapped file's tensors share its pages (they are
/// copied only if the file places them where their elements are misaligned); a copied file is read
/// once, and may be changed or deleted afterwards.
///
/// Hostile files throw: what the reference implementation refuses (headers above 100 MB, lengths
/// beyond the file, overlaps, holes, bytes after the last tensor, sizes that do not fit shapes,
/// duplicate names) and unknown members of an entry.
public struct SafetensorsFile: Sendable {
  /// How a file's bytes get into memory.
  public enum Access: Sendable, Hashable {
    /// Mapped: nothing is read before it is used, nothing is copied. The file must stay in place
    /// unchanged while any tensor of it lives.
    case mapped
    /// Read into memory at once.
    case copied
  }

  /// What the header says about one tensor.
  public struct Entry: Sendable, Hashable {
    /// The tensor's name.
    public let name: String
    /// The extents.
    public let shape: Shape
    /// The elements' type; nil if the file uses one that tensors cannot hold.
    public let dtype: DType?
    /// The elements' type as the file names it, as in "BF16".
    public let typeName: String
    /// Where the elements lie, counted from the beginning of the data.
    public let byteRange: Range<Int>
  }

  /// The file's path.
  public let path: String
  /// The tensors in the file's order.
  public let entries: [Entry]
  /// What the header's `__metadata__` holds.
  public let metadata: [String: String]

  private let positions: [ExactName: Int]
  private let content: Content

  private enum Content: Sendable {
    case mapped(MappedFile, dataStart: Int)
    case copied(Storage)
  }

  /// The reference implementation's limit, in bytes.
  static let greatestHeader = 100_000_000

  /// Opens the file at `path` and checks its header.
  public init(path: String, access: Access = .mapped) throws(FormatError) {
    let file = try OpenFile(path)
    let headerCount = try Self.headerLength(of: file)
    let header = Storage(byteCount: headerCount)
    let headerBytes = UnsafeMutableRawBufferPointer(start: header.base, count: headerCount)
    try file.read(at: 8, into: headerBytes)
    let dataCount = file.byteCount - 8 - headerCount
    let parsed = try SafetensorsHeader(
      parsing: UnsafeRawBufferPointer(headerBytes), dataCount: dataCount, file: path)
    withExtendedLifetime(header) {}

    self.path = path
    entries = parsed.entries
    positions = parsed.positions
    metadata = parsed.metadata
    switch access {
    case .mapped:
      let mapped: MappedFile
      do throws(FileError) {
        mapped = try MappedFile(path: path)
      } catch {
        throw FormatError(.unreadable, file: path, problem: "\(error)")
      }
      guard mapped.byteCount == file.byteCount else {
        throw FormatError(.truncated, file: path, problem: "the file changed while it was opened")
      }
      content = .mapped(mapped, dataStart: 8 + headerCount)
    case .copied:
      let storage = Storage(byteCount: dataCount)
      try file.read(
        at: 8 + headerCount,
        into: UnsafeMutableRawBufferPointer(start: storage.base, count: dataCount))
      content = .copied(storage)
    }
  }

  private static func headerLength(of file: OpenFile) throws(FormatError) -> Int {
    let again = "copy or download the file again"
    guard file.byteCount >= 8 else {
      throw FormatError(
        .truncated, file: file.path,
        problem: "it has \(file.byteCount) bytes, a safetensors file at least 8", remedy: again)
    }
    var length: UInt64 = 0
    var failure: FormatError?
    withUnsafeMutableBytes(of: &length) { bytes in
      do throws(FormatError) {
        try file.read(at: 0, into: bytes)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    length = UInt64(littleEndian: length)
    guard length <= UInt64(greatestHeader) else {
      throw FormatError(
        .malformed, file: file.path, subject: "header",
        problem: "its length is given as \(length) bytes, allowed are \(greatestHeader)",
        remedy: "check that this is a safetensors file")
    }
    guard Int(length) <= file.byteCount - 8 else {
      throw FormatError(
        .truncated, file: file.path, subject: "header",
        problem: "its length is given as \(length) bytes, the file has \(file.byteCount - 8) left",
        remedy: again)
    }
    return Int(length)
  }

  /// The tensors' names in the file's order.
  public var names: [String] { entries.map(\.name) }

  /// What the header says about the tensor `name`; nil if there is none. Names are compared byte by
  /// byte.
  public func entry(named name: String) -> Entry? {
    positions[ExactName(name)].map { entries[$0] }
  }

  /// The tensor `name`. Throws if there is none (`missingTensor`), if tensors cannot hold its type
  /// (`unsupported`), or if a boolean is neither 0 nor 1 (`invalidValue`).
  public func tensor(named name: String) throws(FormatError) -> Tensor {
    guard let entry = entry(named: name) else {
      throw FormatError(
        .missingTensor, file: path, tensor: name,
        "there is no such tensor; there are \(listed(names))")
    }
    return try tensor(entry)
  }

  private func tensor(_ entry: Entry) throws(FormatError) -> Tensor {
    guard let dtype = entry.dtype else {
      throw FormatError(
        .unsupported, file: path, tensor: entry.name,
        "its elements are of type \(entry.typeName), which is not supported",
        remedy: "convert it to one of F32, BF16 or F16")
    }
    let start: Int
    let result: Tensor
    switch content {
    case .mapped(let file, let dataStart):
      start = dataStart + entry.byteRange.lowerBound
      let storage = Storage(file: file, offset: start, byteCount: entry.byteRange.count)
      result = Tensor(aligning: storage, 0, entry.shape, dtype)
    case .copied(let storage):
      start = entry.byteRange.lowerBound
      result = Tensor(aligning: storage, start, entry.shape, dtype)
    }
    // A Swift Bool that is neither 0 nor 1 is undefined behaviour.
    if dtype == .bool,
      let index = result.withUnsafeBytes({ bytes in bytes.firstIndex { $0 > 1 } })
    {
      throw FormatError(
        .invalidValue, file: path, tensor: entry.name,
        "element \(index) of a boolean tensor is neither 0 nor 1")
    }
    return result
  }
}

extension Tensor {
  /// A view of the bytes, or a copy of them if elements would be misaligned.
  init(aligning storage: Storage, _ offset: Int, _ shape: Shape, _ dtype: DType) {
    if dtype.isQuantized || Int(bitPattern: storage.base + offset) % dtype.stride == 0 {
      self.init(shape: shape, dtype: dtype, storage: storage, offset: offset)
      return
    }
    self.init(shape: shape, dtype: dtype) { bytes in
      bytes.copyMemory(
        from: UnsafeRawBufferPointer(start: storage.base + offset, count: bytes.count))
    }
    withExtendedLifetime(storage) {}
  }
}
