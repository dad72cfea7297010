import LoRATemplates
import Testing

/// Templates that want too much end in an error, not in a crash, a hang or a full memory.
@Suite struct TemplateLimitTests {
  static let limits = TemplateLimits(steps: 200_000, length: 1_000_000, copies: 4_000_000)

  static let runaways: [String] =
    [
      "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{{ 'a' * 10 ** 12 }}", "{{ [1] * 9223372036854775807 }}",
      "{{ 'abc'.replace('', 'x' * 900000) }}", "{{ 'a'|center(9223372036854775807) }}",
      "{{ '%99999999d' % 1 }}", "{{ '{:99999999}'.format(1) }}",
      "{{ 'a'|indent(9223372036854775807, true) }}",
      "{{ 'a\tb'.expandtabs(9223372036854775807) }}",
      "{{ [1]|batch(9223372036854775807, 0)|list }}",
      "{{ [1]|slice(9223372036854775807)|list }}", "{{ {}|tojson(indent=9223372036854775807) }}",
      "{{ 'a'.zfill(9223372036854775807) }}", "{{ range(9223372036854775807) }}",
      grown(from: "'ab'", by: "ns.v ~ ns.v", "{{ ns.v }}"),
      grown(from: "['ab']", by: "ns.v + ns.v"), grown(from: "[]", by: "[ns.v]", rounds: 1000),
      grown(from: "{}", by: "{'a': ns.v}", rounds: 1000),
      grown(from: "[1]", by: "ns.v|map('abs')", rounds: 1000),
      grown(from: "'a'", by: "[ns.v, ns.v]", "{{ ns.v }}"),
      grown(from: "'a'", by: "[ns.v, ns.v]", "{{ ns.v|tojson }}"),
      grown(from: "1", by: "(ns.v, ns.v)", "{{ {ns.v: 1} }}"),
      "{{ " + String(repeating: "(", count: 50_000), "{{ " + String(repeating: "[", count: 50_000),
      "{{ " + String(repeating: "-", count: 50_000) + "1 }}",
      "{{ " + String(repeating: "not ", count: 50_000) + "1 }}",
      "{{ " + String(repeating: "1 if 1 else ", count: 50_000) + "1 }}",
      "{{ x" + String(repeating: "|abs", count: 50_000) + " }}",
      "{{ x" + String(repeating: ".a", count: 50_000) + " }}",
      "{{ 1" + String(repeating: " or 1", count: 50_000) + " }}",
      String(repeating: "{% if 1 %}", count: 50_000),
    ]

  /// A template that makes a value of the one before, again and again.
  private static func grown(
    from start: String, by step: String, _ end: String = "", rounds: Int = 60
  ) -> String {
    "{% set ns = namespace(v=\(start)) %}{% for i in range(\(rounds)) %}{% set ns.v = \(step) %}"
      + "{% endfor %}\(end)"
  }

  @Test(arguments: runaways.indices)
  func stopsRunaway(_ index: Int) throws {
    let source = Self.runaways[index]
    let error = #expect(throws: TemplateError.self, "\(source.prefix(80))") {
      try Template(source).render(["x": 1], limits: Self.limits)
    }
    #expect(error?.kind == .limit, "\(source.prefix(80)): \(String(describing: error))")
  }

  @Test func chainsOfObjectsAreTakenApart() throws {
    // A chain and a circle of namespaces, and a macro that its own scope holds.
    let sources = [
      "{% set ns = namespace() %}{% for i in range(50000) %}{% set ns.p = namespace(p=ns.p) %}{% endfor %}ok",
      "{% set ns = namespace() %}{% set ns.me = ns %}{% macro m() %}{{ m.name }}{% endmacro %}ok",
    ]
    for source in sources { #expect(try Template(source).render([:]).text == "ok") }
    let circle = try Template("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}")
    #expect(try circle.render([:]).text == "<Namespace {'me': <Namespace {...}>}>")
  }

  @Test func comparingSharedValuesIsCounted() throws {
    let source =
      "{% set ns = namespace(a='x', b='x') %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
      + "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
    let error = #expect(throws: TemplateError.self) {
      try Template(source).render([:], limits: Self.limits)
    }
    #expect(error?.kind == .limit)
  }

  @Test func theLimitsAreTheCallers() throws {
    let template = try Template("{% for i in range(1000) %}{{ i }}{% endfor %}")
    #expect(try template.render([:]).text.count == 2890)
    for limits in [TemplateLimits(steps: 1000), TemplateLimits(length: 100)] {
      #expect(throws: TemplateError.self) { try template.render([:], limits: limits) }
    }
  }
}
