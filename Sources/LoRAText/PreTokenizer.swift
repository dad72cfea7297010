/// A text on its way to words: its bytes and the parts of them that are still in the game.
struct Pieces {
  var bytes: [UInt8]
  var ranges: [Range<Int>]
  /// Whether the first range starts where the whole text that is being encoded starts.
  var startsText: Bool
  var stack: [RegularExpression.Choice] = []
}

/// What cuts a normalized text into the words that byte-pair encoding sees.
indirect enum PreTokenizer: Sendable {
  /// How a split treats what its pattern matches.
  enum Behavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
  }

  enum PrependScheme: String, Sendable {
    case first, never, always
  }

  /// GPT-2's alphabet of 256 characters for the 256 bytes, after its pattern if `splitter` is there.
  case byteLevel(addsPrefixSpace: Bool, splitter: RegularExpression?)
  case split(TextPattern, Behavior, isInverted: Bool)
  case digits(areIndividual: Bool)
  case metaspace(replacement: [UInt8], PrependScheme, splits: Bool)
  case sequence([PreTokenizer])

  /// GPT-2's pattern, which `ByteLevel` has built in.
  static let byteLevelPattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  func apply(to pieces: inout Pieces) {
    switch self {
    case .sequence(let steps):
      for step in steps { step.apply(to: &pieces) }
    case .split(let pattern, let behavior, let isInverted):
      pieces.split(behavior) { bytes, range, stack, emit in
        var done = range.lowerBound
        pattern.forEachMatch(in: bytes, range: range, stack: &stack) { start, end in
          if done < start { emit(done..<start, isInverted) }
          emit(start..<end, !isInverted)
          done = end
        }
        if done < range.upperBound { emit(done..<range.upperBound, isInverted) }
      }
    case .digits(let areIndividual):
      pieces.split(areIndividual ? .isolated : .contiguous) { bytes, range, _, emit in
        var done = range.lowerBound
        var position = range.lowerBound
        while position < range.upperBound {
          let (code, count) = decodeScalar(bytes, at: position)
          if UnicodeClasses.isNumeric(code) {
            if done < position { emit(done..<position, false) }
            emit(position..<position + count, true)
            done = position + count
          }
          position += count
        }
        if done < range.upperBound { emit(done..<range.upperBound, false) }
      }
    case .metaspace(let replacement, let scheme, let splits):
      pieces.rebuild { bytes, index, startsText in
        let text = TextPattern.literal([0x20]).replacingMatches(in: bytes, with: replacement)
        let prepends =
          switch scheme {
          case .always: true
          case .first: startsText && index == 0
          case .never: false
          }
        return prepends && !text.starts(with: replacement) ? replacement + text : text
      }
      if splits {
        PreTokenizer.split(.literal(replacement), .mergedWithNext, isInverted: false)
          .apply(to: &pieces)
      }
    case .byteLevel(let addsPrefixSpace, let splitter):
      if addsPrefixSpace {
        pieces.rebuild { bytes, _, _ in bytes.first == 0x20 ? bytes : [0x20] + bytes }
      }
      if let splitter {
        PreTokenizer.split(.expression(splitter), .isolated, isInverted: false)
          .apply(to: &pieces)
      }
      pieces.mapToByteLevel()
    }
  }
}

extension Pieces {
  /// Cuts every range by the matches and the rest that `find` emits in order, together all of it.
  fileprivate mutating func split(
    _ behavior: PreTokenizer.Behavior,
    _ find: (
      UnsafeBufferPointer<UInt8>, Range<Int>, inout [RegularExpression.Choice],
      (Range<Int>, Bool) -> Void
    ) -> Void
  ) {
    var output: [Range<Int>] = []
    output.reserveCapacity(ranges.count)
    var stack = stack
    bytes.withUnsafeBufferPointer { bytes in
      var parts: [(range: Range<Int>, isMatch: Bool)] = []
      for range in ranges {
        if behavior == .isolated {
          find(bytes, range, &stack) { part, _ in if !part.isEmpty { output.append(part) } }
          continue
        }
        parts.removeAll(keepingCapacity: true)
        find(bytes, range, &stack) { parts.append(($0, $1)) }
        output.append(contentsOf: Self.merge(parts, behavior))
      }
    }
    let oldStart = ranges.first?.lowerBound
    if output.first?.lowerBound != oldStart { startsText = false }
    ranges = output
    self.stack = stack
  }

  private static func merge(
    _ parts: [(range: Range<Int>, isMatch: Bool)], _ behavior: PreTokenizer.Behavior
  ) -> [Range<Int>] {
    var output: [Range<Int>] = []
    var previousIsMatch = false
    switch behavior {
    case .isolated: output = parts.map(\.range)
    case .removed: output = parts.filter { !$0.isMatch }.map(\.range)
    case .contiguous, .mergedWithPrevious:
      for (range, isMatch) in parts {
        let joins =
          behavior == .contiguous ? isMatch == previousIsMatch : isMatch && !previousIsMatch
        if joins, let last = output.last {
          output[output.count - 1] = last.lowerBound..<range.upperBound
        } else {
          output.append(range)
        }
        previousIsMatch = isMatch
      }
    case .mergedWithNext:
      for (range, isMatch) in parts.reversed() {
        if isMatch, !previousIsMatch, let last = output.last {
          output[output.count - 1] = range.lowerBound..<last.upperBound
        } else {
          output.append(range)
        }
        previousIsMatch = isMatch
      }
      output.reverse()
    }
    return output.filter { !$0.isEmpty }
  }

  /// Replaces the text of every range.
  fileprivate mutating func rebuild(
    _ change: (_ bytes: [UInt8], _ index: Int, _ startsText: Bool) -> [UInt8]
  ) {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count + 8)
    for i in ranges.indices {
      let start = output.count
      output.append(contentsOf: change(Array(bytes[ranges[i]]), i, startsText))
      ranges[i] = start..<output.count
    }
    bytes = output
  }

  fileprivate mutating func mapToByteLevel() {
    var output: [UInt8] = []
    output.reserveCapacity(2 * bytes.count)
    for i in ranges.indices {
      let start = output.count
      for byte in bytes[ranges[i]] { ByteLevelAlphabet.append(byte, to: &output) }
      ranges[i] = start..<output.count
    }
    bytes = output
  }
}

/// GPT-2's bijection between bytes and printable characters, so that vocabularies can be text: bytes
/// that are printable in Latin-1 stand for themselves, the others follow from U+0100 on.
enum ByteLevelAlphabet {
  /// The code point of each byte.
  static let codes: [UInt32] = {
    var others: UInt32 = 0x100
    return (UInt32(0)..<256).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        others += 1
        return others - 1
      }
    }
  }()

  /// The byte of each code point below 0x144, -1 where there is none.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, code) in codes.enumerated() { table[Int(code)] = Int16(byte) }
    return table
  }()

  @inline(__always)
  static func append(_ byte: UInt8, to output: inout [UInt8]) {
    let code = codes[Int(byte)]
    if code < 0x80 {
      output.append(UInt8(code))
    } else {
      output.append(UInt8(0xC0 | code >> 6))
      output.append(UInt8(0x80 | code & 0x3F))
    }
  }

  /// The bytes that a token stands for; nil if it has a character that is not of the alphabet.
  static func bytes(of token: [UInt8]) -> [UInt8]? {
    token.withUnsafeBufferPointer { text in
      var output: [UInt8] = []
      output.reserveCapacity(text.count)
      var i = 0
      while i < text.count {
        let (code, count) = decodeScalar(text, at: i)
        guard code < bytes.count, bytes[Int(code)] >= 0 else { return nil }
        output.append(UInt8(bytes[Int(code)]))
        i += count
      }
      return output
    }
  }
}
