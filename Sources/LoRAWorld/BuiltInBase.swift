import Foundation
public import LoRAKit

/// The small base model that the package ships: it speaks the small world, needs no download, and
/// was made by this package from text of its own generator.
public enum BuiltInBase {
  /// The folder of the shipped model: configuration, weights in bfloat16, tokenizer.
  public static var path: String { Bundle.module.bundlePath + "/Base" }

  /// The shape: 4 layers of width 256, tied to a vocabulary of `vocabularySize`.
  public static func configuration(vocabularySize: Int) -> ModelConfiguration {
    ModelConfiguration(
      hiddenSize: 256, intermediateSize: 672, layerCount: 4, headCount: 4, keyValueHeadCount: 2,
      headSize: 64, vocabularySize: vocabularySize, normEpsilon: 1e-5, tiesWordEmbeddings: true,
      maximumPositions: 512, storedType: .bfloat16, bosTokenID: 0, eosTokenIDs: [0])
  }

  /// The most tokens that the shipped tokenizer has.
  public static let vocabularySize = 1536

  /// Opens the shipped model, its 3.2 million weights widened to float32: so small a model is
  /// faster without widening them again in every product.
  public static func open() throws -> PretrainedModel {
    try PretrainedModel(path: path, type: .float32)
  }
}
