import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

@Suite struct TrainTests {
  let model = Fixtures.model("llama-grouped")

  /// The recipe of Tests/Reference/training.py from its initial adapter: losses and norms by PEFT.
  @Test func followsPEFT() throws {
    let reference = try SafetensorsFile(path: Fixtures.path("training/lora.safetensors"))
    let folder = try Command.temporaryFolder()
    let tensors = try reference.names.filter { $0.hasPrefix("initial/") }.map { name in
      (name: String(name.dropFirst("initial/".count)), tensor: try reference.tensor(named: name))
    }
    try FileManager.default.createDirectory(
      atPath: folder + "/initial", withIntermediateDirectories: true)
    try SafetensorsWriter.write(tensors, to: folder + "/initial/adapter_model.safetensors")
    try Fixtures.write(
      #"{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj","k_proj","v_proj","#
        + #""o_proj","gate_proj","up_proj","down_proj"]}"#,
      to: folder + "/initial/adapter_config.json")
    _ = try Command.succeed(
      "train", "--model", model, "--data", reference.path + "#ids", "--init-adapter",
      folder + "/initial", "--output", folder + "/result", "--steps", "10", "--batch", "2",
      "--accumulate", "2", "--learning-rate", "0.01", "--schedule", "cosine", "--warmup", "2",
      "--weight-decay", "0.1", "--clip-norm", "0.5", "--no-shuffle", "--log", folder + "/log.jsonl")
    let log = try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
      .split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    let losses = try reference.tensor(named: "losses").scalars(as: Float.self)
    let norms = try reference.tensor(named: "gradient_norms").scalars(as: Float.self)
    #expect(log.count == losses.count)
    for (index, line) in log.enumerated() {
      #expect(line["step"]?.intValue == index + 1)
      let (loss, norm) = (Double(losses[index]), Double(norms[index]))
      #expect(abs((line["loss"]?.doubleValue ?? 0) - loss) < 1e-4 * loss)
      #expect(abs((line["gradient_norm"]?.doubleValue ?? 0) - norm) < 1e-3 * norm)
      #expect(line["learning_rate"]?.doubleValue != nil)
      #expect((line["tokens_per_second"]?.doubleValue ?? 0) > 0)
    }
    #expect(log[0]["learning_rate"]?.doubleValue == 0)
  }

  @Test func reportsOneObject() throws {
    let output = try Command.temporaryFolder() + "/new/adapter"
    let ids = try Fixtures.sequences()
    let outcome = try Command.succeed(
      "train", "--model", model, "--data", ids, "--eval-data", ids, "--output", output,
      "--rank", "3", "--rslora", "--steps", "4", "--learning-rate", "0.01", "--json")
    let result = try outcome.json()
    let before = try #require(result["eval_nll_before"]?.doubleValue)
    let after = try #require(result["eval_nll_after"]?.doubleValue)
    #expect(after < before)
    #expect(result["steps"]?.intValue == 4)
    #expect(result["output"]?.stringValue == output)
    #expect(
      Fixtures.names(in: output) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "report.html",
      ])
    let adapter = try PEFTAdapterFile(path: output)
    #expect(adapter.configuration.rank == 3)
    #expect(adapter.configuration.usesRankStabilizedScale)
    #expect(adapter.configuration.baseModelName == model)
    let parameters = adapter.description.parameterCount
    #expect(result["trainable_parameters"]?.intValue == parameters)
    let score = try Command.succeed(
      "score", "--model", model, "--adapter", output, "--ids", ids, "--json"
    ).json()
    #expect(abs((score["nll"]?.doubleValue ?? 0) - after) < 1e-5)
  }

  @Test func repeatsBitForBit() throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    for name in ["a", "b"] {
      _ = try Command.succeed(
        "train", "--model", model, "--data", ids, "--output", folder + "/" + name, "--dropout",
        "0.1", "--epochs", "2", "--batch", "3", "--seed", "5")
    }
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
      #expect(
        FileManager.default.contentsEqual(
          atPath: folder + "/a/" + file, andPath: folder + "/b/" + file))
    }
  }

  @Test func takesARecipe() throws {
    let output = try Command.temporaryFolder() + "/adapter"
    let recipe = try Fixtures.file(
      "adapter_config.json",
      #"{"peft_type":"LORA","r":2,"lora_alpha":6,"target_modules":["q_proj","up_proj"],"#
        + #""rank_pattern":{"up_proj":5},"alpha_pattern":{"layers.1.mlp.up_proj":3}}"#)
    _ = try Command.succeed(
      "train", "--model", model, "--data", try Fixtures.sequences(), "--config", recipe, "--steps",
      "1",
      "--output", output)
    let layers = try PEFTAdapterFile(path: output).description.layers.map { layer in
      (path: layer.path, change: try #require(layer.lowRank))
    }
    #expect(
      layers.map { "\($0.path) \($0.change.rank) \($0.change.alpha)" } == [
        "model.layers.0.mlp.up_proj 5 6.0", "model.layers.0.self_attn.q_proj 2 6.0",
        "model.layers.1.mlp.up_proj 5 3.0", "model.layers.1.self_attn.q_proj 2 6.0",
      ])
  }

  /// Less memory, the same numbers; and a clear word at once where even that is too much.
  @Test func checkpointingAndItsLimit() throws {
    let ids = try Fixtures.sequences()
    func train(_ flags: String...) throws -> (outcome: Command.Outcome, folder: String) {
      let folder = try Command.temporaryFolder() + "/adapter"
      let arguments = [
        "train", "--model", model, "--data", ids, "--output", folder, "--steps", "3",
        "--dropout", "0.1", "--json",
      ]
      return (try Command.start(arguments + flags).outcome(), folder)
    }
    let kept = try train("--no-checkpointing").outcome.json()["loss"]?.doubleValue
    let again = try train("--checkpointing").outcome.json()["loss"]?.doubleValue
    #expect(kept != nil && kept == again)
    #expect(try train("--memory", "2GiB").outcome.status == 0)
    let refused = try train("--memory", "1.5MiB")
    #expect(refused.outcome.status == 1 && refused.outcome.output.isEmpty)
    #expect(refused.outcome.errors.contains("1 MiB are available"), "\(refused.outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: refused.folder))
    #expect(try train("--memory", "much").outcome.status == 64)
    #expect(try train("--checkpointing", "--no-checkpointing").outcome.status == 64)
  }

  @Test func selectsByExpression() throws {
    let output = try Command.temporaryFolder() + "/adapter"
    _ = try Command.succeed(
      "train", "--model", model, "--data", try Fixtures.sequences(), "--steps", "1", "--output",
      output,
      "--targets", #"regex:.*\.1\..*(q|v)_proj"#)
    let paths = try PEFTAdapterFile(path: output).description.layers.map(\.path)
    #expect(paths == ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"])
  }

  /// Contradictions are wrong usage; saying the same twice is not.
  @Test func initialAdapterFixesRankAndTargets() throws {
    let adapter = model + "/adapter"
    let configuration = try PEFTAdapterFile(path: adapter).configuration
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    func train(_ flags: String...) throws -> Command.Outcome {
      try Command.start(
        [
          "train", "--model", model, "--data", ids, "--init-adapter", adapter, "--steps", "1",
          "--output", folder + "/result", "--force",
        ] + flags
      ).outcome()
    }
    #expect(try train("--rank", "\(configuration.rank)").status == 0)
    for flags in [
      ["--rank", "\(configuration.rank + 1)"], ["--alpha", "999"], ["--targets", "q_proj"],
      ["--method", "full"], ["--config", "some.json"],
    ] {
      let outcome = try train(flags[0], flags[1])
      #expect(outcome.status == 64, "\(flags)")
      #expect(outcome.errors.hasPrefix("error: "), "\(outcome.errors)")
    }
  }

  /// What is saved computes, opened again, what training measured at its end.
  @Test(arguments: [
    ["--method", "dora", "--rank", "3", "--dropout", "0.1"], ["--method", "loha", "--rank", "3"],
    ["--method", "lokr", "--rank", "2"], ["--method", "ia3"], ["--init", "pissa", "--rank", "4"],
    ["--init", "olora", "--loraplus-ratio", "4"], ["--init", "orthogonal"], ["--init", "gaussian"],
  ]) func trainsEveryMethod(flags: [String]) throws {
    let output = try Command.temporaryFolder() + "/adapter"
    let ids = try Fixtures.sequences()
    let train = [
      "train", "--model", model, "--data", ids, "--eval-data", ids, "--output", output, "--steps",
      "4", "--learning-rate", "0.01", "--json",
    ]
    let outcome = try Command.start(train + flags).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let result = try outcome.json()
    let before = try #require(result["eval_nll_before"]?.doubleValue)
    let after = try #require(result["eval_nll_after"]?.doubleValue)
    #expect(after < before)
    let file = try PEFTAdapterFile(path: output)
    let method =
      file.configuration.lora?.isDoRA == true ? "DORA" : file.configuration.method.peftType
    #expect(method == (flags[0] == "--init" ? "LORA" : flags[1].uppercased()))
    if flags[1] == "dora" { #expect(file.configuration.dropout == 0.1) }
    if flags[1] == "pissa" { #expect(file.configuration.rank == 8) }
    let score = try Command.succeed(
      "score", "--model", model, "--adapter", output, "--ids", ids, "--json"
    ).json()
    #expect(abs((score["nll"]?.doubleValue ?? 0) - after) < 1e-4)
  }

  @Test func methodsRefuseWhatTheyDoNotHave() throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    for flags in [
      ["--method", "ia3", "--rank", "4"], ["--method", "loha", "--dropout", "0.1"],
      ["--method", "lokr", "--rslora"], ["--method", "dora", "--init", "pissa"],
      ["--method", "full", "--init", "pissa"], ["--init", "orthogonal", "--rank", "3"],
      ["--method", "full", "--loraplus-ratio", "4"], ["--loraplus-ratio", "0.5"],
    ] {
      let outcome = try Command.start(
        ["train", "--model", model, "--data", ids, "--output", folder + "/x"] + flags
      ).outcome()
      #expect(outcome.status != 0 && outcome.errors.hasPrefix("error: "), "\(flags)")
      #expect(!FileManager.default.fileExists(atPath: folder + "/x"))
    }
  }

  @Test func trainsAWholeModel() throws {
    let output = try Command.temporaryFolder() + "/model"
    let model = try Fixtures.modelWithTokenizer()
    let ids = try Fixtures.sequences()
    let result = try Command.succeed(
      "train", "--model", model, "--data", ids, "--eval-data", ids, "--method", "full",
      "--steps", "3", "--output", output, "--json"
    ).json()
    #expect(
      Fixtures.names(in: output) == [
        "config.json", "generation_config.json", "model.safetensors", "report.html",
        "tokenizer.json", "tokenizer_config.json",
      ])
    let score = try Command.succeed("score", "--model", output, "--ids", ids, "--json").json()
    let after = try #require(result["eval_nll_after"]?.doubleValue)
    #expect(abs((score["nll"]?.doubleValue ?? 0) - after) < 1e-5)
  }

  @Test func readsTextAndQuestions() throws {
    let model = try Fixtures.modelWithTokenizer()
    let folder = try Command.temporaryFolder()
    let files = [
      try Fixtures.file("a.txt", String(repeating: "He did it. ", count: 20)),
      try Fixtures.file("b.jsonl", "{\"text\":\"Abc\"}\n\n{\"text\":\"def ghi\"}\r\n"),
      try Fixtures.file("c.jsonl", "{\"prompt\":\"Abc? \",\"completion\":\"Def.\"}\n"),
    ]
    for file in files {
      let outcome = try Command.succeed(
        "train", "--model", model, "--data", file, "--output", folder + "/a", "--steps", "2",
        "--sequence-length", "32", "--batch", "1", "--force")
      #expect(outcome.output.contains("parameters trained in 2 steps"))
    }
  }

  @Test(.enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func followsPEFTOnAPretrainedModel() throws {
    let shared = try #require(Fixtures.shared)
    let reference = shared + "/reference/stories260k-lora"
    let folder = try Command.temporaryFolder()
    let run = try JSONValue(
      parsing: try String(contentsOfFile: reference + "/run.json", encoding: .utf8))
    let result = try Command.succeed(
      "train", "--model", shared + "/models/stories260k", "--data",
      reference + "/inputs.safetensors", "--init-adapter", reference + "/init", "--output",
      folder + "/adapter", "--steps", "200", "--batch", "8", "--learning-rate", "2e-3",
      "--clip-norm", "0", "--no-shuffle", "--log", folder + "/log.jsonl", "--json"
    ).json()
    #expect(abs((result["eval_nll_before"]?.doubleValue ?? 0) - 4.71513) < 1e-4)
    #expect(abs((result["eval_nll_after"]?.doubleValue ?? 0) - 2.87487) < 1e-4)
    let log = try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
      .split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    #expect(log.count == 200)
    for (index, line) in log.enumerated() {
      let loss = try #require(run["losses"]?[index]?.doubleValue)
      let norm = try #require(run["grad_norms"]?[index]?.doubleValue)
      #expect(abs((line["loss"]?.doubleValue ?? 0) - loss) < 1e-5 * loss)
      #expect(abs((line["gradient_norm"]?.doubleValue ?? 0) - norm) < 1e-4 * norm)
    }
  }
}
