import LoRAFiles
import LoRAFormats
import LoRAKit

extension AdapterFile {
  /// The adapter at `path`, by the one way in which every command reads one: checked against the base
  /// where there is one, and what reading had to assume told on standard error.
  static func opened(
    _ path: String, base: String?, alpha: Double? = nil
  ) throws(FormatError) -> AdapterFile {
    try opened(path, Options(alpha: alpha, basePath: base))
  }

  /// The adapter at `path`, to be attached to the model that was opened from `model`, which checks it
  /// as a base is.
  static func opened(
    _ path: String, toAttachTo model: String, isTold: Bool = true
  ) throws(FormatError) -> AdapterFile {
    var options = Options(basePath: model)
    options.checksBase = false
    return try opened(path, options, isTold: isTold)
  }

  private static func opened(
    _ path: String, _ options: Options, isTold: Bool = true
  ) throws(FormatError) -> AdapterFile {
    let file = try AdapterFile(path: path, options: options)
    for note in file.notes where isTold { StandardError.line("warning: \(path): \(note)") }
    return file
  }
}
