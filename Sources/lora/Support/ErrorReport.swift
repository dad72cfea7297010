import ArgumentParser
import LoRAFormats

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A failure of a command that no layer of the library has a type for.
struct CommandError: Error, CustomStringConvertible {
  /// What, where, what to do.
  let description: String

  init(_ description: String) { self.description = description }

  /// `error` with the place that it concerns before it.
  init(_ place: String, _ error: some Error) { description = "\(place): \(error)" }
}

/// Options that contradict what a file says: wrong usage, found only when the file was read.
struct ContradictionError: Error, CustomStringConvertible {
  let description: String
}

/// How a command ends that cannot do its work.
enum ErrorReport {
  /// Ends the process: help goes to standard output with status 0; wrong usage to standard error
  /// with status 64; any other failure is one line, `error: <what, where, what to do>`, status 1.
  static func exit(with error: any Error) -> Never {
    var code = LoRACommand.exitCode(for: error)
    let text = LoRACommand.fullMessage(for: error)
    if code.isSuccess {
      try? StandardOutput.write(text + "\n")
    } else if error is ContradictionError {
      StandardError.write("error: \(error)\n")
      code = .validationFailure
    } else if code == .validationFailure {
      // ArgumentParser's own wording, with this program's "error:".
      let prefix = "Error: "
      StandardError.write(
        (text.hasPrefix(prefix) ? "error: " + text.dropFirst(prefix.count) : text) + "\n")
    } else if !(error is ExitCode) {
      StandardError.write("error: \(error)\n")
    }
    #if canImport(Glibc)
      Glibc.exit(code.rawValue)
    #elseif canImport(Musl)
      Musl.exit(code.rawValue)
    #else
      Darwin.exit(code.rawValue)
    #endif
  }
}
