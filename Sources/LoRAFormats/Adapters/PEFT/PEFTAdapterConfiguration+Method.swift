import LoRAFiles

extension PEFTAdapterConfiguration {
  /// A method that PEFT knows and this library supports, with what only that method has:
  /// `.lora(_:)`, `.loha(_:)`, `.lokr(_:)` or `.ia3(_:)`.
  public struct Method: Sendable, Hashable {
    /// All methods that are read and written; each has a file in `Methods`.
    static let all: [any PEFTMethod.Type] = [
      LoRA.self,
      LoHa.self,
      LoKr.self,
      IA3.self,
      VeRA.self,
      PromptTuning.self,
      PrefixTuning.self,
    ]

    private var box: HashableBox

    /// What only this method has.
    var options: any PEFTMethod {
      get { box.options }
      set { box.options = newValue }
    }

    init(_ options: any PEFTMethod) { box = HashableBox(options: options) }

    /// PEFT's name of it, its `peft_type`.
    package var peftType: String { options.type.peftType }

    /// The names of all supported methods.
    static var supported: [String] { all.map { $0.peftType } }

    /// The types of all methods' options.
    package static var types: [Any.Type] { all.map { $0 as Any.Type } }

    /// The options, for the module that trains them.
    package var anyOptions: any Sendable { options }

    /// The key of alpha; nil for a method without.
    var alphaKey: String? {
      if case .rankAndAlpha(let key) = options.type.rankKeys { key } else { nil }
    }

    /// The key that says how the parameters start.
    package var initializationKey: String { options.type.initializationKey }
  }

  /// The method that `peft_type` names, with its own fields.
  static func method(_ fields: JSONFields) throws(FormatError) -> Method {
    guard let name = try fields.string("peft_type") else {
      let isMLX = fields["fine_tune_type"] != nil || fields["lora_parameters"] != nil
      throw fields.error(
        isMLX ? .unsupported : .missingKey, "peft_type",
        isMLX
          ? "this is an adapter of MLX, not of PEFT" : "the file does not say which method it is",
        "give an adapter folder that PEFT or this library has written")
    }
    guard let type = Method.all.first(where: { $0.peftType == name }) else {
      throw fields.error(
        .unsupported, "peft_type", "adapters of type '\(name)' are not supported",
        "supported are \(listed(Method.supported))")
    }
    return Method(try type.init(fields))
  }

  /// The method of a description's layers, its options taken from `kept` where they say nothing of
  /// what the description holds.
  static func method(
    describing description: AdapterDescription, keeping kept: Method?
  ) throws(FormatError) -> Method {
    guard let first = description.layers.first else {
      throw inexpressible(
        "", "PEFT needs a layer with an adapter: replaced parameters alone are none")
    }
    guard let type = Method.all.first(where: { $0.holds(first.change) }) else {
      throw inexpressible(
        "layer '\(first.path)'", "PEFT has no method '\(first.change.methodName)'")
    }
    for layer in description.layers where !type.holds(layer.change) {
      throw inexpressible(
        "layer '\(layer.path)'",
        "it is \(layer.change.methodName), '\(first.path)' is \(first.change.methodName): PEFT has "
          + "one method for all layers of an adapter")
    }
    return Method(try type.describing(description, keeping: kept?.options))
  }
}

/// The options of any method, compared as values of one type.
private struct HashableBox: Sendable, Hashable {
  var options: any PEFTMethod

  static func == (a: Self, b: Self) -> Bool { a.options.isEqual(to: b.options) }
  func hash(into hasher: inout Hasher) { hasher.combine(options) }
}
