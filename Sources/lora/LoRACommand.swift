import ArgumentParser

/// The command line: a thin shell over the library, a page of code a command.
@main
struct LoRACommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lora",
    abstract: "Low-rank adaptation of language models: train, score, generate, merge, inspect.",
    discussion: """
      MODEL is a Hugging Face directory or a .gguf file, ADAPTER an adapter of any format; \
      ADAPTER:SCALE multiplies its strength, and repeated adapters sum. Results go to standard \
      output, progress to standard error. The exit status is 0, 1 for a failure, or 64 for wrong usage.

        lora train --model MODEL --data questions.jsonl --output support
        lora generate --model MODEL --adapter support:0.5 --prompt 'Which light?'
      """,
    version: "lora \(Version.current)",
    subcommands: [
      QuickstartCommand.self,
      PlanCommand.self, TrainCommand.self, TuneCommand.self, DataCommand.self, ScoreCommand.self,
      EvalCommand.self,
      GenerateCommand.self,
      ChatCommand.self,
      TemplateCommand.self,
      ClassifyCommand.self, EmbedCommand.self, MergeCommand.self,
      CombineCommand.self, ReduceCommand.self, ExtractCommand.self, SweepCommand.self,
      ConvertCommand.self, InspectCommand.self, TokenizeCommand.self, BenchCommand.self,
    ])

  static func main() async {
    ProcessSetup.prepare()
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      var command = try parseAsRoot(try RunFolder.resumed(arguments))
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      ErrorReport.exit(with: error)
    }
  }
}
