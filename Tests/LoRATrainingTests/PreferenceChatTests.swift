import Foundation
import LoRAFiles
import LoRAJSON
import LoRAModels
import LoRATemplates
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Preferences as lists of messages. `Tests/Reference/preference_chats.py` has the tokens of TRL's DPOTrainer.
@Suite struct PreferenceChatTests {
  private let tokenizer: TokenizerPipeline

  init() throws { tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json")) }

  private func read(
    _ lines: [String], name: String = "a.jsonl", fields: FieldMap = FieldMap()
  ) throws -> [PreferenceText] {
    let path = try ScratchFolder.make() + "/" + name
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
    return try PreferenceText.read(path, fields: fields)
  }

  private func encoding(
    _ texts: [PreferenceText], _ template: String?, longest: Int = 256, system: String? = nil,
    longExamples: LongExamples = .truncate
  ) throws -> (data: PreferenceDataSet, notes: [String]) {
    let format = try template.map {
      ChatFormat(tokenizer: tokenizer, template: try ChatTemplate($0))
    }
    return try PreferenceDataSet.encoding(
      texts, tokenizer: tokenizer, longest: longest, longExamples: longExamples, system: system,
      chatFormat: format.map { format in { format } })
  }

  @Test func tokensAreThoseOfTRL() throws {
    let bytes = try Data(contentsOf: URL(filePath: Fixtures.path("data/preference-chats.json")))
    let reference = try JSONValue(parsing: Array(bytes))
    let templates = try #require(reference["templates"]?.arrayValue).compactMap(\.stringValue)
    let cases = try #require(reference["cases"]?.arrayValue)
    #expect(cases.count == 7)
    for (number, item) in cases.enumerated() {
      let template = templates[try #require(item["template"]?.intValue)]
      let texts = try read([try #require(item["record"]).encoded()])
      let example = try encoding(texts, template).data.examples[0]
      func ids(_ name: String) -> [Int]? { item[name]?.arrayValue?.compactMap(\.intValue) }
      #expect(example.prompt == ids("prompt"), "case \(number)")
      #expect(example.chosen == ids("chosen"), "case \(number)")
      #expect(example.rejected == ids("rejected"), "case \(number)")
    }
  }

  private static let chatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

  private func shown(_ example: PreferenceDataSet.Example) -> [String?] {
    [example.prompt, example.chosen, example.rejected].map { ids in
      ids.map { tokenizer.decode($0, skipSpecialTokens: false) }
    }
  }

  /// A prompt that is a text stands for the user's message, in tables too; the system is told what is asked.
  @Test func formsThatMixTextsAndMessages() throws {
    let wanted = [
      "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n", "Yes<|im_end|>\n", "No<|im_end|>\n",
    ]
    let answers =
      #""chosen": [{"role": "assistant", "content": "Yes"}], "rejected": [{"from": "gpt", "value": "No"}]"#
    let forms = [
      #"{"prompt": "Q", \#(answers)}"#,
      #"{"prompt": [{"role": "user", "content": "Q"}], \#(answers)}"#,
      #"{"prompt": [{"role": "user", "content": "Q"}], "chosen": "Yes", "rejected": "No"}"#,
    ]
    for form in forms {
      let data = try encoding(try read([form]), Self.chatml).data
      #expect(shown(data.examples[0]) == wanted, "\(form)")
    }
    let table = try read(
      [
        "ask,good,bad", #"Q,"[{""role"": ""assistant"", ""content"": ""Yes""}]",No"#,
      ], name: "a.csv", fields: FieldMap("prompt=ask,chosen=good,rejected=bad"))
    #expect(shown(try encoding(table, Self.chatml).data.examples[0]) == wanted)
    let told = try encoding(try read([forms[0]]), Self.chatml, system: "Be kind.").data
    #expect(
      shown(told.examples[0])[0] == "<|im_start|>system\nBe kind.<|im_end|>\n" + (wanted[0]))
    let judged = try read([
      #"{"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "No"}], "label": false}"#
    ])
    #expect(
      shown(try encoding(judged, Self.chatml).data.examples[0]) == [wanted[0], nil, wanted[2]])
  }

  /// Texts without a prompt, as Anthropic's HH: what both begin with. A space goes to the answers.
  @Test func aPromptThatBothTextsBeginWith() throws {
    let texts = try read([
      #"{"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: Go"}"#
    ])
    #expect(texts[0].prompt == "\n\nHuman: Hi\n\nAssistant:")
    #expect(texts[0].chosen == " Hello" && texts[0].rejected == " Go")
  }

  /// The oldest messages go, but for the system's, the same ones of both answers.
  @Test func aLongConversationLosesItsOldestMessages() throws {
    let turns = (0..<6).flatMap { number in
      [
        #"{"role": "user", "content": "Question \#(number) of many words"}"#,
        #"{"role": "assistant", "content": "Answer \#(number)"}"#,
      ]
    }
    let prompt =
      ([#"{"role": "system", "content": "Brief."}"#] + turns.dropLast()).joined(separator: ", ")
    let texts = try read([
      #"{"prompt": [\#(prompt)], "chosen": "Yes, yes, yes", "rejected": "No"}"#
    ])
    let whole = try encoding(texts, Self.chatml).data.examples[0]
    let limit = whole.prompt.count - 20
    let (data, notes) = try encoding(texts, Self.chatml, longest: limit)
    let short = shown(data.examples[0])[0] ?? ""
    #expect(short.hasPrefix("<|im_start|>system\nBrief.<|im_end|>\n<|im_start|>user\nQuestion "))
    #expect(!short.contains("Question 0") && short.contains("Question 5"))
    #expect(shown(data.examples[0])[1] == "Yes, yes, yes<|im_end|>\n")
    #expect(notes.count == 1)
    let error = #expect(throws: FormatError.self) {
      try encoding(texts, Self.chatml, longest: limit, longExamples: .error)
    }
    #expect(error?.problem == "the example has more than \(limit) tokens")
  }

  @Test(arguments: [
    (
      #"{"chosen": [{"role": "user", "content": "a"}], "rejected": [{"role": "user", "content": "b"}]}"#,
      "begin differently"
    ),
    (#"{"chosen": "ab", "rejected": "cd"}"#, "begin differently"),
    (#"{"prompt": [], "chosen": "ab", "rejected": "cd"}"#, "'prompt' has no messages"),
    (
      #"{"prompt": "a", "chosen": [{"role": "assistant", "content": "b"}], "rejected": "b"}"#,
      "the same messages"
    ),
    (#"{"prompt": "a", "chosen": [{"content": "b"}], "rejected": "b"}"#, "it has no role"),
    (#"{"prompt": "a", "chosen": 3, "rejected": "b"}"#, "as 'chosen', found an integer"),
  ])
  func wrongRecords(record: String, problem: String) throws {
    let error = #expect(throws: FormatError.self) { try read([record]) }
    #expect(error.map { "\($0)" }?.contains(problem) ?? false, "\(error.map { "\($0)" } ?? "")")
    #expect(error.map { "\($0)" }?.contains("line 1") ?? false)
  }

  @Test func messagesNeedATemplate() throws {
    let texts = try read([
      #"{"prompt": [{"role": "user", "content": "Q"}], "chosen": "a", "rejected": "b"}"#
    ])
    let error = #expect(throws: FormatError.self) { try encoding(texts, nil) }
    #expect(error?.problem.contains("the model has no chat template") ?? false)
  }

  /// Other names, in every task's files.
  @Test func mappedFields() throws {
    let folder = try ScratchFolder.make()
    func file(_ name: String, _ text: String) throws -> String {
      try Data((text + "\n").utf8).write(to: URL(filePath: folder + "/" + name))
      return folder + "/" + name
    }
    let labelled = try file(
      "l.jsonl", #"{"meta": {"q": "Hi"}, "intent": "greet", "label": "other"}"#)
    let map = try FieldMap("text=meta.q,label=intent")
    #expect(
      try LabelledText.read(labelled, fields: map)
        == [LabelledText("Hi", labels: [.name("greet")], line: 1)])
    let table = try file("l.csv", "Utterance,INTENT,label\nHi,greet,x")
    #expect(
      try LabelledText.read(table, fields: FieldMap("text=utterance,label=Intent"))
        == [LabelledText("Hi", labels: [.name("greet")], line: 2)])
    let pairs = try file("p.json", #"[{"q": "a", "a": "b"}]"#)
    #expect(
      try LabelledText.read(pairs, fields: FieldMap("text=q,text_pair=a"))
        == [LabelledText("a", second: "b", line: 1)])
    let tagged = try file(
      "t.jsonl", #"{"w": ["Ada"], "t": ["B-PER"], "labels": [1], "words": ["x"]}"#)
    #expect(
      try TaggedText.read(tagged, fields: FieldMap("tokens=w,tags=t"))
        == [TaggedText(["Ada"], tags: [.name("B-PER")], line: 1)])
    let missing = #expect(throws: FormatError.self) {
      try LabelledText.read(labelled, fields: FieldMap("text=meta.a"))
    }
    #expect(missing?.problem.contains("there is no 'meta.a', which is to be the text") ?? false)
    let foreign = #expect(throws: TrainingError.self) {
      try LabelledText.read(labelled, fields: FieldMap("prompt=q"))
    }
    #expect(
      foreign.map { "\($0)" }?.contains(
        "labelled texts and pairs is prompt=q; expected text, text_pair")
        ?? false)
  }
}
