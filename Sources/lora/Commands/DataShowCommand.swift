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
      Prints the first examples of each file as lora train makes them for the same --task. What is \
      learned is green on a terminal and stands in ⟦ ⟧ elsewhere: tokens, labels, the text that another \
      is to be close to. With --json a "targets" is the token after that of "ids" at the same place, or \
      -100 where it is not learned; for --task token-classification it is the label's number.

        lora data show chats.jsonl --model MODEL --chat-template chatml.jinja
        lora data show faq.csv --model MODEL --map prompt=question,completion=answer
        lora data show questions.jsonl --model MODEL --rows 1 --json
        lora data show questions.jsonl chats.jsonl:2 --model MODEL
        lora data show tags.jsonl --task classification --model ENCODER
        lora data show choices.jsonl --task preference --model MODEL --rows 1
      """)

  @Argument(
    help: ArgumentHelp(
      "The data; of several files each with its weight.", valueName: "file[#name][:weight]"),
    transform: WeightedFile.init(argument:))
  var files: [WeightedFile]
  @Option(
    help: ArgumentHelp("What is to be learned: \(TaskArgument.help).", valueName: "task"))
  var task: TaskArgument = .text
  @OptionGroup var model: ModelOptions
  @OptionGroup(title: "Data") var examples: ExampleOptions
  @Option(parsing: .unconditional, help: "The number of examples of each file.")
  var rows = 3
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--rows", rows, .atLeast(1))
    try examples.records.check(for: task)
  }

  func run() throws {
    let input = TaskInput(
      model: model, data: files, evalData: nil, examples: examples, initAdapter: nil, seed: 0,
      reporting: try ReportOptions.parse([]))
    let shown = try ShownExamples(task, input, rows: rows)
    if output.isJSON {
      return try StandardOutput.json(["rows": .array(shown.examples.map { .object($0.json) })])
    }
    for (index, example) in shown.examples.enumerated() {
      try StandardOutput.line(
        TerminalColour.bold.applied(to: example.place) + ": " + example.length)
      for piece in example.pieces {
        switch piece {
        case .given(let text): try StandardOutput.generated(text)
        case .learned(let text):
          try StandardOutput.generated(text, in: .green, brackets: ("⟦", "⟧"))
        }
      }
      try StandardOutput.line()
      if index + 1 < shown.examples.count { try StandardOutput.line() }
    }
    let rest = shown.total - shown.examples.count
    if rest > 0 { StandardError.line("\(counted(rest, "further example"))") }
  }
}
