import Foundation
import LoRAJSON
import Testing

/// `lora data check`: statuses, output, and what it writes.
@Suite struct DataCheckTests {
  private static let clean = """
    {"prompt":"How long is the warranty?","completion":" Four years."}
    {"prompt":"Which light blinks?","completion":" The filter light."}

    """

  @Test func theStatusTells() throws {
    let clean = try Fixtures.file("a.jsonl", Self.clean)
    let nothing = try Command.run("data", "check", clean, "--json")
    #expect(nothing.status == 0)
    #expect(try nothing.json()["examples"]?.intValue == 2)
    #expect(try nothing.json()["findings"]?.arrayValue?.isEmpty == true)

    let dirty = try Fixtures.file("a.jsonl", Self.clean + Self.clean + "no\n")
    let found = try Command.run("data", "check", dirty, "--json")
    #expect(found.status == 2 && found.errors.isEmpty)
    let findings = try found.json()["findings"]?.arrayValue ?? []
    #expect(
      findings.map { "\($0["line"]?.intValue ?? 0) \($0["kind"]?.stringValue ?? "")" }
        == ["3 duplicate", "4 duplicate", "5 malformed"])
    let text = try Command.run("data", "check", dirty)
    #expect(text.status == 2 && text.output.contains("duplicate: 2"))
    #expect(text.output.contains("line 3: the same as line 1"))

    #expect(try Command.run("data", "check", clean + "x").status == 1)
    #expect(try Command.run("data", "check", clean, "--html", "a.txt").status == 64)
  }

  @Test func withAModel() throws {
    let model = try Fixtures.modelWithTokenizer()
    let long =
      "{\"prompt\":\"A\",\"completion\":\"\(String(repeating: "Abc def. ", count: 12))\"}\n"
    let data = try Fixtures.file("a.jsonl", "{\"prompt\":\"A\",\"completion\":\"b\"}\n" + long)
    let outcome = try Command.run("data", "check", data, "--model", model, "--json")
    let kinds = try outcome.json()["findings"]?.arrayValue?.map { $0["kind"]?.stringValue }
    #expect(outcome.status == 2 && kinds?.contains("too-long") == true, "\(outcome.output)")
    let chat = try Fixtures.file(
      "b.jsonl",
      #"{"messages":[{"role":"user","content":"A?"},{"role":"assistant","content":"b"}]}"# + "\n")
    let refused = try Command.run("data", "check", chat, "--model", model)
    #expect(refused.status == 2 && refused.output.contains("no-template: 1"))
    #expect(refused.output.contains("1 conversation from here on; give a template"))
    let written = try Command.run(
      "data", "check", chat, "--model", model, "--chat-template", "plain")
    #expect(written.status == 0 && written.output.contains("in tokens"), "\(written.output)")
    let missing = try Command.run(
      "data", "check", chat, "--model", model, "--chat-template", "none.jinja")
    #expect(missing.status == 1 && missing.errors.contains("none.jinja"))
    #expect(
      try Command.run("data", "check", chat, "--chat-template", "plain").errors
        .contains("give --model too"))
  }

  /// A model without a template is no fault of the conversations: --fix keeps them.
  @Test func conversationsStayWithoutATemplate() throws {
    let model = try Fixtures.modelWithTokenizer()
    let lines = ["A?", "B?"].map { question in
      #"{"utterances":[{"name":"user","text":"\#(question)"},{"name":"agent","text":"it is \#(question)"}]}"#
    }
    let data = try Fixtures.file("a.jsonl", lines.joined(separator: "\n") + "\n")
    let fix = try Command.temporaryFolder() + "/clean.jsonl"
    let outcome = try Command.run("data", "check", data, "--model", model, "--fix", fix, "--json")
    #expect(try outcome.json()["fix"]?["kept"]?.intValue == 2)
    #expect(try outcome.json()["counts"]?["no-template"]?.intValue == 1)
    #expect(
      try outcome.json()["notes"]?[0]?.stringValue?.hasPrefix(
        "'utterances' is read as")
        == true)
    let text = try Command.run("data", "check", data)
    #expect(text.status == 0 && text.output.contains("note: 'utterances' is read as"))
  }

  @Test func whatIsWritten() throws {
    let folder = try Command.temporaryFolder()
    let data = try Fixtures.file("a.jsonl", Self.clean + Self.clean)
    let fix = folder + "/new/clean.jsonl"
    let page = folder + "/check.html"
    let outcome = try Command.run(
      "data", "check", data, "--fix", fix, "--html", page, "--json")
    #expect(outcome.status == 2, "\(outcome.errors)")
    #expect(try outcome.json()["fix"]?["kept"]?.intValue == 2)
    #expect(try outcome.json()["fix"]?["dropped"]?.intValue == 2)
    #expect(try String(contentsOfFile: fix, encoding: .utf8) == Self.clean)
    let list = try String(contentsOfFile: fix + ".dropped.jsonl", encoding: .utf8)
    #expect(
      list.hasPrefix(#"{"line":3,"kind":"duplicate","detail":"the same as line 1"}"#), "\(list)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.hasPrefix("<!DOCTYPE html>") && html.contains("the same as line 1"))
    #expect(!html.contains("http://") && !html.contains("https://"))

    let again = try Command.run("data", "check", data, "--fix", fix)
    #expect(again.status == 1 && again.errors.contains("--force"))
    let over = try Command.run("data", "check", data, "--fix", data, "--force")
    #expect(over.status == 1 && over.errors.contains("the output is the input"))
    let other = try Command.run("data", "check", data, "--fix", folder + "/a.csv")
    #expect(other.status == 1 && other.errors.contains(".jsonl"))
    #expect(try Command.run("data", "check", data, "--fix", fix, "--force").status == 2)
  }

  /// Two files are one set of data: what stands in both is found in the second, which the report says.
  @Test func severalFiles() throws {
    let folder = try Command.temporaryFolder()
    let (a, b) = (folder + "/a.jsonl", folder + "/b.csv")
    try Fixtures.write(Self.clean, to: a)
    try Fixtures.write(
      "prompt,completion\nWhich  light blinks?,The filter light.\nHow long is the warranty?,Two years.\n"
        + "Is it loud?,No.\nIs it loud?,No.\n", to: b)
    let outcome = try Command.run("data", "check", a, b + ":0.5", "--json")
    #expect(outcome.status == 2, "\(outcome.errors)")
    let report = try outcome.json()
    #expect(report["examples"]?.intValue == 6)
    func told(_ finding: JSONValue) -> String {
      ["kind", "file", "detail"].map { finding[$0]?.stringValue ?? "" }.joined(separator: " | ")
        + " | \(finding["line"]?.intValue ?? 0)"
    }
    #expect(
      (report["findings"]?.arrayValue ?? []).map(told) == [
        "duplicate | \(b) | the same as line 2 of \(a) | 2",
        "conflict | \(b) | line 1 of \(a) answers the same question otherwise | 3",
        "duplicate | \(b) | the same as line 4 | 5",
      ])
    let page = folder + "/check.html"
    let fixed = try Command.run("data", "check", a, b, "--fix", folder + "/clean", "--html", page)
    #expect(fixed.status == 2, "\(fixed.errors)")
    #expect(fixed.output.contains("  \(b), line 2: the same as line 2 of \(a)"), "\(fixed.output)")
    #expect(fixed.output.contains("\(folder)/clean: 3 examples; left out 3"), "\(fixed.output)")
    #expect(try String(contentsOfFile: page, encoding: .utf8).contains("<td>b.csv</td>"))
    #expect(Fixtures.names(in: folder + "/clean") == ["a.jsonl", "b.csv", "dropped.jsonl"])
    #expect(try String(contentsOfFile: folder + "/clean/a.jsonl", encoding: .utf8) == Self.clean)
    #expect(
      try String(contentsOfFile: folder + "/clean/b.csv", encoding: .utf8)
        == "prompt,completion\nIs it loud?,No.\n")
    let list = try String(contentsOfFile: folder + "/clean/dropped.jsonl", encoding: .utf8)
    #expect(
      list.hasPrefix(
        #"{"file":"\#(b)","line":2,"kind":"duplicate","detail":"the same as line 2 of \#(a)"}"#),
      "\(list)")
    let again = try Command.run("data", "check", a, b, "--fix", folder + "/clean")
    #expect(again.status == 1 && again.errors.contains("--force"), "\(again.errors)")
    #expect(
      try Command.run("data", "check", a, b, "--fix", folder + "/clean", "--force").status == 2)
    let over = try Command.run("data", "check", a, b, "--fix", folder, "--force")
    #expect(over.status == 1 && over.errors.contains("the output is the input"), "\(over.errors)")
    let same = folder + "/other/a.jsonl"
    try FileManager.default.createDirectory(
      atPath: folder + "/other", withIntermediateDirectories: true)
    try Fixtures.write("{\"prompt\":\"Is it heavy?\",\"completion\":\" A bit.\"}\n", to: same)
    let names = try Command.run("data", "check", a, same, "--fix", folder + "/new")
    #expect(names.status == 1 && names.errors.contains("the second 'a.jsonl'"), "\(names.errors)")
    #expect(try Command.run("data", "check", a, same).status == 0)
    let twice = try Command.run("data", "check", a, a)
    #expect(twice.status == 64 && twice.errors.contains("given twice"), "\(twice.errors)")
  }

  /// Records of one form a file: files may have different ones.
  @Test func filesOfOtherForms() throws {
    let folder = try Command.temporaryFolder()
    try Fixtures.write(Self.clean, to: folder + "/a.jsonl")
    try Fixtures.write(
      #"{"instruction":"Is it loud?","output":"No."}"# + "\n" + Self.clean.split(separator: "\n")[0]
        + "\n", to: folder + "/b.jsonl")
    let outcome = try Command.run("data", "check", folder + "/a.jsonl", folder + "/b.jsonl")
    #expect(outcome.status == 2)
    #expect(
      outcome.output.contains("b.jsonl, line 2: expected ")
        && outcome.output.contains(", as on line 1;"),
      "\(outcome.output)")
  }

  @Test func nothingTemporaryStays() throws {
    let folder = try Command.temporaryFolder()
    let data = try Fixtures.file("a.jsonl", Self.clean)
    let outcome = try Command.run(
      "data", "check", data, through: "TMPDIR='\(folder)' \"$@\"")
    #expect(outcome.status == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }
}
