import LoRAModels

extension PretrainedModel {
  /// What goes beside the weights in the folder `output`, and a warning where the tokenizer of a GGUF
  /// model can't: the folder is written without.
  func companionFiles(
    for output: String
  ) throws -> (files: [(name: String, content: [UInt8])], warnings: [String]) {
    do {
      return (try companionFiles(), [])
    } catch  where file != nil {
      return (
        [],
        [
          "\(output): it has no tokenizer, copy tokenizer.json from the base's Hugging Face "
            + "directory; that of the GGUF file can't be written: \(error)"
        ]
      )
    }
  }
}
