import Foundation
import LoRAJSON
import LoRAText
import Testing

@Suite struct TokenBytesTests {
  /// The tokenizers of Tests/Reference/tokenizers_fixtures.py.
  private static let names: [String] = {
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../Fixtures/text").path
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return files.filter {
      $0.hasSuffix(".json") && !$0.contains(".expected")
        && !["hostile.json", "shared.json", "patterns.json", "offsets.json"].contains($0)
    }.sorted()
  }()

  private static func text(_ name: String) throws -> String {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../Fixtures/text/\(name)").path
    return try String(contentsOfFile: path, encoding: .utf8)
  }

  /// Behind a letter, tokens decode to their bytes, whatever tokens they are.
  @Test(arguments: names) func bytesAreWhatDecodingAdds(_ name: String) throws {
    let tokenizer = try TokenizerPipeline(json: Self.text(name))
    guard let bytes = tokenizer.tokenBytes() else {
      // Word pieces and words: what stands between two tokens is no token's. Nor is what a
      // replacement finds in two at once.
      guard !["fallback-partial.json", "pieces-metaspace.json"].contains(name) else { return }
      let decoder = try JSONValue(parsing: Self.text(name))["decoder"]
      let kind = decoder?["type"]?.stringValue ?? "none"
      #expect(["WordPiece", "BPEDecoder", "none"].contains(kind), "\(name): \(kind)")
      return
    }
    #expect(bytes.count == tokenizer.vocabularySize)
    let letter = try #require(
      (0..<bytes.count).first { id in
        let text = tokenizer.decode([id])
        return text.utf8.count == 1 && text.first?.isLetter == true && bytes[id].count == 1
      })
    let ids = bytes.indices.filter { !bytes[$0].isEmpty }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<300 {
      let chosen = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        ids.randomElement(using: &random) ?? letter
      }
      let added = chosen.flatMap { bytes[$0] }
      // What is no UTF-8 is repaired, in one way or another.
      guard let text = String(validating: added, as: UTF8.self) else { continue }
      let decoded = tokenizer.decode([letter] + chosen)
      #expect(
        Array(decoded.utf8) == Array((tokenizer.decode([letter]) + text).utf8),
        "\(name): \(chosen)")
    }
    for id in bytes.indices where tokenizer.decode([letter, id]) == tokenizer.decode([letter]) {
      #expect(bytes[id].isEmpty, "\(name): \(id)")
    }
  }
}
