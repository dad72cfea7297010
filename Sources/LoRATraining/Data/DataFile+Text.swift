public import LoRAFiles

extension DataFile {
  /// The text of the file at `path`, UTF-8, with LF for every line end and without a byte order mark:
  /// what training and scoring read. Throws `FormatError` with the place of a byte that is no text.
  public static func text(of path: String) throws(FormatError) -> String {
    try ByteReader.text(path)
  }

  /// The whole file is one record.
  func forEachText(_ body: (DataRecord) throws -> Void) throws {
    let text = try Self.text(of: path)
    guard text.unicodeScalars.contains(where: { !$0.properties.isWhitespace }) else { return }
    try body(DataRecord(.text(text), line: 1))
  }
}
