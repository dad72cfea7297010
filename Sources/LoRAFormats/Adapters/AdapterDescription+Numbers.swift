// Programs compute with adapters in float32, whatever their files have numbers in.

import LoRAFiles

extension AdapterDescription {
  /// Throws for a scale that float32 does not hold: every product with it would be infinite.
  func checkScales(file: String) throws(FormatError) {
    for layer in layers where !Float(layer.change.measured.scale).isFinite {
      throw FormatError(
        .invalidValue, file: file, subject: "layer '\(layer.path)'",
        problem: "its scale is \(layer.change.measured.scale), beyond float32's "
          + "\(Float.greatestFiniteMagnitude): every product with it is infinite",
        remedy: "give the alpha or scale that it was trained with")
    }
  }

  /// The note about layers whose change has numbers beyond float32; nil if there are none.
  var noteOfOverflow: AdapterNote? {
    let layers = layers.filter(\.change.measured.isBeyondFloat32)
    guard let first = layers.first else { return nil }
    return AdapterNote(
      layer: first.path,
      text:
        "its factors' product times the scale \(first.change.measured.scale) is beyond float32's "
        + "\(Float.greatestFiniteMagnitude)"
        + (layers.count > 1 ? ", as in \(layers.count - 1) more" : "")
        + ": the adapter is damaged, or the training that made it diverged")
  }
}
