package import LoRAFiles
package import LoRATensor

// What a GGUF file of a model says beside its weights: the inverse of ``ModelConfiguration/init(_:)``.

extension ModelConfiguration {
  /// The key-values of the architecture, as llama.cpp's converter names them.
  ///
  /// - Throws: `FormatError` for an architecture that GGUF files have no name for.
  package func ggufKeyValues() throws(FormatError) -> [GGUFFile.KeyValue] {
    guard let name = architecture.ggufName else {
      throw FormatError(
        .unsupported, file: "config.json", key: "model_type",
        "llama.cpp has no models of the architecture '\(architecture)' that this library writes",
        remedy: "supported are \(listed(Architecture.ggufNames, limit: 64))")
    }
    // A reader takes the first architecture of that name.
    let reader = Architecture(ggufName: name, hasExperts: architecture.hasExperts) ?? architecture
    var values = GGUFModelValues(
      architecture: name,
      known: GGUFModelKeys.known(to: reader.keys(ofTextPart: textPartType) + keysOfReader))
    values.set("vocab_size", vocabularySize)
    values.set("attention.head_count", headCount)
    values.set("attention.head_count_kv", keyValueHeadCount)
    for key in architecture.keys(ofTextPart: textPartType) { key.writeGGUF(self, &values) }
    return values.all
  }

  /// The keys of text parts that share the name of this architecture, of which a reader finds out by them.
  private var keysOfReader: [ConfigurationKey] {
    let sharing = Architecture.all.filter { $0.ggufName == architecture.ggufName }
    return sharing.contains { $0.textPart?.otherKeys[architecture.modelType] != nil }
      ? architecture.keys : []
  }

  /// The factors that frequencies are divided by, where these have one each: tensors of float32 numbers
  /// that checkpoints have as settings.
  ///
  /// - Throws: `FormatError` for an architecture whose factors llama.cpp does not read.
  package func ggufFrequencyFactors() throws(FormatError) -> [(name: String, tensor: Tensor)] {
    guard architecture.hasKey(of: \.rotary) else { return [] }
    func vector(_ numbers: [Double]) -> Tensor {
      Tensor(numbers.map { Float($0) }, shape: [numbers.count])
    }
    switch rotary.scaling {
    case .none, .linear, .dynamic, .yarn: return []
    case .longRoPE(let long):
      return [
        (GGUFModelKeys.longFactors, vector(long.longFactors)),
        (GGUFModelKeys.shortFactors, vector(long.shortFactors)),
      ]
    case .llama3:
      let known = ["llama", "granite", "smollm3"]
      guard known.contains(architecture.ggufName ?? "") else {
        throw FormatError(
          .unsupported, file: "config.json", key: architecture.key(of: \.rotary),
          "rotary scaling 'llama3' in a model of '\(architecture)'",
          remedy: "llama.cpp reads it in models of \(listed(known))")
      }
      let factors = rotary.floatDivisors(headSize: headSize)
      return [("rope_freqs.weight", Tensor(factors, shape: [factors.count]))]
    case .proportional(let factor):
      // The heads of layers without a window, which may be larger.
      let whole = slidingWindows.firstIndex { $0 == nil }
      let size = whole.map { heads(ofLayer: $0).size } ?? headSize
      let turned = Int(rotary.fraction * Double(size / 2))
      return [
        (
          "rope_freqs.weight",
          vector((0..<size / 2).map { $0 < turned ? factor : 1e30 })
        )
      ]
    }
  }
}
