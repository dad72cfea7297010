import ArgumentParser

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How a command ends that cannot do its work.
enum ErrorReport {
  /// Ends the process: help goes to standard output with status 0; wrong usage to standard error
  /// with status 64; any other failure is one line, `error: <what, where, what to do>`, status 1.
  static func exit(with error: any Error) -> Never {
    var code = LoRACommand.exitCode(for: error)
    let arguments = Array(CommandLine.arguments.dropFirst())
    if code.isSuccess, let mistake = UsageReport.wrongRequest(for: arguments) {
      StandardError.line("error: \(mistake)")
      code = .validationFailure
    } else if code.isSuccess {
      try? StandardOutput.help(help(LoRACommand.fullMessage(for: error, columns: 10_000)) + "\n")
    } else if error is ReaderLeftError {
      // As a program that does not know of it ends by SIGPIPE: whoever read has seen enough.
    } else if error is ContradictionError {
      StandardError.line("error: \(error)")
      code = .validationFailure
    } else if code == .validationFailure {
      StandardError.line("error: " + UsageReport.line(for: error, arguments: arguments))
    } else if !(error is ExitCode) {
      StandardError.line("error: \(error)")
    }
    #if canImport(Glibc)
      Glibc.exit(code.rawValue)
    #elseif canImport(Musl)
      Musl.exit(code.rawValue)
    #else
      Darwin.exit(code.rawValue)
    #endif
  }

  /// What was asked for, help for the width of the terminal and anything else as it is.
  private static func help(_ text: String) -> String {
    guard text.hasPrefix("OVERVIEW: ") || text.hasPrefix("USAGE: ") else { return text }
    let columns = HelpText.columns(Terminal.columns(of: STDOUT_FILENO))
    return HelpText.wrapped(text, columns: columns)
  }
}
