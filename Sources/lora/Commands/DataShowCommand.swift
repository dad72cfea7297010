import ArgumentParser
import LoRAJSON
import LoRAKit
import LoRAModels

/// `lora data show`: examples as training sees them.
struct DataShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Print examples as the model sees them, and what of them is learned.",
    discussion: """
      Prints the first examples of each file as lora train makes them. What is learned is green on a \
      terminal and stands in ⟦ ⟧ elsewhere. With --json a "targets" is the token after that of "ids" at \
      the same place, or -100 where it is not learned.

        lora data show chats.jsonl --model MODEL --chat-template chatml.jinja
        lora data show faq.csv --model MODEL --map prompt=question,completion=answer
        lora data show questions.jsonl --model MODEL --rows 1 --json
        lora data show questions.jsonl chats.jsonl:2 --model MODEL
      """)

  @Argument(
    help: ArgumentHelp(
      "The data; of several files each with its weight.", valueName: "file[#name][:weight]"),
    transform: WeightedFile.init(argument:))
  var files: [WeightedFile]
  @OptionGroup var model: ModelOptions
  @OptionGroup(title: "Data") var examples: ExampleOptions
  @Option(parsing: .unconditional, help: "The number of examples of each file.")
  var rows = 3
  @OptionGroup var output: OutputOptions

  func validate() throws { try demand("--rows", rows, .atLeast(1)) }

  func run() throws {
    let pretrained = try model.load()
    let data = try examples.reader(for: pretrained).readTelling(files, split: nil, tensor: "train")
      .training
    let tokenizer = try? pretrained.tokenizer()
    let places = data.firstExamples(rows)
    let shown = places.map { data[$0] }
    if output.isJSON {
      return try StandardOutput.json([
        "rows": .array(
          shown.map { example in
            var row: JSONObject = [
              "ids": JSONValue(example.tokens), "targets": JSONValue(example.targets),
            ]
            row["text"] = tokenizer.map {
              .string($0.decode(example.sequence, skipSpecialTokens: false))
            }
            return .object(row)
          })
      ])
    }
    for (index, example) in shown.enumerated() {
      let learned = example.targets.count { $0 >= 0 }
      try StandardOutput.line(
        TerminalColour.bold.applied(to: data.place(of: places[index]))
          + ": \(counted(example.tokens.count + 1, "token")), \(learned) learned")
      try Self.write(example, tokenizer)
      try StandardOutput.line()
      if index + 1 < shown.count { try StandardOutput.line() }
    }
    let rest = data.exampleCount - shown.count
    if rest > 0 { StandardError.line("\(counted(rest, "further example"))") }
  }

  /// Writes the text of an example with what is learned marked, or its ids where there is no tokenizer.
  private static func write(_ example: TrainingExample, _ tokenizer: (any Tokenizer)?) throws {
    let sequence = example.sequence
    let isLearned = [false] + example.targets.map { $0 >= 0 }
    var start = 0
    while start < sequence.count {
      let end =
        sequence.indices[start...].first { isLearned[$0] != isLearned[start] } ?? sequence.count
      let part = Array(sequence[start..<end])
      let text =
        tokenizer?.decode(part, skipSpecialTokens: false) ?? part.map { "\($0) " }.joined()
      if isLearned[start] {
        try StandardOutput.generated(text, in: .green, brackets: ("⟦", "⟧"))
      } else {
        try StandardOutput.generated(text)
      }
      start = end
    }
  }
}
