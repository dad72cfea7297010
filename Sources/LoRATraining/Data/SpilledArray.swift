import LoRAFiles
import LoRATensor

/// Elements one behind the other, of which the first go to a temporary file when there are many: a data file
/// of any size trains in bounded memory.
///
/// They lie in pieces, so that growing copies nothing. Within the limit all stay in memory. Beyond it every
/// piece that is full is written; reading an element then costs a system call, so read ranges.
struct SpilledArray<Element: BitwiseCopyable & Sendable>: Sendable {
  /// How many bytes stay in memory.
  let limit: Int
  /// The number of elements of a piece.
  let pieceSize: Int
  private var file: UnnamedFile?
  /// The number of elements in the file, whole pieces.
  private var filedCount = 0
  /// Those behind them.
  private var pieces: [[Element]] = []
  /// The number of elements.
  private(set) var count = 0
  /// Why the rest is in memory after all: there was no room for the file.
  private(set) var failure: FileError?

  /// Creates an array.
  init(limit: Int = .max) {
    self.limit = limit
    pieceSize = Swift.max(64, Swift.min(1 << 18, limit / (4 * MemoryLayout<Element>.stride)))
  }

  /// Creates an array of elements.
  init(_ elements: some Sequence<Element>, limit: Int = .max) {
    self.init(limit: limit)
    for element in elements { append(element) }
  }

  /// Whether some elements are in a file.
  var isSpilled: Bool { filedCount > 0 }

  /// Appends an element.
  mutating func append(_ element: Element) {
    if (count - filedCount) % pieceSize == 0 { startPiece() }
    pieces[pieces.count - 1].append(element)
    count += 1
  }

  private mutating func startPiece() {
    if failure == nil,
      pieces.count * pieceSize * MemoryLayout<Element>.stride >= limit
        || isSpilled
    {
      spill()
    }
    pieces.append([])
    // The first piece grows as it must: most data are small.
    if pieces.count > 1 || isSpilled { pieces[pieces.count - 1].reserveCapacity(pieceSize) }
  }

  /// Writes all pieces, which are full.
  private mutating func spill() {
    do throws(FileError) {
      let file = try ownFile()
      while let piece = pieces.first {
        try Self.write(piece, to: file, at: filedCount * MemoryLayout<Element>.stride)
        filedCount += piece.count
        pieces.removeFirst()
      }
    } catch {
      failure = error
    }
  }

  /// The file, of this array alone: a copy that grows gets a copy of it.
  private mutating func ownFile() throws(FileError) -> UnnamedFile {
    if isKnownUniquelyReferenced(&file), let file { return file }
    let own = try UnnamedFile()
    var start = 0
    while start < filedCount {
      let end = Swift.min(filedCount, start + pieceSize)
      try Self.write(read(start..<end), to: own, at: start * MemoryLayout<Element>.stride)
      start = end
    }
    file = own
    return own
  }

  private static func write(
    _ piece: [Element], to file: UnnamedFile, at offset: Int
  ) throws(FileError) {
    var failure: FileError?
    piece.withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Calls `body` with the elements of `range`, part after part.
  func forEachPart(of range: Range<Int>, _ body: (UnsafeBufferPointer<Element>) -> Void) {
    let filed = range.clamped(to: 0..<filedCount)
    var start = filed.lowerBound
    while start < filed.upperBound {
      let end = Swift.min(filed.upperBound, start + pieceSize)
      read(start..<end).withUnsafeBufferPointer(body)
      start = end
    }
    start = Swift.max(range.lowerBound, filedCount)
    while start < range.upperBound {
      let (piece, offset) = (start - filedCount).quotientAndRemainder(dividingBy: pieceSize)
      let end = Swift.min(pieceSize, offset + range.upperBound - start)
      pieces[piece].withUnsafeBufferPointer {
        body(UnsafeBufferPointer(rebasing: $0[offset..<end]))
      }
      start += end - offset
    }
  }

  /// Elements of the file. A temporary file that can't be read any more is a broken disk: there is nothing
  /// to go on with.
  private func read(_ range: Range<Int>) -> [Element] {
    guard let file else { return [] }
    let stride = MemoryLayout<Element>.stride
    return [Element](unsafeUninitializedCapacity: range.count) { target, count in
      let bytes = UnsafeMutableRawBufferPointer(target)
      do throws(FileError) {
        try file.read(
          at: range.lowerBound * stride,
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<(range.count * stride)]))
      } catch {
        fatalError("the training data can't be read any more: \(error)")
      }
      count = range.count
    }
  }
}

extension SpilledArray: RandomAccessCollection {
  var startIndex: Int { 0 }
  var endIndex: Int { count }

  subscript(index: Int) -> Element {
    if index < filedCount { return read(index..<index + 1)[0] }
    let index = index - filedCount
    return pieces[index / pieceSize][index % pieceSize]
  }

  /// Reads some thousands at once.
  struct Iterator: IteratorProtocol {
    fileprivate let array: SpilledArray
    private var part: [Element] = []
    private var place = 0
    private var upcoming = 0

    fileprivate init(_ array: SpilledArray) { self.array = array }

    mutating func next() -> Element? {
      if place == part.count {
        guard upcoming < array.count else { return nil }
        let end = Swift.min(array.count, upcoming + 4096)
        part.removeAll(keepingCapacity: true)
        array.forEachPart(of: upcoming..<end) { part.append(contentsOf: $0) }
        (place, upcoming) = (0, end)
      }
      defer { place += 1 }
      return part[place]
    }
  }

  func makeIterator() -> Iterator { Iterator(self) }
}
