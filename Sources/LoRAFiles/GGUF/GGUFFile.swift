import LoRAJSON
package import LoRATensor

/// A GGUF file: what llama.cpp keeps models and adapters in, named tensors behind typed key-values.
///
/// ```swift
/// let file = try GGUFFile(path: "stories260k.gguf")
/// file["general.architecture"]?.stringValue    // "llama"
/// file.entry(named: "token_embd.weight")?.type // .q8_0
/// let norm = try file.tensor(named: "output_norm.weight")
/// ```
///
/// Versions 2 and 3, little-endian. Opening reads and checks the header alone; a mapped file's
/// tensors share its pages. Shapes are in this library's order, outermost extent first: the reverse
/// of what the file lists.
///
/// Hostile files throw: lengths and counts beyond the file, unknown types, names that occur twice,
/// text that is not UTF-8, overlapping or misplaced tensors, rows that do not divide into blocks.
/// More than the header's size times a small factor is never allocated for it.
///
/// Source: the specification of GGUF, `docs/gguf.md` in ggml's repository.
package struct GGUFFile: Sendable {
  /// How a file's bytes get into memory.
  package typealias Access = SafetensorsFile.Access

  /// Something that the file says about itself.
  package struct KeyValue: Sendable, Hashable {
    /// The key, as in "general.architecture".
    package var key: String
    /// The value.
    package var value: GGUFValue

    /// Creates a key with its value.
    package init(key: String, value: GGUFValue) {
      self.key = key
      self.value = value
    }
  }

  /// What the header says about one tensor.
  package struct Entry: Sendable, Hashable {
    /// The tensor's name.
    package let name: String
    /// The extents, outermost first.
    package let shape: Shape
    /// How the elements are stored.
    package let type: GGUFTensorType
    /// Where the elements lie, counted from the beginning of the data.
    package let byteRange: Range<Int>
  }

  /// The file's path.
  package let path: String
  /// The version of the format: 2 or 3.
  package let version: Int
  /// What every tensor's offset is a multiple of.
  package let alignment: Int
  /// What the file says about itself, in its order.
  package let keyValues: [KeyValue]
  /// The tensors in the file's order.
  package let entries: [Entry]

  private let keyPositions: [ExactName: Int]
  private let positions: [ExactName: Int]
  private let dataStart: Int
  private let content: Content

  private enum Content: Sendable {
    case mapped(MappedFile)
    case copied(Storage)
  }

  /// The alignment of files that do not name one.
  static let defaultAlignment = 32
  static let alignmentKey = "general.alignment"

  /// Opens the file at `path` and checks its header. See ``SafetensorsFile/Access`` for what a
  /// mapped file needs.
  package init(path: String, access: Access = .mapped) throws(FormatError) {
    let header: GGUFHeader
    switch access {
    case .mapped:
      let mapped: MappedFile
      do throws(FileError) {
        mapped = try MappedFile(path: path)
      } catch {
        // What opening it plainly finds wrong says more.
        _ = try OpenFile(path)
        throw FormatError(.unreadable, file: path, problem: "\(error)")
      }
      // A file this short may be what Git left of a large one.
      if mapped.byteCount < LFSPointer.greatestSize { _ = try OpenFile(path) }
      header = try GGUFHeader(parsing: mapped.bytes, file: path)
      content = .mapped(mapped)
    case .copied:
      let file = try OpenFile(path)
      let storage = Storage(byteCount: file.byteCount)
      let bytes = UnsafeMutableRawBufferPointer(start: storage.base, count: file.byteCount)
      try file.read(at: 0, into: bytes)
      header = try GGUFHeader(parsing: UnsafeRawBufferPointer(bytes), file: path)
      content = .copied(storage)
    }
    self.path = path
    version = Int(header.version)
    alignment = header.alignment
    keyValues = header.keyValues
    keyPositions = header.keyPositions
    entries = header.entries
    positions = header.positions
    dataStart = header.dataStart
  }

  /// The alignment that the value of `general.alignment` asks for.
  static func alignment(from value: GGUFValue, file: String) throws(FormatError) -> Int {
    guard case .uint32(let alignment) = value else {
      throw FormatError(
        .typeMismatch, file: file, key: alignmentKey, "expected a uint32, found \(value.kind)")
    }
    guard alignment.nonzeroBitCount == 1 else {
      throw FormatError(
        .invalidValue, file: file, key: alignmentKey, "\(alignment) is not a power of two")
    }
    return Int(alignment)
  }
}

// MARK: - Key-values

extension GGUFFile {
  /// The value of `key`; nil if there is none. Keys are compared byte by byte.
  package subscript(key: String) -> GGUFValue? {
    keyPositions[ExactName(key)].map { keyValues[$0].value }
  }

  /// The text of `key`; nil if there is no such key. Throws if it is not a text.
  package func string(_ key: String) throws(FormatError) -> String? {
    try read(key, "a string") { $0.stringValue }
  }

  /// The whole number of `key`, of any integer type; nil if there is no such key. Throws if it is
  /// not one, or too large.
  package func int(_ key: String) throws(FormatError) -> Int? {
    try read(key, "a whole number") { $0.intValue }
  }

  /// The floating-point number of `key`; nil if there is no such key. Throws if it is not one.
  package func double(_ key: String) throws(FormatError) -> Double? {
    try read(key, "a floating-point number") { $0.doubleValue }
  }

  /// The truth value of `key`; nil if there is no such key. Throws if it is not one.
  package func bool(_ key: String) throws(FormatError) -> Bool? {
    try read(key, "a truth value") { $0.boolValue }
  }

  /// The texts of `key`; nil if there is no such key. Throws if it is not an array of strings.
  package func strings(_ key: String) throws(FormatError) -> [String]? {
    try read(key, "an array of strings") { $0.strings }
  }

  /// What `value` has of `key` if it is there, which is `described`.
  private func read<T>(
    _ key: String, _ described: String, _ value: (GGUFValue) -> T?
  ) throws(FormatError) -> T? {
    guard let found = self[key] else { return nil }
    guard let result = value(found) else {
      throw FormatError(
        .typeMismatch, file: path, key: key, "expected \(described), found \(found.kind)")
    }
    return result
  }

  /// The key `general.architecture`, as in "llama". Throws if it is missing or not a text.
  package func architecture() throws(FormatError) -> String {
    let key = "general.architecture"
    guard let name = try string(key) else {
      throw FormatError(
        .missingKey, file: path, key: key, "the file does not say which architecture it is for")
    }
    return name
  }
}

// MARK: - Tensors

extension GGUFFile {
  /// The tensors' names in the file's order.
  package var names: [String] { entries.map(\.name) }

  /// What the header says about the tensor `name`; nil if there is none. Names are compared byte by
  /// byte.
  package func entry(named name: String) -> Entry? {
    positions[ExactName(name)].map { entries[$0] }
  }

  /// The tensor `name`, in the type it is stored in. Throws if there is none (`missingTensor`) or if
  /// its elements are in blocks that nothing here can read (`unsupported`).
  package func tensor(named name: String) throws(FormatError) -> Tensor {
    let entry = try existing(name)
    guard let dtype = entry.type.dtype else {
      let readable = GGUFTensorType.allCases.filter { $0.dtype != nil }.map(\.name)
      throw FormatError(
        .unsupported, file: path, tensor: name, "its elements are of type \(entry.type)",
        remedy: "supported are \(readable.joined(separator: ", ")); quantize it to one of these")
    }
    let (storage, offset) = bytes(of: entry)
    return Tensor(aligning: storage, offset, entry.shape, dtype)
  }

  /// The bytes of the tensor `name`, whatever its type, shared with the file. Throws if there is
  /// none.
  package func blockBytes(named name: String) throws(FormatError) -> GGUFBlocks {
    let entry = try existing(name)
    let (storage, offset) = bytes(of: entry)
    return GGUFBlocks(
      name: name, type: entry.type, shape: entry.shape, storage: storage, offset: offset,
      byteCount: entry.byteRange.count)
  }

  private func existing(_ name: String) throws(FormatError) -> Entry {
    guard let entry = entry(named: name) else {
      throw FormatError(
        .missingTensor, file: path, tensor: name,
        "there is no such tensor; there are \(listed(names))")
    }
    return entry
  }

  private func bytes(of entry: Entry) -> (Storage, offset: Int) {
    let start = dataStart + entry.byteRange.lowerBound
    switch content {
    case .mapped(let file):
      return (Storage(file: file, offset: start, byteCount: entry.byteRange.count), 0)
    case .copied(let storage):
      return (storage, start)
    }
  }
}

/// The bytes of one tensor of a GGUF file, in whatever type they are stored: rows of blocks, one
/// after the other, mapped or in memory. Copies share them.
package struct GGUFBlocks: Sendable {
  /// The tensor's name.
  package let name: String
  /// How the elements are stored.
  package let type: GGUFTensorType
  /// The extents in elements, outermost first; the innermost is a multiple of the block size.
  package let shape: Shape
  /// What holds the bytes.
  package let storage: Storage
  /// Where they begin in the storage. A file's alignment may be small: do not count on any.
  package let offset: Int
  /// The number of bytes.
  package let byteCount: Int

  /// Describes bytes that exist. Traps unless there are as many as the shape needs.
  package init(
    name: String, type: GGUFTensorType, shape: Shape, storage: Storage, offset: Int, byteCount: Int
  ) {
    require(
      type.byteCount(of: shape) == byteCount && offset + byteCount <= storage.byteCount,
      "\(byteCount) bytes of \(type) \(shape)")
    self.name = name
    self.type = type
    self.shape = shape
    self.storage = storage
    self.offset = offset
    self.byteCount = byteCount
  }

  /// The number of bytes of one row, which is a whole number of blocks.
  package var rowByteCount: Int { shape.innermost / type.blockSize * type.bytesPerBlock }

  /// Calls `body` with the bytes, valid only during the call.
  package func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeRawBufferPointer(start: storage.base + offset, count: byteCount))
  }
}
