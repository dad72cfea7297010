import Foundation
import LoRAJSON
import LoRAText
import Testing

/// Real tokenizers on real texts, where a folder of them is at hand (`LORA_SHARED`, or `shared` beside
/// the package). Only digests of the ids are committed, by Tests/Reference/tokenizers_shared.py.
private enum Shared {
  static let directory =
    ProcessInfo.processInfo.environment["LORA_SHARED"]
    ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared").path

  static let isPresent =
    FileManager.default.fileExists(atPath: "\(directory)/data")
    && FileManager.default.fileExists(atPath: "\(directory)/tokenizers/gpt2")

  struct Expectation: Sendable, CustomTestStringConvertible {
    var tokenizer: String
    var file: String
    var texts: Int
    var ids: Int
    var digest: String
    var testDescription: String { "\(tokenizer) on \(file)" }
  }

  static let expectations: [Expectation] = {
    guard isPresent, case .array(let entries)? = try? Fixtures.json("shared.json") else {
      return []
    }
    return entries.map {
      Expectation(
        tokenizer: $0["tokenizer"]?.stringValue ?? "", file: $0["file"]?.stringValue ?? "",
        texts: $0["texts"]?.intValue ?? 0, ids: $0["ids"]?.intValue ?? 0,
        digest: $0["digest"]?.stringValue ?? "")
    }
  }()

  /// The start of the file and some of its parts, as tokenizers_shared.py takes them.
  static func texts(_ file: String) throws -> [String] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/data/\(file)"))
    let raw = String(decoding: data, as: UTF8.self)
    let lines = data.split(separator: 0x0A, omittingEmptySubsequences: false)
    var parts: [String] = []
    if file.hasSuffix(".json") {
      collect(try JSONValue(parsing: data), into: &parts)
    } else if file.hasSuffix(".jsonl") {
      for line in lines where !line.isEmpty { collect(try JSONValue(parsing: line), into: &parts) }
    } else {
      parts += lines.map { String(decoding: $0, as: UTF8.self) }
    }
    let step = (data.count + 39_999) / 40_000
    return [String(raw.unicodeScalars.prefix(20_000))]
      + stride(from: 0, to: parts.count, by: step).map { parts[$0] }
  }

  private static func collect(_ value: JSONValue, into parts: inout [String]) {
    switch value {
    case .string(let string): parts.append(string)
    case .array(let elements): for element in elements { collect(element, into: &parts) }
    case .object(let object):
      for (key, element) in object {
        parts.append(key)
        collect(element, into: &parts)
      }
    default: break
    }
  }
}

@Suite struct SharedData {
  @Test(
    .enabled(if: Shared.isPresent, "needs the shared folder beside the checkout"),
    arguments: Shared.expectations)
  private func givesTheSameIDs(_ expected: Shared.Expectation) throws {
    let tokenizer = try TokenizerPipeline(contentsOf: "\(Shared.directory)/\(expected.tokenizer)")
    let texts = try Shared.texts(expected.file)
    #expect(texts.count == expected.texts)
    var count = 0
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    for text in texts {
      let ids = tokenizer.encode(text)
      count += ids.count
      for id in ids.map(UInt32.init) + [.max] {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
          digest = (digest ^ UInt64(id >> shift & 0xFF)) &* 0x100_0000_01B3
        }
      }
    }
    #expect(count == expected.ids)
    #expect(digest == UInt64(expected.digest, radix: 16))
  }

  @Test(.enabled(if: Shared.isPresent, "needs the shared folder beside the checkout"))
  func givesBackTheText() throws {
    for name in ["tokenizers/gpt2", "tokenizers/qwen3", "models/stories260k"] {
      let tokenizer = try TokenizerPipeline(contentsOf: "\(Shared.directory)/\(name)")
      for file in ["tinyshakespeare.txt", "self_instruct_seed_tasks.jsonl"] {
        let text = try Shared.texts(file)[0]
        #expect(tokenizer.decode(tokenizer.encode(text)) == text)
      }
    }
  }

  /// Messages that spell control tokens, by transformers (`sanitize_control_tokens`).
  @Test(.enabled(if: Shared.isPresent, "needs the shared folder beside the checkout"))
  func qwen3KeepsTextAsText() throws {
    let tokenizer = try TokenizerPipeline(
      contentsOf: "\(Shared.directory)/tokenizers/qwen3")
    var (text, kept) = ("", [Range<Int>]())
    for (index, part) in [
      "<|im_start|>system\n", "<|im_start|>", "system<|im_end|>\n<|im_start|>user\n",
      "<|endoftext|>", "x", "<|im_end|>", "\n", "<|im_start|>",
      "assistant\nyes<|im_end|>\n<|im_start|>assistant\n",
    ].enumerated() {
      let start = text.unicodeScalars.count
      text += part
      if index % 2 == 1 { kept.append(start..<text.unicodeScalars.count) }
    }
    let expected = [
      151644, 8948, 198, 27, 91, 318, 4906, 91, 29, 8948, 151645, 198, 151644, 872, 198, 27, 91,
      8691, 723, 427, 91, 29, 87, 27, 91, 318, 6213, 91, 29, 198, 27, 91, 318, 4906, 91, 29, 77091,
      198, 9693, 151645, 198, 151644, 77091, 198,
    ]
    #expect(try tokenizer.encode(text, keepingAsText: kept) == expected)
  }
}
