public import ArgumentParser
public import LoRAKit

extension PreferenceLoss.Form: ExpressibleByArgument {}

/// How `--task preference` makes some completions likelier than others.
struct PreferenceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How preferences are learned: dpo and ipo from pairs beside the model without its adapter, orpo "
        + "from pairs alone, kto from single completions. (default: dpo, or kto for single completions)",
      valueName: "loss"))
  var preferenceLoss: PreferenceLoss.Form?
  @Option(
    parsing: .unconditional,
    help:
      "How strongly the model is held to what it was; the weight of the odds with orpo. (default: 0.1)"
  )
  var beta: Double?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The probability that a preference is the wrong way round, with dpo. (default: 0)",
      valueName: "part"))
  var labelSmoothing: Double?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The weight of desirable completions, with kto. (default: 1)", valueName: "weight"))
  var desirableWeight: Double?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The weight of undesirable completions, with kto. (default: 1)", valueName: "weight"))
  var undesirableWeight: Double?

  /// The options that were given.
  private var given: [String] {
    [
      ("--preference-loss", preferenceLoss != nil), ("--beta", beta != nil),
      ("--label-smoothing", labelSmoothing != nil), ("--desirable-weight", desirableWeight != nil),
      ("--undesirable-weight", undesirableWeight != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    try demand("--beta", beta, .above(0))
    try demand("--label-smoothing", labelSmoothing, .from(0, below: 0.5))
    try demand("--desirable-weight", desirableWeight, .atLeast(0))
    try demand("--undesirable-weight", undesirableWeight, .atLeast(0))
    if labelSmoothing != nil, preferenceLoss ?? .dpo != .dpo {
      throw ValidationError("--label-smoothing makes no sense but with --preference-loss dpo")
    }
    if desirableWeight != nil || undesirableWeight != nil, preferenceLoss ?? .kto != .kto {
      throw ValidationError(
        "--desirable-weight and --undesirable-weight make no sense but with --preference-loss kto")
    }
  }

  /// Throws wrong usage if an option was given for another task.
  func check(for task: TaskArgument) throws(ValidationError) {
    guard task != .preference, let first = given.first else { return }
    throw ValidationError("\(first) makes no sense without --task preference")
  }

  /// The loss for pairs, or for single completions.
  func loss(ofPairs arePairs: Bool) -> PreferenceLoss {
    PreferenceLoss(
      preferenceLoss ?? (arePairs ? .dpo : .kto), beta: beta ?? 0.1,
      labelSmoothing: labelSmoothing ?? 0, desirableWeight: desirableWeight ?? 1,
      undesirableWeight: undesirableWeight ?? 1)
  }
}
