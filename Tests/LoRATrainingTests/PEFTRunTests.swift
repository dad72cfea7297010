import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATraining
import TestSupport
import Testing

/// Methods beyond LoRA as PEFT computes and trains them; see Tests/Reference/peft_runs.py.
@Suite struct PEFTRunTests {
  static let names = [
    "vera", "vera-drawn", "prompt", "prompt-gpt2", "prefix", "prefix-gpt2",
  ]

  /// One of peft_runs.py's folders.
  struct Reference {
    let folder: String
    let file: SafetensorsFile
    let run: ReferenceTrainingTests.Run
    let ids: Tensor

    init(_ name: String) throws {
      folder = Fixtures.path("runs/\(name)")
      file = try SafetensorsFile(path: folder + "/run.safetensors")
      run = try ReferenceFile(file: file).metadata("run")
      ids = try SafetensorsIDs(model: run.model).ids
    }

    func model() throws -> any PretrainedLanguageModel {
      try PretrainedModel(path: Fixtures.path("models/\(run.model)"), type: .float32).languageModel
    }

    func losses(_ model: any PretrainedLanguageModel) throws -> Tensor {
      let length = ids.shape[1]
      return try model.tokenLosses(
        tokens: ids.sliced(axis: 1, 0..<length - 1), targets: ids.sliced(axis: 1, 1..<length))
    }
  }

  @Test(arguments: names) func whatPEFTTrainedGivesItsLosses(name: String) throws {
    let reference = try Reference(name)
    let model = try reference.model()
    let base = try reference.losses(model)
    try model.loadAdapter(from: reference.folder + "/trained", named: "a")
    let adapted = try reference.losses(model)
    #expect(largestDifference(adapted, try reference.file.tensor(named: "nll")) < 1e-4)
    #expect(largestDifference(adapted, base) > 1e-2)
    try model.disableAdapters()
    #expect(try reference.losses(model) == base)
    try model.enableAdapters(["a": 1])
    #expect(try reference.losses(model) == adapted)
    try model.detach("a")
    #expect(try reference.losses(model) == base)
  }

  @Test(arguments: names) func trainingFollowsPEFT(name: String) throws {
    let reference = try Reference(name)
    let model = try reference.model()
    let base = model.values
    try model.loadAdapter(
      from: reference.folder + "/start", named: "a", isTrainable: true, allowsNoEffect: true)
    let losses = try Self.train(model, reference)
    let expected = try ReferenceFile(file: reference.file).numbers("losses")
    #expect(losses.count == 50)
    #expect(zip(losses, expected).map { abs($0 - $1) }.max() ?? 1 < 1e-4)
    try model.detach("a")
    #expect(model.values == base)
  }

  /// A recipe of PEFT's alone is the adapter that PEFT starts from, as far as chance allows.
  @Test(arguments: ["vera", "vera-drawn"]) func recipesStartAsPEFTs(name: String) throws {
    let reference = try Reference(name)
    let model = try reference.model()
    let recipe = try PEFTAdapterConfiguration(
      path: reference.folder + "/start/adapter_config.json")
    try model.inject(recipe, named: "a")
    try model.loadAdapter(
      from: reference.folder + "/start", named: "b", allowsNoEffect: true, enabled: false)
    let (fresh, read) = (
      model.adapterParameters(named: "a"), model.adapterParameters(named: "b")
    )
    #expect(fresh.count == read.count && !fresh.isEmpty)
    for (one, other) in zip(fresh, read) {
      #expect(one.path == other.path && one.parameter.value == other.parameter.value)
    }
    let losses = try Self.train(model, reference)
    let expected = try ReferenceFile(file: reference.file).numbers("losses")
    #expect(zip(losses, expected).map { abs($0 - $1) }.max() ?? 1 < 1e-4)
  }

  @Test(arguments: ["vera", "vera-drawn"]) func mergedIsUnmerged(name: String) throws {
    let reference = try Reference(name)
    let model = try reference.model()
    try model.loadAdapter(from: reference.folder + "/trained", named: "a")
    let adapted = try reference.losses(model)
    try model.mergeAdapters(["a": 1])
    #expect(largestDifference(try reference.losses(model), adapted) < 1e-4)
    try model.unmergeAdapters()
    #expect(try reference.losses(model) == adapted)
  }

  /// What was read is written again bit for bit, and so is what was attached.
  @Test(arguments: names) func writtenAsRead(name: String) throws {
    let reference = try Reference(name)
    let model = try reference.model()
    let file = try model.loadAdapter(from: reference.folder + "/trained", named: "a")
    for isAttached in [false, true] {
      let folder = try ScratchFolder.make()
      if isAttached {
        try model.saveAdapter("a", to: folder, configuration: file.peftConfiguration)
      } else {
        try PEFTAdapterFile(path: file.path).write(to: folder)
      }
      for part in ["adapter_model.safetensors", "adapter_config.json"] {
        let (old, new) = (
          try MappedFile(path: "\(reference.folder)/trained/\(part)"),
          try MappedFile(path: "\(folder)/\(part)")
        )
        #expect(
          old.withUnsafeBytes { a in new.withUnsafeBytes { a.elementsEqual($0) } },
          "\(part), attached \(isAttached)")
      }
    }
  }

  static func train(
    _ model: any PretrainedLanguageModel, _ reference: Reference
  ) throws -> [Double] {
    var losses: [Double] = []
    try Trainer(
      model, training: .adapter("a"),
      on: try TokenDataSet(sequences: reference.file.tensor(named: "ids")),
      options: reference.run.options
    ).run {
      losses.append($0.loss)
      return .continue
    }
    return losses
  }
}
