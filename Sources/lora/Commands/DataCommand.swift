import ArgumentParser

/// `lora data`: a look at training data before anything is trained.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Show data as a model sees it.",
    discussion: """
        lora data show questions.jsonl --model MODEL --rows 1
      """,
    subcommands: [DataShowCommand.self])
}
