/// A zip archive in memory: the stored and the deflated entries that `numpy.savez` writes.
///
/// Hostile archives throw: entries beyond the file or over each other, sizes that do not fit, wrong
/// checksums, contents that would inflate to more than ``greatestContent(of:)``.
///
/// Source: PKWARE's APPNOTE, without encryption, several volumes and archives above 4 GiB.
package struct ZipArchive: Sendable {
  /// A file in the archive.
  package struct Entry: Sendable {
    package var name: String
    fileprivate var isDeflated: Bool
    fileprivate var checksum: UInt32
    /// Where its bytes lie.
    fileprivate var range: Range<Int>
    /// Its size when it is unpacked.
    package var size: Int
  }

  package let path: String
  package let entries: [Entry]
  private let bytes: [UInt8]

  /// What an archive with entries begins with.
  package static let magic: [UInt8] = [0x50, 0x4B, 0x03, 0x04]

  /// Whether the file at `path` begins as an archive does.
  package static func isOne(_ path: String) -> Bool {
    guard let file = try? OpenFile(path), file.byteCount >= magic.count else { return false }
    var start = [UInt8](repeating: 0, count: magic.count)
    let isRead = start.withUnsafeMutableBytes { (try? file.read(at: 0, into: $0)) != nil }
    return isRead && start == magic
  }

  /// Reads the archive's table of contents.
  package init(path: String) throws(FormatError) {
    self.path = path
    bytes = try FileSystem.read(path)
    entries = try Directory(bytes: bytes, path: path).entries()
  }

  /// A limit for what `count` packed bytes may become: weights hardly shrink, but for zeros.
  package static func greatestContent(of count: Int) -> Int { (64 << 20) + 100 * count }

  /// The content of an entry.
  package func content(of entry: Entry) throws(FormatError) -> [UInt8] {
    let packed = bytes[entry.range]
    let content: [UInt8]
    if entry.isDeflated {
      do throws(Inflate.Failure) {
        content = try Inflate.inflated(packed, size: entry.size)
      } catch {
        throw FormatError(
          .malformed, file: path, subject: "entry '\(entry.name)'",
          problem: "it cannot be unpacked: \(error)", remedy: "copy or download the file again")
      }
    } else {
      content = Array(packed)
    }
    guard CRC32.checksum(content) == entry.checksum else {
      throw FormatError(
        .malformed, file: path, subject: "entry '\(entry.name)'",
        problem: "its content does not have the checksum that the archive notes",
        remedy: "copy or download the file again")
    }
    return content
  }
}

/// Reads the table of contents at an archive's end.
private struct Directory {
  let bytes: [UInt8]
  let path: String

  func entries() throws(FormatError) -> [ZipArchive.Entry] {
    let end = try endRecord()
    let count = try number(at: end + 10, 2)
    let size = try number(at: end + 12, 4)
    var place = try number(at: end + 16, 4)
    guard count < 0xFFFF, size < 0xFFFF_FFFF, place < 0xFFFF_FFFF else {
      throw FormatError(
        .unsupported, file: path, problem: "archives above 4 GiB are not supported")
    }
    guard place + size <= end else { throw damaged("its table of contents lies beyond its end") }
    var entries: [ZipArchive.Entry] = []
    var names: Set<ExactName> = []
    for _ in 0..<count {
      let (entry, next) = try entry(at: place)
      guard names.insert(ExactName(entry.name)).inserted else {
        throw FormatError(
          .duplicate, file: path, subject: "entry '\(entry.name)'", problem: "it occurs twice")
      }
      entries.append(entry)
      place = next
    }
    try checkApart(entries)
    return entries
  }

  private func damaged(_ problem: String) -> FormatError {
    FormatError(
      .malformed, file: path, problem: "the archive is damaged: \(problem)",
      remedy: "copy or download the file again")
  }

  /// The little-endian number of `size` bytes at `place`.
  private func number(at place: Int, _ size: Int) throws(FormatError) -> Int {
    guard place >= 0, place + size <= bytes.count else { throw damaged("it ends too early") }
    return (0..<size).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
  }

  private func isSignature(_ last: [UInt8], at place: Int) -> Bool {
    place >= 0 && place + 4 <= bytes.count
      && bytes[place..<place + 4].elementsEqual([0x50, 0x4B] + last)
  }

  /// Where the last record begins: behind it only a comment of at most 65535 bytes.
  private func endRecord() throws(FormatError) -> Int {
    var place = bytes.count - 22
    let first = max(0, place - 0xFFFF)
    while place >= first {
      if isSignature([0x05, 0x06], at: place) { return place }
      place -= 1
    }
    throw FormatError(
      .truncated, file: path, problem: "the archive has no table of contents at its end",
      remedy: "copy or download the file again")
  }

  private func entry(at place: Int) throws(FormatError) -> (ZipArchive.Entry, next: Int) {
    guard isSignature([0x01, 0x02], at: place) else {
      throw damaged("its table of contents has no entry at byte \(place)")
    }
    let flags = try number(at: place + 8, 2)
    let method = try number(at: place + 10, 2)
    let packed = try number(at: place + 20, 4)
    let size = try number(at: place + 24, 4)
    let nameLength = try number(at: place + 28, 2)
    let rest = try number(at: place + 30, 2) + number(at: place + 32, 2)
    let header = try number(at: place + 42, 4)
    let nameStart = place + 46
    guard nameStart + nameLength <= bytes.count else { throw damaged("it ends too early") }
    let name = String(decoding: bytes[nameStart..<nameStart + nameLength], as: UTF8.self)
    func unsupported(_ problem: String) -> FormatError {
      FormatError(.unsupported, file: path, subject: "entry '\(name)'", problem: problem)
    }
    guard flags & 1 == 0 else { throw unsupported("it is encrypted") }
    guard method == 0 || method == 8 else {
      throw unsupported("it is packed by method \(method); supported are stored and deflated")
    }
    guard packed < 0xFFFF_FFFF, size < 0xFFFF_FFFF, header < 0xFFFF_FFFF else {
      throw unsupported("it is larger than 4 GiB")
    }
    guard isSignature([0x03, 0x04], at: header) else {
      throw damaged("'\(name)' does not lie at byte \(header)")
    }
    let start = try header + 30 + number(at: header + 26, 2) + number(at: header + 28, 2)
    guard start + packed <= bytes.count else { throw damaged("'\(name)' lies beyond its end") }
    guard method == 8 ? size <= ZipArchive.greatestContent(of: packed) : size == packed else {
      throw damaged("'\(name)' has \(packed) bytes for \(size)")
    }
    let entry = ZipArchive.Entry(
      name: name, isDeflated: method == 8, checksum: UInt32(try number(at: place + 16, 4)),
      range: start..<start + packed, size: size)
    return (entry, nameStart + nameLength + rest)
  }

  /// Entries that share bytes are how small archives become large.
  private func checkApart(_ entries: [ZipArchive.Entry]) throws(FormatError) {
    var end = 0
    for entry in entries.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      guard entry.range.lowerBound >= end else {
        throw damaged("'\(entry.name)' lies over another entry")
      }
      end = entry.range.upperBound
    }
  }
}

/// The checksum of zip archives.
package enum CRC32 {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in
      value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
    }
  }

  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    let table = table
    return ~bytes.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
  }
}
