/// Formats that are no text in UTF-8, by the first bytes of their files, and what makes text of them.
package enum ForeignFormat {
  private static let signatures: [(bytes: [UInt8], name: String, remedy: String)] = [
    (
      Array("PAR1".utf8), "a Parquet file",
      "convert it, as by python -c \"import pandas; pandas.read_parquet('FILE').to_json('FILE.jsonl', "
        + "orient='records', lines=True, force_ascii=False)\""
    ),
    (
      Array("ARROW1".utf8), "an Arrow file",
      "convert it, as by python -c \"import pandas; pandas.read_feather('FILE').to_json('FILE.jsonl', "
        + "orient='records', lines=True, force_ascii=False)\""
    ),
    ([0x1F, 0x8B], "compressed by gzip", "uncompress it: gunzip -k FILE"),
    ([0x28, 0xB5, 0x2F, 0xFD], "compressed by Zstandard", "uncompress it: unzstd FILE"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "compressed by xz", "uncompress it: unxz -k FILE"),
    (Array("BZh".utf8), "compressed by bzip2", "uncompress it: bunzip2 -k FILE"),
    (
      [0x50, 0x4B, 0x03, 0x04], "a zip archive, as Office documents are too",
      "take the text out of it; a table is saved as CSV"
    ),
    (Array("%PDF".utf8), "a PDF document", "take the text out of it, as by pdftotext FILE"),
    (Array("{\\rtf".utf8), "an RTF document", "save it as plain text"),
    (
      Array("GGUF".utf8), "a GGUF file", "data are text or token sequences; a model goes to --model"
    ),
    (
      Array("SQLite format 3".utf8), "an SQLite database", "export its table as CSV"
    ),
  ]

  /// Throws if a file that begins with `beginning` is none that can be read as UTF-8 text.
  package static func refuse(_ beginning: [UInt8], path: String) throws(FormatError) {
    for (bytes, name, remedy) in signatures where beginning.starts(with: bytes) {
      throw FormatError(
        .unsupported, file: path, problem: "it is \(name)",
        remedy: remedy.replacing("FILE", with: path))
    }
    if let encoding = wideEncoding(beginning) {
      throw FormatError(
        .unsupported, file: path, problem: "it is \(encoding) text, not UTF-8",
        remedy: "convert it: iconv -f \(encoding) -t UTF-8 \(path) > NEW")
    }
  }

  /// UTF-16 or UTF-32 by its byte order mark, or UTF-16 by the zeros that it has in every Latin text.
  private static func wideEncoding(_ bytes: [UInt8]) -> String? {
    if bytes.starts(with: [0xFF, 0xFE, 0, 0]) || bytes.starts(with: [0, 0, 0xFE, 0xFF]) {
      return "UTF-32"
    }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) { return "UTF-16" }
    guard bytes.count >= 4 else { return nil }
    let zeros = bytes.indices.filter { bytes[$0] == 0 }
    guard zeros.count * 4 > bytes.count else { return nil }
    if zeros.allSatisfy({ $0 % 2 == 1 }) { return "UTF-16LE" }
    return zeros.allSatisfy { $0 % 2 == 0 } ? "UTF-16BE" : nil
  }
}
