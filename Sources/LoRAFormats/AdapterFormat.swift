/// The file formats of adapters that ``AdapterFile`` opens and writes.
public enum AdapterFormat: String, Sendable, Hashable, CaseIterable {
  /// Hugging Face PEFT: a folder with `adapter_config.json` and `adapter_model.safetensors`; of an
  /// image model one such folder for each part (`unet`, `text_encoder`, ...).
  case peft
  /// Apple's mlx-lm: a folder with `adapter_config.json` and `adapters.safetensors`, factors
  /// transposed; before 0.9 one `.npz`.
  case mlx
  /// llama.cpp: one `.gguf` file.
  case gguf
  /// kohya's sd-scripts: one file, low-rank factors of Stable Diffusion's layers.
  case kohya
  /// LyCORIS: kohya's names with LoCon's, LoHa's, LoKr's and DoRA's tensors too.
  case lycoris
  /// Hugging Face diffusers: one file, names as in its pipelines.
  case diffusers
  /// Microsoft's loralib: a state dictionary of two matrices a layer.
  case loralib
  /// AdapterHub's adapters package: a folder with `adapter_config.json` and `adapter.safetensors`,
  /// bottleneck adapters.
  case adapters

  /// The name as people write it.
  public var title: String {
    switch self {
    case .peft: "PEFT"
    case .mlx: "MLX"
    case .gguf: "GGUF"
    case .kohya: "kohya"
    case .lycoris: "LyCORIS"
    case .diffusers: "diffusers"
    case .loralib: "loralib"
    case .adapters: "adapters"
    }
  }

  /// Whether an adapter is a folder rather than a file.
  package var isFolder: Bool { self == .peft || self == .mlx || self == .adapters }
}

/// What was done to an adapter so that a format could express it, or what a reader of the result has
/// to know.
public struct AdapterNote: Sendable, Hashable, CustomStringConvertible {
  /// The layer; empty for the adapter as a whole.
  public let layer: String
  /// What was done, in a sentence without a point.
  public let text: String

  /// Creates a note.
  package init(layer: String = "", text: String) {
    self.layer = layer
    self.text = text
  }

  /// The layer and what was done.
  public var description: String { layer.isEmpty ? text : "\(layer): \(text)" }
}
