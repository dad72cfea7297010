import LoRATensor

/// What of each example is needed to compare it exactly with another: its shingles, the pairs of adjacent
/// words, or of characters in scripts without spaces.
final class ExampleStore {
  /// What precedes an example's shingles.
  struct Header: BitwiseCopyable {
    var number: UInt32
    var line: UInt32
    /// 1 for an example of the evaluation set.
    var split: UInt32
    var count: UInt32
    var numbers: UInt64
    /// 0 without labels.
    var labels: UInt64
  }

  /// An example as it was stored.
  struct Stored {
    let header: Header
    let shingles: [UInt32]

    /// The share of the shingles of both that both have.
    func similarity(to other: Stored) -> Double {
      var (common, i, j) = (0, 0, 0)
      while i < shingles.count, j < other.shingles.count {
        if shingles[i] == other.shingles[j] {
          (common, i, j) = (common + 1, i + 1, j + 1)
        } else if shingles[i] < other.shingles[j] {
          i += 1
        } else {
          j += 1
        }
      }
      return Double(common) / Double(max(1, shingles.count + other.shingles.count - common))
    }
  }

  private let file = SpillFile()

  /// Appends an example; returns the place to read it from.
  func append(_ header: Header, shingles: [UInt32]) throws(FileError) -> UInt64 {
    let place = UInt64(file.count)
    var header = header
    header.count = UInt32(shingles.count)
    var failure: FileError?
    withUnsafeBytes(of: header) { bytes in
      do throws(FileError) { try file.append(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
    shingles.withUnsafeBytes { bytes in
      do throws(FileError) { try file.append(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
    return place
  }

  /// The header of the example at `place`.
  func header(at place: UInt64) throws -> Header {
    var header = Header(number: 0, line: 0, split: 0, count: 0, numbers: 0, labels: 0)
    try withUnsafeMutableBytes(of: &header) { try file.read(at: Int(place), into: $0) }
    return header
  }

  /// The example at `place`.
  func example(at place: UInt64) throws -> Stored {
    let header = try header(at: place)
    let shingles = try [UInt32](unsafeUninitializedCapacity: Int(header.count)) { target, count in
      let bytes = UnsafeMutableRawBufferPointer(target)
      try file.read(
        at: Int(place) + MemoryLayout<Header>.stride,
        into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<(4 * Int(header.count))]))
      count = Int(header.count)
    }
    return Stored(header: header, shingles: shingles)
  }
}
