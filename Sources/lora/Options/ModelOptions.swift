import ArgumentParser
import LoRAKit

/// The type that weights are computed from.
enum WeightType: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// As they are stored.
  case auto
  case float32
  case bfloat16

  /// The type to convert to; nil to leave weights as they are.
  var type: DType? {
    switch self {
    case .auto: nil
    case .float32: .float32
    case .bfloat16: .bfloat16
    }
  }

  /// What products are computed in: as asked, else as `standard`.
  func precision(otherwise standard: ProductPrecision) -> ProductPrecision {
    switch self {
    case .auto: standard
    case .float32: .float32
    case .bfloat16: .bfloat16
    }
  }
}

/// The type that weights are stored in: by the names of PyTorch, or by those of GGUF files.
enum StoredWeightType: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// As they are in the base.
  case auto
  case float32
  case float16
  case bfloat16
  case f32
  case f16
  case bf16
  // The format's own name.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  case q8_0

  /// The type to convert to; nil to leave weights as they are.
  var type: DType? {
    switch self {
    case .auto: nil
    case .float32, .f32: .float32
    case .float16, .f16: .float16
    case .bfloat16, .bf16: .bfloat16
    case .q8_0: .q8_0
    }
  }
}

/// The model that a command works with.
struct ModelOptions: ParsableArguments {
  @Option(
    name: .customLong("model"),
    help: ArgumentHelp("The model's Hugging Face directory, or its GGUF file.", valueName: "path"))
  var path: String

  @Option(help: "The type of the weights in memory; auto: as stored.")
  var dtype: WeightType = .auto

  @OptionGroup var parts: PartOptions

  /// Opens the model.
  func load() throws -> PretrainedModel {
    try PretrainedModel(path: path, type: dtype.type, textOnly: parts.textOnly)
  }
}

/// Which parts of a model are used.
struct PartOptions: ParsableArguments {
  @Flag(
    help:
      "Use the text part of a model that also reads images, and leave its other parts unchanged.")
  var textOnly = false
}

/// How results are written.
struct OutputOptions: ParsableArguments {
  @Flag(name: .customLong("json"), help: "Print one JSON object and nothing else.")
  var isJSON = false
}
