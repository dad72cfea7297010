import Foundation
import LoRAFiles
import LoRAModels
import LoRATensor
import TestSupport
import Testing

/// Where the committed reference files and, if it lies beside the checkout, the shared folder are.
enum Fixtures {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func path(_ name: String) -> String { root.appending(path: "Tests/Fixtures/\(name)").path }

  /// The names of the tiny models that Tests/Reference/models.py made.
  static let models: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: path("models"))
    return (names ?? []).filter { !$0.hasPrefix(".") }.sorted()
  }()

  /// The shared folder beside the checkout, or where `LORA_SHARED` says; nil if there is none.
  static let shared: String? = {
    let named = ProcessInfo.processInfo.environment["LORA_SHARED"]
    let path = named ?? root.deletingLastPathComponent().appending(path: "shared").path
    return FileManager.default.fileExists(atPath: path + "/README.md") ? path : nil
  }()

  /// A new empty folder for what a test writes.
  static func temporaryFolder() throws -> String { try ScratchFolder.make() }
}

/// What transformers and PEFT computed for one of the tiny models.
struct ExpectedValues {
  let ids: Tensor
  let losses: Tensor
  let adaptedLosses: Tensor
  let generated: [Int]
  let adaptedGenerated: [Int]
  let stopped: [Int]

  init(model: String) throws {
    let file = try SafetensorsFile(path: Fixtures.path("models/\(model)/expected.safetensors"))
    ids = try file.tensor(named: "ids")
    losses = try file.tensor(named: "nll")
    adaptedLosses = try file.tensor(named: "nll_adapted")
    generated = try file.tensor(named: "generated").scalars(as: Int64.self).map(Int.init)
    adaptedGenerated = try file.tensor(named: "generated_adapted").scalars(as: Int64.self)
      .map(Int.init)
    stopped = try file.tensor(named: "stopped").scalars(as: Int64.self).map(Int.init)
  }

  /// The first five tokens of the first sequence: what the generations continue.
  var prompt: [Int] { ids[row: 0].scalars(as: Int64.self).prefix(5).map(Int.init) }
}

extension LanguageModel {
  /// The per-token losses of whole sequences, `[sequences, length - 1]`.
  func losses(_ ids: Tensor) -> Tensor {
    let length = ids.shape[1]
    do {
      return try tokenLosses(
        tokens: ids.sliced(axis: 1, 0..<length - 1), targets: ids.sliced(axis: 1, 1..<length))
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

/// The largest absolute difference of two float32 tensors of one shape.
func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
  precondition(a.shape == b.shape, "\(a.shape) and \(b.shape)")
  return (a - b).scalars().map(abs).max() ?? 0
}
