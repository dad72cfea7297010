import Foundation
import LoRAFiles
import LoRATensor
import Testing

/// Every command reads adapters equally strictly: one that lacks what it targets gets nowhere.
@Suite struct IncompleteAdapterTests {
  private static let model = Fixtures.path("conformance/llama/model")
  private static let lacking = "model.layers.1.self_attn.q_proj"

  /// A copy of a good adapter without the factors of one layer.
  private func adapter() throws -> String {
    let folder = try Command.temporaryFolder() + "/adapter"
    try FileManager.default.copyItem(
      atPath: Fixtures.path("conformance/llama/target-list"), toPath: folder)
    let path = folder + "/adapter_model.safetensors"
    let file = try SafetensorsFile(path: path, access: .copied)
    let kept = file.names.filter { !$0.contains(Self.lacking) }
    #expect(kept.count == file.names.count - 2)
    try SafetensorsWriter.write(
      try kept.map { (name: $0, tensor: try file.tensor(named: $0)) }, to: path)
    return folder
  }

  @Test func isRefusedByEveryCommandThatHasABase() throws {
    let adapter = try adapter()
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.file("ids.json", "[[3,4,5,6]]")
    let output = folder + "/output"
    let commands: [[String]] = [
      ["score", "--model", Self.model, "--adapter", adapter, "--ids", ids],
      ["merge", "--model", Self.model, "--adapter", adapter, "--output", output],
      [
        "train", "--model", Self.model, "--init-adapter", adapter, "--data", ids, "--steps", "1",
        "--output", output,
      ],
      ["sweep", "--model", Self.model, "--adapter", adapter, "--data", ids],
      [
        "convert", "--input", adapter, "--to", "mlx", "--base", Self.model, "--output", output,
      ],
      [
        "convert", "--input", adapter, "--to", "gguf", "--base", Self.model, "--output",
        output + ".gguf",
      ],
      ["inspect", adapter, "--base", Self.model],
      ["combine", "--adapter", adapter, "--base", Self.model, "--output", output],
      ["reduce", "--adapter", adapter, "--rank", "1", "--base", Self.model, "--output", output],
    ]
    for arguments in commands {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 1, "\(arguments)")
      #expect(
        outcome.errors.contains(Self.lacking) && outcome.errors.contains("no factors for it"),
        "\(arguments): \(outcome.errors)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  @Test func isToldOfWhereThereIsNone() throws {
    let adapter = try adapter()
    let folder = try Command.temporaryFolder()
    for arguments in [
      ["inspect", adapter],
      ["convert", "--input", adapter, "--to", "mlx", "--output", folder + "/a"],
      ["combine", "--adapter", adapter, "--output", folder + "/b"],
      ["reduce", "--adapter", adapter, "--rank", "1", "--output", folder + "/c"],
    ] {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 0, "\(arguments): \(outcome.errors)")
      #expect(
        outcome.errors.contains("warning: ") && outcome.errors.contains(Self.lacking),
        "\(arguments): \(outcome.errors)")
    }
  }
}
