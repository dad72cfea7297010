import LoRAJSON

extension BytePairModel {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    if let dropout = reader.optional("dropout"), dropout.value.doubleValue != 0 {
      throw dropout.error(
        .unsupported, expected: "no dropout", found: dropout.value.encoded(),
        advice: "set it to null: it makes encoding random")
    }
    let vocabulary = try Vocabulary(try reader.required("vocab"))
    let continuingPrefix = try reader.optional("continuing_subword_prefix")?.bytes() ?? []
    var unknown: Int32 = -1
    if let token = reader.optional("unk_token") {
      unknown = vocabulary.id(of: try token.bytes())
      guard unknown >= 0 else {
        throw token.error(
          .inconsistent, expected: "a token of the vocabulary", found: try token.string(),
          advice: "add it to model.vocab or set unk_token to null")
      }
    }
    self.init(
      vocabulary: vocabulary,
      merges: try MergeTable(
        try reader.required("merges"), vocabulary: vocabulary,
        continuingPrefix: continuingPrefix),
      unknown: unknown,
      fusesUnknown: try reader.optional("fuse_unk")?.boolean() ?? false,
      fallsBackToBytes: try reader.optional("byte_fallback")?.boolean() ?? false,
      ignoresMerges: try reader.optional("ignore_merges")?.boolean() ?? false,
      continuingPrefix: continuingPrefix,
      endSuffix: try reader.optional("end_of_word_suffix")?.bytes() ?? [])
  }
}

extension MergeTable {
  /// The `merges` of a `tokenizer.json`: pairs, or strings with one space as in merges.txt.
  init(
    _ reader: DefinitionReader, vocabulary: Vocabulary, continuingPrefix: [UInt8]
  ) throws(TokenizerError) {
    guard case .array(let elements) = reader.value else {
      throw reader.error(
        .malformed, expected: "an array of merges", found: reader.value.kind,
        advice: "correct the file")
    }
    self.init(capacity: elements.count)
    var joined: [UInt8] = []
    for (i, element) in elements.enumerated() {
      let isMerge: Bool
      switch element {
      case .string(let line):
        if line.hasPrefix("#version") { continue }
        isMerge = withBytes(of: line) { line in
          append(
            line: line, vocabulary: vocabulary, continuingPrefix: continuingPrefix,
            joined: &joined)
        }
      case .array(let pair):
        if pair.count == 2, case .string(let left) = pair[0], case .string(let right) = pair[1] {
          isMerge = withBytes(of: left) { left in
            withBytes(of: right) { right in
              append(
                left, right, vocabulary: vocabulary, continuingPrefix: continuingPrefix,
                joined: &joined)
            }
          }
        } else {
          isMerge = false
        }
      default: isMerge = false
      }
      guard isMerge else {
        throw DefinitionReader(element, file: reader.file, place: "\(reader.place)[\(i)]").error(
          .inconsistent, expected: "two tokens of the vocabulary that make a third",
          found: element.encoded(), advice: "the merges are of another vocabulary, or damaged")
      }
    }
  }

  /// The lines of a merges.txt.
  init(
    lines text: [UInt8], file: String, vocabulary: Vocabulary, continuingPrefix: [UInt8]
  ) throws(TokenizerError) {
    let newLine = UInt8(ascii: "\n")
    self.init(capacity: text.reduce(1) { $1 == newLine ? $0 + 1 : $0 })
    var joined: [UInt8] = []
    var start = 0
    var number = 0
    while start < text.count {
      var end = start
      while end < text.count, text[end] != newLine { end += 1 }
      let next = end + 1
      if end > start, text[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      number += 1
      let line = text[start..<end]
      start = next
      if line.isEmpty || line.starts(with: "#version".utf8) { continue }
      let isMerge = line.withUnsafeBufferPointer {
        append(
          line: $0, vocabulary: vocabulary, continuingPrefix: continuingPrefix, joined: &joined)
      }
      guard isMerge else {
        throw TokenizerError(
          .inconsistent, file: file, place: "line \(number)",
          expected: "two tokens of the vocabulary that make a third, with a space between",
          found: "\"\(String(decoding: line, as: UTF8.self))\"",
          advice: "the merges are of another vocabulary, or damaged")
      }
    }
  }

  private mutating func append(
    line: UnsafeBufferPointer<UInt8>, vocabulary: Vocabulary, continuingPrefix: [UInt8],
    joined: inout [UInt8]
  ) -> Bool {
    guard let space = line.firstIndex(of: 0x20),
      !line[(space + 1)...].contains(0x20)
    else { return false }
    return append(
      UnsafeBufferPointer(rebasing: line[..<space]),
      UnsafeBufferPointer(rebasing: line[(space + 1)...]), vocabulary: vocabulary,
      continuingPrefix: continuingPrefix, joined: &joined)
  }

  private mutating func append(
    _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>,
    vocabulary: Vocabulary, continuingPrefix: [UInt8], joined: inout [UInt8]
  ) -> Bool {
    guard right.count >= continuingPrefix.count else { return false }
    joined.removeAll(keepingCapacity: true)
    joined.append(contentsOf: left)
    joined.append(contentsOf: right[continuingPrefix.count...])
    let ids = (
      vocabulary.id(of: left), vocabulary.id(of: right),
      joined.withUnsafeBufferPointer { vocabulary.id(of: $0) }
    )
    guard ids.0 >= 0, ids.1 >= 0, ids.2 >= 0 else { return false }
    append(ids.0, ids.1, result: ids.2)
    return true
  }
}
