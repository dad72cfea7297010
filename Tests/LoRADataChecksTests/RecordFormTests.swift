import LoRADataChecks
import LoRATraining
import TestSupport
import Testing

/// Records that are neither texts nor questions with an answer: preferences, pairs, words with tags.
@Suite struct RecordFormTests {
  private func findings(
    _ lines: [String], name: String = "data.jsonl", fields: FieldMap = FieldMap()
  ) throws -> [String] {
    let path = try ScratchFolder.make() + "/" + name
    try ScratchFile.write(lines.joined(separator: "\n") + "\n", to: path)
    return try DataCheck(try DataFile(path, fields: fields)).run().findings.map {
      "\($0.line) \($0.kind.rawValue): \($0.detail)"
    }
  }

  @Test func recognizedFields() throws {
    #expect(
      try findings([
        #"{"question": "Which light blinks?", "answer": "The filter light."}"#,
        #"{"question": "Which light blinks?", "answer": "None at all, I think."}"#,
        #"{"question": "Which light shines?"}"#,
      ]).map { String($0.prefix { $0 != ":" }) } == ["2 conflict", "3 malformed"])
  }

  @Test func preferences() throws {
    let found = try findings([
      #"{"prompt": "Which light blinks?", "chosen": "The filter light.", "rejected": "None at all."}"#,
      #"{"prompt": "Which light blinks?", "chosen": "The red one, I think.", "rejected": "The filter light."}"#,
      #"{"prompt": "which light  blinks?", "chosen": "None at all.", "rejected": "The filter light."}"#,
      #"{"prompt": "Which light blinks?", "chosen": "The filter light.", "rejected": "None at all. "}"#,
      #"{"prompt": "Who wrote it?", "chosen": "Ada.", "rejected": "ada."}"#,
      #"{"prompt": "Who read it?", "chosen": "", "rejected": "Ada."}"#,
      #"{"prompt": "Who sold it?", "chosen": "Bob.", "rejected": " "}"#,
      #"{"prompt": "Who made it?", "chosen": "Write to k.ota82@gmail.com", "rejected": "cafÃ©"}"#,
      #"{"prompt": "Who made that?", "chosen": 3, "rejected": "Bob."}"#,
      #"{"prompt": "Who made this?", "completion": "Bob."}"#,
    ])
    #expect(
      found.map { String($0.prefix { $0 != ":" }) } == [
        "3 conflict", "4 duplicate", "5 conflict", "6 empty", "7 empty", "8 encoding", "8 personal",
        "9 malformed", "10 malformed",
      ])
    #expect(found[0] == "3 conflict: line 1 prefers it the other way round")
    #expect(found[4] == "7 empty: the rejected answer is empty")
    #expect(found[5].contains("in the rejected answer"))
    #expect(found[8].contains("expected prompt, chosen and rejected, as on line 1"))
  }

  @Test func preferencesOfMessagesAndOtherNames() throws {
    func line(_ question: String, _ good: String, _ bad: String) -> String {
      #"{"q": [{"role": "user", "content": "\#(question)"}], "good": [{"role": "assistant", "content": "\#(good)"}], "bad": [{"role": "assistant", "content": "\#(bad)"}]}"#
    }
    let fields = try FieldMap("prompt=q,chosen=good,rejected=bad")
    #expect(
      try findings(
        [line("Who?", "Ada.", "Bob."), line("Who?", "Bob.", "Ada."), line("Why?", "So.", "So.")],
        fields: fields)
        == [
          "2 conflict: line 1 prefers it the other way round",
          "3 conflict: the chosen and the rejected answer are the same",
        ])
    #expect(
      try findings(
        ["Prompt,Chosen,Rejected", "Who?,Ada.,Bob.", "Who?,Bob.,Ada."], name: "data.csv")
        == ["3 conflict: line 2 prefers it the other way round"])
  }

  @Test func judgements() throws {
    let found = try findings([
      #"{"prompt": "Who?", "completion": "Ada.", "label": true}"#,
      #"{"prompt": "Who?", "completion": "Bob.", "label": false}"#,
      #"{"prompt": "Who?", "completion": "Ada.", "label": false}"#,
    ])
    #expect(found == ["3 conflict: line 1 prefers it the other way round"])
  }

  @Test func pairsOfTexts() throws {
    let found = try findings([
      #"{"text": "A man sleeps.", "text_pair": "Somebody is asleep."}"#,
      #"{"text": "A man sleeps.", "text_pair": "Somebody is awake."}"#,
      #"{"text": "A man sleeps.", "text_pair": "somebody is asleep."}"#,
      #"{"text": "A dog runs.", "text_pair": "a dog runs."}"#,
      #"{"text": "A dog eats.", "text_pair": ""}"#,
    ])
    #expect(
      found == [
        "3 duplicate: the same as line 1", "4 empty: both texts are the same",
        "5 empty: the second text is empty",
      ])
  }

  @Test func wordsWithTags() throws {
    let found = try findings([
      #"{"tokens": ["Ada", "lives"], "tags": ["B-PER", "O"]}"#,
      #"{"tokens": ["Ada", "lives"], "tags": ["B-PER", "O"]}"#,
      #"{"tokens": ["Ada", "lives"], "tags": ["B-PER"]}"#,
    ])
    #expect(found.map { String($0.prefix { $0 != ":" }) } == ["2 duplicate", "3 malformed"])
    #expect(found[1].contains("'tokens' has 2 elements, and 'tags' has 1"))
  }

  /// What `blind_defects.py` found missing, and what is like it and right.
  @Test(
    arguments: [
      ("N/A", "empty"), ("...", "empty"), ("null", "empty"), ("\u{200B}\u{200B}", "empty"),
      ("\u{3000}", "empty"), ("None.", nil), ("+", nil), ("42", nil),
      ("Ïðèâåò èç Êàçàíè", "encoding"), ("äöüß, ÀÉÎ und so", nil),
      ("No" + String(repeating: "o", count: 80), "repetition"),
      (String(repeating: "-", count: 80) + " a line", nil),
      ("He says the password is kT9x#q72Lw", "secret"), ("The password is required here", nil),
      ("The secret is transparency2", nil), ("All of it <pad><pad>", "special-token"),
      ("Yes.\n### Response:\nNo", "special-token"), ("Human: is a word, and so is Assistant:", nil),
      ("Yes.\n\nHuman: and?\n\nAssistant: no", "special-token"),
      ("A heading\n### Responses\nall", nil),
      ("Leider können wir die Rechnung nicht ändern, weil sie schon bezahlt ist.", nil),
    ] as [(String, String?)])
  func singleAnswers(text: String, kind: String?) throws {
    let escaped = text.replacing("\n", with: "\\n")
    let found = try findings([#"{"prompt": "Say it now", "completion": "\#(escaped)"}"#])
    #expect(found.map { $0.dropFirst(2).prefix { $0 != ":" } } == (kind.map { [$0[...]] } ?? []))
  }

  /// A short question does not say its language; that it has words of the file's and none of the answer's does.
  @Test func foreignAnswersToShortQuestions() throws {
    let english = (0..<20).map {
      #"{"prompt": "When is number \#($0) due?", "completion": "It is due on the day that you said it was."}"#
    }
    let found = try findings(
      english + [
        #"{"prompt": "Change my address", "completion": "Leider können wir die Rechnung nicht ändern, weil sie schon bezahlt ist."}"#,
        #"{"prompt": "What is my balance", "completion": "Leider können wir das nicht sagen, weil die Bank zu ist."}"#,
        #"{"prompt": "Is that so", "completion": "很抱歉，您的订单已经发货，我们现在无法修改收货地址。"}"#,
        #"{"prompt": "Go past it", "completion": "To sue to live, I find I seek to die."}"#,
      ])
    #expect(
      found.filter { $0.contains("language") } == [
        "21 language: the question is in English, the answer in German",
        "22 language: the question is in English, the answer in German",
        "23 language: the question is in English, the answer in Chinese",
      ])
  }

  @Test func questionsThatDifferInMarks() throws {
    #expect(
      try findings([
        #"{"prompt": "What is the fee?", "completion": "Ten pounds."}"#,
        #"{"prompt": "What is the fee", "completion": "Twelve pounds."}"#,
        #"{"prompt": "What is 3.5?", "completion": "A number."}"#,
        #"{"prompt": "What is 35?", "completion": "A greater one."}"#,
        #"{"prompt": "What is C?", "completion": "A letter."}"#,
        #"{"prompt": "What is C++?", "completion": "A language of programs."}"#,
      ]) == ["2 conflict: line 1 answers the same question otherwise"])
  }
}
