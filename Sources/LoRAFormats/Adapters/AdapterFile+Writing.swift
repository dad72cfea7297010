package import LoRAFiles
import LoRATensor

extension AdapterFile {
  /// Writes the adapter as `format` at `path`: a folder for PEFT and MLX, else a file. What the
  /// format cannot say as it is is folded, with a note, or refused by the layer's name.
  ///
  /// Returns what was written, which reading gives back, and what was done for it. Throws
  /// `FormatError` for what cannot be written, `FileError` if writing fails.
  @discardableResult
  public func write(
    as format: AdapterFormat, to path: String, options: Options = Options()
  ) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    try write(as: format, to: path, options: options) { _, _ in }
  }

  /// Writes as ``write(as:to:options:)`` does, but first calls `check` with the path of the complete
  /// draft; if it throws, nothing has changed at `path`.
  @discardableResult
  package func write(
    as format: AdapterFormat, to path: String, options: Options,
    check: (_ draft: String, _ notes: [AdapterNote]) throws -> Void
  ) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    try Self.refuseCrossing(format, path)
    try description.refuseOtherSites(for: format, path)
    try refuseParameters(for: format, path)
    let fitted = try format.codec.fit(self, to: path, options)
    if format.isFolder {
      try AtomicFolder.write(fitted.parts, as: FolderResult.adapter(format), to: path) { draft in
        try check(draft, fitted.notes)
      }
    } else {
      try AtomicFile.writeAll(fitted.parts) { drafts in
        for draft in drafts { try check(draft, fitted.notes) }
      }
    }
    return (fitted.description, fitted.notes + noteOfCopies(format))
  }

  /// What reading gives back of the adapter written as `format`: its layers, or those that the format has
  /// for the same function.
  package func described(
    as format: AdapterFormat, options: Options
  ) throws(FormatError) -> AdapterDescription {
    try format.codec.described(description, options)
  }

  /// An adapter as a format can express it, not yet written.
  struct Fitted {
    /// What the files hold.
    let description: AdapterDescription
    /// What was done for it.
    let notes: [AdapterNote]
    let parts: [AtomicFile.Part]

    init(
      _ description: AdapterDescription, _ notes: [AdapterNote] = [], parts: [AtomicFile.Part]
    ) {
      self.description = description
      self.notes = notes
      self.parts = parts
    }
  }

  /// Copies of the base's weights that PEFT's files may hold say nothing about the adapter.
  private func noteOfCopies(_ format: AdapterFormat) -> [AdapterNote] {
    guard format != .peft, let first = description.baseCopies.first else { return [] }
    let others = description.baseCopies.count - 1
    return [
      AdapterNote(
        text: "the file's copy of the base's '\(first.path)'"
          + (others > 0 ? " and \(others) more" : "") + " is left out")
    ]
  }

  /// A file where a folder is to be, or the other way round.
  private static func refuseCrossing(_ format: AdapterFormat, _ path: String) throws(FormatError) {
    guard FileSystem.exists(path) else { return }
    if format.isFolder != FileSystem.isFolder(path) {
      throw FormatError(
        .invalidValue, file: path,
        problem: format.isFolder
          ? "a \(format.title) adapter is a folder, and this is a file"
          : "a \(format.title) adapter is a file, and this is a folder",
        remedy: "give another path")
    }
  }
}
