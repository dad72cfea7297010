import LoRAArchitectures
package import LoRAFiles

/// How two descriptions of an adapter agree: what was read from a file, and what another file made
/// of it gives back.
package struct AdapterAgreement: Sendable, Hashable {
  /// The layers whose factors are the same bits and whose scales are the same number, to one float32
  /// rounding.
  package var identicalLayers: Int
  /// The other layers, which compute the same within rounding, with the relative difference.
  package var roundedLayers: [String: Double]

  /// The greatest relative difference; 0 if all bits are the same.
  package var greatestDifference: Double { roundedLayers.values.max() ?? 0 }
}

extension AdapterDescription {
  /// Compares what this adapter computes with what `other` does, read back from `file`.
  ///
  /// Where factors differ, as after folding a scale, both are applied to the same random input, in
  /// float64. Throws `FormatError` where the results differ by more than float32 roundings, or if
  /// a layer or a replaced parameter is missing or has changed.
  package func agreement(
    with other: AdapterDescription, file: String
  ) throws(FormatError) -> AdapterAgreement {
    func differs(_ what: String, _ problem: String) -> FormatError {
      FormatError(
        .invalidValue, file: file, subject: what,
        problem: "read back, \(problem): this is a mistake of the conversion",
        remedy: "keep the input, and report it")
    }
    let found = Dictionary(
      other.layers.map { (ExactName($0.path), $0) }, uniquingKeysWith: { first, _ in first })
    var result = AdapterAgreement(identicalLayers: 0, roundedLayers: [:])
    for layer in layers {
      // Paths in a body alone lack the prefix that formats write.
      let paths =
        [layer.path] + Architecture.bodyPrefixes.map { $0 + layer.path }
        + TextPart.otherNames(of: layer.path)
      guard let back = paths.lazy.compactMap({ found[ExactName($0)] }).first else {
        throw differs("layer '\(layer.path)'", "it is missing")
      }
      if layer.change.isIdentical(to: back.change) {
        result.identicalLayers += 1
      } else if let difference = layer.change.measured.difference(to: back.change),
        difference <= 1e-6
      {
        result.roundedLayers[layer.path] = difference
      } else {
        throw differs("layer '\(layer.path)'", "it computes something else")
      }
    }
    guard other.layers.count == layers.count else {
      throw differs("", "there are \(other.layers.count) layers instead of \(layers.count)")
    }
    let values = Dictionary(
      other.replacements.map { (ExactName($0.path), $0.value) },
      uniquingKeysWith: { first, _ in first })
    for replacement in replacements where values[ExactName(replacement.path)] != replacement.value {
      throw differs("'\(replacement.path)'", "it is not the same")
    }
    let tokens = other.replacedTokens.map { [$0.path, "\($0.ids)"] }
    guard tokens == replacedTokens.map({ [$0.path, "\($0.ids)"] }),
      zip(other.replacedTokens, replacedTokens).allSatisfy({ $0.vectors == $1.vectors })
    else {
      throw differs("", "the replaced token vectors are not the same")
    }
    return result
  }
}
