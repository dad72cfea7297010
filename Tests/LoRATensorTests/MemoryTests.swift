#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Testing
@testable import LoRATensor

/// On pools of their own: the shared one serves whatever else runs at the same time.
@Suite struct BufferPoolTests {
  @Test func freedBuffersAreHandedOutAgain() {
    let pool = BufferPool()
    let first = pool.allocate(100_000)
    #expect(pool.statistics.systemAllocations == 1 && pool.statistics.reuses == 0)
    let live = pool.statistics.liveBytes
    #expect(live == 100_032)
    pool.deallocate(first, byteCount: 100_000)
    #expect(pool.statistics.liveBytes == 0 && pool.statistics.cachedBytes == live)
    let second = pool.allocate(100_030)
    #expect(second == first)
    #expect(pool.statistics.systemAllocations == 1 && pool.statistics.reuses == 1)
    #expect(pool.statistics.cachedBytes == 0)
    #expect(pool.statistics.peakLiveBytes == live)
    pool.deallocate(second, byteCount: 100_030)
    pool.trim()
    #expect(pool.statistics.cachedBytes == 0)
  }

  /// What one size had serves another, as batches of other lengths ask for.
  @Test func sizesShareMemory() {
    let pool = BufferPool()
    let large = pool.allocate(1 << 20)
    pool.deallocate(large, byteCount: 1 << 20)
    let parts = (0..<16).map { _ in pool.allocate(1 << 16) }
    #expect(pool.statistics.systemAllocations == 1 && pool.statistics.reuses == 16)
    #expect(Set(parts).count == 16 && pool.statistics.cachedBytes == 0)
    // Neighbours join, in whatever order they are freed.
    for index in [3, 5, 4, 0, 15, 1, 2, 14] {
      pool.deallocate(parts[index], byteCount: 1 << 16)
    }
    let six = pool.allocate(6 << 16)
    #expect(pool.statistics.systemAllocations == 1 && pool.statistics.cachedBytes == 2 << 16)
    // Too large for what is left; what lies next to memory that nobody has had is a part of it.
    let three = pool.allocate(3 << 16)
    #expect(pool.statistics.systemAllocations == 2 && pool.statistics.cachedBytes == 0)
    pool.deallocate(six, byteCount: 6 << 16)
    pool.deallocate(three, byteCount: 3 << 16)
    for index in 6..<14 { pool.deallocate(parts[index], byteCount: 1 << 16) }
    #expect(pool.statistics.liveBytes == 0 && pool.statistics.cachedBytes == 17 << 16)
    pool.trim()
    #expect(pool.statistics.cachedBytes == 0)
  }

  /// Random requests, checked byte by byte: nobody gets what somebody has, everything fits again once all
  /// is freed, and the bytes add up.
  @Test(arguments: [UInt64(1), 2, 3]) func randomRequestsNeverOverlap(seed: UInt64) {
    let pool = BufferPool()
    var random = SeededRandom(seed: seed, path: "pool")
    func number(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
    var live: [(pointer: UnsafeMutableRawPointer, count: Int, mark: UInt8)] = []
    func free(_ index: Int) {
      let (pointer, count, mark) = live.remove(at: index)
      let bytes = UnsafeRawBufferPointer(start: pointer, count: count)
      #expect(bytes.allSatisfy { $0 == mark })
      pool.deallocate(pointer, byteCount: count)
    }
    for round in 0..<2000 {
      if round % 500 == 499 { pool.trim() }
      if round % 700 == 350 {
        pool.cacheLimit = 200_000
      } else if round % 700 == 0 {
        pool.cacheLimit = 2 << 30
      }
      if live.count > 40 || (!live.isEmpty && number(5) < 2) {
        free(number(live.count))
      } else {
        let count = 4096 + number(1 << (8 + number(10)))
        let pointer = pool.allocate(count)
        #expect(Int(bitPattern: pointer) % BufferPool.alignment == 0)
        let mark = UInt8(truncatingIfNeeded: round)
        memset(pointer, Int32(mark), count)
        live.append((pointer, count, mark))
      }
      let expected = live.reduce(0) { $0 + BufferPool.rounded($1.count) }
      #expect(pool.statistics.liveBytes == expected)
    }
    while !live.isEmpty { free(live.count - 1) }
    #expect(pool.statistics.liveBytes == 0)
    pool.trim()
    #expect(pool.statistics.cachedBytes == 0)
  }

  /// The same requests again find the same places, however many sizes there are.
  @Test func repeatedWorkTakesNothingNew() {
    let pool = BufferPool()
    func step() -> [UnsafeMutableRawPointer] {
      var kept: [(UnsafeMutableRawPointer, Int)] = []
      var all: [UnsafeMutableRawPointer] = []
      for index in 1...40 {
        let (scratch, size) = (pool.allocate(index * 37_000), (index * 7919) % 90_000 + 5000)
        let buffer = pool.allocate(size)
        pool.deallocate(scratch, byteCount: index * 37_000)
        kept.append((buffer, size))
        all += [scratch, buffer]
      }
      for (buffer, size) in kept.reversed() { pool.deallocate(buffer, byteCount: size) }
      return all
    }
    _ = step()
    let second = step()
    let before = pool.statistics
    #expect(step() == second)
    #expect(pool.statistics.systemAllocations == before.systemAllocations)
    // Every temporary is larger than the hole that the last one has left, which costs most.
    #expect(before.cachedBytes <= before.peakLiveBytes * 3 / 2)
  }

  @Test func thePeakStartsAnew() {
    let pool = BufferPool()
    let (a, b) = (pool.allocate(8192), pool.allocate(8192))
    pool.deallocate(b, byteCount: 8192)
    #expect(pool.statistics.peakLiveBytes == 16384 && pool.statistics.liveBytes == 8192)
    pool.resetPeak()
    #expect(pool.statistics.peakLiveBytes == 8192)
    pool.deallocate(a, byteCount: 8192)
    pool.trim()
  }

  @Test func theCacheHasALimit() {
    let pool = BufferPool()
    pool.cacheLimit = 10_000
    let buffers = (0..<3).map { _ in pool.allocate(8192) }
    for buffer in buffers { pool.deallocate(buffer, byteCount: 8192) }
    #expect(pool.statistics.cachedBytes == 8192)
    pool.cacheLimit = 0
    #expect(pool.statistics.cachedBytes == 0)
  }

  @Test func sizesAreRoundedToTheAlignment() {
    for count in [0, 1, 63, 64, 65, 4095, 4096, 4097, 10_000, 65_537, 1 << 20, (1 << 20) + 1] {
      let size = BufferPool.rounded(count)
      #expect(size >= max(count, 1) && size % BufferPool.alignment == 0)
      #expect(size < count + 65, "\(count) -> \(size)")
      #expect(BufferPool.rounded(size) == size)
    }
    #expect(BufferPool.rounded(.max) == .max)
  }

  @Test func tensorsAreAligned() {
    for count in [1, 100, 5000] {
      let x = Tensor.zeros([count])
      #expect(Int(bitPattern: x.floats) % 64 == 0)
    }
  }
}

@Suite struct MappedFileTests {
  /// Calls `body` with the path of a temporary file that holds `bytes`.
  private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    var template = Array("/tmp/lora-mapped-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    #expect(descriptor >= 0)
    let path = template.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
    defer { unlink(path) }
    #expect(bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
    close(descriptor)
    try body(path)
  }

  private func contents(_ path: String) throws -> [UInt8] {
    try MappedFile(path: path).withUnsafeBytes { Array($0) }
  }

  @Test func aTensorOverAFileReadsItAndNeverWritesIt() throws {
    let values: [Float] = [1, 2, 3, 4]
    let bytes = [UInt8](repeating: 0, count: 64) + values.withUnsafeBytes { Array($0) }
    try withFile(bytes) { path in
      let file = try MappedFile(path: path)
      let storage = Storage(file: file, offset: 64, byteCount: 16)
      var x = Tensor(shape: [2, 2], dtype: .float32, storage: storage)
      #expect(x.isMapped && x.scalars() == values)
      #expect(x[row: 1].isMapped && x[row: 1].scalars() == [3, 4])
      x.withUnsafeMutableBytes { $0.storeBytes(of: Float(9), as: Float.self) }
      #expect(!x.isMapped && x.scalars() == [9, 2, 3, 4])
      let after = try contents(path)
      #expect(after == bytes)
    }
  }

  @Test func theMappingLivesAsLongAsItsTensors() throws {
    try withFile([1, 2, 3]) { path in
      func tensor() throws -> Tensor {
        let file = try MappedFile(path: path)
        return Tensor(
          shape: [3], dtype: .uint8, storage: Storage(file: file, offset: 0, byteCount: 3))
      }
      let x = try tensor()
      unlink(path)
      #expect(x.scalars(as: UInt8.self) == [1, 2, 3])
    }
  }

  @Test func releasedPagesReadAsBefore() throws {
    let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try withFile(bytes) { path in
      let file = try MappedFile(path: path)
      let x = Tensor(
        shape: [39_000], dtype: .uint8, storage: Storage(file: file, offset: 500, byteCount: 39_000)
      )
      for _ in 0..<2 {
        #expect(x.scalars(as: UInt8.self) == Array(bytes[500..<39_500]))
        x.releaseMappedPages()
        x[rows: 5..<9].releaseMappedPages()
      }
      #expect(file.withUnsafeBytes { Array($0) } == bytes)
    }
    Tensor([1, 2] as [Float]).releaseMappedPages()
  }

  @Test func emptyFilesCanBeMapped() throws {
    try withFile([]) { path in
      let file = try MappedFile(path: path)
      #expect(file.byteCount == 0)
      #expect(file.withUnsafeBytes { $0.count } == 0)
    }
  }

  @Test func whatIsNoFileThrows() throws {
    #expect(throws: FileError.self) { try MappedFile(path: "/does/not/exist") }
    let error = #expect(throws: FileError.self) { try MappedFile(path: "/tmp") }
    #expect(error?.path == "/tmp" && error?.description.contains("'/tmp'") == true)
  }
}
