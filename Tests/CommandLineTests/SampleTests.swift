import Foundation
import LoRAJSON
import Testing

/// `lora train --sample-prompt` and `--samples`.
@Suite(.serialized) struct SampleTests {
  private func arguments(_ output: String, _ flags: [String]) throws -> [String] {
    let model = try Fixtures.modelWithTokenizer()
    let data = try Fixtures.file(
      "a.jsonl",
      (0..<8).map { "{\"prompt\":\"Abc \($0)\",\"completion\":\" def\"}\n" }.joined())
    return [
      "train", "--model", model, "--data", data, "--output", output, "--batch", "3", "--seed", "5",
      "--learning-rate", "0.05", "--dropout", "0.2", "--steps", "10",
    ] + flags
  }

  private func lines(_ path: String) throws -> [JSONValue] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      .map { try JSONValue(parsing: String($0)) }
  }

  /// Samples are what `lora generate` says with the adapter, in the log and in the report; the training has
  /// the same bits without them.
  @Test func samplesShowWhatBecomesOfTheModel() throws {
    let folder = try Command.temporaryFolder()
    let log = folder + "/log.jsonl"
    let outcome = try Command.start(
      try arguments(
        folder + "/a",
        [
          "--sample-prompt", "Abc <b>", "--sample-prompt", "Abc 1", "--sample-every", "4",
          "--sample-tokens", "6", "--log", log,
        ])
    ).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let samples = try lines(log).filter { $0["sample"] != nil }
    #expect(samples.compactMap { $0["step"]?.intValue } == [0, 0, 4, 4, 8, 8, 10, 10])
    #expect(samples.compactMap { $0["prompt"]?.intValue } == [0, 1, 0, 1, 0, 1, 0, 1])
    #expect(samples[0]["question"]?.stringValue == "Abc <b>")
    let model = try Fixtures.modelWithTokenizer()
    let generated = try Command.succeed(
      "generate", "--model", model, "--adapter", folder + "/a", "--prompt", "Abc 1",
      "--max-tokens", "6", "--json"
    ).json()
    #expect(generated["text"]?.stringValue == samples[7]["sample"]?.stringValue)
    let base = try Command.succeed(
      "generate", "--model", model, "--prompt", "Abc 1", "--max-tokens", "6", "--json"
    ).json()
    #expect(base["text"]?.stringValue == samples[1]["sample"]?.stringValue)
    #expect(base["text"]?.stringValue != generated["text"]?.stringValue)
    let html = try String(contentsOfFile: folder + "/a/report.html", encoding: .utf8)
    for part in ["Abc &lt;b&gt;", "before the training", "after step 10", "2 answers in between"] {
      #expect(html.contains(part), "\(part)")
    }
    let plain = try Command.start(try arguments(folder + "/b", [])).outcome()
    #expect(plain.status == 0)
    let file = "adapter_model.safetensors"
    #expect(
      FileManager.default.contentsEqual(
        atPath: "\(folder)/a/\(file)", andPath: "\(folder)/b/\(file)"))
  }

  @Test func promptsComeFromFiles() throws {
    let folder = try Command.temporaryFolder()
    let file = try Fixtures.file(
      "p.jsonl",
      "{\"prompt\":\"Abc 1\",\"completion\":\" def\"}\n{\"instruction\":\"Abc\",\"input\":\"2\"}\n")
    let lines = try Fixtures.file("p.txt", "Abc 3\n\nAbc 4\n")
    for (name, path, questions) in [
      ("a", file, ["Abc 1", "Abc\n\n2"]), ("b", lines, ["Abc 3", "Abc 4"]),
    ] {
      let log = "\(folder)/\(name).jsonl"
      let outcome = try Command.start(
        try arguments("\(folder)/\(name)", ["--samples", path, "--log", log])
      ).outcome()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let samples = try self.lines(log).filter { $0["sample"] != nil }
      #expect(samples.compactMap { $0["question"]?.stringValue } == questions + questions)
      #expect(samples.compactMap { $0["step"]?.intValue } == [0, 0, 10, 10])
    }
    let html = try String(contentsOfFile: folder + "/a/report.html", encoding: .utf8)
    #expect(html.contains("expected") && html.contains(" def"))
  }

  /// Where the data are conversations, a prompt is what a user says in one, and a file's conversation is
  /// asked up to its last answer, which is what is expected.
  @Test func promptsOfConversationsAreAskedByTheTemplate() throws {
    let folder = try Command.temporaryFolder()
    let model = try Fixtures.modelWithTokenizer()
    let template = try Fixtures.file(
      "plain.jinja",
      """
      {% for m in messages %}{{ m.role }} {{ m.content }}
      {% endfor %}{% if add_generation_prompt %}assistant{% endif %}
      """)
    let data = try Fixtures.file(
      "chats.jsonl",
      """
      {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
      {"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "dd"}]}
      """)
    let log = folder + "/log.jsonl"
    let outcome = try Command.start([
      "train", "--model", model, "--data", data, "--chat-template", template, "--output",
      folder + "/a", "--steps", "2", "--sample-prompt", "a", "--samples", data, "--sample-tokens",
      "5", "--log", log,
    ]).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let samples = try lines(log).filter { $0["step"]?.intValue == 0 && $0["sample"] != nil }
    #expect(samples.compactMap { $0["question"]?.stringValue } == ["a", "a", "c"])
    // The prompt and the first conversation of the file ask the same.
    #expect(samples[0]["sample"] == samples[1]["sample"])
    let messages = try Fixtures.file("m.json", "[{\"role\": \"user\", \"content\": \"c\"}]")
    let generated = try Command.succeed(
      "generate", "--model", model, "--messages", messages, "--chat-template", template,
      "--max-tokens", "5", "--json"
    ).json()
    #expect(generated["text"] == samples[2]["sample"])
    let html = try String(contentsOfFile: folder + "/a/report.html", encoding: .utf8)
    #expect(html.contains("<span class=\"label\">expected</span><p class=\"text\">dd</p>"))
  }

  @Test func whatIsWrongIsSaidBeforeAnythingIsTrained() throws {
    let folder = try Command.temporaryFolder()
    func fails(_ flags: [String], _ text: String, status: Int32 = 1) throws {
      let outcome = try Command.start(try arguments(folder + "/a", flags)).outcome()
      #expect(outcome.status == status && outcome.errors.contains(text), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
    }
    let nothing = try Fixtures.file("n.jsonl", "{\"text\":\"Abc\"}\n")
    try fails(["--samples", nothing], "line 1: expected a 'prompt' or 'messages'; found 'text'")
    let chat = try Fixtures.file(
      "c.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"Abc\"}]}\n")
    try fails(["--samples", chat], "the model has no chat template")
    try fails(["--samples", folder + "/none.jsonl"], "none.jsonl")
    let long = String(repeating: "Abc ", count: 200)
    try fails(["--sample-prompt", long], "64")
    try fails(["--sample-every", "2"], "--sample-every makes no sense", status: 64)
    try fails(
      ["--task", "classification", "--sample-prompt", "Abc"], "--sample-prompt is for --task text",
      status: 64)
  }
}
