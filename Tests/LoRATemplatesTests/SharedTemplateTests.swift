import Foundation
import LoRAJSON
import LoRATemplates
import Testing

/// Templates of models in use, where a folder of them is at hand (`LORA_SHARED`, or `shared` beside the
/// package). Only digests of transformers' texts are committed.
private enum SharedTemplates {
  static let directory =
    (ProcessInfo.processInfo.environment["LORA_SHARED"]
      ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared").path)
    + "/templates"

  static let isPresent = FileManager.default.fileExists(atPath: "\(directory)/chatml.jinja")

  /// 64 bits of FNV-1a.
  static func digest(_ text: String) -> String {
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

@Suite struct SharedTemplateTests {
  @Test(.enabled(if: SharedTemplates.isPresent, "needs the shared folder beside the checkout"))
  func rendersAsTransformersDoes() throws {
    let conversations = try TemplateFixtures.json("conversations.json")["variables"] ?? [:]
    let cases = try #require(try TemplateFixtures.json("shared.json")["cases"]?.arrayValue)
    #expect(cases.count >= 200)
    for entry in cases {
      let file = try #require(entry["file"]?.stringValue)
      let name = try #require(entry["conversation"]?.stringValue)
      let source = try TemplateFixtures.source(file, in: SharedTemplates.directory)
      let found = outcome { () throws(TemplateError) in
        try ChatTemplate(source, specialTokens: TemplateFixtures.specialTokens).render(
          TemplateFixtures.conversation(conversations[name] ?? [:]), now: TemplateFixtures.clock)
      }
      let digest = (try? found.get()).map { SharedTemplates.digest($0.text) } ?? "error"
      #expect(digest == entry["digest"]?.stringValue, "\(file), \(name)")
    }
  }
}

/// Further cases, as `Tests/Reference/chat_templates.py mutated` writes them, one a line.
@Suite struct TemplateCases {
  static let path = ProcessInfo.processInfo.environment["LORA_TEMPLATE_CASES"]

  @Test(.enabled(if: path != nil, "needs LORA_TEMPLATE_CASES"))
  func rendersAsTransformersDoes() throws {
    let lines = try String(contentsOfFile: Self.path ?? "", encoding: .utf8).split(separator: "\n")
    #expect(!lines.isEmpty)
    for (number, line) in lines.enumerated() {
      let entry = try JSONValue(parsing: String(line))
      let found = outcome { () throws(TemplateError) in
        try Template(entry["template"]?.stringValue ?? "").render(
          TemplateValue(entry["variables"] ?? [:]), now: TemplateFixtures.clock)
      }
      switch found {
      case .success(let rendered):
        #expect(
          entry["text"]?.stringValue?.hasSameBytes(as: rendered.text) == true, "line \(number + 1)")
      case .failure(let error):
        // What exceeds 64 bits is an error here alone.
        #expect(entry["error"] != nil || error.kind == .limit, "line \(number + 1): \(error)")
      }
    }
  }
}
