import LoRAFiles

extension PEFTAdapterConfiguration {
  static func withMagnitudes(_ path: String, _ change: any LayerChange) -> FormatError {
    inexpressible(
      "layer '\(path)'", "PEFT's \(change.methodName) has no magnitudes (dora_scale)")
  }

  /// Names what is saved along: whole modules, and biases.
  mutating func setParameters(of description: AdapterDescription) throws(FormatError) {
    let adapted = Set(description.layers.map { ExactName($0.path) })
    var modules: [String] = []
    var biases: [String] = []
    for replacement in description.replacements {
      let parts = replacement.path.split(separator: ".")
      let module = parts.dropLast().joined(separator: ".")
      guard !module.isEmpty else {
        throw Self.inexpressible(
          "'\(replacement.path)'", "PEFT saves parameters of modules, not of the model itself")
      }
      if parts.last == "bias" {
        biases.append(module)
      } else if adapted.contains(ExactName(module)) {
        throw Self.inexpressible(
          "'\(replacement.path)'", "PEFT replaces no weight of a layer that has an adapter")
      } else if !modules.contains(where: { ExactName($0) == ExactName(module) }) {
        modules.append(module)
      }
    }
    biases.removeAll { bias in modules.contains { ExactName($0) == ExactName(bias) } }
    let covered = modules.allSatisfy(savesExplicitly(modulePath:))
    if !covered || modules.isEmpty { savedModules = modules }
    for layer in description.layers
    where !matches(path: layer.path) && !method.options.type.isOfModel {
      throw Self.inexpressible(
        "layer '\(layer.path)'", "it lies in a module that is replaced as a whole")
    }
    let wanted: LoRA.Biases =
      biases.isEmpty
      ? .none : biases.allSatisfy { adapted.contains(ExactName($0)) } ? .adapted : .all
    guard method.options.save(wanted) else {
      throw Self.inexpressible(
        "'\(biases.first ?? "").bias'", "PEFT's \(method.peftType) saves no single biases")
    }
  }
}
