extension AdapterFile {
  static func readGGUF(
    _ path: String, _ options: Options
  ) throws(FormatError) -> AdapterDescription {
    throw FormatError(.unsupported, file: path, problem: "GGUF adapters are not read")
  }

  func writeGGUF(
    to path: String, _ options: Options
  ) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    throw FormatError(.unsupported, file: path, problem: "GGUF adapters are not written")
  }
}
