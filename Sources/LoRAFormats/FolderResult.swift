import LoRAFiles

/// What a folder can hold as a whole, by the names of its files.
package enum FolderResult: FolderContent {
  /// An adapter in one of the layouts that are folders.
  case adapter(AdapterFormat)
  /// A model.
  case model
}

extension FolderResult {
  /// As it stands in a sentence.
  package var description: String {
    switch self {
    case .adapter(let format): "\(format == .mlx ? "an" : "a") \(format.title) adapter"
    case .model: "a model"
    }
  }
}
