import LoRAAutograd
import LoRAFiles

extension Activation {
  /// The names that files have for activations; of several for one the first is written.
  private static let fileNames: [(name: String, activation: Activation)] = [
    ("relu", .relu), ("silu", .silu), ("swish", .silu), ("gelu", .gelu), ("gelu_new", .geluTanh),
    ("gelu_pytorch_tanh", .geluTanh), ("gelu_fast", .geluTanh), ("tanh", .tanh),
    ("sigmoid", .sigmoid),
  ]

  /// What gates can be made of.
  private static let gates: Set<Activation> = [.silu, .gelu, .geluTanh]

  /// The activation by its name in files; nil if there is none of that name.
  init?(fileName: String) {
    guard let known = Self.fileNames.first(where: { $0.name == fileName }) else { return nil }
    self = known.activation
  }

  /// Its name in files; nil for what no file names.
  var fileName: String? { Self.fileNames.first { $0.activation == self }?.name }

  /// All names, for errors.
  static var knownFileNames: String { fileNames.map(\.name).joined(separator: ", ") }

  /// The activation by its name in `config.json`, where it is the value of `key`.
  init(named name: String, key: String, isGate: Bool) throws(FormatError) {
    let usable = Self.fileNames.filter { !isGate || Self.gates.contains($0.activation) }
    guard let known = usable.first(where: { $0.name == name }) else {
      throw FormatError(
        .unsupported, file: "config.json", key: key, "it is '\(name)'",
        remedy: "supported are \(listed(usable.map(\.name), limit: 12))")
    }
    self = known.activation
  }
}
