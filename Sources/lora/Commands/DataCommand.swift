import ArgumentParser

/// `lora data`: a look at training data before anything is trained.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Check data, and show it as a model sees it.",
    discussion: """
        lora data check questions.jsonl
        lora data show questions.jsonl --model MODEL --rows 1
      """,
    subcommands: [DataCheckCommand.self, DataShowCommand.self])
}
