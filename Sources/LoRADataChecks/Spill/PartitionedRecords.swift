import LoRATensor

/// Records of a fixed size, grouped by their keys at the end, in bounded memory.
///
/// A record goes to one of 256 partitions by its key's first bits; a partition that has collected a chunk
/// writes it to the one file behind all. At the end each partition is sorted in memory, a 256th of all.
struct PartitionedRecords<Record: BitwiseCopyable> {
  private static var partitionCount: Int { 256 }
  private static var chunkSize: Int { 1024 }

  private var partitions = [[Record]](repeating: [], count: Self.partitionCount)
  private var chunks = [[Int]](repeating: [], count: Self.partitionCount)
  private let file = SpillFile()

  /// Appends a record whose key is `key`.
  mutating func append(_ record: Record, key: UInt64) throws(FileError) {
    let index = Int(key >> 56)
    partitions[index].append(record)
    guard partitions[index].count == Self.chunkSize else { return }
    chunks[index].append(file.count)
    var failure: FileError?
    partitions[index].withUnsafeBytes { bytes in
      do throws(FileError) { try file.append(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
    partitions[index].removeAll(keepingCapacity: true)
  }

  /// Calls `body` with the records of each partition, sorted, one partition after the other. The records
  /// are gone then.
  mutating func drain(
    by isBefore: (Record, Record) -> Bool, _ body: (ArraySlice<Record>) throws -> Void
  ) throws {
    for index in 0..<Self.partitionCount {
      var records = partitions[index]
      partitions[index] = []
      let size = Self.chunkSize * MemoryLayout<Record>.stride
      for offset in chunks[index] {
        records.append(
          contentsOf: try [Record](unsafeUninitializedCapacity: Self.chunkSize) { target, count in
            let bytes = UnsafeMutableRawBufferPointer(target)
            try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<size]))
            count = Self.chunkSize
          })
      }
      chunks[index] = []
      records.sort(by: isBefore)
      try body(records[...])
    }
  }
}

extension ArraySlice {
  /// Calls `body` with each run of elements that belong together.
  func forEachRun(
    _ belong: (Element, Element) -> Bool, _ body: (ArraySlice) throws -> Void
  ) rethrows {
    var start = startIndex
    while start < endIndex {
      var end = start + 1
      while end < endIndex, belong(self[start], self[end]) { end += 1 }
      try body(self[start..<end])
      start = end
    }
  }
}
