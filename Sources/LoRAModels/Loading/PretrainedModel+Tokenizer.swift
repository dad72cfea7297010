import LoRAFiles
import LoRAFormats
public import LoRAText

extension PretrainedModel {
  /// The tokenizer of the model at `path` without the model: of a Hugging Face directory, which needs
  /// no weights for this, of a GGUF file, also of one that holds a vocabulary alone, or of a
  /// tokenizer's own file (`tokenizer.json`, SentencePiece's `.model`).
  ///
  /// ```swift
  /// let tokenizer = try PretrainedModel.tokenizer(at: "model.gguf")
  /// tokenizer.encodeAligned("Hello").offsets
  /// ```
  ///
  /// Throws `FormatError` for a file that can't be read, and `TokenizerError` for a tokenizer that is
  /// not supported.
  public static func tokenizer(at path: String) throws -> TokenizerPipeline {
    guard case .gguf = try PathContent(path) else { return try TokenizerPipeline(contentsOf: path) }
    return try GGUFFile(path: path).tokenizer()
  }
}
