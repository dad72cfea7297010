import LoRAPatterns

// Normalization that keeps where everything comes from. It gives the text that `normalize` gives, and
// is slower; only an encoding with offsets asks for it.

extension Normalizer {
  func apply(to text: inout AlignedText) {
    guard !text.bytes.isEmpty else { return }
    switch self {
    case .unicode(let form):
      guard !text.bytes.withUnsafeBufferPointer({ form.isUnchanged($0) }) else { return }
      text.transform(form.changes(of: text.bytes))
    case .lowercase: text.lowercase()
    case .strip(let left, let right):
      let scalars = Array(text.scalars)
      let first = left ? scalars.prefix { $0.properties.isWhitespace }.count : 0
      let last =
        right ? scalars.reversed().prefix { $0.properties.isWhitespace }.count : 0
      guard first + last > 0 else { return }
      text.transform(
        scalars.dropFirst(first).dropLast(last).map { ($0, 0) }, removed: first)
    case .prepend(let prefix):
      let origin = text.origins[0]
      text.bytes.insert(contentsOf: prefix, at: 0)
      text.origins.insert(contentsOf: repeatElement(origin, count: prefix.count), at: 0)
    case .replace(let pattern, let content): text.replace(pattern, with: content)
    case .bert(let normalizer): normalizer.apply(to: &text)
    case .stripAccents: text.filter { !CharacterClasses.isMark($0) }
    case .nmt:
      text.filter { !Self.isRemovedByNMT($0.value) }
      text.map { CollectionOfOne(Self.isSpaceOfNMT($0.value) ? " " : $0) }
    case .byteLevel: text.map(ByteLevelAlphabet.scalars)
    case .characterMap(let map):
      if let changes = map.changes(of: text.bytes) { text.transform(changes) }
    case .sentencePiece(let normalizer):
      var starts: [Int]? = []
      let old = text
      text.bytes = text.bytes.withUnsafeBufferPointer {
        normalizer.normalize($0, starts: &starts)
      }
      let end = old.origins.last?.end ?? old.start
      let places = (starts ?? []).map {
        $0 < old.origins.count ? old.origins[$0].start : end
      }
      text.origins = zip(places, places.dropFirst()).map { Origin(start: $0, end: $1) }
    case .sequence(let normalizers):
      for normalizer in normalizers { normalizer.apply(to: &text) }
    }
  }
}

extension AlignedText {
  mutating func lowercase() {
    map { $0.properties.lowercaseMapping.unicodeScalars }
  }

  /// What replaces a match comes from where its end does.
  mutating func replace(_ pattern: TextPattern, with content: [UInt8]) {
    var output: [UInt8] = []
    var aligned: [Origin] = []
    var stack = RegularExpression.Stack()
    let (old, start) = (origins, start)
    bytes.withUnsafeBufferPointer { bytes in
      var done = 0
      func keep(upTo end: Int) {
        output.append(contentsOf: bytes[done..<end])
        aligned.append(contentsOf: old[done..<end])
      }
      pattern.forEachMatch(in: bytes, range: 0..<bytes.count, stack: &stack) { first, end in
        keep(upTo: first)
        let origin =
          end > first ? old[end - 1] : aligned.last ?? Origin(start: start, end: start)
        output.append(contentsOf: content)
        aligned.append(contentsOf: repeatElement(origin, count: content.count))
        done = end
      }
      keep(upTo: bytes.count)
    }
    bytes = output
    origins = aligned
  }
}

extension BertNormalizer {
  func apply(to text: inout AlignedText) {
    if cleansText {
      text.filter { !CharacterClasses.isRemovedByCleaning($0) }
      text.map { CollectionOfOne(CharacterClasses.isWhitespace($0.value) ? " " : $0) }
    }
    if separatesIdeographs {
      text.transform(
        text.scalars.flatMap { scalar -> [AlignedText.Change] in
          guard CharacterClasses.isIdeograph(scalar.value) else { return [(scalar, 0)] }
          return [(" ", 0), (scalar, 1), (" ", 1)]
        })
    }
    if stripsAccents ?? lowercases {
      Normalizer.unicode(.nfd).apply(to: &text)
      text.filter { !CharacterClasses.isNonspacingMark($0) }
    }
    if lowercases { text.lowercase() }
  }
}
