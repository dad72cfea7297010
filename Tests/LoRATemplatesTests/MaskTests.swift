import LoRATemplates
import Testing

/// Which part of a text the assistant wrote.
@Suite struct MaskTests {
  static let turns: [TemplateValue] = [
    ["role": "user", "content": "one"], ["role": "assistant", "content": "two"],
    ["role": "user", "content": "three"], ["role": "assistant", "content": "four 日本"],
  ]

  private func parts(
    _ template: ChatTemplate, _ conversation: Conversation, _ part: AssistantPart = .turn
  ) throws -> [String] {
    let masked = try template.renderMasked(conversation, part: part)
    let scalars = Array(masked.text.unicodeScalars)
    #expect(masked.text == (try template.render(conversation).text))
    return masked.assistant.map { range in
      var part = String.UnicodeScalarView()
      part.append(contentsOf: scalars[range])
      return String(part)
    }
  }

  private func refusal(_ file: String, _ conversation: Conversation) throws -> TemplateError? {
    let template = try TemplateFixtures.template(file)
    let error = #expect(throws: TemplateError.self) { try template.renderMasked(conversation) }
    #expect(error?.kind == .mask)
    return error
  }

  @Test(arguments: [true, false])
  func spansAreWhatMessagesAdd(_ asks: Bool) throws {
    let conversation = Conversation(messages: Self.turns, addsGenerationPrompt: asks)
    let template = try TemplateFixtures.template("chatml.jinja")
    let ends = ["two<|im_end|>\n", "four 日本<|im_end|>\n"]
    #expect(try parts(template, conversation) == ends.map { "<|im_start|>assistant\n" + $0 })
    #expect(try parts(template, conversation, .answer) == ends)
    for part in [AssistantPart.turn, .answer] {
      #expect(
        try parts(try TemplateFixtures.template("alternating.jinja"), conversation, part)
          == [" two </s>", " four 日本 </s>"])
    }
  }

  @Test func answersThatAreAskedForOtherwiseAreRefused() throws {
    let conversation = Conversation(
      messages: Self.turns, variables: ["enable_thinking": false])
    let template = try TemplateFixtures.template("chatml.jinja")
    #expect(try parts(template, conversation).count == 2)
    let error = #expect(throws: TemplateError.self) {
      try template.renderMasked(conversation, part: .answer)
    }
    #expect(error?.kind == .mask && error?.message.contains("asked for an answer") == true)
  }

  @Test(arguments: [
    (
      NamedTemplate.plain,
      "Be brief.\nUser: one\nAssistant: two</s>\nUser: three\nAssistant: four 日本</s>",
      [" two</s>", " four 日本</s>"]
    ),
    (
      .chatml,
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\none<|im_end|>\n"
        + "<|im_start|>assistant\ntwo<|im_end|>\n<|im_start|>user\nthree<|im_end|>\n"
        + "<|im_start|>assistant\nfour 日本<|im_end|>\n",
      ["two<|im_end|>", "four 日本<|im_end|>"]
    ),
  ])
  func namedTemplates(name: NamedTemplate, text: String, answers: [String]) throws {
    let template = try ChatTemplate(name.source, specialTokens: ["eos_token": "</s>"])
    let told: [TemplateValue] = [["role": "system", "content": "Be brief."]] + Self.turns
    let whole = Conversation(messages: told, addsGenerationPrompt: false)
    #expect(try template.render(whole).text == text)
    #expect(try parts(template, whole) == answers)
    // What is asked is what stands before the answer in training.
    let asked = Conversation(messages: Array(told.dropLast()), addsGenerationPrompt: true)
    #expect(
      try template.render(asked).text + answers[1]
        == (name == .plain ? text : String(text.dropLast())))
  }

  @Test func generationBlocksSayIt() throws {
    let template = try TemplateFixtures.template("generation.jinja")
    #expect(template.template.marksGeneration)
    #expect(
      try parts(template, Conversation(messages: Self.turns)) == ["two</s>", "four 日本</s>"])
  }

  @Test func anEndOfEveryTextIsRefused() throws {
    // As Phi-3's, with one answer or several, asked for another or not.
    for count in [2, 4] {
      for asks in [true, false] {
        let conversation = Conversation(
          messages: Array(Self.turns.prefix(count)), addsGenerationPrompt: asks)
        let error = try refusal("final-end.jinja", conversation)
        #expect(error?.message.contains("/s>") == true)
      }
    }
  }

  @Test func thoughtsThatDisappearAreRefused() throws {
    let messages: [TemplateValue] = [
      ["role": "user", "content": "a"],
      ["role": "assistant", "content": "b", "reasoning_content": "hm"],
      ["role": "user", "content": "c"], ["role": "assistant", "content": "d"],
    ]
    let error = try refusal("thinking.jinja", Conversation(messages: messages))
    #expect(error?.message.contains("first 2 messages") == true)
    let last = Conversation(messages: Array(messages.prefix(2)), addsGenerationPrompt: false)
    #expect(
      try parts(try TemplateFixtures.template("thinking.jinja"), last)
        == ["<|assistant|>\n<think>\nhm\n</think>\n\nb<|end|>\n"])
  }

  @Test func nothingAndEverythingAreRefused() throws {
    _ = try refusal("chatml.jinja", Conversation(messages: [["role": "user", "content": "a"]]))
    _ = try refusal("generation.jinja", Conversation(messages: [["role": "user", "content": "a"]]))
    let bare = try ChatTemplate("{% generation %}{{ messages[0].content }}{% endgeneration %}")
    let error = #expect(throws: TemplateError.self) {
      try bare.renderMasked(Conversation(messages: [["role": "assistant", "content": "a"]]))
    }
    #expect(error?.kind == .mask)
  }

  @Test func aPlaceThatIsNotKnownIsRefused() throws {
    let template = try ChatTemplate(
      "{% macro m(t) %}x{% generation %}{{ t }}{% endgeneration %}{% endmacro %}{{ m(messages[0].content) }}"
    )
    let error = #expect(throws: TemplateError.self) {
      try template.renderMasked(Conversation(messages: [["role": "assistant", "content": "a"]]))
    }
    #expect(error?.kind == .mask)
  }
}
