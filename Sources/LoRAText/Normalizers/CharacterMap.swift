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
      forEachCluster(of: text) { cluster in
        if cluster.count < 6, let replacement = replacement(of: text, cluster) {
          output.append(contentsOf: replacement)
          return
        }
        var position = cluster.lowerBound
        while position < cluster.upperBound {
          let scalar = position..<position + scalarLength(startingWith: text[position])
          if let replacement = replacement(of: text, scalar) {
            output.append(contentsOf: replacement)
          } else {
            output.append(contentsOf: text[scalar])
          }
          position = scalar.upperBound
        }
      }
    }
    return output
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
