import Foundation
import LoRAJSON

// T5's unigrams of a folder as the fields of a GGUF file: pieces with scores, and the map of what the
// normalizer replaces, which llama.cpp runs as SentencePiece does.

extension EmbeddedTokenizer {
  /// Sets what the kind "t5" has beside its tokens.
  mutating func setUnigrams(
    _ definition: TokenizerDefinition, _ folder: String, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    preTokenizer = "default"
    var known: [Double] = []
    if let bytes = try TokenizerFiles.readIfPresent("\(folder)/tokenizer.json") {
      let document = DefinitionReader(
        try TokenizerFiles.parse(bytes, file: "\(folder)/tokenizer.json"),
        file: "\(folder)/tokenizer.json")
      known = (document.value["model"]?["vocab"]?.arrayValue ?? []).map { $0[1]?.doubleValue ?? 0 }
      if let id = document.value["model"]?["unk_id"]?.intValue { setUnknown(id) }
      if let normalizer = document.optional("normalizer") {
        characterMap = Self.characterMap(normalizer.value)
      }
      removesExtraSpaces = true
    } else if let name = TokenizerDefinition.sentencePieceNames.first(where: {
      FileManager.default.fileExists(atPath: "\(folder)/\($0)")
    }) {
      let file = try SentencePieceFile(
        try TokenizerFiles.read("\(folder)/\(name)"), file: "\(folder)/\(name)")
      known = file.pieces.map { Double($0.score) }
      for (id, piece) in file.pieces.enumerated() where definition.added.tokens[id] == nil {
        types?[id] = piece.kind
        if piece.kind == 2 { setUnknown(id) }
      }
      characterMap = file.characterMap.isEmpty ? nil : file.characterMap
      removesExtraSpaces = file.removesExtraSpaces
    }
    scores = tokens.indices.map { known.indices.contains($0) ? known[$0] : -10_000 }
    addsSpacePrefix = Self.prepends(definition)
  }

  private mutating func setUnknown(_ id: Int) {
    guard tokens.indices.contains(id) else { return }
    unknown = id
    types?[id] = 2
  }

  /// The map in a normalizer of `tokenizer.json`.
  private static func characterMap(_ normalizer: JSONValue) -> [UInt8]? {
    if let text = normalizer["precompiled_charsmap"]?.stringValue {
      return Data(base64Encoded: text).map { Array($0) }
    }
    return normalizer["normalizers"]?.arrayValue?.lazy.compactMap { characterMap($0) }.first
  }
}
