import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// `lora tokenize`: the tokens of a text.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Show the tokens that a model reads of a text, and where they are in it.",
    usage: """
      lora tokenize --model <path> (--text <text> | --file <file>) [--no-special] [--offsets] [--json]
      """,
    discussion: """
      Prints a token a line: its id, its spelling, and with --offsets the characters that it stands \
      for, counted from 0, the end excluded. Only the tokenizer is opened: a GGUF file may hold a \
      vocabulary alone, a folder needs no weights, and a tokenizer.json or a SentencePiece .model \
      will do. Special tokens that are spelled in the text are found.

        lora tokenize --model MODEL --text 'Which light?'
        lora tokenize --model base.gguf --file book.txt --offsets --json
      """)

  @Option(
    help: ArgumentHelp(
      "A model's Hugging Face directory or GGUF file, or its tokenizer's file.", valueName: "path"))
  var model: String
  @Option(parsing: .unconditional, help: ArgumentHelp("The text.", valueName: "text"))
  var text: String?
  @Option(help: ArgumentHelp("A file whose whole content is the text.", valueName: "file"))
  var file: String?
  @Flag(help: "Leave out what the tokenizer's template puts around a text.")
  var noSpecial = false
  @Flag(help: "Tell where each token is in the text.")
  var offsets = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (text == nil) != (file == nil) else {
      throw ValidationError("give either --text TEXT or --file FILE")
    }
  }

  func run() throws {
    let tokenizer = try PretrainedModel.tokenizer(at: model)
    let encoding = tokenizer.encodeAligned(try content(), addSpecialTokens: !noSpecial)
    guard !output.isJSON else {
      var object: JSONObject = [
        "ids": .array(encoding.ids.map { .integer(Int64($0)) }),
        "tokens": .array(encoding.tokens.map { .string($0) }),
      ]
      if offsets {
        object["offsets"] = .array(
          encoding.offsets.map {
            [.integer(Int64($0.lowerBound)), .integer(Int64($0.upperBound))]
          })
      }
      return try StandardOutput.json(object)
    }
    try StandardOutput.lines(
      encoding.ids.indices.map { i in
        let place = encoding.offsets[i]
        return "\(encoding.ids[i])  \(encoding.tokens[i])"
          + (offsets ? "  \(place.lowerBound)..\(place.upperBound)" : "")
      })
  }

  private func content() throws -> String { try text ?? FileSystem.readText(file ?? "") }
}
