import LoRAJSON

/// The bytes of a text file one after another, from a block of it at a time, and the line that each is
/// on: files larger than memory are read this way.
///
/// A byte order mark of UTF-8 is left out. Throws for a file that is not UTF-8 text by its beginning,
/// see ``ForeignFormat``.
package final class ByteReader {
  /// The file.
  package let path: String
  /// The line that the next byte is on, from 1. Lines end with LF, CR LF or CR.
  package private(set) var line = 1
  /// The bytes before the next one.
  package var offset: Int { blockOffset + position }

  private let file: OpenFile
  private var block: [UInt8]
  private var blockOffset = 0
  private var position = 0
  private var count = 0
  private var lastWasReturn = false

  package init(path: String, blockSize: Int = 1 << 20) throws(FormatError) {
    self.path = path
    file = try OpenFile(path)
    block = [UInt8](repeating: 0, count: max(16, min(blockSize, file.byteCount)))
    try load()
    let beginning = Array(block[..<count].prefix(512))
    try ForeignFormat.refuse(beginning, path: path)
    if beginning.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  /// The first bytes, at most 512, without a byte order mark.
  package static func beginning(of path: String) throws(FormatError) -> [UInt8] {
    let reader = try ByteReader(path: path, blockSize: 512)
    return Array(reader.block[reader.position..<reader.count])
  }

  /// The next byte, which stays the next; nil at the end.
  package func peek() throws(FormatError) -> UInt8? {
    if position == count { try load() }
    return position < count ? block[position] : nil
  }

  /// The next byte; nil at the end.
  package func next() throws(FormatError) -> UInt8? {
    guard let byte = try peek() else { return nil }
    position += 1
    countLine(byte)
    return byte
  }

  /// Puts the bytes of the next line into `buffer`, without its end; false at the end of the file.
  package func nextLine(into buffer: inout [UInt8]) throws(FormatError) -> Bool {
    buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 22)
    guard try peek() != nil else { return false }
    // What ended the line before may be the first half of CR LF.
    if lastWasReturn, try peek() == 0x0A {
      _ = try next()
      guard try peek() != nil else { return false }
    }
    while try peek() != nil {
      let rest = block[position..<count]
      guard let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) else {
        buffer += rest
        position = count
        lastWasReturn = false
        continue
      }
      buffer += block[position..<end]
      position = end
      lastWasReturn = false
      _ = try next()
      return true
    }
    return true
  }

  private func countLine(_ byte: UInt8) {
    if byte == 0x0D || byte == 0x0A && !lastWasReturn { line += 1 }
    lastWasReturn = byte == 0x0D
  }

  private func load() throws(FormatError) {
    blockOffset += count
    position = 0
    count = min(block.count, file.byteCount - blockOffset)
    guard count > 0 else { return }
    var failure: FormatError?
    block.withUnsafeMutableBytes { bytes in
      do throws(FormatError) {
        try file.read(
          at: blockOffset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}

extension ByteReader {
  /// The whole text of the file at `path`, UTF-8, with LF for every line end, as Python's `open` reads
  /// it. Takes the memory of the text once.
  package static func text(_ path: String) throws(FormatError) -> String {
    let file = try OpenFile(path)
    try ForeignFormat.refuse(try beginning(of: path, file), path: path)
    var failure: FormatError?
    let text = String(unsafeUninitializedCapacity: file.byteCount) { buffer in
      do throws(FormatError) {
        try file.read(
          at: 0,
          into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: file.byteCount))
        return try cleaned(UnsafeMutableBufferPointer(rebasing: buffer[..<file.byteCount]), path)
      } catch {
        failure = error
        return 0
      }
    }
    if let failure { throw failure }
    return text
  }

  private static func beginning(of path: String, _ file: OpenFile) throws(FormatError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: min(512, file.byteCount))
    var failure: FormatError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(FormatError) { try file.read(at: 0, into: buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Takes the byte order mark and the carriage returns of line ends out of `bytes`, and returns how
  /// many are left. Throws for what is not text.
  private static func cleaned(
    _ bytes: UnsafeMutableBufferPointer<UInt8>, _ path: String
  ) throws(FormatError) -> Int {
    try checkText(UnsafeBufferPointer(bytes), path: path, line: 1)
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    guard start > 0 || bytes.contains(0x0D) else { return bytes.count }
    var (read, written) = (start, 0)
    while read < bytes.count {
      var byte = bytes[read]
      read += 1
      if byte == 0x0D {
        if read < bytes.count, bytes[read] == 0x0A { read += 1 }
        byte = 0x0A
      }
      bytes[written] = byte
      written += 1
    }
    return written
  }

  /// Throws unless `bytes`, which begin on `line`, are UTF-8 without NUL.
  package static func checkText(
    _ bytes: UnsafeBufferPointer<UInt8>, path: String, line: Int
  ) throws(FormatError) {
    func place(_ index: Int) -> String {
      var found = line
      var start = 0
      for i in 0..<index where bytes[i] == 0x0A || bytes[i] == 0x0D && bytes[i + 1] != 0x0A {
        found += 1
        start = i + 1
      }
      return "line \(found), byte \(index - start + 1)"
    }
    if let bad = firstInvalidUTF8(in: bytes) {
      throw FormatError(
        .malformed, file: path, subject: place(bad),
        problem: "it is not UTF-8 text: 0x\(hexadecimal(bytes[bad])) cannot stand there",
        remedy: "convert it, as by iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW")
    }
    if let bad = bytes.firstIndex(of: 0) {
      throw FormatError(
        .malformed, file: path, subject: place(bad), problem: "a NUL byte, which text has not",
        remedy: "if it is UTF-16, convert it, as by iconv -f UTF-16LE -t UTF-8 FILE > NEW")
    }
  }

  private static func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return digits.utf8.count < 2 ? "0" + digits : digits
  }
}
