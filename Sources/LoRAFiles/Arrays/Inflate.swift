/// Unpacks what deflate packed.
///
/// Every input ends: each step consumes a bit at least, and no more is produced than was announced.
///
/// Source: RFC 1951.
struct Inflate {
  /// Why a stream cannot be unpacked.
  struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
  }

  private let input: ArraySlice<UInt8>
  private var place: Int
  private var bits: UInt32 = 0
  private var bitCount = 0
  private var output: [UInt8] = []
  private let size: Int

  /// The `size` bytes that `input` was packed from.
  static func inflated(_ input: ArraySlice<UInt8>, size: Int) throws(Failure) -> [UInt8] {
    var inflate = Inflate(input: input, place: input.startIndex, size: size)
    inflate.output.reserveCapacity(min(size, 16 * input.count))
    try inflate.run()
    guard inflate.output.count == size else {
      throw Failure("it unpacks to \(inflate.output.count) bytes instead of \(size)")
    }
    return inflate.output
  }

  private init(input: ArraySlice<UInt8>, place: Int, size: Int) {
    self.input = input
    self.place = place
    self.size = size
  }

  private mutating func run() throws(Failure) {
    var isLast = false
    while !isLast {
      isLast = try take(1) == 1
      switch try take(2) {
      case 0: try copyStored()
      case 1: try unpack(Self.fixedLiterals, Self.fixedDistances)
      case 2:
        let (literals, distances) = try readCodes()
        try unpack(literals, distances)
      default: throw Failure("a block has the reserved type 3")
      }
    }
  }

  // MARK: Bits

  private mutating func take(_ count: Int) throws(Failure) -> Int {
    while bitCount < count {
      guard place < input.endIndex else { throw Failure("it ends too early") }
      bits |= UInt32(input[place]) << UInt32(bitCount)
      place += 1
      bitCount += 8
    }
    let result = bits & ((1 << UInt32(count)) - 1)
    bits >>= UInt32(count)
    bitCount -= count
    return Int(result)
  }

  private mutating func decode(_ code: Code) throws(Failure) -> Int {
    var (value, first, index) = (0, 0, 0)
    for length in 1...15 {
      value |= try take(1)
      let count = code.counts[length]
      if value - count < first { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw Failure("a code stands for nothing")
  }

  // MARK: Blocks

  private mutating func append(_ byte: UInt8) throws(Failure) {
    guard output.count < size else { throw Failure("it unpacks to more than \(size) bytes") }
    output.append(byte)
  }

  private mutating func copyStored() throws(Failure) {
    (bits, bitCount) = (0, 0)
    guard place + 4 <= input.endIndex else { throw Failure("it ends too early") }
    let length = Int(input[place]) | Int(input[place + 1]) << 8
    let inverse = Int(input[place + 2]) | Int(input[place + 3]) << 8
    guard length == ~inverse & 0xFFFF else { throw Failure("a block's length is damaged") }
    place += 4
    guard place + length <= input.endIndex else { throw Failure("it ends too early") }
    guard output.count + length <= size else {
      throw Failure("it unpacks to more than \(size) bytes")
    }
    output += input[place..<place + length]
    place += length
  }

  private mutating func unpack(_ literals: Code, _ distances: Code) throws(Failure) {
    while true {
      let symbol = try decode(literals)
      if symbol < 256 {
        try append(UInt8(symbol))
      } else if symbol == 256 {
        return
      } else {
        guard symbol < 286 else { throw Failure("a code stands for nothing") }
        let (base, extra) = Self.lengths[symbol - 257]
        let length = try base + take(extra)
        let code = try decode(distances)
        guard code < 30 else { throw Failure("a code stands for nothing") }
        let (start, more) = Self.distances[code]
        let distance = try start + take(more)
        guard distance <= output.count else { throw Failure("it refers to before its beginning") }
        guard output.count + length <= size else {
          throw Failure("it unpacks to more than \(size) bytes")
        }
        for _ in 0..<length { output.append(output[output.count - distance]) }
      }
    }
  }

  private mutating func readCodes() throws(Failure) -> (Code, Code) {
    let (literalCount, distanceCount) = (try take(5) + 257, try take(5) + 1)
    let codeCount = try take(4) + 4
    guard literalCount <= 286, distanceCount <= 30 else { throw Failure("it has too many codes") }
    var lengths = [Int](repeating: 0, count: 19)
    for index in 0..<codeCount { lengths[Self.order[index]] = try take(3) }
    let code = try Code(lengths)
    lengths = []
    while lengths.count < literalCount + distanceCount {
      let symbol = try decode(code)
      switch symbol {
      case 0..<16: lengths.append(symbol)
      case 16:
        guard let last = lengths.last else { throw Failure("it repeats a length before any") }
        lengths += [Int](repeating: last, count: 3 + (try take(2)))
      case 17: lengths += [Int](repeating: 0, count: 3 + (try take(3)))
      default: lengths += [Int](repeating: 0, count: 11 + (try take(7)))
      }
    }
    guard lengths.count == literalCount + distanceCount, lengths[256] > 0 else {
      throw Failure("its codes are damaged")
    }
    return (
      try Code(Array(lengths[..<literalCount])), try Code(Array(lengths[literalCount...]))
    )
  }

  // MARK: Codes

  /// A canonical Huffman code: how many symbols have each length, and the symbols in order.
  private struct Code {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int] = []

    init(_ lengths: [Int]) throws(Failure) {
      for length in lengths { counts[length] += 1 }
      counts[0] = 0
      var left = 1
      for length in 1...15 {
        left = left << 1 - counts[length]
        guard left >= 0 else { throw Failure("its codes are damaged") }
      }
      for length in 1...15 where counts[length] > 0 {
        for (symbol, own) in lengths.enumerated() where own == length { symbols.append(symbol) }
      }
    }

    /// The code of these lengths, which are known to make one.
    init(fixed lengths: [Int]) {
      for length in lengths { counts[length] += 1 }
      symbols = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
    }
  }

  private static let fixedLiterals = Code(
    fixed: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
  private static let fixedDistances = Code(fixed: [Int](repeating: 5, count: 30))

  /// The order in which the lengths of the lengths' code are written.
  private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

  /// The shortest length, or distance, of each code, and how many bits are added to it.
  private static let lengths: [(Int, Int)] = {
    var result = ranges(first: 3, groups: 7, size: 4)
    // The last one is 258 alone, which the one before reaches too.
    result[28] = (258, 0)
    return result
  }()
  private static let distances = ranges(first: 1, groups: 15, size: 2)

  /// Ranges that follow each other: twice as many of them without more bits as of the later ones,
  /// each group of which has one bit more than the one before.
  private static func ranges(first: Int, groups: Int, size: Int) -> [(Int, Int)] {
    var result: [(Int, Int)] = []
    var start = first
    for index in 0..<groups * size + 2 {
      let bits = max(0, index / size - 1)
      result.append((start, bits))
      start += 1 << bits
    }
    return result
  }
}
