import Foundation
import LoRAFiles
import LoRAJSON
import Testing

/// `lora tokenize`.
@Suite struct TokenizeTests {
  private let bert = Fixtures.path("text/bert.json")

  @Test func tellsTokensAndWhereTheyAre() throws {
    let found = try Command.succeed(
      "tokenize", "--model", bert, "--text", "  \u{c9}t\u{e9}, the", "--offsets", "--json"
    ).json()
    let ids = try #require(found["ids"]?.arrayValue).compactMap(\.intValue)
    let tokens = try #require(found["tokens"]?.arrayValue).compactMap(\.stringValue)
    let offsets = try #require(found["offsets"]?.arrayValue).map {
      ($0.arrayValue ?? []).compactMap(\.intValue)
    }
    #expect(ids.count == tokens.count && ids.count == offsets.count)
    #expect(tokens.first == "[CLS]" && offsets.first == [0, 0] && tokens.last == "[SEP]")
    #expect(offsets.contains([5, 6]) && offsets[1][0] == 2)

    let bare = try Command.succeed(
      "tokenize", "--model", bert, "--text", "  \u{c9}t\u{e9}, the", "--no-special", "--json"
    ).json()
    #expect(bare["ids"]?.arrayValue?.compactMap(\.intValue) == Array(ids.dropFirst().dropLast()))
    #expect(bare["offsets"] == nil)
    let lines = try Command.succeed(
      "tokenize", "--model", bert, "--text", "the", "--offsets"
    ).output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0].hasSuffix("  [CLS]  0..0"))
    #expect(lines[1].hasSuffix("  the  0..3"))
  }

  /// A file is taken as it is; a line's end is a character of the text.
  @Test func readsAFile() throws {
    let file = try Fixtures.file("text.txt", "the\r\nthe ")
    let model = Fixtures.path("text/gpt2.json")
    let whole = try Command.succeed("tokenize", "--model", model, "--file", file, "--json").json()
    let given = try Command.succeed(
      "tokenize", "--model", model, "--text", "the\r\nthe ", "--json"
    ).json()
    #expect(whole == given)
    let empty = try Command.succeed("tokenize", "--model", model, "--text", "", "--json").json()
    #expect(empty == ["ids": [], "tokens": []])
  }

  /// A GGUF file without a tensor has all that is needed.
  @Test func opensAVocabularyAlone() throws {
    let path = Fixtures.path("gguf/models/llama-quantized.gguf")
    let alone = try Command.temporaryFolder() + "/vocabulary.gguf"
    try GGUFWriter.write(GGUFFile(path: path).keyValues, tensors: [], to: alone)
    let arguments = ["--text", "the and <s> in", "--offsets", "--json"]
    let whole = try Command.start(["tokenize", "--model", path] + arguments).outcome()
    let found = try Command.start(["tokenize", "--model", alone] + arguments).outcome()
    #expect(found.status == 0, "\(found.errors)")
    #expect(try found.json() == whole.json())
    #expect(try #require(found.json()["ids"]?.arrayValue).count > 4)
  }

  @Test func opensSentencePiece() throws {
    let found = try Command.succeed(
      "tokenize", "--model", Fixtures.path("text/sentencepiece/bpe.model"), "--text", "a", "--json")
    #expect(try found.json()["tokens"]?.arrayValue?.compactMap(\.stringValue) == ["\u{2581}a"])
  }

  @Test func saysWhatIsWrong() throws {
    let both = try Command.run("tokenize", "--model", bert, "--text", "a", "--file", "b")
    #expect(both.status == 64 && both.errors.contains("--text TEXT or --file FILE"))
    let missing = try Command.run("tokenize", "--model", "/nowhere", "--text", "a")
    #expect(missing.status == 1 && missing.errors.hasPrefix("error: /nowhere"))
    let binary = try Command.temporaryFolder() + "/binary"
    try Data([0xFF, 0xFE, 0x41]).write(to: URL(filePath: binary))
    let wrong = try Command.run("tokenize", "--model", bert, "--file", binary)
    #expect(wrong.status == 1 && wrong.errors.contains("UTF-8") && wrong.output.isEmpty)
  }
}
