import ArgumentParser
import LoRAFormats
import LoRAKit

/// What an adapter is made of, by flags, by a configuration file, or by an adapter to go on from.
struct RecipeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What to train: an adapter of this method, or with full the whole model. (default: lora)"))
  var method: TrainingMethod?
  @Option(
    parsing: .unconditional, help: "The adapter's rank. (default: 8; 256 for vera)")
  var rank: Int?
  @Option(
    parsing: .unconditional,
    help: "Scale the adapter's change by alpha / rank. (default: 16; 8 for loha and lokr)")
  var alpha: Double?
  @Option(
    parsing: .unconditional,
    help: "The probability of dropping an element of the adapter's input. (default: 0)")
  var dropout: Double?
  @Flag(help: "Scale by alpha / sqrt(rank) instead.")
  var rslora = false
  @Option(
    name: .customLong("init"),
    help: "How LoRA's factors start; the base is left as it is. (default: kaiming)")
  var initialization: LoRA.Initialization?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The number of virtual tokens of prompt-tuning and prefix-tuning. (default: 20)",
      valueName: "count"))
  var virtualTokens: Int?
  @Option(
    help: ArgumentHelp(
      "The layers to adapt: all-linear, a list such as q_proj,v_proj, or regex:EXPRESSION, which must "
        + "match whole paths. "
        + "(default: all-linear; with ia3, keys, values and down projections)",
      valueName: "layers"))
  var targets: TargetArgument?
  @Option(
    help: ArgumentHelp(
      "An adapter of any format to go on training. It fixes method, rank and targets; an option that "
        + "says otherwise is an error.", valueName: "adapter"))
  var initAdapter: String?
  @Flag(
    help: "Accept an --init-adapter that was made for another base model, otherwise an error.")
  var allowOtherBase = false
  @Option(
    help: ArgumentHelp(
      "Take the adapter's settings from an adapter_config.json of PEFT; an option that says otherwise "
        + "is an error.", valueName: "file.json"))
  var config: String?

  func validate() throws {
    if let targets,
      let (_, text, problem) = PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: targets.modules)
        .invalidExpression
    {
      throw ValidationError("--targets 'regex:\(text)' can't be matched: \(problem)")
    }
    try AdapterArgument.demandNoScale(initAdapter, "--init-adapter")
    try demand("--rank", rank, .atLeast(1))
    try demand("--virtual-tokens", virtualTokens, .atLeast(1))
    try demand("--dropout", dropout, .from(0, below: 1))
    if config != nil, initAdapter != nil {
      throw ValidationError("--config and --init-adapter both fix the adapter; give one of them")
    }
    let source = config != nil ? "--config" : initAdapter != nil ? "--init-adapter" : nil
    if trained == .full, let source {
      throw ValidationError(
        "\(source) makes no sense with --method full, which trains no adapter")
    }
    if allowOtherBase, initAdapter == nil {
      throw ValidationError("--allow-other-base makes no sense without --init-adapter")
    }
    if initialization != nil, let source {
      throw ValidationError("\(source) fixes how the factors start; leave out --init")
    }
    let meaningless = flags.meaningless
    if !meaningless.isEmpty, source == nil {
      let reason =
        trained == .full ? "which trains no adapter" : "which has no such hyperparameter"
      throw ValidationError(
        "\(meaningless.joined(separator: ", ")) "
          + "\(meaningless.count == 1 ? "makes" : "make") no sense with --method \(trained), \(reason)"
      )
    }
  }

  /// What is trained where no file says otherwise.
  var trained: TrainingMethod { method ?? .lora }

  private var flags: AdapterRecipe {
    AdapterRecipe(
      method: trained, rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: rslora,
      initialization: initialization, virtualTokens: virtualTokens, targets: targets?.modules)
  }

  /// Throws for a hyperparameter that nothing can be learned with, before any model is opened.
  func check() throws(AdapterError) { try flags.check() }

  /// Attaches the adapter that will be trained to `model`, which was opened from `path`; the
  /// configuration to save it with, and warnings. `complete` says what the task wants of a recipe.
  func attach(
    to model: any PretrainedTokenModel, from path: String, named name: String, seed: UInt64,
    memoryLimit: Int? = nil,
    completing complete: (PEFTAdapterConfiguration) -> PEFTAdapterConfiguration = { $0 }
  ) throws -> (configuration: PEFTAdapterConfiguration, warnings: [String]) {
    if let initAdapter {
      let file = try AdapterFile.opened(initAdapter, toAttachTo: path)
      let warnings: [String]
      do {
        warnings = try model.loadAdapter(
          file, named: name, isTrainable: true, allowsNoEffect: true,
          allowsOtherBase: allowOtherBase)
      } catch let error as AdapterError {
        throw CommandError(initAdapter, error)
      }
      var configuration =
        try file.peftConfiguration
        ?? PEFTAdapterConfiguration(
          describing: file.description, among: model.linearLayers().map(\.path))
      file.provenance.fill(&configuration)
      try check(configuration, initAdapter, model)
      return (configuration, warnings.map { "\(initAdapter): \($0)" })
    }
    var configuration: PEFTAdapterConfiguration
    var warnings: [String] = []
    if let config {
      configuration = complete(
        try PEFTAdapterConfiguration(path: config)
          .resolvingTargets(forModelType: model.layout.modelType))
      warnings = [configuration.noteOfUnknownFields].compactMap { $0.map { "\(config): \($0)" } }
      try check(configuration, config, model)
    } else {
      configuration = complete(flags.configuration(for: model))
    }
    let report = try model.inject(
      configuration, named: name, seed: seed, memoryLimit: memoryLimit)
    configuration.nameTargets(of: report)
    return (configuration, warnings + report.warnings)
  }

  /// Throws if a flag says otherwise than the configuration that came from `source`.
  private func check(
    _ configuration: PEFTAdapterConfiguration, _ source: String, _ model: any PretrainedTokenModel
  ) throws {
    func demand(_ isSame: Bool, _ flag: String, _ found: String) throws {
      if !isSame {
        throw ContradictionError(
          description:
            "\(flag) contradicts '\(source)', which has \(found); leave out the one or the other")
      }
    }
    if let method {
      let name = configuration.recipeName
      try demand(method.description == name, "--method \(method)", name.uppercased())
    }
    if let rank {
      try demand(rank == configuration.rank, "--rank \(rank)", "\(configuration.rank)")
    }
    if let alpha {
      try demand(alpha == configuration.alpha, "--alpha \(alpha)", "\(configuration.alpha)")
    }
    if let dropout {
      try demand(
        dropout == configuration.dropout, "--dropout \(dropout)", "\(configuration.dropout)")
    }
    if let virtualTokens {
      let found = configuration.virtualTokenCount
      try demand(
        virtualTokens == found, "--virtual-tokens \(virtualTokens)",
        found.map { "\($0)" } ?? "no virtual tokens")
    }
    if rslora {
      try demand(configuration.usesRankStabilizedScale, "--rslora", "the scale alpha / rank")
    }
    if let targets {
      let wanted = PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: targets.modules)
      try demand(
        wanted.layers(of: model) == configuration.layers(of: model), "--targets \(targets.text)",
        "other targets")
    }
  }
}

/// The layers as `--targets` names them.
struct TargetArgument: ExpressibleByArgument, Sendable {
  let text: String
  let modules: PEFTAdapterConfiguration.Modules

  init?(argument: String) {
    text = argument
    if argument == "all-linear" {
      modules = .allLinear
    } else if argument.hasPrefix("regex:") {
      let pattern = String(argument.dropFirst("regex:".count))
      guard !pattern.isEmpty else { return nil }
      modules = .pattern(pattern)
    } else {
      let names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard names.allSatisfy({ !$0.isEmpty }) else { return nil }
      modules = .names(names)
    }
  }
}

extension PEFTAdapterConfiguration {
  /// Names the layers that an injection by "all-linear" found, as PEFT saves it: what "all" was is not for the
  /// reader to find out.
  mutating func nameTargets(of report: InjectionReport) {
    guard targets == .allLinear else { return }
    let names = report.layers.map { $0.split(separator: ".").last.map(String.init) ?? $0 }
    targets = .names(Set(names).sorted())
  }

  /// The paths of the layers of `model` that the targets select.
  fileprivate func layers(of model: any PretrainedTokenModel) -> [String] {
    model.linearLayers().filter { path, layer in
      matches(path: path) && !(targets == .allLinear && layer === model.outputHead)
    }.map(\.path)
  }
}
