import Foundation
import LoRAJSON
import Testing

@testable import LoRAText

/// Tokenizers of folders as the fields of GGUF files.
@Suite struct FolderTokenizerTests {
  /// Those of the fixtures that llama.cpp has rules for; all others must be refused: other kinds, words that
  /// are cut otherwise, added tokens that stand alone only, what is unknown where bytes lack tokens, maps of
  /// characters by grapheme clusters (T5's in `tokenizers`, which SentencePiece and llama.cpp don't have).
  private static let written: Set<String> = [
    "deepseek", "digits", "gpt2", "gpt2-files", "llama-prepend", "llama3", "metaspace-always-split",
    "metaspace-always-whole", "metaspace-first-split", "metaspace-first-whole",
    "metaspace-never-split", "metaspace-never-whole", "o200k", "qwen-files",
  ]

  private func fields(_ name: String) throws -> EmbeddedTokenizer {
    let architecture =
      name == "t5" ? "t5" : "llama"
    let folder = try TemporaryFolder()
    let path = "\(Fixtures.directory)/\(name)"
    if FileManager.default.fileExists(atPath: path) {
      return try EmbeddedTokenizer(
        folder: path, vocabularySize: 100_000, architecture: architecture)
    }
    try folder.copy("\(path).json", "tokenizer.json")
    return try EmbeddedTokenizer(
      folder: folder.path, vocabularySize: 100_000, architecture: architecture)
  }

  @Test(arguments: Fixtures.names)
  func giveTheSameIds(_ name: String) throws {
    guard Self.written.contains(name) else {
      let error = #expect(throws: TokenizerError.self) { try fields(name) }
      #expect(error?.kind == .unsupported)
      return
    }
    let written = try TokenizerPipeline(fields(name))
    let expected = try #require(try Fixtures.json("\(name).expected.json")["ids"]?.arrayValue)
    // A space goes before every text in llama.cpp, before those too that begin with one, or with its mark.
    let isSpaced = name.hasPrefix("metaspace-always") || name.hasPrefix("metaspace-first")
    for (text, row) in zip(try Fixtures.hostileTexts(), expected) {
      if isSpaced,
        text.contains("<")
          || text.first.map({ $0.isWhitespace || $0 == "▁" }) ?? true
      {
        continue
      }
      #expect(written.encode(text) == row.integers, "\(text.debugDescription)")
    }
  }

  @Test(
    arguments: [
      ("gpt2", "gpt-2"), ("llama3", "llama-bpe"), ("o200k", "gpt-4o"),
      ("digits", "smollm"), ("deepseek", "deepseek-v3"), ("qwen-files", "qwen2"),
    ])
  func findTheNameOfTheRule(_ name: String, _ rule: String) throws {
    let fields = try fields(name)
    #expect(fields.model == "gpt2" && fields.preTokenizer == rule)
    #expect(fields.tokens.count == 100_000 && fields.types?.last == 5)
    #expect(fields.tokens.last == "[PAD99999]")
  }

  @Test func refuseIdsBeyondTheModel() throws {
    let folder = try TemporaryFolder()
    try folder.copy("\(Fixtures.directory)/gpt2.json", "tokenizer.json")
    let error = #expect(throws: TokenizerError.self) {
      try EmbeddedTokenizer(folder: folder.path, vocabularySize: 10, architecture: "llama")
    }
    #expect(error?.kind == .inconsistent)
  }
}
