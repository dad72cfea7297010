import LoRAFiles
import LoRAJSON

extension PEFTAdapterConfiguration {
  /// The number of virtual tokens; nil for methods without.
  package var virtualTokenCount: Int? { (method.options as? any PEFTPromptedMethod)?.count }
}

/// A method of PEFT's that puts virtual tokens before those of a model.
protocol PEFTPromptedMethod: PEFTMethod {
  /// The number of virtual tokens.
  var count: Int { get set }
}

extension PEFTPromptedMethod {
  static var isOfModel: Bool { true }
  static var initializationKey: String { "" }
  static var rankKeys: PEFTRankKeys { .none }
  static var absentKeys: Set<String> { ["target_modules", "exclude_modules"] }
  static var parts: [PEFTPart] { [PEFTPart("prompt_embeddings")] }
  static func defaultTargets(forModelType _: String) -> PEFTAdapterConfiguration.Modules? { nil }
}

/// What the configurations of prompt learning methods note of the model: PEFT fills in what is null.
struct PEFTPromptedModel: Sendable, Hashable {
  /// `token_dim`, `num_layers` and `num_attention_heads`.
  var size, layers, heads: Int?

  /// The keys of all such methods.
  static func keys<Method>(
    _ count: PEFTKey<Method>.Path<Int>, _ model: PEFTKey<Method>.Path<PEFTPromptedModel>
  ) -> [PEFTKey<Method>] {
    func optional(
      _ name: String, _ path: any WritableKeyPath<PEFTPromptedModel, Int?> & Sendable
    ) -> PEFTKey<Method> {
      PEFTKey(name) { fields, method throws(FormatError) in
        let value = try fields.size(name)
        if let value, value > 1 << 20 {
          throw fields.error(.invalidValue, name, "expected 1 to 1048576, found \(value)")
        }
        method[keyPath: model][keyPath: path] = value
      } written: {
        $0[keyPath: model][keyPath: path].map { .integer(Int64($0)) } ?? .null
      }
    }
    return [
      PEFTKey("num_virtual_tokens") { fields, method throws(FormatError) in
        guard let value = try fields.size("num_virtual_tokens") else {
          throw fields.error(
            .missingKey, "num_virtual_tokens", "it is absent, and PEFT has no default")
        }
        guard value <= 1 << 20 else {
          throw fields.error(
            .invalidValue, "num_virtual_tokens", "expected 1 to 1048576, found \(value)")
        }
        method[keyPath: count] = value
      } written: {
        .integer(Int64($0[keyPath: count]))
      },
      optional("token_dim", \.size), optional("num_layers", \.layers),
      optional("num_attention_heads", \.heads),
      .refused(
        "num_transformer_submodules", "the model has an encoder and a decoder", written: 1
      ) { $0 == 1 },
    ]
  }
}
