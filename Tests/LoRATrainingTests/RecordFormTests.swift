import Foundation
import LoRAFiles
import LoRATemplates
import LoRATraining
import TestSupport
import Testing

/// What records of named fields mean, in the forms in which people have them.
@Suite struct RecordFormTests {
  private func file(_ content: String, _ name: String) throws -> String {
    let path = try ScratchFolder.make() + "/" + name
    try Data(content.utf8).write(to: URL(filePath: path))
    return path
  }

  private func records(
    _ lines: String..., map: String = "", name: String = "a.jsonl"
  ) throws -> [DataRecord] {
    var records: [DataRecord] = []
    let path = try file(lines.joined(separator: "\n"), name)
    let fields = map.isEmpty ? FieldMap() : try FieldMap(map)
    try DataFile(path, fields: fields).forEachRecord { records.append($0) }
    return records
  }

  private func chat(_ line: String, map: String = "") throws -> ChatRecord {
    guard case .chat(let chat) = try records(line, map: map)[0].content else {
      throw NoChat()
    }
    return chat
  }

  private struct NoChat: Error {}

  private func message(_ role: TemplateValue, _ content: TemplateValue) -> TemplateValue {
    ["role": role, "content": content]
  }

  private func problem(_ line: String, map: String = "") throws -> FormatError {
    try #require(
      #expect(throws: FormatError.self) { try records("{\"text\": \"a\"}", line, map: map) })
  }

  @Test func openAIMessages() throws {
    let chat = try chat(
      """
      {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}, \
      {"role": "assistant", "content": "Hello", "weight": 0}, {"role": "user", "content": "Bye"}, \
      {"role": "assistant", "content": "Bye", "name": "tom"}], "id": 3}
      """)
    #expect(
      chat.messages == [
        message("system", "Be short."), message("user", "Hi"), message("assistant", "Hello"),
        message("user", "Bye"),
        ["role": "assistant", "content": "Bye", "name": "tom"],
      ])
    #expect(chat.weights == [1, 1, 0, 1, 1] && chat.tools == nil)
    #expect(!chat.conversation.addsGenerationPrompt)
  }

  /// Templates want arguments as objects; OpenAI's files have them as texts.
  @Test func toolsAndTheirCalls() throws {
    let chat = try chat(
      #"""
      {"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{\"city\": \"Oslo\"}"}}]}, {"role": "tool", "tool_call_id": "1", "content": "Rain"}, {"role": "assistant", "content": "It rains."}], "tools": [{"type": "function", "function": {"name": "look"}}]}
      """#)
    #expect(
      chat.messages[1]["tool_calls"]
        == [
          [
            "id": "1", "type": "function",
            "function": ["name": "look", "arguments": ["city": "Oslo"]],
          ]
        ])
    #expect(chat.messages[2]["tool_call_id"] == "1")
    #expect(chat.tools == [["type": "function", "function": ["name": "look"]]])
  }

  @Test func shareGPT() throws {
    let chat = try chat(
      #"""
      {"system": "Be kind.", "conversations": [{"from": "human", "value": "Add 2 and 3"}, {"from": "function_call", "value": "{\"name\": \"add\", \"arguments\": {\"a\": 2}}"}, {"from": "observation", "value": "5"}, {"from": "gpt", "value": "Five"}], "tools": "[{\"name\": \"add\"}]"}
      """#)
    #expect(
      chat.messages == [
        message("system", "Be kind."), message("user", "Add 2 and 3"),
        [
          "role": "assistant",
          "tool_calls": [
            ["type": "function", "function": ["name": "add", "arguments": ["a": 2]]]
          ],
        ],
        message("tool", "5"), message("assistant", "Five"),
      ])
    #expect(chat.tools == [["name": "add"]] && chat.weights == nil)
  }

  /// A prompt of messages, as TRL has it: only what follows is learned.
  @Test func promptsOfMessages() throws {
    let chat = try chat(
      """
      {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, \
      {"role": "user", "content": "c"}], "completion": [{"role": "assistant", "content": "d"}]}
      """)
    #expect(chat.messages.count == 4 && chat.weights == [0, 0, 0, 1])
    let short = try self.chat(
      #"{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}"#)
    #expect(short.messages == [message("user", "a"), message("assistant", "b")])
    #expect(short.weights == [0, 1])
  }

  @Test func instructions() throws {
    let found = try records(
      #"{"instruction": "Add.", "input": "1 and 2", "output": "3", "text": "all of it"}"#,
      #"{"instruction": "Greet.", "input": "", "output": "Hi", "system": "Be kind.", "history": [["a", "b"]]}"#
    )
    let first = InstructionRecord(instruction: "Add.", input: "1 and 2", output: "3")
    #expect(found[0].content == .instruction(first) && found[0].unusedFields == ["text"])
    #expect(
      first.chat.messages == [message("user", "Add.\n\n1 and 2"), message("assistant", "3")])
    #expect(
      first.pair.prompt == """
        Below is an instruction that describes a task, paired with an input that provides further \
        context. Write a response that appropriately completes the request.

        ### Instruction:
        Add.

        ### Input:
        1 and 2

        ### Response:
        """)
    guard case .instruction(let second) = found[1].content else { throw NoChat() }
    #expect(
      second.chat.messages == [
        message("system", "Be kind."), message("user", "a"), message("assistant", "b"),
        message("user", "Greet."), message("assistant", "Hi"),
      ])
    #expect(second.pair.prompt.hasPrefix("Be kind.\n\nBelow is an instruction"))
    #expect(second.pair.prompt.hasSuffix("### Instruction:\nGreet.\n\n### Response:"))
  }

  // MARK: - Maps

  @Test func mapsNameFields() throws {
    let pair = DataRecord.Content.pair(PromptCompletion(prompt: "q", completion: "a"))
    #expect(
      try records(#"{"question": "q", "answer": "a"}"#, map: "prompt=question, completion=answer")[
        0
      ]
      .content == pair)
    #expect(
      try records(
        "id,question,answer", "1,q,a", map: "prompt=question,completion=answer",
        name: "a.csv")[0].content == pair)
    let nested = try records(
      #"{"task": {"in.put": "q"}, "instances": [{"output": "a"}], "text": "t"}"#,
      map: "prompt=task.in.put,completion=instances.0.output")
    // The text stays what it was called.
    #expect(nested[0].content == pair && nested[0].unusedFields == ["text"])
    let japanese = try chat(
      #"{"utterances": [{"name": "user", "text": "はい"}, {"name": "agent", "text": "いいえ"}]}"#,
      map: "messages=utterances")
    #expect(japanese.messages == [message("user", "はい"), message("assistant", "いいえ")])
    let named = try chat(
      #"{"log": [{"who": "human", "said": "a"}, {"who": "bot", "said": "b"}]}"#,
      map: "messages=log,role=who,content=said")
    #expect(named.messages == [message("user", "a"), message("assistant", "b")])
  }

  @Test(arguments: [
    ("prompt", "MEANING=FIELD"), ("prompt=", "MEANING=FIELD"), ("question=q", "one of text"),
    ("prompt=a,prompt=b", "once"), ("prompt=a,,", "MEANING=FIELD"),
  ])
  func wrongMaps(text: String, words: String) throws {
    let error = #expect(throws: TrainingError.self) { try FieldMap(text) }
    #expect("\(try #require(error))".contains(words))
  }

  // MARK: - Errors

  @Test(arguments: [
    (#"{"messages": "x"}"#, "line 2", "a list of messages"),
    (#"{"messages": []}"#, "line 2", "no messages"),
    (#"{"messages": [3]}"#, "line 2, message 1", "an integer"),
    (
      #"{"messages": [{"role": "user", "content": "a"}, {"content": "b"}]}"#, "line 2, message 2",
      "no role"
    ),
    (#"{"messages": [{"role": "user"}]}"#, "line 2, message 1", "no content"),
    (#"{"messages": [{"role": "user", "content": 3}]}"#, "line 2, message 1", "an integer"),
    (
      #"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#, "line 2, message 1",
      "image_url"
    ),
    (
      #"{"messages": [{"role": "user", "content": "a", "weight": -1}]}"#, "line 2, message 1",
      "weight"
    ),
    (#"{"messages": [{"role": "user", "content": "a"}], "tools": [3]}"#, "line 2", "'tools'"),
    (#"{"messages": [{"role": "user", "content": "a"}], "tools": "{"}"#, "line 2", "'tools'"),
    (#"{"conversations": [{"from": "martian", "value": "a"}]}"#, "line 2, message 1", "martian"),
    (#"{"conversations": [{"from": "function_call", "value": "x"}]}"#, "line 2, message 1", "call"),
    (#"{"instruction": "a", "output": "b", "history": ["x"]}"#, "line 2", "'history'"),
    (#"{"instruction": "a"}"#, "line 2", "'instruction'"),
    (#"{"question": "a", "answer": "b"}"#, "line 2", "--map prompt=question,completion=answer"),
    (#"{"utterances": []}"#, "line 2", "--map messages=utterances"),
  ])
  func wrongRecords(line: String, place: String, words: String) throws {
    let error = try problem(line)
    #expect(error.subject == place && error.description.contains(words), "\(error)")
  }

  @Test func aMappedFieldThatIsMissing() throws {
    let error = try problem(#"{"body": "x"}"#, map: "text=text")
    #expect(error.kind == .missingKey && error.description.contains("found 'body'"), "\(error)")
  }

  /// Every invalid record is told, and reading goes on behind it.
  @Test func invalidRecordsCanBeSkipped() throws {
    for (name, content, lines) in [
      ("a.jsonl", "{\"text\":\"a\"}\n{\n{\"text\":3}\n{\"text\":\"b\"}\n[]", [2, 3, 5]),
      ("a.csv", "prompt,completion\na,b\nc\nd,e,f\ng,h", [3, 4]),
      ("a.json", "[{\"text\":\"a\"},\n{\"text\":3},\n{\"text\":\"b\"}]", [2]),
    ] {
      let path = try file(content, name)
      var (records, errors): ([Int], [Int]) = ([], [])
      try DataFile(path).forEachRecord { error, line in
        #expect(error.subject.contains("line \(line)") || error.subject.contains("(line \(line))"))
        errors.append(line)
      } _: {
        records.append($0.line)
      }
      #expect(errors == lines && records.count == 2, "\(name): \(errors), \(records)")
    }
  }
}
