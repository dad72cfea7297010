// Which files make up what a folder holds.

import LoRAArchitectures
import LoRAFiles

extension FolderResult {
  /// What lies in `folder`: nothing, one, or what has been mixed up.
  package static func all(in folder: String) -> [FolderResult] {
    let names = FileSystem.names(in: folder)
    var results: [FolderResult] = []
    let isMLX = names.contains(where: MLXAdapterFile.isWeightsFile)
    let isAdapterHub = names.contains { AdapterHubFile.isWeightsFile($0) }
    let isPEFT =
      names.contains(where: PEFTAdapterFile.isWeightsFile)
      || !AdapterFormat.components(in: folder).isEmpty
      || (!isMLX && !isAdapterHub && names.contains(PEFTAdapterConfiguration.fileName))
    if isPEFT { results.append(.adapter(.peft)) }
    if isAdapterHub { results.append(.adapter(.adapters)) }
    if isMLX { results.append(.adapter(.mlx)) }
    // Beside an adapter's weights it says which labels its head has.
    if names.contains(ModelDirectory.configurationFile) && !isPEFT
      || names.contains(where: ModelDirectory.isWeightsFile)
    {
      results.append(.model)
    }
    return results
  }

  /// Whether a file of this name is part of such a result, and goes when the result is replaced.
  package func owns(_ name: String) -> Bool {
    switch self {
    case .adapter(.mlx):
      name == MLXAdapterConfiguration.fileName || name == MLXAdapterFile.weightsFile
    case .adapter(.adapters):
      name == AdapterHubConfiguration.fileName || name == AdapterHubFile.headFile
        || AdapterHubFile.isWeightsFile(name)
    case .adapter: name == PEFTAdapterConfiguration.fileName || PEFTAdapterFile.isWeightsFile(name)
    case .model: ModelDirectory.isFile(name)
    }
  }
}

// MARK: Files by name

extension MLXAdapterFile {
  /// Whether mlx-lm calls an adapter's weights so: the last ones, a checkpoint's, or an older
  /// version's.
  fileprivate static func isWeightsFile(_ name: String) -> Bool {
    name == weightsFile || name.hasSuffix("_" + weightsFile) || name == "adapters.npz"
  }
}

extension PEFTAdapterFile {
  fileprivate static func isWeightsFile(_ name: String) -> Bool {
    name == weightsFile || name == "adapter_model.bin"
  }
}

extension AdapterHubFile {
  fileprivate static func isWeightsFile(_ name: String) -> Bool {
    name == weightsFile || name == pickleFile
  }
}

extension ModelDirectory {
  /// Whether transformers calls a model's weights, or the index of their shards, so.
  fileprivate static func isWeightsFile(_ name: String) -> Bool {
    name == indexFile || name == singleFile || name.hasPrefix("pytorch_model")
      || (name.hasPrefix("model-") && name.hasSuffix(".safetensors"))
  }

  /// Whether a file of this name describes the model that lies beside it.
  fileprivate static func isFile(_ name: String) -> Bool {
    isWeightsFile(name) || name == configurationFile || name == generationFile
      || companionNames.contains(name)
  }

  /// What a model made from another one takes over unchanged: its tokenizer and its chat template.
  package static let companionNames = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja",
    "chat_template.json",
  ]
}
