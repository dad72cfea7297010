import LoRADataChecks
import LoRATraining
import TestSupport
import Testing

/// Single texts: what is found, and what is not.
@Suite struct DetectorTests {
  private func kinds(_ lines: String...) throws -> [String] {
    let path = try ScratchFolder.make() + "/data.jsonl"
    try write(lines.joined(separator: "\n") + "\n", to: path)
    return try DataCheck(try DataFile(path)).run().findings.map {
      "\($0.line) \($0.kind.rawValue)"
    }
  }

  private func answer(_ text: String) throws -> [String] {
    try kinds(
      #"{"prompt": "What do you know of this?", "completion": "\#(escaped(text))"}"#)
  }

  private func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
      .replacing("\u{7}", with: "\\u0007")
  }

  private func write(_ text: String, to path: String) throws {
    try ScratchFile.write(text, to: path)
  }

  @Test(arguments: [
    "cafÃ© au lait", "itâ€™s late", "5 â‚¬ a piece", "voilÃ\u{A0} tout", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
    "æ—¥æœ¬èªž", "縺薙ｓ縺ｫ縺｡縺ｯ", "¤³¤ó¤Ë¤Á¤Ï", "a \u{7}bell", "5\u{FFFD}", "Fish &amp; chips",
    "na\\u00efve", "ðŸ˜€ smile", "Â£5", "ºÜ±§Ç¸ÎÒÃÇ, he said",
  ])
  func brokenText(text: String) throws { #expect(try answer(text) == ["1 encoding"], "\(text)") }

  @Test(arguments: [
    "MAÇÃ”, she said", "« NESTLÉ » et « CAFÉ…»", "Ïðê, Øre and Ñandú", "5 °C ± 1 × 3",
    "R&D; and so on",
    "In HTML, write &amp; for &.", "日本語の文章です。", "Привет, как дела?", "C:\\users\\ann", "ÄÖÜ—äöü’s",
    "¿¡Óyeme, señor!? ½ kg à 5 £ (±¼)",
  ])
  func wholeText(text: String) throws { #expect(try answer(text) == [], "\(text)") }

  @Test(arguments: [
    "Use AKIAZQ3DRTNWXKP7LMVB now",
    "-H 'Authorization: token ghp_a8Zq3KdLm2Xw9TbV5cNy7RfGh1JpQs4UeW0o'",
    "password: tR7!kq9#Lm", "mysql://root:hunter22@db.internal.net/shop",
  ])
  func secrets(text: String) throws { #expect(try answer(text) == ["1 secret"], "\(text)") }

  @Test(arguments: [
    "AKIAIOSFODNN7EXAMPLE is documentation's", "password = input(prompt)", "password: required",
    "token = tokenizer.decode(ids)", "api_key = \"YOUR_API_KEY_GOES_HERE\"",
    "see https://a.net:8080/x@y",
    "secret: internationalization", "access_token=current_user.access_token_for_session",
    "sk-learn-contrib-and-many-other-words",
  ])
  func noSecrets(text: String) throws { #expect(try answer(text) == [], "\(text)") }

  @Test(arguments: [
    "ann.lee@gmail.com", "+49 151 23456789", "(212) 736-5090", "電話は090-1234-5678です",
    "DE89 3704 0044 0532 0130 00", "4539 1488 0343 6467", "SSN 219-09-9999",
    "マイナンバーは1234 5678 9018です", "from 81.93.12.77", "01 42 68 53 00",
  ])
  func personalData(text: String) throws { #expect(try answer(text) == ["1 personal"], "\(text)") }

  @Test(arguments: [
    "ann@example.com", "user@company.com", "192.168.1.10 and 203.0.113.9", "48+24 = <<48+24=72>>72",
    "1,000,000,000 and 1234567890123456", "version 10.15.77.2", "2020-10-12 14:30:00", "555-0134",
    "DE00 3704 0044 0532 0130 00", "ISBN 978-3-16-148410-0", "It costs 4539 1488 0343 6468",
    "git@github.com:a/b.git", "3.14159265358979", "12 x 7 = 84, 100 - 50 - 30 - 15 = 5",
  ])
  func nobodysData(text: String) throws { #expect(try answer(text) == [], "\(text)") }

  @Test func repetition() throws {
    let loop = Array(repeating: "and then it stops", count: 9).joined(separator: " ")
    #expect(try answer("It works, " + loop) == ["1 repetition"])
    #expect(try answer(String(repeating: "雨が降ります。", count: 8)) == ["1 repetition"])
    #expect(try answer("He laughed: " + String(repeating: "ha", count: 80)) == ["1 repetition"])
    #expect(try answer("Hahahahaha, DNA: " + String(repeating: "ACGT", count: 8)) == [])
    #expect(try answer("No, no, no! Row, row, row your boat, gently down the stream.") == [])
    #expect(try answer(Array(repeating: "0 0 0 0 0 0", count: 6).joined(separator: "\n")) == [])
  }

  @Test(arguments: ["-", "??", "[]", "<answer>", "{{output}}", "n/a", "…"])
  func noAnswer(text: String) throws { #expect(try answer(text) == ["1 empty"], "\(text)") }

  @Test(arguments: ["+", "none", "A", "<b>", "[x]", "!"])
  func shortAnswer(text: String) throws { #expect(try answer(text) == [], "\(text)") }

  @Test(arguments: [
    "Fine.<s>", "Fine. <unk>", "Fine [SEP] fine", "Fine.<|END_OF_TURN_TOKEN|>", "Fine.\nUSER: ",
  ])
  func controlTokens(text: String) throws {
    #expect(try answer(text) == ["1 special-token"], "\(text)")
  }

  @Test(arguments: [
    "HTML has <s>this</s> for what is struck out", "a[SEPARATOR] b",
    "USER: is a name\nof a variable",
  ])
  func noControlTokens(text: String) throws { #expect(try answer(text) == [], "\(text)") }

  /// Endings of many answers, whatever stands before them; what 9 answers share is said.
  @Test(arguments: [
    ("#### 7 Is there anything else I can help you with", 10, 10),
    ("#### 7 Is there anything else I can help you with", 9, 0),
    ("so 7 (written by the virtual assistant)", 10, 10),
    ("7 — your friends at Northwind Support", 10, 10),
    ("お答えします、ご不明な点がございましたらいつでもお問い合わせください", 10, 10),
    // Few words, code, numbers: how one speaks, programs, and results end.
    ("so it is in the end", 12, 0),
    ("it is: return self.a + self.b + self.c + self.d + self.e", 12, 0),
    ("it makes 3 of those that are 4 and of those", 12, 0),
  ])
  func endings(text: String, count: Int, found: Int) throws {
    let ways = [
      "kettles boil", "doors squeak", "lamps dim", "ropes fray", "tiles crack", "pipes leak",
      "nails rust",
      "paints peel", "locks jam", "belts slip", "fans hum", "taps drip",
    ]
    let lines = (0..<40).map { number in
      let own = "Number \(number): \(ways[number % 12]) when \(ways[(number * 5 + 1) % 12]) too "
      return #"{"prompt": "What of \#(ways[number % 12]), \#(number)?", "completion": ""#
        + escaped(own)
        + (number < count ? escaped(text) : "") + #""}"#
    }
    let path = try ScratchFolder.make() + "/data.jsonl"
    try write(lines.joined(separator: "\n") + "\n", to: path)
    let report = try DataCheck(try DataFile(path)).run()
    #expect(report.findings.count { $0.kind == .boilerplate } == found, "\(report.findings)")
    if found > 0 {
      #expect(report.findings.first?.detail.hasPrefix("10 answers end in the same words") == true)
    }
  }

  /// One answer to many questions is reported, but not where answers are labels.
  @Test(arguments: [(10, 10), (9, 0), (30, 0)]) func oneAnswer(count: Int, found: Int) throws {
    let lines = (0..<40).map { number in
      let answer =
        number < count
        ? "I am afraid that this is nothing that I may talk about"
        : "It takes \(number) of them to make \(number * 7 % 40) of the others"
      return #"{"prompt": "What of number \#(number), then?", "completion": "\#(answer)"}"#
    }
    let path = try ScratchFolder.make() + "/data.jsonl"
    try write(lines.joined(separator: "\n") + "\n", to: path)
    let report = try DataCheck(try DataFile(path)).run()
    #expect(report.findings.count { $0.kind == .boilerplate } == found, "\(report.findings)")
  }

  @Test func languages() throws {
    let english = (1...3).map { number in
      #"{"prompt": "What should I do when the door number \#(number) is open?", "completion": "You should "#
        + #"close the door and tell the others that it was not you, number \#(number)."}"#
    }
    let german =
      #"{"prompt": "How do I open the window of the house?", "completion": "Das Fenster ist nicht schwer zu "#
      + #"öffnen, aber man muss die Schrauben mit einem Tuch halten."}"#
    let asked =
      #"{"prompt": "Translate into German: the window is not hard to open", "completion": "Das Fenster ist "#
      + #"nicht schwer zu öffnen, und die Tür ist auch auf."}"#
    #expect(
      try kinds(english[0], english[1], english[2], german, asked) == ["4 language"])
  }

  @Test func duplicates() throws {
    let long =
      "The kettle in the corner of the old kitchen boils slowly because the element is covered "
      + "with lime, so clean it with vinegar once a month and rinse it well"
    func record(_ prompt: String, _ completion: String) -> String {
      #"{"prompt": "\#(prompt)", "completion": "\#(completion)"}"#
    }
    #expect(
      try kinds(
        record("Why so slow?", long), record("why  so slow?", long.uppercased()),
        record("Why so very slow?", long + " please"),
        record("How many are 5 and 3?", "They are 8."),
        record("How many are 5 and 3?", "They are 9."),
        record("How many are 5 and 4?", "They are 9."))
        == ["2 duplicate", "3 near-duplicate", "5 conflict"])
    #expect(
      try kinds(record("A", long + " for 12 days"), record("A2", long + " for 13 days")) == [])
    let japanese = "薬缶の底に石灰が付いているとお湯が沸くのに時間がかかるので、月に一度は酢で洗ってよくすすいでください"
    #expect(
      try kinds(record("どうして遅い？", japanese), record("どうして遅い？", japanese + "ね"))
        == ["2 near-duplicate"])
  }

  @Test func aDetectorOfOnesOwn() throws {
    struct Shouting: DataDetector {
      mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
        for turn in example.answers where turn.text == turn.text.uppercased() {
          log.add(.role, in: example, "it is shouted")
        }
      }
    }
    let path = try ScratchFolder.make() + "/data.csv"
    try write("prompt,completion\nA?,Yes\nB?,NO\n", to: path)
    var check = DataCheck(try DataFile(path))
    check.detectors = [Shouting()]
    let findings = try check.run().findings
    #expect(findings.map(\.line) == [3] && findings.map(\.detail) == ["it is shouted"])
  }

  @Test(arguments: [
    (
      "a.jsonl", "{\"text\":\"One\"}\n\nno\n{\"text\":\"Two\"}\n{\"text\":\"one\"}\n",
      "{\"text\":\"One\"}\n{\"text\":\"Two\"}\n"
    ),
    (
      "a.json", "[{\"text\":\"One\"},{\"text\":\"\"},\n{\"text\":\"Two\"}]",
      "[\n{\"text\":\"One\"},\n{\"text\":\"Two\"}\n]\n"
    ),
    (
      "a.csv", "prompt;completion\n\"A;\n1\";b\nc;d;e\nf;\n\"g\"\"h\";i\n",
      "prompt;completion\n\"A;\n1\";b\n\"g\"\"h\";i\n"
    ),
  ])
  func cleanedCopy(name: String, content: String, cleaned: String) throws {
    let folder = try ScratchFolder.make()
    try write(content, to: "\(folder)/\(name)")
    let report = try DataCheck(try DataFile("\(folder)/\(name)")).run()
    let copy = "\(folder)/clean-\(name)"
    let result = try CleanedCopy(of: report, to: copy, list: copy + ".dropped")
    #expect(try ScratchFile.read(copy) == cleaned)
    #expect(result.keptCount == 2 && result.droppedCount == report.exampleCount - 2)
    #expect(try DataCheck(try DataFile(copy)).run().findingCount == 0)
    #expect(try ScratchFile.read(copy + ".dropped").contains("\"kind\""))
  }
}
