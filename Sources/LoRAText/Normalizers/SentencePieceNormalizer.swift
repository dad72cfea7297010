import LoRAPatterns

/// SentencePiece's normalization of a whole text: characters are replaced by a map's longest match,
/// runs of spaces become one, a space goes before the text, and spaces become "\u{2581}", each where
/// it is asked for. What users defined stays as it is.
///
/// Source: `Normalizer::Normalize` of sentencepiece 0.2.
struct SentencePieceNormalizer: Sendable {
  var map: CharacterMap?
  /// The pieces that users defined; nil if there are none.
  var userDefined: ByteTrie?
  /// Whether a space goes before the text, or behind it where ``spaceIsSuffix``.
  var addsSpace: Bool
  var removesExtraSpaces: Bool
  var escapesSpaces: Bool
  var spaceIsSuffix: Bool
  /// The bytes of ASCII that nothing is looked up for.
  private let isPlain: [Bool]

  init(
    map: CharacterMap?, userDefined: ByteTrie?, addsSpace: Bool, removesExtraSpaces: Bool,
    escapesSpaces: Bool = true, spaceIsSuffix: Bool = false
  ) {
    self.map = map
    self.userDefined = userDefined
    self.addsSpace = addsSpace
    self.removesExtraSpaces = removesExtraSpaces
    self.escapesSpaces = escapesSpaces
    self.spaceIsSuffix = spaceIsSuffix
    isPlain = (0..<256).map { byte in
      let byte = UInt8(byte)
      return byte < 0x80 && byte != 0x20 && !(map?.hasRule(startingWith: byte) ?? false)
        && userDefined?.child(of: ByteTrie.root, byte) == nil
    }
  }

  private static let escapedSpace: [UInt8] = [0xE2, 0x96, 0x81]

  /// The normalized text. `starts` gets, for each of its bytes and for its end, the place in `text`
  /// that it comes from, if it is there.
  func normalize(_ text: UnsafeBufferPointer<UInt8>, starts: inout [Int]?) -> [UInt8] {
    var output: [UInt8] = []
    starts?.removeAll()
    var position = 0
    if removesExtraSpaces {
      while position < text.count {
        let prefix = self.prefix(of: text, at: position)
        guard prefix.isSpace(in: text) else { break }
        position += prefix.length
      }
    }
    guard position < text.count else {
      starts?.append(position)
      return []
    }
    output.reserveCapacity(text.count + text.count / 2)
    if addsSpace, !spaceIsSuffix { appendSpace(from: position, &output, &starts) }
    var isBehindSpace = removesExtraSpaces
    while position < text.count {
      let byte = text[position]
      if isPlain[Int(byte)] {
        output.append(byte)
        starts?.append(position)
        isBehindSpace = false
        position += 1
        continue
      }
      let prefix = self.prefix(of: text, at: position)
      prefix.withBytes(of: text, at: position) { bytes in
        var bytes = bytes[...]
        if isBehindSpace { bytes = bytes.drop { $0 == 0x20 } }
        guard let last = bytes.last else { return }
        for byte in bytes {
          if byte == 0x20 {
            appendSpace(from: position, &output, &starts)
          } else {
            output.append(byte)
            starts?.append(position)
          }
        }
        isBehindSpace = removesExtraSpaces && last == 0x20
      }
      position += prefix.length
    }
    if removesExtraSpaces { removeSpacesAtEnd(&output, &starts, &position) }
    if addsSpace, spaceIsSuffix { appendSpace(from: position, &output, &starts) }
    starts?.append(position)
    return output
  }

  private func appendSpace(from place: Int, _ output: inout [UInt8], _ starts: inout [Int]?) {
    if escapesSpaces { output.append(contentsOf: Self.escapedSpace) } else { output.append(0x20) }
    starts?.append(contentsOf: repeatElement(place, count: escapesSpaces ? 3 : 1))
  }

  private func removeSpacesAtEnd(
    _ output: inout [UInt8], _ starts: inout [Int]?, _ position: inout Int
  ) {
    let space = escapesSpaces ? Self.escapedSpace : [0x20]
    while output.suffix(space.count).elementsEqual(space) {
      output.removeLast(space.count)
      if let places = starts {
        position = places[output.count]
        starts?.removeLast(space.count)
      }
    }
  }

  // MARK: The next piece of the text

  private struct Prefix {
    /// How many bytes of the text it is.
    var length: Int
    /// What stands for them; nil: they themselves.
    var replacement: ArraySlice<UInt8>?

    func isSpace(in text: UnsafeBufferPointer<UInt8>) -> Bool {
      replacement.map { $0.elementsEqual(CollectionOfOne(0x20)) } ?? false
    }

    func withBytes(
      of text: UnsafeBufferPointer<UInt8>, at position: Int,
      _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
      if let replacement {
        replacement.withUnsafeBufferPointer(body)
      } else {
        body(UnsafeBufferPointer(rebasing: text[position..<position + length]))
      }
    }
  }

  private static let space: ArraySlice<UInt8> = [0x20]

  private func prefix(of text: UnsafeBufferPointer<UInt8>, at position: Int) -> Prefix {
    if let userDefined, let length = userDefined.longestMatch(in: text, at: position) {
      return Prefix(length: length)
    }
    if let rule = map?.longestMatch(in: text, at: position) {
      return Prefix(length: rule.length, replacement: rule.replacement)
    }
    if text[position] == 0x20 { return Prefix(length: 1, replacement: Self.space) }
    return Prefix(length: min(scalarLength(startingWith: text[position]), text.count - position))
  }
}

extension ByteTrie {
  /// How long the longest token is that begins at a place.
  func longestMatch(in text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int? {
    var node = Self.root
    var end = start
    var longest: Int?
    while end < text.count, let child = child(of: node, text[end]) {
      node = child
      end += 1
      if id(at: node) != nil { longest = end - start }
    }
    return longest
  }
}
