import Foundation
import LoRAModels
import LoRAText
import Testing

/// llama.cpp's files of a vocabulary alone, with the ids of its own tokenizer, where `LORA_LLAMA_CPP`
/// names its `models` folder.
private enum Vocabularies {
  static let directory = ProcessInfo.processInfo.environment["LORA_LLAMA_CPP"]

  /// The files that have vectors.
  static let names: [String] = {
    let files =
      directory.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0) } ?? []
    return files.filter { files.contains($0 + ".inp") && files.contains($0 + ".out") }.sorted()
  }()
}

@Suite struct VocabularyFileTests {
  /// As `test-tokenizer-0` compares them: texts without special tokens.
  @Test(
    .enabled(if: Vocabularies.directory != nil, "needs llama.cpp's models folder, LORA_LLAMA_CPP"),
    arguments: Vocabularies.names)
  func givesTheSameIDs(_ name: String) throws {
    let path = "\(try #require(Vocabularies.directory))/\(name)"
    func lines(_ suffix: String, _ separator: String) throws -> [String] {
      let data = try Data(contentsOf: URL(filePath: path + suffix))
      return String(decoding: data, as: UTF8.self).components(separatedBy: separator)
    }
    let texts = try lines(".inp", "\n__ggml_vocab_test__\n")
    let expected = try lines(".out", "\n")
    #expect(texts.count > 40 && expected.count >= texts.count)
    let tokenizer = try PretrainedModel.tokenizer(at: path)
    for (text, line) in zip(texts, expected) {
      let ids = line.split(separator: " ").compactMap { Int($0) }
      #expect(tokenizer.encode(text, addSpecialTokens: false) == ids, "\(text.debugDescription)")
      #expect(tokenizer.encodeAligned(text, addSpecialTokens: false).ids == ids)
    }
  }
}
