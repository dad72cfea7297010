import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// Adapters whose names are those of a model's body alone, and of a whole model for its body; PEFT made
/// them (Tests/Reference/bodies.py).
@Suite struct BodyNamesTests {
  private static func adapter(_ name: String) -> String { Fixtures.path("bodies/\(name)") }

  private static func expected(_ name: String, _ tensor: String) throws -> Tensor {
    try SafetensorsFile(path: adapter(name) + "/expected.safetensors").tensor(named: tensor)
      .converted(to: .float32)
  }

  private static func batch(_ encoder: String) throws -> TokenBatch {
    let file = try SafetensorsFile(
      path: Fixtures.path("encoders/\(encoder)/expected.safetensors"))
    return TokenBatch(
      try file.tensor(named: "ids"),
      lengths: try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) },
      types: try file.tensor(named: "types"))
  }

  /// The hidden states of tokens, zero where there is padding.
  private static func hidden(_ model: any TokenModel, _ batch: TokenBatch) -> Tensor {
    let states = withoutGradients { model.hiddenStates(batch).value }
    let (width, size) = (states.shape[1], states.shape[2])
    let items = batch.lengths.enumerated().map { item, length in
      Tensor.concatenated(
        [
          states[rows: item..<item + 1].sliced(axis: 1, 0..<length),
          .zeros([1, width - length, size]),
        ].filter { $0.shape[1] > 0 }, axis: 1)
    }
    return .concatenated(items)
  }

  /// A copy of an adapter without one of its layers.
  private static func incomplete(_ name: String, without layer: String) throws -> String {
    let folder = try Fixtures.temporaryFolder() + "/adapter"
    try FileManager.default.copyItem(atPath: adapter(name), toPath: folder)
    let path = folder + "/adapter_model.safetensors"
    let file = try SafetensorsFile(path: path, access: .copied)
    let kept = file.names.filter { !$0.contains(layer) }
    #expect(kept.count == file.names.count - 2)
    try SafetensorsWriter.write(
      try kept.map { (name: $0, tensor: try file.tensor(named: $0)) }, to: path)
    return folder
  }

  @Test func bodysAdapterOnAClassifier() throws {
    let path = Fixtures.path("encoders/bert-classifier")
    let batch = try Self.batch("bert-classifier")
    let model = try PretrainedModel(path: path).sequenceClassifier
    let base = withoutGradients { model(batch).value }
    let file = try model.loadAdapter(from: Self.adapter("bert"), named: "a")
    // As the file has them.
    #expect(file.description.layers.allSatisfy { $0.path.hasPrefix("encoder.") })
    func check() throws {
      let logits = withoutGradients { model(batch).value }
      #expect(largestDifference(logits, try Self.expected("bert", "logits")) < 1e-4)
      let hidden = Self.hidden(model, batch)
      #expect(largestDifference(hidden, try Self.expected("bert", "hidden")) < 1e-4)
    }
    try check()
    try model.mergeAdapters(["a": 1])
    try check()
    try model.unmergeAdapters()
    try model.detach("a")
    #expect(withoutGradients { model(batch).value } == base)
    // Of any format, checked against the base's files or not.
    for options in [AdapterFile.Options(), .init(basePath: path)] {
      let file = try AdapterFile(path: Self.adapter("bert"), options: options)
      #expect(file.notes.contains { $0.text.contains("lack 'bert.'") } == (options.basePath != nil))
      let warnings = try model.loadAdapter(file, named: "b")
      #expect(warnings.contains { $0.contains("lack 'bert.'") } == (options.basePath == nil))
      #expect(!warnings.contains { $0.contains("rank_pattern") || $0.contains("target_modules") })
      try check()
      try model.detach("b")
    }
  }

  @Test func bodysAdapterOnABody() throws {
    let path = Fixtures.path("encoders/bert-body")
    let batch = try Self.batch("bert-body")
    let model = try PretrainedModel(path: path).model
    try model.loadAdapter(from: Self.adapter("bert-whole"), named: "whole")
    let whole = Self.hidden(model, batch)
    #expect(largestDifference(whole, try Self.expected("bert-whole", "hidden")) < 1e-4)
    // Written as PEFT names an AutoModel's layers, and read again without a word.
    let folder = try Fixtures.temporaryFolder() + "/adapter"
    try model.saveAdapter("whole", to: folder)
    let written = try AdapterFile(path: folder)
    #expect(written.description.layers.allSatisfy { $0.path.hasPrefix("encoder.layer.") })
    #expect(written.peftConfiguration?.taskType == "FEATURE_EXTRACTION")
    try model.detach("whole")
    for options in [AdapterFile.Options(), .init(basePath: path)] {
      let file = try AdapterFile(path: folder, options: options)
      #expect(file.notes.isEmpty, "\(file.notes)")
      #expect(try model.loadAdapter(file, named: "again").isEmpty)
      #expect(Self.hidden(model, batch) == whole)
      try model.detach("again")
    }
    // A whole model's adapter is checked against the body's files too.
    let file = try AdapterFile(path: Self.adapter("bert-whole"), options: .init(basePath: path))
    #expect(file.description.layers.count == 6)
  }

  @Test(arguments: [("llama", "llama-grouped"), ("gpt2", "gpt2-tied")])
  func bodysAdapterOnALanguageModel(name: String, base: String) throws {
    let path = Fixtures.path("models/\(base)")
    let reference = try ExpectedValues(model: base)
    let losses = try Self.expected(name, "nll")
    let model = try PretrainedModel(path: path).languageModel
    try model.loadAdapter(from: Self.adapter(name), named: "a")
    #expect(largestDifference(model.losses(reference.ids), losses) < 1e-4)
    try model.detach("a")
    // Written by the base's names in whatever format.
    let file = try AdapterFile(path: Self.adapter(name), options: .init(basePath: path))
    let folder = try Fixtures.temporaryFolder()
    for (format, output) in [
      (AdapterFormat.peft, "peft"), (.mlx, "mlx"), (.gguf, "adapter.gguf"),
    ] {
      let place = folder + "/" + output
      try file.write(as: format, to: place, options: .init(basePath: path))
      let again = try AdapterFile(path: place, options: .init(basePath: path))
      #expect(again.description.layers.map(\.path) == file.description.layers.map(\.path))
      #expect(!again.notes.contains { $0.text.contains("lack") })
      #expect(try model.loadAdapter(again, named: "b").isEmpty, "\(format)")
      #expect(largestDifference(model.losses(reference.ids), losses) < 1e-4, "\(format)")
      try model.detach("b")
    }
  }

  /// A layer that the configuration's patterns, which speak of the body, target is missed.
  @Test func aMissingLayerIsNamedAsInTheFile() throws {
    let path = Fixtures.path("encoders/bert-classifier")
    let model = try PretrainedModel(path: path).model
    let layer = "encoder.layer.1.output.dense"
    let folder = try Self.incomplete("bert", without: layer)
    for load in [
      { _ = try model.loadAdapter(from: folder) },
      { try model.loadAdapter(AdapterFile(path: folder)) },
      { _ = try AdapterFile(path: folder, options: .init(basePath: path)) },
    ] as [() throws -> Void] {
      #expect(throws: FormatError.self) { try load() }
      #expect {
        try load()
      } throws: {
        "\($0)".contains("layer '\(layer)'") && "\($0)".contains("no factors for it")
      }
    }
    #expect(model.adapterNames.isEmpty)
  }

  /// Names that a prefix does not make the model's stay an error.
  @Test func otherModelsAdaptersAreRefused() throws {
    for base in ["models/llama-grouped", "models/gpt2-tied", "encoders/bert-former-names"] {
      let path = Fixtures.path(base)
      let model = try PretrainedModel(path: path).model
      // Three blocks against two, and other widths: the names fit, the shapes do not.
      let name = base.hasPrefix("encoders") ? "llama" : "bert"
      #expect(throws: (any Error).self) { try model.loadAdapter(from: Self.adapter(name)) }
      #expect(throws: FormatError.self) {
        _ = try AdapterFile(path: Self.adapter(name), options: .init(basePath: path))
      }
    }
  }
}

/// Which naming of an adapter's layers a model's names tell.
@Suite struct AdapterNamingTests {
  private func naming(_ paths: [String], _ known: Set<String>) -> AdapterNaming {
    let layers = paths.map { path in
      AdapterDescription.Layer(
        path: path, a: .zeros([1, 2]), b: .zeros([2, 1]), alpha: 1, scale: 1)
    }
    return AdapterNaming(
      of: AdapterDescription(layers: layers), prefixes: ["m.", "t."], isKnown: known.contains)
  }

  @Test func justOneNamingFits() {
    #expect(naming(["m.a", "head"], ["m.a", "head"]) == .ofModel)
    #expect(naming(["a", "b"], ["m.a", "m.b", "head"]) == .withoutPrefix("m."))
    #expect(naming(["m.a", "m.b"], ["a", "b"]) == .withPrefix("m."))
    // None fits all.
    #expect(naming(["a", "c"], ["m.a", "m.b"]) == .ofModel)
    #expect(naming(["a", "head"], ["m.a", "head"]) == .ofModel)
    #expect(naming(["m.a", "b"], ["a", "b"]) == .ofModel)
    // Two do.
    #expect(naming(["a"], ["m.a", "t.a"]) == .ofModel)
    #expect(naming(["m.t.a"], ["t.a", "m.m.t.a"]) == .ofModel)
    // An adapter of a whole model has no names.
    #expect(naming([""], ["m.a"]) == .ofModel)
  }

  @Test func namesGoBothWays() {
    for naming in [AdapterNaming.ofModel, .withoutPrefix("m."), .withPrefix("m.")] {
      for path in ["m.a.b", ""] {
        if let file = naming.inFile(path) { #expect(naming.inModel(file) == path) }
      }
    }
    #expect(AdapterNaming.withoutPrefix("m.").inFile("head") == nil)
    #expect(AdapterNaming.withPrefix("m.").inModel("head") == nil)
  }
}
