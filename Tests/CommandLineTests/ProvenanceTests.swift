import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import Testing

/// What adapters say of their making, on the way through the commands; and that they are refused on bases
/// that they were not made for.
@Suite struct ProvenanceTests {
  private let model = Fixtures.model("llama-grouped")

  /// An adapter that was trained on `model`, and the object that the training printed.
  private func trained(
    _ model: String, in folder: String, named name: String = "adapter", _ more: String...
  ) throws -> (path: String, report: JSONValue, data: String) {
    let data = try Fixtures.sequences()
    let path = folder + "/" + name
    let arguments = [
      "train", "--model", model, "--data", data, "--eval-data", data, "--output", path, "--rank",
      "2", "--alpha", "3", "--steps", "3", "--learning-rate", "0.01", "--json",
    ]
    let outcome = try Command.start(arguments + more).outcome()
    guard outcome.status == 0 else { throw Command.Unexpected(text: outcome.errors) }
    return (path, try outcome.json(), data)
  }

  private func record(_ path: String, _ more: String...) throws -> JSONValue {
    let outcome = try Command.start(["inspect", path, "--json"] + more).outcome()
    return try #require(try outcome.json()["record"])
  }

  @Test func aTrainedAdapterSaysWhatItIs() throws {
    let folder = try Command.temporaryFolder()
    let (path, report, data) = try trained(
      model, in: folder, "--license", "apache-2.0", "--data-license", "cc-by-4.0")
    let record = try record(path)
    #expect(record["made_by"] == "train" && record["task"] == "text")
    #expect(record["license"] == "apache-2.0")
    #expect(record["base"]?["name"] == "llama-grouped")
    let fingerprint = try PretrainedModel(path: model).fingerprint
    #expect(record["base"]?["fingerprint"]?["digest"]?.stringValue == fingerprint.digest)
    let sum = try SHA256.digest(of: FileSystem.read(data))
    for (index, use) in ["train", "eval"].enumerated() {
      let file = record["data"]?[index]
      #expect(file?["use"]?.stringValue == use && file?["name"] == "sequences.json")
      #expect(file?["sha256"]?.stringValue == sum && file?["license"] == "cc-by-4.0")
    }
    #expect(record["data"]?[0]?["examples"] == 8)
    let settings = record["settings"]
    #expect(settings?["method"] == "lora" && settings?["rank"] == 2 && settings?["alpha"] == 3)
    #expect(settings?["learning_rate"] == .number(0.01) && settings?["steps"] == 3)
    for key in ["loss", "eval_nll_before", "eval_nll_after", "steps", "trainable_parameters"] {
      #expect(record["results"]?[key] == report[key], "\(key)")
    }
    // No path of this machine.
    #expect(!record.encoded().contains("/"))
    let text = try Command.succeed("inspect", path).output
    #expect(
      text.contains("made for: llama-grouped, fingerprint \(fingerprint.shortDigest) (float32)"))
    #expect(text.contains("train data: sequences.json, 8 examples"))
    #expect(!text.contains(AdapterRecord.metadataKey))
  }

  @Test func formatsKeepIt() throws {
    let folder = try Command.temporaryFolder()
    let (path, _, _) = try trained(model, in: folder, "--license", "mit")
    let first = try record(path)
    var last = path
    for (format, name) in [
      ("gguf", "a.gguf"), ("mlx", "mlx"), ("lycoris", "a.safetensors"), ("peft", "peft"),
    ] {
      let next = folder + "/" + name
      _ = try Command.succeed(
        "convert", "--input", last, "--to", format, "--base", model, "--output", next)
      #expect(try record(next, "--base", model) == first, "\(format)")
      last = next
    }
    let gguf = try GGUFFile(path: folder + "/a.gguf")
    #expect(try gguf.string("general.license") == "mit")
    let kohya = try SafetensorsFile(path: folder + "/a.safetensors")
    #expect(kohya.metadata["modelspec.license"] == "mit")
  }

  @Test func whatIsMadeOfAdaptersSaysOfWhich() throws {
    let folder = try Command.temporaryFolder()
    let (a, _, _) = try trained(model, in: folder, named: "a")
    let (b, _, _) = try trained(model, in: folder, named: "b", "--seed", "1")
    _ = try Command.succeed(
      "combine", "--adapter", a + ":0.5", "--adapter", b, "--type", "ties-svd", "--density", "0.5",
      "--rank", "2", "--output", folder + "/ab")
    let combined = try record(folder + "/ab")
    let first = try record(a)
    #expect(combined["made_by"] == "combine" && combined["base"] == first["base"])
    #expect(
      combined["settings"] == .object(["type": "ties-svd", "rank": 2, "density": .number(0.5)]))
    let parent = combined["parents"]?[0]
    #expect(parent?["name"] == "a" && parent?["weight"] == .number(0.5))
    #expect(combined["parents"]?[1]?["weight"]?.doubleValue == 1)
    let sum = try SHA256.digest(ofFile: a + "/adapter_model.safetensors")
    #expect(parent?["sha256"]?.stringValue == sum)
    #expect(parent?["record"]?["data"] == first["data"])
    #expect(parent?["record"]?["base"]?["fingerprint"] == nil)
    _ = try Command.succeed(
      "reduce", "--adapter", folder + "/ab", "--rank", "1", "--output", folder + "/small")
    let small = try record(folder + "/small")
    #expect(small["made_by"] == "reduce" && small["base"] == combined["base"])
    #expect(small["parents"]?[0]?["record"]?["parents"]?[1]?["name"] == "b")
    // What goes on from one.
    let further = folder + "/further"
    _ = try Command.succeed(
      "train", "--model", model, "--data", Fixtures.sequences(), "--init-adapter", a, "--output",
      further, "--steps", "1")
    #expect(try record(further)["parents"]?[0]?["name"] == "a")
    let tuned = folder + "/tuned"
    _ = try Command.succeed("merge", "--model", model, "--adapter", a, "--output", tuned)
    _ = try Command.succeed(
      "extract", "--base", model, "--tuned", tuned, "--rank", "2", "--output", folder + "/taken")
    let taken = try record(folder + "/taken")
    #expect(taken["made_by"] == "extract" && taken["base"] == combined["base"])
    #expect(taken["parents"]?[0]?["name"] == "tuned")
  }

  /// A model of the same shape with other numbers; the base as float16 and in 8 bits; a file that nobody
  /// signed.
  @Test func otherBasesAreRefused() throws {
    let folder = try Command.temporaryFolder()
    let base = try PretrainedModel(path: model)
    let other = folder + "/other"
    try base.configuration.randomModel(standardDeviation: 0.2, seed: 5).save(to: other)
    let (path, _, _) = try trained(model, in: folder)
    let ids = try Fixtures.sequences()
    let fingerprints = try [model, other].map { try PretrainedModel(path: $0).fingerprint }
    for command in [
      ["score", "--model", other, "--ids", ids, "--adapter", path],
      ["merge", "--model", other, "--output", folder + "/merged", "--adapter", path],
      ["sweep", "--model", other, "--data", ids, "--adapter", path],
      [
        "train", "--model", other, "--data", ids, "--output", folder + "/n", "--init-adapter", path,
      ],
    ] {
      let outcome = try Command.start(command).outcome()
      #expect(outcome.status == 1 && outcome.errors.contains("--allow-other-base"))
      #expect(outcome.errors.contains("'llama-grouped'"))
      for fingerprint in fingerprints { #expect(outcome.errors.contains("\(fingerprint)")) }
      let forced = try Command.start(command + ["--allow-other-base"]).outcome()
      #expect(forced.status == 0, "\(command[0]): \(forced.errors)")
      #expect(forced.errors.contains("it is used all the same"))
    }
    let error = #expect(throws: FormatError.self) {
      try PretrainedModel(path: other).model.loadAdapter(from: path)
    }
    #expect(error?.kind == .otherBase)
    let half = folder + "/half.gguf"
    try base.saveGGUF(to: half, type: .float16)
    let told = try Command.succeed("score", "--model", half, "--ids", ids, "--adapter", path)
    #expect(told.errors.contains("made on this base as float32, and the base is float16 here"))
    let exact = folder + "/exact.gguf"
    try base.saveGGUF(to: exact, type: .bfloat16)
    #expect(
      try Command.succeed("score", "--model", exact, "--ids", ids, "--adapter", path).errors == "")
    // Without its record it loads anywhere, as those of other programs do.
    let unsigned = folder + "/unsigned"
    var description = try AdapterFile(path: path).description
    description.metadata[AdapterRecord.metadataKey] = nil
    let configuration = try PEFTAdapterConfiguration(path: path + "/adapter_config.json")
    try PEFTAdapterFile(configuration: configuration, description: description).write(to: unsigned)
    _ = try Command.succeed("score", "--model", other, "--ids", ids, "--adapter", unsigned)
  }

  @Test func damagedRecordsAreNamed() throws {
    let folder = try Command.temporaryFolder()
    let (path, _, _) = try trained(model, in: folder)
    var description = try AdapterFile(path: path).description
    let configuration = try PEFTAdapterConfiguration(path: path + "/adapter_config.json")
    let whole = try #require(description.metadata[AdapterRecord.metadataKey])
    for (text, expected) in [
      (String(whole.dropLast(9)), "'lora_record': it is no JSON"),
      ("[1]", "'lora_record': expected an object, found an array"),
      (
        whole.replacing(#""made_by":"train""#, with: #""made_by":"magic""#), "'lora_record.made_by'"
      ),
      (
        whole.replacing(#""digest":""#, with: #""digest":"x"#),
        "'lora_record.base.fingerprint.digest'"
      ),
    ] {
      description.metadata[AdapterRecord.metadataKey] = text
      let damaged = folder + "/damaged"
      try PEFTAdapterFile(configuration: configuration, description: description).write(to: damaged)
      let outcome = try Command.run("inspect", damaged)
      #expect(outcome.status == 1 && outcome.errors.contains(expected), "\(outcome.errors)")
    }
    // Of a later version: nothing is known of it, and nothing is refused.
    description.metadata[AdapterRecord.metadataKey] = #"{"version":2,"base":7}"#
    let later = folder + "/later"
    try PEFTAdapterFile(configuration: configuration, description: description).write(to: later)
    #expect(try Command.succeed("inspect", later, "--json").json()["record"] == nil)
  }

  @Test func licencesAreNames() throws {
    let outcome = try Command.run(
      "train", "--model", model, "--data", "x.json", "--output", "y", "--license", "a\nb: c")
    #expect(outcome.status == 64 && outcome.errors.contains("is no name of a licence"))
  }

  @Test func aCardLiesBesideIt() throws {
    let folder = try Command.temporaryFolder()
    let (path, report, _) = try trained(
      model, in: folder, named: "my_adapter", "--license", "cc-by-4.0")
    let card = try String(contentsOfFile: path + "/README.md", encoding: .utf8)
    let head = """
      ---
      base_model: llama-grouped
      library_name: peft
      license: cc-by-4.0
      pipeline_tag: text-generation
      tags:
      - "base_model:adapter:llama-grouped"
      - lora
      datasets:
      - sequences.json
      ---

      """
    #expect(card.hasPrefix(head))
    #expect(card.contains("\n# my\\_adapter\n"))
    let loss = try #require(report["loss"]?.doubleValue)
    #expect(card.contains("| loss | \(loss) |") && card.contains("| learning\\_rate | 0.01 |"))
    #expect(card.contains("PeftModel.from_pretrained"))
    #expect(card.contains("lora convert --input my_adapter --to gguf"))
    #expect(!card.contains(folder) && !card.contains(Fixtures.root.path))
    // A card of lora's is written anew; somebody's own stays, and that is told.
    let arguments = [
      "train", "--model", model, "--data", try Fixtures.sequences(), "--output", path, "--steps",
      "1", "--force",
    ]
    let again = try Command.start(arguments).outcome()
    #expect(again.status == 0 && !again.errors.contains("README.md"))
    #expect(try String(contentsOfFile: path + "/README.md", encoding: .utf8) != card)
    try Fixtures.write("mine", to: path + "/README.md")
    let kept = try Command.start(arguments).outcome()
    #expect(kept.status == 0 && kept.errors.contains("README.md was not written by lora and stays"))
    #expect(try String(contentsOfFile: path + "/README.md", encoding: .utf8) == "mine")
  }
}
