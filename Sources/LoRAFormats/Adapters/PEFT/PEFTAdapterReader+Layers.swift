import LoRAFiles
import LoRATensor

extension PEFTAdapterReader {
  /// The change that the parts of one module make.
  func layer(_ module: Module) throws(FormatError) -> AdapterDescription.Layer {
    let path = module.path
    let first = module.parts.values.min() ?? ""
    if configuration.targets != .unspecified, !configuration.matches(path: path) {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: first,
        "the targets in \(PEFTAdapterConfiguration.fileName) do not match '\(path)'")
    }
    let method = configuration.method.options
    let isKnown = { (part: String) in method.type.part(called: part) != nil && method.has(part) }
    if let stray = module.parts.keys.filter({ !isKnown($0) }).min() {
      throw self.stray(stray, module.parts[stray] ?? "")
    }
    var parts = PEFTLayerReader(module, self)
    let change = try method.readLayer(&parts)
    if let (part, name) = parts.names.min(by: { $0.key < $1.key }) { throw stray(part, name) }
    return AdapterDescription.Layer(path: path, change: change, storedType: parts.storedType)
  }

  /// A part that belongs to none.
  private func stray(_ part: String, _ tensor: String) -> FormatError {
    FormatError(
      .unexpectedTensor, file: file.path, tensor: tensor,
      "\(configuration.method.peftType) as \(PEFTAdapterConfiguration.fileName) describes it has no "
        + "part '\(part)'",
      remedy: Self.remedy(forPart: part)
        ?? "check 'peft_type': the configuration may belong to another file")
  }

  private static func remedy(forPart name: String) -> String? {
    for method in PEFTAdapterConfiguration.Method.all {
      guard let part = method.part(called: name) else { continue }
      return part.name == name ? part.remedy : part.remedyOfBias
    }
    return nil
  }
}
