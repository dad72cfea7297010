import LoRAPatterns

/// BERT's normalization: control characters go, all white space becomes a space, ideographs get
/// spaces round them, accents go, and letters become small, each where it is asked for.
struct BertNormalizer: Sendable {
  var cleansText = true
  var separatesIdeographs = true
  /// nil: as ``lowercases``.
  var stripsAccents: Bool?
  var lowercases = true

  func apply(to result: inout Normalizer.Result) {
    if cleansText {
      result.filter { !CharacterClasses.isRemovedByCleaning($0) }
      result.map { CharacterClasses.isWhitespace($0.value) ? " " : $0 }
    }
    if separatesIdeographs { separateIdeographs(&result.bytes) }
    if stripsAccents ?? lowercases, !result.isASCII {
      result.bytes = Normalizer.UnicodeForm.nfd.normalize(result.bytes)
      result.filter { !CharacterClasses.isNonspacingMark($0) }
    }
    if lowercases { result.lowercase() }
  }

  private func separateIdeographs(_ bytes: inout [UInt8]) {
    // None begins with a byte below 0xE3.
    guard bytes.contains(where: { $0 >= 0xE3 }) else { return }
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count + bytes.count / 2)
    bytes.withUnsafeBufferPointer { text in
      var position = 0
      while position < text.count {
        let (code, count) = decodeScalar(text, at: position)
        let isIdeograph = CharacterClasses.isIdeograph(code)
        if isIdeograph { output.append(0x20) }
        output.append(contentsOf: text[position..<position + count])
        if isIdeograph { output.append(0x20) }
        position += count
      }
    }
    bytes = output
  }
}

extension Normalizer.Result {
  var isASCII: Bool { bytes.allSatisfy { $0 < 0x80 } }

  /// Removes all code points that `keeps` is false for.
  mutating func filter(_ keeps: (Unicode.Scalar) -> Bool) {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    var keepsFirst: Bool?
    forEachScalar { scalar, spelling in
      let isKept = keeps(scalar)
      keepsFirst = keepsFirst ?? isKept
      if isKept { output.append(contentsOf: spelling) }
    }
    if keepsFirst == false { keepsStart = false }
    bytes = output
  }

  /// Replaces every code point by what `change` makes of it.
  mutating func map(_ change: (Unicode.Scalar) -> Unicode.Scalar) {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    forEachScalar { scalar, spelling in
      let changed = change(scalar)
      if changed == scalar {
        output.append(contentsOf: spelling)
      } else {
        output.append(contentsOf: UTF8.encode(changed) ?? UTF8.encodedReplacementCharacter)
      }
    }
    bytes = output
  }

  /// Makes all letters small, each by itself: a final sigma is not told from others.
  mutating func lowercase() {
    guard bytes.contains(where: { $0 >= 0x80 || (0x41...0x5A).contains($0) }) else { return }
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    forEachScalar { scalar, spelling in
      if scalar.value < 0x80 {
        let byte = UInt8(scalar.value)
        output.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
      } else if !scalar.properties.changesWhenLowercased {
        output.append(contentsOf: spelling)
      } else {
        output.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
    }
    bytes = output
  }

  private func forEachScalar(
    _ body: (Unicode.Scalar, Slice<UnsafeBufferPointer<UInt8>>) -> Void
  ) {
    bytes.withUnsafeBufferPointer { text in
      var position = 0
      while position < text.count {
        let (code, count) = decodeScalar(text, at: position)
        body(Unicode.Scalar(code) ?? "\u{FFFD}", text[position..<position + count])
        position += count
      }
    }
  }
}
