import Logging

/// Writes what the library logs to standard error, warnings and above.
struct WarningLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .warning

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let details = (event.metadata ?? [:]).sorted { $0.key < $1.key }
      .map { ", \($0.key) \($0.value)" }.joined()
    StandardError.line("\(event.level): \(event.message)\(details)")
  }

  static var logger: Logger { Logger(label: "lora") { _ in WarningLog() } }
}
