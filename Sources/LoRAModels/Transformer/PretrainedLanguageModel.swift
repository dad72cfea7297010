import LoRAAutograd
public import LoRAFormats
import LoRATensor

/// A language model that a Hugging Face directory describes: what ``PretrainedModel`` opens.
///
/// A new architecture is a `LoRAFormats.Architecture`; ``Transformer`` is what its structure makes.
public protocol PretrainedLanguageModel: LanguageModel {
  /// The shape and the options that the model was made with.
  var configuration: ModelConfiguration { get }
}

extension ModelConfiguration {
  /// A model of this shape with random weights: matrices normal with `standardDeviation`, norms one,
  /// biases zero, as transformers initializes them. Every parameter is trainable.
  public func randomModel(
    standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws -> any PretrainedLanguageModel {
    try makeModel(.random(standardDeviation: standardDeviation, seed: seed))
  }

  /// The model of this shape without its numbers: for what follows from sizes, as memory does.
  package func modelOfShapes() throws -> any PretrainedLanguageModel {
    try makeModel(.shapesOnly)
  }

  /// Builds the model of this configuration, asking `source` for each parameter.
  func makeModel(_ source: ParameterSource) throws -> any PretrainedLanguageModel {
    try validate()
    return try Transformer(self, source: source)
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
