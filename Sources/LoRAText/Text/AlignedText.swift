import LoRAPatterns

/// Where a byte of a changed text comes from: bytes of the text that was given.
struct Origin: Sendable, Hashable {
  var start: Int32
  var end: Int32
}

/// A text that is normalized, with where each of its bytes comes from.
///
/// The rules are those of `NormalizedString` of `tokenizers`: a text is changed code point by code
/// point, and each new one either takes the place of the next old one (0), or of that and of others
/// behind it (-n), or is put in (above 0), and then comes from where the old one before does.
struct AlignedText {
  var bytes: [UInt8]
  /// One for each byte.
  var origins: [Origin]
  /// Where the text begins in the text that was given.
  let start: Int32

  /// A part of a text as it is.
  init(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
    bytes = Array(text[range])
    origins = []
    origins.reserveCapacity(range.count)
    start = Int32(range.lowerBound)
    var position = range.lowerBound
    while position < range.upperBound {
      let end = min(range.upperBound, position + scalarLength(startingWith: text[position]))
      let origin = Origin(start: Int32(position), end: Int32(end))
      origins.append(contentsOf: repeatElement(origin, count: end - position))
      position = end
    }
  }

  /// A code point of the new text, and how it changes the old one.
  typealias Change = (scalar: Unicode.Scalar, change: Int)

  /// Replaces the whole text. `removed` code points at its beginning are gone.
  mutating func transform(_ changes: [Change], removed: Int = 0) {
    var output: [UInt8] = []
    var aligned: [Origin] = []
    output.reserveCapacity(bytes.count)
    aligned.reserveCapacity(bytes.count)
    var old = 0
    func skip(_ count: Int) {
      for _ in 0..<count where old < bytes.count {
        old = min(bytes.count, old + scalarLength(startingWith: bytes[old]))
      }
    }
    skip(removed)
    for (scalar, change) in changes {
      let place = change > 0 ? old - 1 : min(old, origins.count - 1)
      let origin = place < 0 ? Origin(start: start, end: start) : origins[place]
      if change <= 0 { skip(1 - change) }
      let spelling = UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
      output.append(contentsOf: spelling)
      aligned.append(contentsOf: repeatElement(origin, count: spelling.count))
    }
    bytes = output
    origins = aligned
  }

  /// Removes what `keeps` is false for.
  mutating func filter(_ keeps: (Unicode.Scalar) -> Bool) {
    var changes: [Change] = []
    var removed = 0
    for scalar in scalars {
      if keeps(scalar) {
        changes.append((scalar, 0))
      } else if changes.isEmpty {
        removed += 1
      } else {
        changes[changes.count - 1].change -= 1
      }
    }
    transform(changes, removed: removed)
  }

  /// Replaces every code point by those that `change` makes of it.
  mutating func map(_ change: (Unicode.Scalar) -> some Sequence<Unicode.Scalar>) {
    transform(
      scalars.flatMap { scalar in
        change(scalar).enumerated().map { ($0.element, $0.offset == 0 ? 0 : 1) }
      })
  }

  var scalars: String.UnicodeScalarView { String(decoding: bytes, as: UTF8.self).unicodeScalars }
}
