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
    #expect(live >= 100_000 && live <= 112_500)
    pool.deallocate(first, byteCount: 100_000)
    #expect(pool.statistics.liveBytes == 0 && pool.statistics.cachedBytes == live)
    // Sizes of the same class share buffers.
    let second = pool.allocate(99_000)
    #expect(second == first)
    #expect(pool.statistics.systemAllocations == 1 && pool.statistics.reuses == 1)
    #expect(pool.statistics.cachedBytes == 0)
    #expect(pool.statistics.peakLiveBytes == live)
    pool.deallocate(second, byteCount: 99_000)
    pool.trim()
    #expect(pool.statistics.cachedBytes == 0)
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

  @Test func sizeClassesWasteLittle() {
    for count in [0, 1, 63, 64, 65, 4095, 4096, 4097, 10_000, 65_537, 1 << 20, (1 << 20) + 1] {
      let size = BufferPool.sizeClass(count)
      #expect(size >= max(count, 1) && size % BufferPool.alignment == 0)
      #expect(size <= count + max(64, count / 8), "\(count) -> \(size)")
      #expect(BufferPool.sizeClass(size) == size)
    }
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
