import ArgumentParser
import LoRAKit

/// The optimizers by their names on the command line.
enum OptimizerArgument: String, ExpressibleByArgument, CaseIterable {
  case adamw
  case adamw8Bit = "adamw-8bit"
  case lion
  case adafactor
  case sgd
  case muon
}

/// How gradients become new values, and which parameters have settings of their own.
struct OptimizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How gradients become steps. adamw-8bit remembers in a quarter of AdamW's memory, lion in half, "
        + "adafactor in almost none; lion wants a third to a tenth of AdamW's learning rate."))
  var optimizer: OptimizerArgument = .adamw
  @Option(
    parsing: .unconditional,
    help: "How much of the mean of gradients is kept a step, with AdamW and Lion. (default: 0.9)")
  var beta1: Double?
  @Option(
    parsing: .unconditional,
    help:
      "How much of the mean of their squares is kept, with AdamW (default: 0.999); with Lion of their mean (default: 0.99)."
  )
  var beta2: Double?
  @Option(
    parsing: .unconditional,
    help: "What AdamW adds to the root of the mean square. (default: 1e-8)")
  var epsilon: Double?
  @Option(
    parsing: .unconditional, help: "The momentum of sgd (default: 0) and muon (default: 0.95).")
  var momentum: Double?
  @Option(
    parsing: .unconditional, help: "The weight decay; that of sgd is added to the gradient.")
  var weightDecay = 0.0
  @Option(
    help: ArgumentHelp(
      "What --weight-decay leaves alone: vectors (parameters of one dimension, as biases, norms and "
        + "magnitudes), or parts of paths, separated by commas. (default: nothing)",
      valueName: "list"))
  var noDecay: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Train each layer at this part of the learning rate of the layer above it, embeddings below the "
        + "first. (default: 1)", valueName: "factor"))
  var layerDecay: Double?

  /// The options that this optimizer has a use for.
  private var settings: Set<String> {
    switch optimizer {
    case .adamw, .adamw8Bit: ["--beta1", "--beta2", "--epsilon"]
    case .lion: ["--beta1", "--beta2"]
    case .adafactor: []
    case .sgd: ["--momentum"]
    case .muon: ["--momentum", "--beta1", "--beta2", "--epsilon"]
    }
  }

  func validate() throws {
    try demand("--beta1", beta1, .from(0, below: 1))
    try demand("--beta2", beta2, .from(0, below: 1))
    try demand("--epsilon", epsilon, .above(0))
    try demand("--momentum", momentum, .from(0, below: 1))
    try demand("--weight-decay", weightDecay, .atLeast(0))
    try demand("--layer-decay", layerDecay, .above(0, to: 1))
    let given = [
      ("--beta1", beta1), ("--beta2", beta2), ("--epsilon", epsilon), ("--momentum", momentum),
    ].filter { $0.1 != nil && !settings.contains($0.0) }.map(\.0)
    if let first = given.first {
      throw ValidationError(
        "\(first) makes no sense with --optimizer \(optimizer.rawValue), which has no such setting")
    }
    if let noDecay {
      guard weightDecay > 0 else {
        throw ValidationError("--no-decay makes no sense without --weight-decay")
      }
      guard Self.parts(noDecay).allSatisfy({ !$0.isEmpty }) else {
        throw ValidationError(
          "--no-decay '\(noDecay)' has an empty part; it is a list as vectors,bias")
      }
    }
  }

  private static func parts(_ list: String) -> [String] {
    list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  /// The optimizer with its settings.
  var recipe: any Optimizer {
    let exact = AdamW(
      beta1: beta1 ?? 0.9, beta2: beta2 ?? 0.999, epsilon: epsilon ?? 1e-8)
    return switch optimizer {
    case .adamw: exact
    case .adamw8Bit: AdamW8Bit(beta1: exact.beta1, beta2: exact.beta2, epsilon: exact.epsilon)
    case .lion: Lion(beta1: beta1 ?? 0.9, beta2: beta2 ?? 0.99)
    case .adafactor: Adafactor(epsilon1: 1e-15, isRelative: false)
    case .sgd: SGD(momentum: momentum ?? 0)
    case .muon: Muon(momentum: momentum ?? 0.95, vectors: exact)
    }
  }

  /// Gives `trainer` the optimizer and the settings of single parameters.
  func apply(to trainer: inout Trainer<some TrainingData>) throws {
    trainer.optimizer = recipe
    if let noDecay {
      for part in Self.parts(noDecay) {
        let count = trainer.exemptFromWeightDecay { item in
          part == "vectors" ? item.parameter.shape.count < 2 : item.path.contains(part)
        }
        if count == 0 {
          throw CommandError(
            "--no-decay \(part): no parameter that is trained is meant; they are called as "
              + "'\(trainer.groups.first?.parameters.first?.path ?? "")'")
        }
      }
    }
    if let layerDecay, trainer.decayLearningRates(byLayer: layerDecay) == 0 {
      throw CommandError("--layer-decay: no parameter that is trained lies in a numbered layer")
    }
  }
}
