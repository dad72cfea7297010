import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
public import LoRAFormats
import LoRATensor

extension PretrainedModel {
  /// What tells this base from others, whichever files it was opened from; see `BaseFingerprint`.
  public var fingerprint: BaseFingerprint { BaseFingerprint(of: model) }
}

extension PretrainedModel {
  /// The licence that the model's card (`README.md`) or its GGUF file names, as "apache-2.0"; nil where
  /// there is none.
  public var license: String? {
    get throws(FormatError) {
      if let file { return try file.string("general.license").flatMap { $0.isEmpty ? nil : $0 } }
      return try directory.flatMap { directory throws(FormatError) in
        try ModelCard(folder: directory.path).license
      }
    }
  }

  /// What an adapter says of this base.
  public var recordOfBase: AdapterRecord.Base {
    get throws(FormatError) {
      AdapterRecord.Base(
        name: AdapterRecord.publicName(ofModel: path), fingerprint: fingerprint,
        license: try license)
    }
  }
}

extension BaseFingerprint {
  /// The fingerprint of `model`'s base, as its parameters are now: take it before training them.
  /// Adapters, merged ones too, make no difference. Costs what reading a few hundred rows costs.
  public init(of model: some PretrainedTokenModel) {
    let architecture = model.configuration.architecture
    // Checkpoints of a body alone leave the first out, those of a text part alone the second.
    let prefixes = [architecture.bodyPrefix, "language_model."]
    func bare(_ path: String) -> String {
      prefixes.reduce(path) { path, prefix in
        path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
      }
    }
    let table = bare("\(architecture.embeddingPath).weight")
    let blocks = Set(architecture.tensors.compactMap { $0.pathInBlock.map { bare($0.list) + "." } })
    let matrices = model.namedParameters().compactMap { path, parameter -> Matrix? in
      let name = bare(path)
      guard parameter.shape.count == 2, name == table || blocks.contains(where: name.hasPrefix)
      else { return nil }
      let value = parameter.value
      return Matrix(
        name: name, shape: parameter.shape, storedType: parameter.storedType ?? value.dtype,
        valueType: value.dtype
      ) { row in
        value[rows: row..<row + 1].converted(to: .float32).scalars()
      }
    }
    self.init(of: matrices)
  }
}
