import Foundation
import LoRAKit

/// One method of adaptation on one classification task: parameters, time, memory, accuracy, as one JSON
/// object. `Benchmarks/Classification/compare.py` runs them all.
///
///     Methods MODEL TRAIN.jsonl TEST.jsonl METHOD [SEED] [EPOCHS] [RATE]
///
/// The head is trained along with every method, at a rate of its own that is the same for all, since it
/// starts from random numbers. Batches of 32 by length, AdamW with a decay of 0.01, linear
/// with a sixteenth of warm-up, gradients clipped at 1.
@main
struct Methods {
  static let all: [(name: String, rate: Double)] = [
    ("head", 5e-3), ("bitfit", 5e-3), ("ia3", 1e-2), ("vera", 1e-2),
    ("prefix", 1e-2), ("prompt", 1e-2), ("bottleneck", 2e-3), ("lora", 2e-3), ("rslora", 1e-3),
    ("dora", 2e-3), ("full", 2e-4),
  ]

  /// The learning rate of the head.
  static let headRate = 1e-2

  static func main() async throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count >= 4, let method = all.first(where: { $0.name == arguments[3] }) else {
      print(
        "usage: Methods MODEL TRAIN TEST \(all.map(\.name).joined(separator: "|")) [SEED] [EPOCHS] [RATE]"
      )
      exit(64)
    }
    let seed = arguments.count > 4 ? UInt64(arguments[4]) ?? 0 : 0
    let epochs = arguments.count > 5 ? Int(arguments[5]) ?? 3 : 3
    let rate = arguments.count > 6 ? Double(arguments[6]) ?? method.rate : method.rate
    let (train, test) = (try LabelledText.read(arguments[1]), try LabelledText.read(arguments[2]))
    let labels = try LabelSet(of: train, file: arguments[1])
    let pretrained = try PretrainedModel(path: arguments[0], classifying: labels.names, seed: seed)
    let model = try pretrained.sequenceClassifier
    let tokenizer = try pretrained.tokenizer()
    func encoded(_ texts: [LabelledText]) throws -> LabelledDataSet {
      try LabelledDataSet.encoding(texts, labels: labels, tokenizer: tokenizer, longest: 512).data
    }
    let (data, held) = (try encoded(train), try encoded(test))
    let stepCount = epochs * ((data.exampleCount + 31) / 32)
    var options = TrainingOptions(
      duration: .epochs(epochs), batchSize: 32, learningRate: rate, schedule: .linear,
      warmupSteps: stepCount / 16, weightDecay: 0.01, seed: seed)
    options.groupsByLength = true
    // As `lora train` has it where batches differ in length.
    BufferPool.shared.cacheLimit = 256 << 20

    var names: [String] = []
    var trainer: Trainer<LabelledDataSet>
    if method.name == "full" {
      trainer = try Trainer(model, training: .full, on: data, options: options)
    } else {
      names = try attach(method.name, to: model, seed: seed)
      let selection = selection(names)
      trainer = try Trainer(
        parameters: names.flatMap { name in
          model.adapterParameters(named: name).map {
            (path: "\(name)/\($0.path)", parameter: $0.parameter)
          }
        }, on: data, options: options
      ) { batch, scale in
        try model.withAdapters(selection) {
          model.loss(batch.tokens, labels: batch.labels, scale: scale)
        }
      }
    }
    let heads = model.modules().filter { $0.module === model.outputHead }.map(\.path)
    let isFull = method.name == "full"
    precondition(
      trainer.setLearningRate(headRate, ofModules: isFull ? heads : heads.map { "head/\($0)" }))
    let start = Date()
    let result = try await trainer.run { report in
      if report.step % 50 == 0 { FileHandle.standardError.write(Data("\(report)\n".utf8)) }
      return .continue
    }
    let seconds = Date().timeIntervalSince(start)
    var usage = rusage()
    getrusage(0, &usage)  // RUSAGE_SELF, whose type differs between systems
    let evaluation = try model.withAdapters(selection(names)) { try model.evaluate(on: held) }
    let cpu = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
    print(
      """
      {"method":"\(method.name)","seed":\(seed),"epochs":\(epochs),"rate":\(rate),\
      "parameters":\(result.trainedParameterCount),"bytes":\(4 * result.trainedParameterCount),\
      "seconds":\(seconds),"cpu_seconds":\(cpu),\
      "examples_per_second":\(Double(epochs * data.exampleCount) / seconds),\
      "peak_rss_bytes":\(usage.ru_maxrss * 1024),"accuracy":\(evaluation.accuracy)}
      """)
  }

  private static func selection(_ names: [String]) -> AdapterSelection {
    AdapterSelection(Dictionary(uniqueKeysWithValues: names.map { ($0, 1) }))
  }

  /// Attaches the fresh adapters of a method and of the head; their names.
  private static func attach(
    _ method: String, to model: any PretrainedSequenceClassifier, seed: UInt64
  ) throws -> [String] {
    let head = model.outputHead
    func copies(_ module: any Module, _ names: [String]) -> TrainedCopies {
      TrainedCopies(
        names.compactMap { name in
          module.parameters[name].map { [name: Parameter($0.value.converted(to: .float32))] }
        }.reduce([:]) { $0 + $1 })
    }
    var biases: [String: any LinearAdapter] = [:]
    for (path, module) in model.modules() {
      if module === head {
        try model.attach([path: copies(module, ["weight", "bias"])], named: "head")
      } else if module is any AdaptableModule, module.parameters["bias"] != nil {
        biases[path] = copies(module, ["bias"])
      }
    }
    switch method {
    case "head": return ["head"]
    case "bitfit": try model.attach(biases, named: "method")
    case "lora":
      try model.inject(LoRA(rank: 8, alpha: 16), named: "method", into: .allLinear, seed: seed)
    case "rslora":
      try model.inject(
        LoRA(rank: 8, alpha: 16, isRankStabilized: true), named: "method", into: .allLinear,
        seed: seed)
    case "dora":
      try model.inject(DoRA(rank: 8, alpha: 16), named: "method", into: .allLinear, seed: seed)
    case "vera": try model.inject(VeRA(rank: 256), named: "method", into: .allLinear, seed: seed)
    case "ia3":
      try model.inject(
        IA3(feedForward: ["output.dense"]), named: "method",
        into: ["key", "value", "output.dense"],
        seed: seed)
    case "bottleneck":
      try model.inject(
        Bottleneck.houlsby(reductionFactor: 16), named: "method", seed: seed)
    case "prompt":
      try model.inject(PromptTuning(count: 20), named: "method", seed: seed)
    default: try model.inject(PrefixTuning(count: 20), named: "method", seed: seed)
    }
    return ["method", "head"]
  }
}

/// Copies of a module's own parameters, trained in their place: the head, and the biases of BitFit.
private final class TrainedCopies: LinearAdapter {
  let parameters: Named<Parameter>

  init(_ parameters: Named<Parameter>) { self.parameters = parameters }

  var effect: AdapterEffect { .parameters(ParameterReplacement(parameters)) }
}
