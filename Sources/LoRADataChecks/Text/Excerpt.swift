/// Pieces of texts for reports.
enum Excerpt {
  /// The beginning of `text` on one line, in quotes.
  static func of(_ text: String, limit: Int = 60) -> String {
    let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return line.count > limit ? "\"\(line.prefix(limit))…\"" : "\"\(line)\""
  }

  /// The beginning of what nobody should read in a report.
  static func hidden(_ text: String, shown: Int = 4) -> String {
    "\"\(text.prefix(shown))…\" (\(text.count) characters)"
  }
}
