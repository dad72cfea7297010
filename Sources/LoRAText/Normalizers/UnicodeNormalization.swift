import Foundation
import LoRAPatterns

extension Normalizer.UnicodeForm {
  /// Normalizes with the data of Unicode 9, which is what Hugging Face's `tokenizers` has: code points
  /// that came later are ordinary starters that stay as they are.
  ///
  /// Foundation's own normalization of whole strings leaves some Hangul uncomposed and some marks
  /// unordered (swift-corelibs-foundation 6.3), so only its decompositions of single code points are
  /// taken; ordering and composing are those of Unicode Standard Annex #15.
  func normalize(_ text: [UInt8]) -> [UInt8] {
    if text.withUnsafeBufferPointer({ isUnchanged($0) }) { return text }
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    for marked in normalized(text) {
      let scalar = Unicode.Scalar(marked.code) ?? "\u{FFFD}"
      output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
    return output
  }

  /// The normalized text as changes of the given one.
  func changes(of text: [UInt8]) -> [AlignedText.Change] {
    normalized(text).map { (Unicode.Scalar($0.code) ?? "\u{FFFD}", Int($0.change)) }
  }

  /// A code point, its canonical combining class, and its part in ``AlignedText/Change``: what a
  /// code point decomposes into takes its place with the first part, and what is composed that of all
  /// its parts.
  private typealias Marked = (code: UInt32, class: UInt8, change: Int32)

  private func normalized(_ text: [UInt8]) -> [Marked] {
    var marked = decompose(text)
    order(&marked)
    return self == .nfc || self == .nfkc ? compose(marked) : marked
  }

  private func decompose(_ text: [UInt8]) -> [Marked] {
    var output: [Marked] = []
    output.reserveCapacity(text.count)
    var known: [UInt32: [Marked]] = [:]
    text.withUnsafeBufferPointer { bytes in
      var i = 0
      while i < bytes.count {
        let (code, count) = decodeScalar(bytes, at: i)
        i += count
        // Neither decompose nor are marks: ASCII and ideographs.
        if code < 0xA0 || 0x3400...0x9FFF ~= code {
          output.append((code, 0, 0))
        } else if let parts = known[code] {
          output.append(contentsOf: parts)
        } else {
          let parts = decompose(code)
          known[code] = parts
          output.append(contentsOf: parts)
        }
      }
    }
    return output
  }

  private func decompose(_ code: UInt32) -> [Marked] {
    guard let scalar = Unicode.Scalar(code),
      UnicodeClasses.isAssigned(scalar.properties, by: 9)
    else { return [(code, 0, 0)] }
    if Hangul.syllables.contains(code) {
      return Hangul.decompose(code).enumerated().map { ($0.element, 0, $0.offset == 0 ? 0 : 1) }
    }
    let string = String(scalar)
    let decomposed =
      self == .nfc || self == .nfd
      ? string.decomposedStringWithCanonicalMapping
      : string.decomposedStringWithCompatibilityMapping
    return decomposed.unicodeScalars.enumerated().map { index, scalar in
      (scalar.value, scalar.properties.canonicalCombiningClass.rawValue, index == 0 ? 0 : 1)
    }
  }

  /// Sorts each run of marks by class, those of one class in their order.
  private func order(_ marked: inout [Marked]) {
    var start = 0
    while start < marked.count {
      guard marked[start].class > 0 else {
        start += 1
        continue
      }
      var end = start + 1
      while end < marked.count, marked[end].class > 0 { end += 1 }
      if end - start > 1 {
        let run = marked[start..<end].enumerated().sorted {
          ($0.element.class, $0.offset) < ($1.element.class, $1.offset)
        }
        marked.replaceSubrange(start..<end, with: run.map(\.element))
      }
      start = end
    }
  }

  private func compose(_ marked: [Marked]) -> [Marked] {
    var output: [Marked] = []
    output.reserveCapacity(marked.count)
    var starter = -1
    for next in marked {
      if starter >= 0 {
        let isAdjacent = starter == output.count - 1
        let last = output[output.count - 1].class
        if isAdjacent || last > 0 && last < next.class,
          let composite = Compositions.of(output[starter].code, next.code)
        {
          output[starter].code = composite
          output[starter].change += next.change - 1
          continue
        }
      }
      if next.class == 0 { starter = output.count }
      output.append(next)
    }
    return output
  }

  /// Whether the text consists only of code points that this form leaves as they are, whatever their
  /// neighbours: for NFC that is ASCII, Latin letters, kana, ideographs, Hangul syllables, ...
  func isUnchanged(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var i = 0
    while i < bytes.count {
      if bytes[i] < 0x80 {
        i += 1
        continue
      }
      guard self == .nfc else { return false }
      let (code, count) = decodeScalar(bytes, at: i)
      i += count
      switch code {
      case 0x80..<0x300, 0x400...0x482, 0x48A...0x590, 0x2010...0x2027, 0x2030...0x205E,
        0x2500...0x27BF, 0x3000...0x3029, 0x3030...0x3098, 0x309B...0x31FF, 0x3400...0x4DBF,
        0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFF01...0xFFEF, 0x1F300...0x1F6FF:
        continue
      default: return false
      }
    }
    return true
  }
}

/// Hangul syllables are composed by arithmetic (The Unicode Standard, 3.12).
private enum Hangul {
  static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3

  static func decompose(_ code: UInt32) -> [UInt32] {
    let index = code - 0xAC00
    let parts = [0x1100 + index / 588, 0x1161 + index % 588 / 28]
    return index % 28 == 0 ? parts : parts + [0x11A7 + index % 28]
  }

  static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
      return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
    }
    if syllables.contains(first), (first - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(second) {
      return first + second - 0x11A7
    }
    return nil
  }
}

/// The pairs of code points that have a composite.
private enum Compositions {
  static func of(_ first: UInt32, _ second: UInt32) -> UInt32? {
    Hangul.compose(first, second) ?? table[UInt64(first) << 32 | UInt64(second)]
  }

  private static let table: [UInt64: UInt32] = {
    // Where composites lie that are not excluded from composition, as of Unicode 9.
    let blocks: [ClosedRange<UInt32>] = [
      0xC0...0x233, 0x385...0x3D4, 0x400...0x4F9, 0x622...0x6D3, 0x929...0xDDE, 0x1026...0x1026,
      0x1B06...0x1B43, 0x1E00...0x1FFC, 0x219A...0x22ED, 0x304C...0x30FE, 0x1109A...0x115BB,
    ]
    // Each by its full decomposition; the composite of all but its last code point is the first of
    // the pair, and comes out of the same table.
    var whole: [[UInt32]: UInt32] = [:]
    for code in blocks.joined() {
      guard let scalar = Unicode.Scalar(code), !scalar.properties.isFullCompositionExclusion,
        UnicodeClasses.isAssigned(scalar.properties, by: 9)
      else { continue }
      let parts = String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars.map(\.value)
      if parts.count > 1 { whole[parts] = code }
    }
    var table: [UInt64: UInt32] = [:]
    for (parts, code) in whole {
      let rest = Array(parts.dropLast())
      guard let last = parts.last, let first = rest.count == 1 ? rest[0] : whole[rest] else {
        continue
      }
      table[UInt64(first) << 32 | UInt64(last)] = code
    }
    return table
  }()
}
