public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches an adapter of any format under `name`.
  ///
  /// ```swift
  /// try model.loadAdapter(AdapterFile(path: "mlx-adapter"), named: "support")
  /// ```
  ///
  /// Strict as ``loadAdapter(from:named:isTrainable:allowsNoEffect:enabled:)`` is: everything in the
  /// file must belong to this model and fit it; of a PEFT adapter also every layer that its
  /// configuration targets must be there.
  ///
  /// - Parameters:
  ///   - file: the adapter.
  ///   - name: what the adapter is called from now on.
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - allowsNoEffect: whether an adapter whose every contribution is zero is accepted, as a
  ///     fresh one is to train from. For inference it is an error: silence is a bug.
  ///   - enabled: whether it applies from now on, at strength 1.
  ///
  /// Returns what the adapter's configuration names that applies to nothing, a sentence each.
  @discardableResult
  public func loadAdapter(
    _ file: AdapterFile, named name: String = "default", isTrainable: Bool = false,
    allowsNoEffect: Bool = false, enabled: Bool = true
  ) throws -> [String] {
    if file.peftConfiguration != nil {
      try loadAdapter(
        from: file.path, named: name, isTrainable: isTrainable, allowsNoEffect: allowsNoEffect,
        enabled: enabled)
      return file.warnings(among: adaptableModules().map(\.path))
    }
    if !allowsNoEffect, file.description.hasNoEffect {
      throw FormatError(
        .invalidValue, file: file.path, problem: "every contribution of the adapter is zero",
        remedy: "it was never trained, or was saved before training; train it, or allow it with "
          + "--allow-no-effect (in Swift: allowsNoEffect)")
    }
    try attach(
      file.description, named: name, isTrainable: isTrainable,
      dropout: Float(file.mlxConfiguration?.dropout ?? 0), enabled: enabled)
    return []
  }
}
