import LoRAJSON
import LoRATemplates
import Testing

/// Every part of the language, as Jinja itself renders it with transformers' settings.
@Suite struct LanguageTests {
  @Test(arguments: [("expressions.json", 300), ("snippets.json", 170), ("random.json", 600)])
  func rendersAsJinjaDoes(_ file: String, _ least: Int) throws {
    let fixture = try TemplateFixtures.json(file)
    let variables = TemplateValue(fixture["variables"] ?? [:])
    let cases = try #require(fixture["cases"]?.arrayValue)
    #expect(cases.count >= least)
    for entry in cases {
      let source = try #require(entry["template"]?.stringValue)
      let found = outcome { () throws(TemplateError) in
        try Template(source).render(variables, now: TemplateFixtures.clock)
      }
      switch found {
      case .success(let rendered):
        let expected = try? #require(entry["text"]?.stringValue)
        #expect(
          expected.map { rendered.text.hasSameBytes(as: $0) } == true,
          "\(source)\n\(rendered.text.debugDescription)\n\(expected.debugDescription)")
        let ranges = entry["generated"]?.arrayValue?.map { [$0[0]?.intValue, $0[1]?.intValue] }
        #expect(rendered.generated.map { [$0.lowerBound, $0.upperBound] } == ranges, "\(source)")
      case .failure(let error):
        #expect(entry["error"] != nil, "\(source)\n\(error)")
      }
    }
  }

  @Test func integersEndAt64Bits() throws {
    for expression in ["2**100", "9223372036854775807 + 1", "-(-9223372036854775807 - 1)"] {
      let error = #expect(throws: TemplateError.self) {
        try Template("{{ \(expression) }}").render([:])
      }
      #expect(error?.kind == .limit)
    }
  }

  @Test func textsAreComparedByCharacters() throws {
    // One letter with an accent, and a letter and an accent.
    let template = try Template("{{ a == b }} {{ a|length }} {{ b|length }} {{ b[0] }}")
    #expect(try template.render(["a": "\u{E9}", "b": "e\u{301}"]).text == "False 1 2 e")
  }

  @Test func nothingGivesAnotherTextEachTime() throws {
    for expression in ["[1, 2]|random", "lipsum()"] {
      let error = #expect(throws: TemplateError.self) {
        try Template("{{ \(expression) }}").render([:])
      }
      #expect(error?.kind == .forbidden)
    }
  }
}
