import LoRAFormats
import LoRAKit

/// The `lora train` that trains what a search has found, from the arguments of the search.
struct TunedCommand {
  /// The arguments, without the output.
  let arguments: [String]

  /// What only a search has, and what is given anew.
  private static let dropped = (
    values: ["--time", "--metric", "--max-tokens", "--output", "--data"],
    flags: ["--resume", "--force", "--json", "--no-fix"]
  )

  /// - Parameters:
  ///   - trial: what was found.
  ///   - steps: for how many steps it was trained.
  ///   - targets: the layers, by name.
  ///   - arguments: those of the search.
  ///   - data: the files that were learned from.
  ///   - validation: the share that was kept from training, where the arguments do not say it.
  init(
    _ trial: TuningRecord.Trial, steps: Int, targets: PEFTAdapterConfiguration.Modules?,
    arguments: [String], data: [WeightedFile], validation: String?
  ) {
    var kept: [String] = []
    var rest = arguments[...]
    while let next = rest.popFirst() {
      let name = next.split(separator: "=", maxSplits: 1).first.map(String.init) ?? next
      if Self.dropped.flags.contains(name) { continue }
      if Self.dropped.values.contains(name) {
        if name == next { rest = rest.dropFirst() }
        continue
      }
      kept.append(next)
    }
    let candidate = trial.candidate
    for file in data {
      kept += ["--data", file.weight == 1 ? file.path : "\(file.path):\(file.weight)"]
    }
    if let validation { kept += ["--validation", validation] }
    kept += ["--method", candidate.method, "--rank", "\(candidate.rank)"]
    kept += ["--alpha", "\(candidate.alpha)"]
    if candidate.dropout > 0 { kept += ["--dropout", "\(candidate.dropout)"] }
    if candidate.targets != .allLinear, case .names(let names)? = targets {
      kept += ["--targets", names.joined(separator: ",")]
    }
    kept += ["--learning-rate", "\(candidate.learningRate)"]
    if let rate = candidate.headLearningRate { kept += ["--head-learning-rate", "\(rate)"] }
    kept += ["--batch", "\(candidate.batchSize)", "--steps", "\(steps)"]
    if trial.stage != .default {
      kept += ["--schedule", "wsd", "--warmup", "\(TuningCandidate.warmupSteps)"]
    }
    self.arguments = kept
  }

  /// The command as a shell takes it.
  var text: String {
    (["lora", "train"] + arguments).map(Self.quoted).joined(separator: " ")
  }

  private static func quoted(_ argument: String) -> String {
    let plain = argument.unicodeScalars.allSatisfy {
      $0.properties.isAlphabetic || ("0"..."9").contains($0)
        || "-_./,:=+@%#".unicodeScalars.contains($0)
    }
    return plain && !argument.isEmpty
      ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
  }
}
