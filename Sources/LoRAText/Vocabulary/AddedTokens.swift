import LoRAPatterns

/// A token that is found in the text before anything else looks at it.
struct AddedToken: Sendable, Hashable {
  var content: [UInt8]
  /// Only where no word character touches it.
  var isSingleWord = false
  /// Takes the white space before it.
  var stripsLeft = false
  /// Takes the white space behind it.
  var stripsRight = false
  /// Is found in the normalized text, itself normalized.
  var isNormalized = true
  /// Is left out when decoding without special tokens.
  var isSpecial = false
}

/// The added tokens of a tokenizer, and the search for them.
struct AddedTokens: Sendable {
  /// By id.
  private(set) var tokens: [Int: AddedToken] = [:]
  private var idsByContent: [[UInt8]: Int] = [:]
  /// What decoding writes for a token whose normalized form differs from its content.
  private var normalizedForms: [Int: [UInt8]] = [:]
  private var specialContents: Set<[UInt8]> = []
  private var raw = TokenTrie()
  private var normalized = TokenTrie()

  var highestID: Int { tokens.keys.max() ?? -1 }

  /// What the special ones look like, by id.
  var specials: [[UInt8]] {
    tokens.sorted { $0.key < $1.key }.filter(\.value.isSpecial).map(\.value.content)
  }

  func id(of content: [UInt8]) -> Int? { idsByContent[content] }

  /// What decoding writes for an added token.
  func spelling(of id: Int) -> [UInt8]? { normalizedForms[id] ?? tokens[id]?.content }

  func isSpecial(_ spelling: [UInt8]) -> Bool { specialContents.contains(spelling) }

  /// Adds a token or changes what is known about one; returns its id: that of the vocabulary, or the
  /// next one behind all others.
  mutating func add(
    _ token: AddedToken, vocabulary: Vocabulary, normalize: (([UInt8]) -> [UInt8])?
  ) -> Int {
    let known = vocabulary.id(of: token.content)
    let id =
      idsByContent[token.content]
      ?? (known >= 0 ? Int(known) : max(highestID + 1, vocabulary.count))
    idsByContent[token.content] = id
    tokens[id] = token
    if token.isSpecial { specialContents.insert(token.content) }
    normalizedForms[id] = nil
    if token.isNormalized, let normalize {
      let form = normalize(token.content)
      if form != token.content { normalizedForms[id] = form }
    }
    return id
  }

  /// Leaves a token of the vocabulary out when decoding without special tokens.
  mutating func markSpecial(_ content: [UInt8]) { specialContents.insert(content) }

  /// To be called once after the last ``add(_:vocabulary:normalize:)``.
  mutating func finish() {
    raw = TokenTrie()
    normalized = TokenTrie()
    for (id, token) in tokens {
      if token.isNormalized {
        normalized.insert(normalizedForms[id] ?? token.content, id: id)
      } else {
        raw.insert(token.content, id: id)
      }
    }
  }

  enum Stage { case raw, normalized }

  /// Whether any are looked for in the normalized text.
  var hasNormalized: Bool { !normalized.isEmpty }

  /// Calls `body` with the parts of a text from left to right: a range that holds no added token (id
  /// nil), or an added token.
  func forEachPart(
    of text: UnsafeBufferPointer<UInt8>, range: Range<Int>, stage: Stage,
    _ body: (Range<Int>, Int?) -> Void
  ) {
    let trie = stage == .raw ? raw : normalized
    guard !range.isEmpty else { return }
    guard !trie.isEmpty else {
      body(range, nil)
      return
    }
    var done = range.lowerBound
    var position = range.lowerBound
    while position < range.upperBound {
      guard trie.starts(with: text[position]) else {
        position += 1
        continue
      }
      guard let (id, length) = trie.longestMatch(in: text, at: position, until: range.upperBound)
      else {
        position += 1
        continue
      }
      var start = position
      var end = position + length
      position = end
      guard let token = tokens[id] else { continue }
      if token.isSingleWord {
        let touchesLeft = Self.lastScalar(text, range.lowerBound..<start).map(UnicodeClasses.isWord)
        let touchesRight = Self.firstScalar(text, end..<range.upperBound).map(
          UnicodeClasses.isWord)
        if touchesLeft == true || touchesRight == true { continue }
      }
      if token.stripsLeft {
        while let scalar = Self.lastScalar(text, range.lowerBound..<start),
          scalar.properties.isWhitespace
        { start -= UTF8.width(scalar) }
        start = max(start, done)
      }
      if token.stripsRight {
        while let scalar = Self.firstScalar(text, end..<range.upperBound),
          scalar.properties.isWhitespace
        { end += UTF8.width(scalar) }
      }
      if done < start { body(done..<start, nil) }
      body(start..<max(start, end), id)
      done = end
    }
    if done < range.upperBound { body(done..<range.upperBound, nil) }
  }

  private static func firstScalar(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
  ) -> Unicode.Scalar? {
    range.isEmpty ? nil : Unicode.Scalar(decodeScalar(text, at: range.lowerBound).code)
  }

  private static func lastScalar(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
  ) -> Unicode.Scalar? {
    guard !range.isEmpty else { return nil }
    var start = range.upperBound - 1
    while start > range.lowerBound, text[start] & 0xC0 == 0x80 { start -= 1 }
    return firstScalar(text, start..<range.upperBound)
  }
}

/// Finds the longest of many byte strings at a place.
private struct TokenTrie: Sendable {
  private struct Node: Sendable {
    var children: [UInt8: Int] = [:]
    var id: Int?
  }

  private var nodes = [Node()]
  private var starts = [Bool](repeating: false, count: 256)

  var isEmpty: Bool { nodes.count == 1 }

  mutating func insert(_ bytes: [UInt8], id: Int) {
    guard let first = bytes.first else { return }
    starts[Int(first)] = true
    var node = 0
    for byte in bytes {
      if let child = nodes[node].children[byte] {
        node = child
      } else {
        nodes.append(Node())
        nodes[node].children[byte] = nodes.count - 1
        node = nodes.count - 1
      }
    }
    nodes[node].id = id
  }

  @inline(__always)
  func starts(with byte: UInt8) -> Bool { starts[Int(byte)] }

  func longestMatch(
    in text: UnsafeBufferPointer<UInt8>, at start: Int, until end: Int
  ) -> (id: Int, length: Int)? {
    var node = 0
    var best: (id: Int, length: Int)?
    var position = start
    while position < end, let child = nodes[node].children[text[position]] {
      node = child
      position += 1
      if let id = nodes[node].id { best = (id, position - start) }
    }
    return best
  }
}

extension AddedToken {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let isSpecial = try reader.optional("special")?.boolean() ?? false
    self.init(
      content: try reader.required("content").bytes(),
      isSingleWord: try reader.optional("single_word")?.boolean() ?? false,
      stripsLeft: try reader.optional("lstrip")?.boolean() ?? false,
      stripsRight: try reader.optional("rstrip")?.boolean() ?? false,
      isNormalized: try reader.optional("normalized")?.boolean() ?? !isSpecial,
      isSpecial: isSpecial)
  }
}
