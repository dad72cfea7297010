import LoRAFiles
import LoRATensor

// What a format cannot say as it is: scales that differ go into B, ranks that differ are filled up,
// anything else is refused by the layer's name.

extension LowRankChange {
  /// The same change with scale `target`: B is multiplied by scale / target, each element rounded
  /// once to float32. `isExact` says whether no element needed that.
  func folded(toScale target: Double, alpha: Double) -> (change: LowRankChange, isExact: Bool) {
    let ratio = scale / target
    var isExact = true
    func fold(_ tensor: Tensor) -> Tensor {
      tensor.withUnsafeElements(of: Float.self) { x in
        Tensor(shape: tensor.shape) { y in
          for i in x.indices {
            let product = Double(x[i]) * ratio
            y[i] = Float(product)
            if Double(y[i]) != product { isExact = false }
          }
        }
      }
    }
    var change = self
    change.b = fold(b)
    change.bias = bias.map(fold)
    change.scale = target
    change.alpha = alpha
    return (change, isExact)
  }

  /// The same change at rank `target`, not below its own: rows of zeros after A's, columns of zeros
  /// after B's. Traps unless A and B are matrices.
  func padded(toRank target: Int) -> LowRankChange {
    require(a.shape.count == 2 && target >= rank, "rank \(rank) to \(target), \(a.shape)")
    if target == rank { return self }
    var change = self
    change.a = Tensor.concatenated([a, .zeros([target - rank, inputSize])])
    change.b = Tensor.concatenated([b, .zeros([outputSize, target - rank])], axis: 1)
    return change
  }
}

extension AdapterDescription {
  /// An error about a layer that `format` cannot express.
  func refusal(
    _ layer: String, _ format: AdapterFormat, _ file: String, _ problem: String,
    remedy: String = ""
  ) -> FormatError {
    FormatError(
      .unsupported, file: file, subject: "layer '\(layer)'",
      problem: "\(format.title) files cannot hold \(problem)", remedy: remedy)
  }

  /// Throws if the adapter changes blocks or the whole model, which `format` has no place for.
  func refuseOtherSites(for format: AdapterFormat, _ file: String) throws(FormatError) {
    let homes: [ChangeSite: AdapterFormat] = [.model: .peft, .block: .adapters]
    for layer in layers {
      guard let home = homes[layer.change.measured.site], home != format else { continue }
      throw FormatError(
        .unsupported, file: file, subject: "the adapter",
        problem:
          "\(format.title) files cannot hold the method \(layer.change.methodName), which changes no "
          + "layer's weight",
        remedy: "write it as \(home.title)")
    }
  }

  /// Throws if the adapter replaces parameters or token vectors of the base, which `format` has no
  /// place for.
  func refuseReplacements(for format: AdapterFormat, _ file: String) throws(FormatError) {
    let remedy = "write it as PEFT, or train it without"
    if let replacement = replacements.first {
      throw FormatError(
        .unsupported, file: file, subject: "parameter '\(replacement.path)'",
        problem: "\(format.title) files cannot hold whole parameters of the base", remedy: remedy)
    }
    if let tokens = replacedTokens.first {
      throw FormatError(
        .unsupported, file: file, subject: "embedding '\(tokens.path)'",
        problem: "\(format.title) files cannot hold trained token vectors", remedy: remedy)
    }
  }

  /// The adapter with each layer's scale made `target(layer)`, by folding what differs into B.
  /// A layer whose factors were narrower than float32 is stored as float32 if that rounds.
  func folding(
    to target: (LowRankChange) -> (scale: Double, alpha: Double)
  ) -> (description: AdapterDescription, notes: [AdapterNote]) {
    var result = self
    var notes: [AdapterNote] = []
    for index in layers.indices {
      guard let change = layers[index].lowRank else { continue }
      let (scale, alpha) = target(change)
      guard change.scale != scale else {
        result.layers[index].change = change
        continue
      }
      let (folded, isExact) = change.folded(toScale: scale, alpha: alpha)
      result.layers[index].change = folded
      let type = layers[index].storedType
      if folded.b.converted(to: type).converted(to: .float32) != folded.b {
        result.layers[index].storedType = .float32
      }
      notes.append(
        AdapterNote(
          layer: layers[index].path,
          text: "its scale \(change.scale) is folded into B, the file's scale being \(scale)"
            + (isExact ? ", exactly" : ", with one float32 rounding")))
    }
    return (result, notes)
  }
}

/// The value that occurs most often; of several the smallest.
func commonest<Value: Hashable & Comparable>(_ values: some Sequence<Value>) -> Value? {
  Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
    .max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
}
