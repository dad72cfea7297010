import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAModels
import LoRATemplates
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Conversations as training data: what the model reads, and what of it is learned.
@Suite struct ChatDataTests {
  private let tokenizer: TokenizerPipeline
  private let model: any LanguageModel

  init() throws {
    tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: tokenizer.vocabularySize, tiesWordEmbeddings: true,
      maximumPositions: 256
    ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
  }

  private static let chatml = """
    {% for m in messages %}<|im_start|>{{ m.role }}
    {{ m.content }}<|im_end|>
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
    {% endif %}
    """

  /// Examples as text, what is learned in brackets.
  private func read(
    _ content: String, name: String = "a.jsonl", template: String? = chatml,
    _ change: (inout DataOptions) -> Void = { _ in }
  ) throws -> (examples: [String], report: DataReport) {
    let path = try ScratchFolder.make() + "/" + name
    try Data(content.utf8).write(to: URL(filePath: path))
    var options = DataOptions(sequenceLength: 128)
    change(&options)
    let reader = try DataReader(
      for: model, options: options,
      chatFormat: try template.map { source in
        let format = ChatFormat(tokenizer: tokenizer, template: try ChatTemplate(source))
        return { format }
      }, tokenizer: { tokenizer })
    let (data, report) = try reader.read(path)
    let examples = data.examples.map { example in
      // The last target ends the example, learned or not.
      var ids: [(id: Int, isLearned: Bool)] = [(example.tokens[0], false)]
      for (index, target) in example.targets.enumerated() {
        let next = index + 1 < example.tokens.count ? example.tokens[index + 1] : nil
        if target >= 0 || next != nil { ids.append((next ?? target, target >= 0)) }
        if let next, target >= 0 { #expect(next == target) }
      }
      var text = ""
      var part: [Int] = []
      var isLearned = false
      for (id, learned) in ids + [(-1, !(ids.last?.isLearned ?? false))] {
        if learned != isLearned, !part.isEmpty {
          let spelled = tokenizer.decode(part, skipSpecialTokens: false)
          text += isLearned ? "[\(spelled)]" : spelled
          part = []
        }
        isLearned = learned
        part.append(id)
      }
      return text
    }
    return (examples, report)
  }

  private static let twoTurns = """
    {"messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},\
    {"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}
    """

  @Test func theAssistantsTurnsAreLearned() throws {
    let found = try read(Self.twoTurns).examples
    #expect(
      found == [
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
          + "[<|im_start|>assistant\nb<|im_end|>\n]<|im_start|>user\nc<|im_end|>\n"
          + "[<|im_start|>assistant\nd<|im_end|>\n]"
      ])
  }

  @Test func whichPartIsLearned() throws {
    let head = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
    let middle = "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
    #expect(
      try read(Self.twoTurns) { $0.learned = .last }.examples
        == [head + middle + "[<|im_start|>assistant\nd<|im_end|>\n]"])
    let all = try read(Self.twoTurns) { $0.learned = .all }.examples[0]
    #expect(
      all == "<|im_start|>[" + head.dropFirst(12) + middle + "<|im_start|>assistant\nd<|im_end|>\n]"
    )
    let weighted = Self.twoTurns.replacingOccurrences(
      of: "\"content\":\"d\"", with: "\"content\":\"d\",\"weight\":0")
    #expect(
      try read(weighted).examples.first?.hasSuffix(
        "[<|im_start|>assistant\nb<|im_end|>\n]<|im_start|>user\nc<|im_end|>\n"
          + "<|im_start|>assistant\nd<|im_end|>") == true)
  }

  @Test func instructionsUseTheTemplate() throws {
    let line = #"{"instruction":"Add.","input":"1 2","output":"3"}"#
    #expect(
      try read(line).examples
        == ["<|im_start|>user\nAdd.\n\n1 2<|im_end|>\n[<|im_start|>assistant\n3<|im_end|>\n]"])
    let plain = try read(line, template: nil) { $0.sequenceLength = 256 }.examples
    #expect(plain[0].hasPrefix("Below is an instruction") && plain[0].contains("### Response:[3"))
    let never = try read(line) {
      $0.sequenceLength = 256
      $0.templateUse = .never
    }.examples
    #expect(never == plain)
  }

  @Test func pairsUseTheTemplateIfAsked() throws {
    let line = #"{"prompt":"a","completion":"b"}"#
    let plain = try read(line).examples
    #expect(plain == ["a[b]"])
    let told = try read(line) {
      $0.templateUse = .always
      $0.system = "T"
    }.examples
    #expect(
      told == [
        "<|im_start|>system\nT<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
          + "[<|im_start|>assistant\nb<|im_end|>\n]"
      ])
  }

  /// The oldest questions go with their answers; the system's message stays.
  @Test func longConversationsLoseTheirOldestMessages() throws {
    let (examples, report) = try read(Self.twoTurns) { $0.sequenceLength = 31 }
    #expect(
      examples == [
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
          + "[<|im_start|>assistant\nd<|im_end|>\n]"
      ])
    #expect(
      report.notes
        == ["1 conversation longer than 32 tokens (31 positions) lost its oldest messages (line 1)"]
    )
    let error = #expect(throws: FormatError.self) {
      try read(Self.twoTurns) {
        $0.sequenceLength = 31
        $0.longExamples = .error
      }
    }
    #expect("\(try #require(error))".contains("more than the 32 (31 positions)"))
    let split = try read(Self.twoTurns) {
      $0.sequenceLength = 31
      $0.longExamples = .split
    }
    #expect(split.report.split.count == 1 && split.examples.count == split.report.splitExamples)
    // Each learned token is learned once.
    func learned(_ texts: [String]) -> String {
      texts.flatMap { $0.split(separator: "[").dropFirst() }.compactMap {
        $0.split(separator: "]").first
      }
      .joined()
    }
    #expect(learned(split.examples) == learned(try read(Self.twoTurns).examples))
  }

  @Test func noAnswerNoExample() throws {
    let question = #"{"messages":[{"role":"user","content":"a"}]}"#
    let (examples, report) = try read(question + "\n" + Self.twoTurns)
    #expect(examples.count == 1 && report.empty.lines == [1])
    #expect(throws: FormatError.self) { try read(question) }
  }

  /// A message that spells the end of a turn does not end it.
  @Test func controlTokensInMessagesAreText() throws {
    let line =
      #"{"messages":[{"role":"user","content":"<|im_end|>"},{"role":"assistant","content":"b"}]}"#
    let path = try ScratchFolder.make() + "/a.jsonl"
    try Data(line.utf8).write(to: URL(filePath: path))
    let format = ChatFormat(tokenizer: tokenizer, template: try ChatTemplate(Self.chatml))
    let (data, _) = try DataReader(
      for: model, chatFormat: { format }, tokenizer: { tokenizer }
    ).read(path)
    let end = try #require(tokenizer.id(of: "<|im_end|>"))
    let example = data.examples[0]
    #expect(example.tokens.filter { $0 == end }.count == 2)
  }

  @Test(arguments: [
    (nil, "no chat template"), ("{{ raise_exception('No systems.') }}", "No systems."),
    ("{% for m in messages %}{{ m.content }}{% endfor %}end", "cannot be told"),
  ])
  func whatATemplateRefuses(template: String?, words: String) throws {
    let error = try #require(
      #expect(throws: FormatError.self) { try read(Self.twoTurns, template: template) })
    #expect(error.subject == "line 1" && "\(error)".contains(words), "\(error)")
  }

  @Test func invalidRecordsAreLeftOutIfAsked() throws {
    let refused = #"{"messages":[{"role":"user","content":3}]}"#
    let (examples, report) = try read(refused + "\n" + Self.twoTurns + "\n{\"text\":\"a\"}\n{") {
      $0.skipsInvalid = true
    }
    #expect(examples.count == 1 && report.invalid.lines == [1, 3, 4] && report.errors.count == 3)
    #expect(report.notes == ["3 invalid records were left out (lines 1, 3, 4)"])
    #expect("\(report.errors[1])".contains("expected messages, as on line 2; found text"))
  }
}
