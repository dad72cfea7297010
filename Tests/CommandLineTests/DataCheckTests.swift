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

  @Test func nothingTemporaryStays() throws {
    let folder = try Command.temporaryFolder()
    let data = try Fixtures.file("a.jsonl", Self.clean)
    let outcome = try Command.run(
      "data", "check", data, through: "TMPDIR='\(folder)' \"$@\"")
    #expect(outcome.status == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }
}
