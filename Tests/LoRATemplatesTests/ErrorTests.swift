import LoRATemplates
import Testing

/// Errors say what, and where.
@Suite struct TemplateErrorTests {
  @Test(arguments: [
    ("a\n  {{ x + }}", TemplateError.Kind.syntax, 2, 10),
    ("{% if x %}\ny", .syntax, 1, 4),
    ("{% unknown %}", .syntax, 1, 4),
    ("{{ 'abc }}", .syntax, 1, 4),
    ("\n\n{{ x|nothing }}", .syntax, 3, 6),
    ("{{ x }}\n{{ y.z }}", .undefined, 2, 5),
    ("{{ y() }}", .undefined, 1, 5),
    ("é {{ 1 + 'a' }}", .value, 1, 8),
    ("{{ raise_exception('no') }}", .raised, 1, 19),
    ("{{ [].append(1) }}", .forbidden, 1, 13),
    ("{{ x.__class__.__mro__ }}", .forbidden, 1, 15),
    ("{% include 'file' %}", .forbidden, 1, 4),
    ("{% for i in range(100001) %}{% endfor %}", .limit, 1, 18),
  ])
  func hasKindAndPlace(
    _ source: String, _ kind: TemplateError.Kind, _ line: Int, _ column: Int
  ) throws {
    let error = #expect(throws: TemplateError.self, "\(source)") {
      try Template(source).render(["x": "text"])
    }
    #expect(error?.kind == kind, "\(source)")
    #expect([error?.line, error?.column] == [line, column], "\(source)")
    #expect(error?.description.hasPrefix("line \(line), column \(column): ") == true)
  }

  @Test func messageOfTheTemplateIsInTheError() {
    let error = #expect(throws: TemplateError.self) {
      try Template("{{ raise_exception('Only user and assistant roles!') }}").render([:])
    }
    #expect(error?.message.contains("Only user and assistant roles!") == true)
  }
}
