public import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

/// A model that a Hugging Face directory describes: what ``PretrainedModel`` opens.
///
/// A new architecture is a `LoRAFormats.Architecture`; ``Transformer`` is what its structure makes.
public protocol PretrainedTokenModel: TokenModel {
  /// The shape and the options that the model was made with.
  var configuration: ModelConfiguration { get }
}

/// A language model that a Hugging Face directory describes.
public typealias PretrainedLanguageModel = LanguageModel & PretrainedTokenModel

/// A classifier of sequences that a Hugging Face directory describes.
public typealias PretrainedSequenceClassifier = SequenceClassifier & PretrainedTokenModel

/// A classifier of tokens that a Hugging Face directory describes.
public typealias PretrainedTokenClassifier = TokenClassifier & PretrainedTokenModel

extension ModelConfiguration {
  /// A model of this shape with random weights: matrices normal with `standardDeviation`, norms one,
  /// biases zero, as transformers initializes them. Every parameter is trainable.
  ///
  /// Throws `FormatError` for a shape that no model has.
  public func randomModel(
    standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws -> any PretrainedTokenModel {
    try makeModel(.random(standardDeviation: standardDeviation, seed: seed))
  }

  /// The same of a language model. Throws `FormatError` for the shape of another kind of model.
  public func randomLanguageModel(
    standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws -> any PretrainedLanguageModel {
    try randomModel(standardDeviation: standardDeviation, seed: seed).languageModel(of: nil)
  }

  /// The model of this shape without its numbers: for what follows from sizes, as memory does.
  package func modelOfShapes() throws -> any TransformerModel { try makeModel(.shapesOnly) }

  /// Builds the model of this configuration, asking `source` for each parameter.
  func makeModel(_ source: ParameterSource) throws -> any TransformerModel {
    try validate()
    return try makeTransformer(source)
  }
}

extension PretrainedTokenModel {
  /// The same as a language model; `file` is for the error.
  func languageModel(of file: String?) throws(FormatError) -> any PretrainedLanguageModel {
    guard let model = self as? any PretrainedLanguageModel else {
      throw wrongKind(
        file, "predicts no next tokens",
        "scoring, generating and training on texts need a language model")
    }
    return model
  }

  /// The same as a classifier of sequences; `file` is for the error.
  func sequenceClassifier(
    of file: String?
  ) throws(FormatError) -> any PretrainedSequenceClassifier {
    guard let model = self as? any PretrainedSequenceClassifier else {
      throw wrongKind(file, lacking: .sequences)
    }
    return model
  }

  /// The same as a classifier of tokens; `file` is for the error.
  func tokenClassifier(of file: String?) throws(FormatError) -> any PretrainedTokenClassifier {
    guard let model = self as? any PretrainedTokenClassifier else {
      throw wrongKind(file, lacking: .tokens)
    }
    return model
  }

  private func wrongKind(_ file: String?, lacking kind: ClassifierKind) -> FormatError {
    wrongKind(
      file, "has no \(kind.title.dropFirst(2))",
      "open the checkpoint of a class whose name ends in \(kind.classSuffix)")
  }

  private func wrongKind(_ file: String?, _ problem: String, _ remedy: String) -> FormatError {
    let kind =
      switch self {
      case is any LanguageModel: "a language model"
      case is any SequenceClassifier: ClassifierKind.sequences.title
      case is any TokenClassifier: ClassifierKind.tokens.title
      default: "an encoder"
      }
    return FormatError(
      .unsupported, file: file ?? "config.json", subject: "the model",
      problem: "it is \(kind) ('\(configuration.architecture)') and \(problem)", remedy: remedy)
  }
}

/// Where a model that is being built gets its parameters: a file, or a random generator.
struct ParameterSource {
  /// The parameter that belongs under `name`, which must be of `shape`.
  private let make: (_ name: String, _ shape: Shape, _ initial: Float) throws -> Parameter
  /// The same, of `[out, in]`, for a matrix that checkpoints have as its transpose; nil where the
  /// source has it so too.
  var untransposed: ((_ name: String, _ shape: Shape) throws -> Parameter)?

  init(
    untransposed: ((_ name: String, _ shape: Shape) throws -> Parameter)? = nil,
    parameter: @escaping (_ name: String, _ shape: Shape) throws -> Parameter
  ) {
    make = { name, shape, _ in try parameter(name, shape) }
    self.untransposed = untransposed
  }

  private init(
    initialized make:
      @escaping (_ name: String, _ shape: Shape, _ initial: Float) throws -> Parameter
  ) {
    self.make = make
  }

  /// The parameter that belongs under `name`, which must be of `shape`. `initial` is what a vector's
  /// numbers are in a model that nobody trained.
  func parameter(_ name: String, _ shape: Shape, initial: Float = 0) throws -> Parameter {
    try make(name, shape, initial)
  }

  /// Parameters without numbers: see `Tensor.init(shapeOnly:dtype:)`.
  static var shapesOnly: ParameterSource {
    ParameterSource(
      untransposed: { Parameter(Tensor(shapeOnly: $1, dtype: .float32), isTrainable: false) },
      parameter: { Parameter(Tensor(shapeOnly: $1, dtype: .float32), isTrainable: false) })
  }

  /// Random values as ``LoRAFormats/ModelConfiguration/randomModel(standardDeviation:seed:)`` has
  /// them.
  static func random(standardDeviation: Float, seed: UInt64) -> ParameterSource {
    ParameterSource(initialized: { name, shape, initial in
      var random = SeededRandom(seed: seed, path: name)
      if shape.count == 2 {
        return Parameter(random.normal(shape, standardDeviation: standardDeviation))
      }
      return Parameter(Tensor(Array(repeating: initial, count: shape.elementCount)))
    })
  }
}
