import Foundation
import LoRAPatterns

/// SentencePiece's `precompiled_charsmap`: what texts are replaced by which, found by a double-array
/// trie.
///
/// As `tokenizers` reads it: of a grapheme cluster of less than six bytes the shortest beginning that
/// is in the map stands for the whole; otherwise each code point is looked up by itself.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  /// The replacements, each ended by 0.
  private let replacements: [UInt8]

  /// nil where the bytes are no map.
  init?(_ bytes: [UInt8]) {
    func word(_ position: Int) -> UInt32 {
      bytes[position..<position + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
    guard bytes.count > 8 else { return nil }
    let size = Int(word(0))
    guard size > 0, size % 4 == 0, size <= bytes.count - 4 else { return nil }
    units = (0..<size / 4).map { word(4 + 4 * $0) }
    replacements = Array(bytes[(4 + size)...])
    guard String(validating: replacements, as: UTF8.self) != nil else { return nil }
  }

  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let text = try reader.string()
    guard let data = Data(base64Encoded: text), let map = CharacterMap(Array(data)) else {
      throw reader.error(
        .malformed, expected: "a trie and its replacements in base64",
        found: "\(text.utf8.count) characters that are not that", advice: "restore the file")
    }
    self = map
  }

  func normalize(_ text: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    text.withUnsafeBufferPointer { text in
      forEachPart(of: text) { range, replacement in
        if let replacement {
          output.append(contentsOf: replacement)
        } else {
          output.append(contentsOf: text[range])
        }
      }
    }
    return output
  }

  /// The normalized text as changes of the given one; nil where nothing is in the map.
  ///
  /// The last of more code points than there were are put in; the last of fewer takes the place of
  /// what is gone, be it one of those before.
  func changes(of text: [UInt8]) -> [AlignedText.Change]? {
    var changes: [AlignedText.Change] = []
    var isChanged = false
    text.withUnsafeBufferPointer { text in
      forEachPart(of: text) { range, replacement in
        let old = String(decoding: text[range], as: UTF8.self).unicodeScalars
        guard let replacement else {
          changes += old.map { ($0, 0) }
          return
        }
        isChanged = true
        let new = String(decoding: replacement, as: UTF8.self).unicodeScalars
        let difference = new.count - old.count
        for (i, scalar) in new.enumerated() { changes.append((scalar, i < old.count ? 0 : 1)) }
        if difference < 0, !changes.isEmpty { changes[changes.count - 1].change += difference }
      }
    }
    return isChanged ? changes : nil
  }

  /// Calls `body` with what is replaced, and with code points that are not.
  private func forEachPart(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>, ArraySlice<UInt8>?) -> Void
  ) {
    forEachCluster(of: text) { cluster in
      if cluster.count < 6, let replacement = replacement(of: text, cluster) {
        body(cluster, replacement)
        return
      }
      var position = cluster.lowerBound
      while position < cluster.upperBound {
        let scalar = position..<position + scalarLength(startingWith: text[position])
        body(scalar, replacement(of: text, scalar))
        position = scalar.upperBound
      }
    }
  }

  // MARK: The trie

  /// What the shortest beginning of a range that is in the map is replaced by.
  private func replacement(
    of text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
  ) -> ArraySlice<UInt8>? {
    var node = Self.offset(units[0])
    for byte in text[range] where byte != 0 {
      node ^= Int(byte)
      guard units.indices.contains(node) else { return nil }
      let unit = units[node]
      guard unit & 0x8000_00FF == UInt32(byte) else { return nil }
      node ^= Self.offset(unit)
      guard unit >> 8 & 1 == 1 else { continue }
      guard units.indices.contains(node) else { return nil }
      let start = Int(units[node] & 0x7FFF_FFFF)
      // No replacement starts within a code point, unless the map is damaged.
      guard start < replacements.count, replacements[start] & 0xC0 != 0x80 else { return nil }
      let end = replacements[start...].firstIndex(of: 0) ?? replacements.endIndex
      return replacements[start..<end]
    }
    return nil
  }

  /// Whether anything that begins with a byte may be in the map.
  func hasRule(startingWith byte: UInt8) -> Bool {
    let node = Self.offset(units[0]) ^ Int(byte)
    return units.indices.contains(node) && units[node] & 0x8000_00FF == UInt32(byte)
  }

  /// The longest text at a place that is in the map, and what it is replaced by: SentencePiece's own
  /// way to look it up.
  func longestMatch(
    in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> (length: Int, replacement: ArraySlice<UInt8>)? {
    var node = Self.offset(units[0])
    var longest: (length: Int, place: Int)?
    var end = start
    while end < text.count, text[end] != 0 {
      let byte = text[end]
      node ^= Int(byte)
      guard units.indices.contains(node) else { break }
      let unit = units[node]
      guard unit & 0x8000_00FF == UInt32(byte) else { break }
      node ^= Self.offset(unit)
      end += 1
      guard unit >> 8 & 1 == 1 else { continue }
      guard units.indices.contains(node) else { break }
      longest = (end - start, Int(units[node] & 0x7FFF_FFFF))
    }
    guard let longest, longest.place < replacements.count,
      replacements[longest.place] & 0xC0 != 0x80
    else { return nil }
    let stop = replacements[longest.place...].firstIndex(of: 0) ?? replacements.endIndex
    return (longest.length, replacements[longest.place..<stop])
  }

  private static func offset(_ unit: UInt32) -> Int {
    Int(unit >> 10) << Int((unit & 1 << 9) >> 6)
  }

  // MARK: Grapheme clusters

  /// Calls `body` with the grapheme clusters from left to right. Only where a code point may join
  /// with its neighbours the standard library is asked.
  private func forEachCluster(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void
  ) {
    var position = 0
    while position < text.count {
      let (code, count) = decodeScalar(text, at: position)
      let start = position
      position += count
      var standsAlone = Self.standsAlone(code)
      if standsAlone, position < text.count,
        !Self.standsAlone(decodeScalar(text, at: position).code)
      {
        standsAlone = false
      }
      guard !standsAlone else {
        body(start..<position)
        continue
      }
      // As far as two neighbours that stand alone.
      var previous = Self.standsAlone(code)
      while position < text.count {
        let (code, count) = decodeScalar(text, at: position)
        let current = Self.standsAlone(code)
        if previous, current { break }
        previous = current
        position += count
      }
      var end = start
      for cluster in String(decoding: text[start..<position], as: UTF8.self) {
        let first = end
        end += cluster.utf8.count
        body(first..<end)
      }
    }
  }

  /// Whether two neighbours of this kind are never of one cluster.
  private static func standsAlone(_ code: UInt32) -> Bool {
    switch code {
    case 0x0A, 0x0D: false
    case 0..<0x300, 0x3041...0x3096, 0x309B...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
      0xFF01...0xFF9D:
      true
    default: false
    }
  }
}
