public import LoRAKit

// PEFT's files hold low-rank factors only; an adapter of another kind is a set of named tensors.

extension Module {
  /// Writes the numbers of the adapter called `name` under their paths, as `blocks.0.mix.scales`.
  public func saveScales(of name: String, to path: String) throws {
    let tensors = adapterParameters(named: name).map { (name: $0.path, tensor: $0.parameter.value) }
    try SafetensorsWriter.write(tensors, to: path)
  }

  /// Reads what ``saveScales(of:to:)`` wrote into the adapter called `name`, which is injected
  /// already. Nothing has changed if it throws.
  public func loadScales(of name: String, from path: String) throws {
    let file = try SafetensorsFile(path: path, access: .copied)
    let values = try adapterParameters(named: name).map { path, parameter in
      let value = try file.tensor(named: path)
      guard value.shape == parameter.shape else {
        throw AdapterError.shapeMismatch(
          layer: path, expected: "\(parameter.shape)", found: "\(value.shape)")
      }
      return (parameter, value)
    }
    for (parameter, value) in values { parameter.value = value }
  }
}
