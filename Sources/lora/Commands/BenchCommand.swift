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

  /// Token ids that any model of this vocabulary can read, the same every time.
  static func randomIDs(_ count: Int, vocabularySize: Int, path: String) -> [Int] {
    var random = SeededRandom(seed: 0, path: path)
    return (0..<count).map { _ in Int.random(in: 0..<vocabularySize, using: &random) }
  }
}
