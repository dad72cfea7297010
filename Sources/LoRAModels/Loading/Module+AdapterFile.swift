import LoRAArchitectures
public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches an adapter of any format under `name`.
  ///
  /// ```swift
  /// try model.loadAdapter(AdapterFile(path: "mlx-adapter"), named: "support")
  /// ```
  ///
  /// Strict: everything in the file must belong to this model and fit it, and every layer that its
  /// configuration targets must be there. What does not fit is named. An adapter that says for which base
  /// it was made (`AdapterFile.record`) is refused on another; see `BaseFingerprint`.
  ///
  /// - Parameters:
  ///   - file: the adapter.
  ///   - name: what the adapter is called from now on.
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - allowsNoEffect: whether an adapter whose every contribution is zero is accepted, as a
  ///     fresh one is to train from. For inference it is an error: silence is a bug.
  ///   - allowsOtherBase: whether an adapter that was made for another base is accepted.
  ///   - enabled: whether it applies from now on, at strength 1.
  ///
  /// An adapter that was made on the model's body alone, whose names of layers lack what the model's
  /// begin with, is taken for what it is.
  ///
  /// Returns what is probably not meant, a sentence each: what the adapter's configuration names that
  /// applies to nothing, names that lack a prefix, a base of another type than the adapter's.
  @discardableResult
  public func loadAdapter(
    _ file: AdapterFile, named name: String = "default", isTrainable: Bool = false,
    allowsNoEffect: Bool = false, allowsOtherBase: Bool = false, enabled: Bool = true
  ) throws -> [String] {
    var file = file
    try refuseNoEffect(of: file.description, path: file.path, allowsNoEffect)
    let paths = Set(adaptableModules().map(\.path))
    let modelType = (self as? any PretrainedTokenModel)?.configuration.architecture.modelType
    let note = file.takeNames(
      prefixes: bodyPrefixes, modules: namedModules, modelType: modelType, isKnown: paths.contains)
    try checkPrefix(of: Set(file.description.layers.map(\.path)), path: file.path)
    try file.checkComplete(for: layout)
    let noteOfBase = try self.noteOfBase(of: file, allowsOther: allowsOtherBase)
    try attach(
      file.description, named: name, isTrainable: isTrainable,
      dropout: Float(file.peftConfiguration?.dropout ?? file.provenance.dropout ?? 0),
      enabled: enabled)
    // Of a model without a head both names are usual.
    return [noteOfBase].compactMap { $0 }
      + (isBodyAlone ? [] : [note?.description].compactMap { $0 })
      + file.warnings(among: pathsOfLayers)
  }
}
