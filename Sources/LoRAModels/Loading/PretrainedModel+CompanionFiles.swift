import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAText

extension PretrainedModel {
  /// What a folder that is made of this model takes over beside the weights: its tokenizer, its chat
  /// template and how it wants to be sampled. Of a GGUF file, a tokenizer that gives the same ids is
  /// made of the one within it, for this library and for transformers.
  ///
  /// Throws `FormatError` for files that can't be read, and `TokenizerError` for a GGUF file's tokenizer
  /// that is not supported or that the files of a folder can't express.
  public func companionFiles() throws -> [(name: String, content: [UInt8])] {
    if let directory { return try directory.companionFiles() }
    guard let file else { return [] }
    return try file.embeddedTokenizer().files(
      chatTemplate: file.string("tokenizer.chat_template"))
  }
}

extension ModelDirectory {
  fileprivate func companionFiles() throws(FormatError) -> [(name: String, content: [UInt8])] {
    var files: [(name: String, content: [UInt8])] = []
    // How sentence-transformers makes a vector of what the model computes.
    let pooling = [
      "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
      "config_sentence_transformers.json",
    ]
    for name in Self.companionNames + ["generation_config.json"] + pooling
    where FileSystem.exists(FileSystem.join(path, name)) {
      files.append((name, try FileSystem.read(FileSystem.join(path, name))))
    }
    return files
  }
}
