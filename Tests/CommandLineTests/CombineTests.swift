import Foundation
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

/// `lora combine`, `lora reduce` and `lora extract`.
@Suite struct CombineTests {
  static let model = Fixtures.model("llama-grouped")
  static let first = model + "/adapter"
  /// Another rank, other layers.
  static let second = Fixtures.path("peft/patterns")

  static func nll(_ model: String = model, _ adapters: String...) throws -> Double {
    let arguments =
      ["score", "--model", model, "--ids", Self.model + "/expected.safetensors#ids", "--json"]
      + adapters.flatMap { ["--adapter", $0] }
    return try #require(try Command.start(arguments).outcome().json()["nll"]?.doubleValue)
  }

  @Test func catIsTheSumAndSVDOfEnoughRankToo() throws {
    let folder = try Command.temporaryFolder()
    let sum = try Self.nll(Self.model, Self.first + ":0.7", Self.second + ":-0.4")
    #expect(try abs(sum - Self.nll()) > 1e-3)
    for (type, more) in [("cat", []), ("svd", ["--rank", "32"])] {
      let output = folder + "/\(type)"
      let outcome = try Command.start(
        [
          "combine", "--adapter", Self.first + ":0.7", "--adapter", Self.second + ":-0.4",
          "--type", type, "--output", output, "--json",
        ] + more
      ).outcome()
      let json = try outcome.json()
      #expect(json["type"]?.stringValue == type && json["output"]?.stringValue == output)
      #expect(outcome.errors.isEmpty, "\(outcome.errors)")
      #expect(try abs(Self.nll(Self.model, output) - sum) < 1e-5)
    }
  }

  /// Twice an adapter as llama.cpp has it less the same as PEFT has it is that adapter.
  @Test func formatsMix() throws {
    let folder = try Command.temporaryFolder()
    _ = try Command.succeed(
      "convert", "--input", Self.first, "--to", "gguf", "--base", Self.model, "--output",
      folder + "/a.gguf")
    let json = try Command.succeed(
      "combine", "--adapter", folder + "/a.gguf:2", "--adapter", Self.first + ":-1", "--base",
      Self.model, "--type", "svd", "--output", folder + "/mixed", "--json"
    ).json()
    #expect(json["adapters"]?[1]?["weight"]?.doubleValue == -1)
    let expected = try Self.nll(Self.model, Self.first)
    #expect(try abs(Self.nll(Self.model, folder + "/mixed") - expected) < 1e-5)
    // One alone is only scaled, whatever the type.
    let alone = try Command.succeed(
      "combine", "--adapter", Self.first, "--type", "svd", "--output", folder + "/alone")
    #expect(alone.output.contains("1 adapter by linear") && alone.errors.contains("warning: one"))
    #expect(try abs(Self.nll(Self.model, folder + "/alone") - expected) < 1e-5)
  }

  @Test func methodsTakeTheirOptions() throws {
    let folder = try Command.temporaryFolder()
    let both = ["--adapter", Self.first + ":0.5", "--adapter", Self.first + ":0.5"]
    func combine(_ name: String, _ more: [String]) throws -> Command.Outcome {
      try Command.start(["combine", "--output", folder + "/" + name] + both + more).outcome()
    }
    // Twice half of one adapter is that adapter, and the majority has its sign.
    let linear = try combine("linear", ["--type", "linear", "--density", "0.5"])
    #expect(linear.status == 0 && linear.output.contains("2 adapters by linear"))
    #expect(linear.errors.contains("cross terms") && linear.errors.contains("--density is not"))
    for type in ["ties", "ties_svd", "magnitude-prune-svd"] {
      let options = ["--type", type, "--density", "1", "--majority-sign", "frequency"]
      #expect(try combine(type, options).status == 0)
    }
    let magnitude = try Self.nll(Self.model, folder + "/magnitude-prune-svd")
    #expect(try abs(magnitude - Self.nll(Self.model, Self.first)) < 1e-5)
    func file(_ name: String) throws -> [UInt8] {
      try FileSystem.read(folder + "/\(name)/adapter_model.safetensors")
    }
    for (name, seed) in [("x", "1"), ("y", "1"), ("z", "2")] {
      let options = ["--type", "dare-ties", "--density", "0.5", "--seed", seed]
      #expect(try combine(name, options).status == 0)
    }
    #expect(try file("x") == file("y"))
    #expect(try file("x") != file("z"))
  }

  @Test func refusals() throws {
    let folder = try Command.temporaryFolder() + "/out"
    func errors(_ status: Int32, _ arguments: String...) throws -> String {
      let outcome = try Command.start(["combine", "--output", folder] + arguments).outcome()
      #expect(outcome.status == status && outcome.output.isEmpty, "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder))
      return outcome.errors
    }
    let (a, b) = (Self.first, Self.second)
    #expect(try errors(64).contains("at least one --adapter"))
    #expect(try errors(64, "--adapter", a, "--type", "median").contains("magnitude-prune-svd"))
    let ranks = try errors(1, "--adapter", a, "--adapter", b, "--type", "linear")
    #expect(ranks.contains("error: linear adds factors, which must have one rank"))
    #expect(
      try errors(1, "--adapter", a, "--adapter", b, "--type", "ties-svd").contains(
        "error: density: ties_svd needs the share"))
    #expect(try errors(1, "--adapter", "no/such").contains("error: no/such: "))
  }

  @Test func reducingKeepsTheEnergyAskedFor() throws {
    let folder = try Command.temporaryFolder()
    let json = try Command.succeed(
      "reduce", "--adapter", Self.first, "--energy", "0.9", "--output", folder + "/r", "--json"
    ).json()
    let energy = try #require(json["energy"]?.doubleValue)
    #expect(energy >= 0.9 && energy <= 1)
    let layers = try #require(json["layers"]?.arrayValue)
    #expect(layers.allSatisfy { ($0["energy"]?.doubleValue ?? 0) >= 0.9 })
    _ = try Self.nll(Self.model, folder + "/r")
    let same = try Command.succeed(
      "reduce", "--adapter", Self.first, "--rank", "64", "--output", folder + "/s")
    #expect(same.output.contains("100.0000 % of the energy kept"))
    #expect(try Self.nll(Self.model, folder + "/s") == Self.nll(Self.model, Self.first))
    let wrong = try Command.run("reduce", "--adapter", Self.first, "--output", folder + "/t")
    #expect(wrong.status == 64 && wrong.errors.contains("--rank N or --energy"))
  }

  /// A merged adapter is found again in the merged model.
  @Test func extractionUndoesMerging() throws {
    let folder = try Command.temporaryFolder()
    _ = try Command.succeed(
      "merge", "--model", Self.model, "--adapter", Self.first, "--output", folder + "/tuned")
    let json = try Command.succeed(
      "extract", "--base", Self.model, "--tuned", folder + "/tuned", "--energy", "0.99999",
      "--output", folder + "/adapter", "--json"
    ).json()
    #expect(try #require(json["energy"]?.doubleValue) > 0.9999)
    let expected = try Self.nll(Self.model, Self.first)
    #expect(try abs(Self.nll(Self.model, folder + "/adapter") - expected) < 1e-3)
    let fast = try Command.succeed(
      "extract", "--base", Self.model, "--tuned", folder + "/tuned", "--rank", "4",
      "--iterations", "6", "--output", folder + "/fast")
    #expect(fast.output.contains("of the layers' energy captured"))
    let none = try Command.run(
      "extract", "--base", Self.model, "--tuned", Self.model, "--rank", "2", "--output",
      folder + "/none")
    #expect(none.status == 1 && none.errors.contains("the models do not differ"))
    #expect(!FileManager.default.fileExists(atPath: folder + "/none"))
  }
}
