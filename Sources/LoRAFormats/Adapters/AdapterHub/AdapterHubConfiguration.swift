import LoRAFiles
import LoRAJSON
import LoRATensor

/// `adapter_config.json` of the `adapters` package (AdapterHub), as far as it describes bottleneck
/// adapters.
///
/// Source: `BnConfig` in `adapters/configuration/adapter_config.py`.
package struct AdapterHubConfiguration: Sendable {
  /// The adapter's name, which its tensors' names contain.
  var name: String
  /// `model_type` of the model that it was made for.
  var modelType: String?
  /// The size of that model's hidden states.
  var hiddenSize: Int?
  /// The model's name on the hub.
  var modelName: String?
  /// Whether networks stand behind the attention, and behind the feed-forward network.
  var behind: (attention: Bool, feedForward: Bool)
  var input: BottleneckChange.Input
  /// The activation.
  var activation: String
  /// What the networks' outputs are multiplied by.
  var scale: Double
  /// The probability that an element of a network's output is dropped while training.
  var dropout: Double
  /// The blocks without networks.
  var leftOut: Set<Int>
  /// As the file has it.
  var original: JSONObject

  static let fileName = PEFTAdapterConfiguration.fileName

  /// The members that ask for what is computed otherwise, with the values that they may have.
  private static let fixed: [(key: String, allowed: [JSONValue], what: String)] = [
    ("original_ln_after", [true], "networks behind the block's norm"),
    ("ln_before", [false], "norms of the networks' own"),
    ("ln_after", [false], "norms of the networks' own"),
    ("use_gating", [false], "gates"),
    ("phm_layer", [false], "Compacter's layers"),
    ("cross_adapter", [false], "networks behind cross attention"),
    ("stochastic_depth", [0, 0.0], "networks that are skipped at random"),
  ]

  init(_ object: JSONObject, file: String) throws(FormatError) {
    original = object
    let fields = JSONFields(object: object, file: file)
    guard let name = try fields.string("name"), !name.isEmpty else {
      throw fields.error(
        .missingKey, "name", "it is absent, and tensors are called by it",
        "save the adapter again with save_adapter")
    }
    self.name = name
    modelType = try fields.string("model_type")
    hiddenSize = try fields.size("hidden_size")
    modelName = try fields.string("model_name")
    guard let options = try fields.object("config") else {
      throw fields.error(.missingKey, "config", "it is absent, and says what the adapter is")
    }
    if let other = try options.string("architecture") {
      throw options.error(
        .unsupported, "architecture",
        "it is '\(other)': of the adapters package's methods bottleneck adapters are read",
        "train it with PEFT, or with `lora train`")
    }
    for (key, allowed, what) in Self.fixed {
      guard let value = options[key], !allowed.contains(value) else { continue }
      throw options.error(
        .unsupported, key, "it is \(value.encoded()): \(what) are not supported",
        "use an adapter that was trained without")
    }
    if options["inv_adapter"] != nil {
      throw options.error(
        .unsupported, "inv_adapter", "invertible adapters of embeddings are not supported",
        "use an adapter that was trained without")
    }
    behind = (
      try options.bool("mh_adapter") ?? false, try options.bool("output_adapter") ?? false
    )
    guard behind.attention || behind.feedForward else {
      throw options.error(
        .invalidValue, "output_adapter", "neither it nor 'mh_adapter' is true: no network is there")
    }
    input = try Self.input(options)
    activation = try options.string("non_linearity")?.lowercased() ?? "relu"
    if let text = options["scaling"]?.stringValue {
      throw options.error(
        .unsupported, "scaling", "it is '\(text)': factors that are learned are not supported",
        "multiply adapter_up by them, and set 'scaling' to 1.0")
    }
    scale = try options.double("scaling") ?? 1
    guard scale.isFinite else {
      throw options.error(.invalidValue, "scaling", "\(scale) is not a finite number")
    }
    dropout = try options.double("dropout") ?? 0
    guard (0..<1).contains(dropout) else {
      throw options.error(
        .invalidValue, "dropout", "expected 0 or more and below 1, found \(dropout)")
    }
    leftOut = []
    for value in options["leave_out"]?.arrayValue ?? [] {
      guard let index = value.intValue, index >= 0 else {
        throw options.error(
          .typeMismatch, "leave_out", "expected numbers of blocks, found \(value.encoded())")
      }
      leftOut.insert(index)
    }
  }

  private static func input(_ options: JSONFields) throws(FormatError) -> BottleneckChange.Input {
    if try options.bool("is_parallel") ?? false { return .residual }
    guard try options.bool("original_ln_before") ?? false else { return .output }
    if let value = options["residual_before_ln"], value != true {
      throw options.error(
        .unsupported, "residual_before_ln",
        "it is \(value.encoded()): networks that replace the block's output are not supported",
        "use an adapter that was trained with true")
    }
    return .sum
  }

  /// The configuration of an adapter of these changes, in what an earlier one says that they don't.
  init(
    describing changes: [(block: Int, change: BottleneckChange)], name: String, modelType: String?,
    modelName: String?, dropout: Double, keeping kept: AdapterHubConfiguration?
  ) {
    let first = changes[0].change
    let size = first.networks[0].network.down.shape[1]
    original = kept?.original ?? [:]
    self.name = kept?.name ?? name
    self.modelType = kept?.modelType ?? modelType
    self.modelName = kept?.modelName ?? modelName
    hiddenSize = size
    behind = (first.attention != nil, first.feedForward != nil)
    (input, activation, scale) = (first.input, first.activation, first.scale)
    self.dropout = kept?.dropout ?? dropout
    let present = Set(changes.map(\.block))
    leftOut = Set((0...(present.max() ?? 0)).filter { !present.contains($0) })
    if let kept { leftOut.formUnion(kept.leftOut.subtracting(present)) }
    var options = original["config"]?.objectValue ?? Self.defaults
    options["mh_adapter"] = .bool(behind.attention)
    options["output_adapter"] = .bool(behind.feedForward)
    options["is_parallel"] = .bool(input == .residual)
    options["original_ln_before"] = .bool(input == .sum)
    if input == .sum { options["residual_before_ln"] = true }
    options["non_linearity"] = .string(activation)
    options["scaling"] = .number(scale)
    options["dropout"] = .number(self.dropout)
    options["leave_out"] = .array(leftOut.sorted().map { .integer(Int64($0)) })
    options["reduction_factor"] = Self.reductionFactor(changes, size: size)
    original["config"] = .object(options)
    original["name"] = .string(self.name)
    original["hidden_size"] = .integer(Int64(size))
    if let modelType = self.modelType { original["model_type"] = .string(modelType) }
    if let modelName = self.modelName { original["model_name"] = .string(modelName) }
    if kept == nil { original["version"] = "adapters.1.3.0" }
  }

  /// What `int(size // factor)` makes the widths of: one number, or one a block.
  private static func reductionFactor(
    _ changes: [(block: Int, change: BottleneckChange)], size: Int
  ) -> JSONValue {
    func factor(_ change: BottleneckChange) -> JSONValue {
      let width = change.networks[0].network.width
      // Halfway to the next width: a quotient of floating-point numbers may round down.
      return size % width == 0
        ? .integer(Int64(size / width)) : .number(Double(size) / (Double(width) + 0.5))
    }
    let factors = changes.map { (block: $0.block, factor: factor($0.change)) }
    if Set(factors.map { $0.factor.encoded() }).count == 1 { return factors[0].factor }
    var object: JSONObject = ["default": factors[0].factor]
    for item in factors { object["\(item.block)"] = item.factor }
    return .object(object)
  }

  /// What the package writes of options that say nothing here.
  private static let defaults: JSONObject = [
    "adapter_residual_before_ln": false, "cross_adapter": false, "factorized_phm_W": true,
    "factorized_phm_rule": false, "hypercomplex_nonlinearity": "glorot-uniform",
    "init_weights": "bert", "init_weights_seed": .null, "inv_adapter": .null,
    "inv_adapter_reduction_factor": .null, "learn_phm": true, "ln_after": false, "ln_before": false,
    "original_ln_after": true, "phm_bias": true, "phm_c_init": "normal", "phm_dim": 4,
    "phm_init_range": 0.0001, "phm_layer": false, "phm_rank": 1, "shared_W_phm": false,
    "shared_phm_rule": true, "stochastic_depth": 0, "use_gating": false,
  ]
}
