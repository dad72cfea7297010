import Foundation
import LoRAGrammars
import LoRAJSON
import Testing

/// Documents that Tests/Reference/grammars.py wrote, judged by jsonschema.
@Suite struct FixtureTests {
  private func fixture() throws -> JSONValue {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../Fixtures/grammars/cases.json").path
    return try JSONValue(parsing: String(contentsOfFile: path, encoding: .utf8))
  }

  @Test func whatIsValidIsAcceptedAndNothingElse() throws {
    let fixture = try fixture()
    var constraints: [String: OutputConstraint] = [:]
    var count = 0
    for one in try #require(fixture["cases"]?.arrayValue) {
      let name = try #require(one["schema"]?.stringValue)
      let text = try #require(one["text"]?.stringValue)
      let schema = try #require(fixture["schemas"]?[name]?.stringValue)
      let constraint = try constraints[name] ?? OutputConstraint(jsonSchema: schema)
      constraints[name] = constraint
      #expect(try constraint.accepts(text) == one["valid"]?.boolValue, "\(name): \(text)")
      count += 1
    }
    #expect(constraints.count >= 12 && count > 300)
  }

  /// Random walks end, or are at least the beginnings of texts, and what ended is JSON.
  @Test func walksGiveJSON() throws {
    let runner = CaseRunner(vocabulary: plainVocabulary)
    for (name, schema) in try #require(try fixture()["schemas"]?.objectValue) {
      let answer = runner.answer([
        "schema": schema, "seeds": [1, 2, 3, 4, 5], "mode": "bytes", "limit": 2000,
      ])
      let walks = try #require(answer["walks"]?.arrayValue, "\(name): \(answer.encoded())")
      for walk in walks where walk["finished"]?.boolValue == true {
        let bytes = try #require(walk["bytes"]?.arrayValue).compactMap {
          $0.intValue.map(UInt8.init)
        }
        // Names that are not listed may be written twice, which only this parser refuses.
        do {
          _ = try JSONValue(parsing: bytes)
        } catch {
          #expect(error.message.contains("a second time"), "\(name): \(error)")
        }
      }
    }
  }
}
