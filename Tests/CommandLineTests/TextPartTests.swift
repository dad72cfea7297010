import Foundation
import LoRAJSON
import Testing

/// Models that also read images: their text part on request, with the other parts unchanged.
@Suite struct TextPartTests {
  private let model = Fixtures.path("parts/qwen2-vl")

  @Test func refusedWithoutTheFlag() throws {
    let outcome = try Command.start(
      ["score", "--model", model, "--ids", model + "/expected.safetensors#ids"]
    ).outcome()
    #expect(outcome.status == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("'qwen2_vl' also reads images"), "\(outcome.errors)")
    #expect(outcome.errors.contains("--text-only"))
  }

  @Test func scoredMergedAndInspected() throws {
    let ids = model + "/expected.safetensors#ids"
    func loss(_ arguments: String...) throws -> Double {
      let result = try Command.start(["score", "--text-only", "--ids", ids, "--json"] + arguments)
        .outcome().json()
      return try #require(result["nll"]?.doubleValue)
    }
    let base = try loss("--model", model)
    let adapted = try loss("--model", model, "--adapter", model + "/adapter")
    #expect(abs(adapted - base) > 1e-3)
    let output = try Command.temporaryFolder() + "/merged"
    _ = try Command.succeed(
      "merge", "--text-only", "--model", model, "--adapter", model + "/adapter", "--output", output)
    #expect(abs(try loss("--model", output) - adapted) < 1e-5)
    let shown = try Command.succeed("inspect", output).output
    #expect(shown.contains("19 tensors belong to parts that are not supported"), "\(shown)")
  }
}
