import ArgumentParser
import LoRAKit

/// `lora bench`: how fast this machine trains and generates.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure speed and memory of training, generation and matrix products.",
    discussion: """
        lora bench train --model MODEL --rank 16 --sequence-length 512 --json
        lora bench generate --model MODEL --prompt-tokens 256 --json
        lora bench gemm --json
      """,
    subcommands: [
      BenchTrainCommand.self, BenchGenerateCommand.self, BenchAdaptersCommand.self,
      BenchGemmCommand.self,
    ])

  /// Throws if `what`, as many things as the product of `factors`, each of so many bytes, do not fit
  /// into memory: better said than tried.
  static func checkSize(_ what: String, _ factors: Int..., bytes: Int) throws(CommandError) {
    guard let available = AvailableMemory.current else { return }
    var needed: Int? = bytes
    for factor in factors {
      needed = needed.flatMap { sum in
        let (product, overflows) = sum.multipliedReportingOverflow(by: factor)
        return overflows ? nil : product
      }
    }
    if let needed, needed <= available { return }
    throw CommandError(
      "\(what) need \(needed.map { "\(grouped($0 >> 20)) MiB" } ?? "more than 8 EiB") of memory, and "
        + "\(grouped(available >> 20)) MiB are available; lower the numbers")
  }

  /// Throws if a prompt and what is generated after it are more than the model has positions.
  static func checkPositions(
    _ promptTokens: Int, _ maxTokens: Int, of model: any LanguageModel
  ) throws(SequenceError) {
    let (count, overflows) = promptTokens.addingReportingOverflow(maxTokens)
    if overflows || count > model.maximumPositions {
      throw .tooLong(sequence: 0, count: overflows ? .max : count, limit: model.maximumPositions)
    }
  }

  /// Token ids that `model` can read, the same every time. Those of an encoder-decoder are a source up to
  /// `sourceLength`, and a target.
  static func randomIDs(
    _ count: Int, for model: any LanguageModel, sourceLength: Int, path: String
  ) -> [Int] {
    var random = SeededRandom(seed: 0, path: path)
    let size = model.vocabularySize
    guard let start = model.targetStart, size > 1 else {
      return (0..<count).map { _ in Int.random(in: 0..<size, using: &random) }
    }
    return (0..<count).map { place in
      place == sourceLength ? start : (start + Int.random(in: 1..<size, using: &random)) % size
    }
  }
}
