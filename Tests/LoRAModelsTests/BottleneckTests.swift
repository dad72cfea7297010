import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing
@testable import LoRAFiles
@testable import LoRAFormats
@testable import LoRAModels

/// Bottleneck adapters beside the `adapters` package (Tests/Reference/bottlenecks.py).
@Suite struct BottleneckTests {
  static let cases = [
    "bert-houlsby", "bert-pfeiffer", "bert-parallel", "llama-houlsby", "llama-pfeiffer",
    "llama-attention", "gpt2-pfeiffer", "gpt2-parallel", "gemma2-houlsby",
  ]
  private static let models = [
    "bert": "encoders/bert-classifier", "llama": "models/llama-tied-v4", "gpt2": "models/gpt2-tied",
    "gemma2": "models/gemma2-uncapped-v4",
  ]

  private static func modelPath(_ name: String) -> String {
    Fixtures.path(models[String(name.prefix { $0 != "-" })] ?? "")
  }

  private static func adapterPath(_ name: String) -> String {
    Fixtures.path("bottlenecks/\(name)/adapter")
  }

  /// The logits of a classifier, or the losses of a decoder, of the inputs that the values are of.
  private static func values(_ model: PretrainedModel, _ name: String) throws -> Tensor {
    let file = try SafetensorsFile(path: modelPath(name) + "/expected.safetensors")
    let ids = try file.tensor(named: "ids")
    guard name.hasPrefix("bert") else { return try model.languageModel.losses(ids) }
    let batch = TokenBatch(
      ids, lengths: try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) },
      types: try file.tensor(named: "types"))
    let classifier = try model.sequenceClassifier
    return withoutGradients { classifier(batch).value }
  }

  /// A small model with an adapter whose numbers are random.
  private static func adapted(_ method: Bottleneck) throws -> any PretrainedLanguageModel {
    let model = try TinyModels.configuration(.qwen3).randomLanguageModel(
      standardDeviation: 0.2, seed: 5)
    model.setTrainable(false)
    try model.inject(method, named: "a", seed: 2)
    randomize(model, "a", seed: 7)
    return model
  }

  private static func randomize(_ model: any Module, _ name: String, seed: UInt64) {
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: seed, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
  }

  private static let placements: [Bottleneck] = [
    .houlsby(reductionFactor: 4), .pfeiffer(reductionFactor: 3), .parallel(reductionFactor: 2),
  ]

  @Test(arguments: cases) func computesAsThePackage(name: String) throws {
    let model = try PretrainedModel(path: Self.modelPath(name))
    let base = try Self.values(model, name)
    let file = try AdapterFile(
      path: Self.adapterPath(name), options: .init(basePath: Self.modelPath(name)))
    #expect(file.format == .adapters && file.notes.isEmpty)
    try model.model.loadAdapter(file, named: "a")
    let expected = try SafetensorsFile(
      path: Fixtures.path("bottlenecks/\(name)/expected.safetensors")
    )
    .tensor(named: "values")
    #expect(largestDifference(try Self.values(model, name), expected) < 1e-4)
    try model.model.disableAdapters()
    #expect(try Self.values(model, name) == base)
    try model.model.detach("a")
    #expect(try Self.values(model, name) == base)
  }

  /// What is written here the package loads: `bottlenecks.py check` on a folder of these.
  @Test(arguments: cases) func comesBack(name: String) throws {
    let folder = ProcessInfo.processInfo.environment["LORA_WRITTEN"].map { "\($0)/\(name)" }
    let path = try folder ?? Fixtures.temporaryFolder() + "/\(name)"
    let file = try AdapterFile(path: Self.adapterPath(name))
    let model = try PretrainedModel(path: Self.modelPath(name)).model
    try model.loadAdapter(file, named: "a")
    var written = file
    written.description = try model.describeAdapter("a")
    try written.write(as: .adapters, to: path)
    let read = try AdapterFile(path: path, options: .init(basePath: Self.modelPath(name)))
    #expect(read.description.layers.map(\.path) == file.description.layers.map(\.path))
    for (a, b) in zip(read.description.layers, file.description.layers) {
      #expect(zip(a.change.tensors, b.change.tensors).allSatisfy { $0 == $1 }, "\(a.path)")
      #expect(
        a.change.tensors.count == b.change.tensors.count
          && a.change.measured.scale == b.change.measured.scale)
    }
    #expect(read.adapterHubConfiguration?.leftOut == file.adapterHubConfiguration?.leftOut)
    #expect(read.adapterHubConfiguration?.name == "task")
  }

  @Test(arguments: placements) func freshChangesNothing(method: Bottleneck) throws {
    let model = try TinyModels.configuration(.qwen3).randomLanguageModel(
      standardDeviation: 0.2, seed: 5)
    let tokens = TinyModels.tokens([2, 6], seed: 1)
    let base = withoutGradients { model(tokens).value }
    let report = try model.inject(method, named: "a", leavingOut: [0])
    #expect(report.layers == ["model.layers.1"] && report.warnings.isEmpty)
    let count = model.adapterParameters(named: "a").reduce(0) {
      $0 + $1.parameter.shape.elementCount
    }
    #expect(report.parameterCount == count && count > 0)
    #expect(withoutGradients { model(tokens).value } == base)
    Self.randomize(model, "a", seed: 1)
    #expect(withoutGradients { model(tokens).value } != base)
    try model.detach("a")
    #expect(withoutGradients { model(tokens).value } == base)
  }

  @Test(arguments: placements) func gradients(method: Bottleneck) throws {
    var method = method
    // The others have no derivative at zero.
    method.activation = .gelu
    let model = try Self.adapted(method)
    let parameters = model.adapterParameters(named: "a")
    let tokens = TinyModels.tokens([2, 5], seed: 3)
    let targets = TinyModels.tokens([2, 5], seed: 4)
    for checkpoints in [false, true] {
      let check = checkGradients(of: parameters.map(\.parameter), tolerance: 4e-3) {
        BlockCheckpointing.during(checkpoints) {
          model.loss(model.hiddenStates(tokens, cache: nil), targets: targets, scale: 0.1)
        }
      }
      #expect(check.isCorrect, "\(check)")
    }
    // The base is frozen: nothing of it has a gradient.
    let loss = model.loss(model.hiddenStates(tokens, cache: nil), targets: targets, scale: 0.1)
    let gradients = loss.gradients()
    #expect(model.namedParameters().allSatisfy { gradients[$0.parameter] == nil })
    #expect(parameters.allSatisfy { gradients[$0.parameter] != nil })
  }

  @Test(arguments: placements) func decodesAsItComputes(method: Bottleneck) throws {
    let model = try Self.adapted(method)
    try model.inject(LoRA(rank: 2, alpha: 4), named: "b")
    Self.randomize(model, "b", seed: 9)
    let prompt = [3, 1, 4, 1, 5]
    for selection: AdapterSelection in [["a": 1], ["a": 0.5, "b": 1], ["b": 1], [:]] {
      try model.withAdapters(selection) {
        let options = GenerationOptions(maximumTokens: 8)
        let cached = try model.generate(after: prompt, options: options)
        var tokens = prompt
        for _ in 0..<8 {
          let sequence = Tensor(tokens.map(Int64.init), shape: [1, tokens.count])
          let logits = withoutGradients { model(sequence).value }
          let last = logits.reshaped(to: [tokens.count, logits.shape.innermost])[
            row: tokens.count - 1
          ].scalars()
          tokens.append(last.indices.max { last[$0] < last[$1] } ?? 0)
        }
        #expect(cached == Array(tokens.dropFirst(prompt.count)), "\(selection)")
      }
    }
    // Items of a batch with adapters of their own.
    let choices: [AdapterSelection] = [["a": 1], [:], ["a": 0.5, "b": 1], ["a": 1]]
    let tokens = TinyModels.tokens([4, 6], seed: 8)
    let all = try withoutGradients {
      try model.withAdapters(perItem: choices) { model(tokens).value }
    }
    for (item, choice) in choices.enumerated() {
      let alone = try withoutGradients {
        try model.withAdapters(choice) { model(tokens[rows: item..<item + 1]).value }
      }
      #expect(largestDifference(all[rows: item..<item + 1], alone) < 2e-5, "\(choice)")
    }
  }

  @Test func dropsWhileTraining() throws {
    var method = Bottleneck.houlsby(reductionFactor: 4)
    method.dropout = 0.5
    let model = try Self.adapted(method)
    let tokens = TinyModels.tokens([1, 6], seed: 8)
    func logits(_ step: UInt64?) -> Tensor {
      withoutGradients {
        guard let step else { return model(tokens).value }
        return Dropout.during(step: step, seed: 1) { model(tokens).value }
      }
    }
    #expect(logits(1) != logits(nil) && logits(1) != logits(2) && logits(1) == logits(1))
  }

  @Test func wrongUsesAreRefused() throws {
    let model = try Self.adapted(.pfeiffer(reductionFactor: 4))
    func error(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return ""
    }
    #expect(error { try model.mergeAdapters(["a": 1]) }.contains("can't be merged into weights"))
    #expect(!model.isMerged)
    let folder = try Fixtures.temporaryFolder()
    let text = error { try model.saveAdapter("a", to: folder + "/peft") }
    #expect(
      text.contains("bottleneck") && !FileManager.default.fileExists(atPath: folder + "/peft"))
    let file = try AdapterFile(path: Self.adapterPath("llama-pfeiffer"))
    for format in AdapterFormat.allCases where format != .adapters {
      let text = error { try file.write(as: format, to: "\(folder)/\(format)") }
      #expect(text.contains("write it as adapters"), "\(format): \(text)")
    }
    #expect(error { try model.loadAdapter(file, named: "b") }.contains("hidden states of"))
    var wrong = Bottleneck.houlsby()
    wrong.reductionFactor = 0
    #expect(error { try model.inject(wrong, named: "c") }.contains("reductionFactor is 0.0"))
    wrong = .houlsby()
    wrong.activation = .square
    #expect(error { try model.inject(wrong, named: "c") }.contains("activation is square"))
    #expect(
      error { try model.inject(Bottleneck.houlsby(), named: "c", leavingOut: [9]) }
        .contains("leavingOut is 9; expected blocks from 0 to 1"))
    let embedding = try #require(model.modules().first { $0.module is Embedding }?.path)
    let adapter = try #require(model.adapters(named: "a").first?.adapter)
    #expect(
      error { try model.attach([embedding: adapter], named: "c") }.contains("a block's parts"))
    let lora = LoRAAdapter(
      a: Parameter(.zeros([2, 4])), b: Parameter(.zeros([4, 2])), scale: 1)
    #expect(
      error { try model.attach(["model.layers.0": lora], named: "c") }.contains("a block of them"))
    #expect(model.adapterNames == ["a"])
  }

  @Test func recipesAreRead() throws {
    let json = #"{"followsAttention": true, "followsFeedForward": false, "input": "sum"}"#
    #expect(
      try JSONDecoder().decode(Bottleneck.self, from: Data(json.utf8))
        == Bottleneck(followsAttention: true, followsFeedForward: false, input: .sum))
    for method in Self.placements {
      let data = try JSONEncoder().encode(method)
      #expect(try JSONDecoder().decode(Bottleneck.self, from: data) == method)
    }
  }
}
