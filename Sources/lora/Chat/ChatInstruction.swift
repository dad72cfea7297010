/// What a line of a chat asks for: something to say to the model, or to do.
enum ChatInstruction: Equatable {
  case say(String)
  /// Use these adapters alone, each as `NAME` or `NAME:STRENGTH`.
  case adapters([String])
  /// Use the chosen adapters at this strength.
  case scale(String)
  case base
  /// Answer this, or the last message, with the base and with each adapter.
  case compare(String)
  case regenerate
  case system(String)
  case save(String)
  case stats
  case clear
  case help
  case quit
  case unknown(String)

  /// What there is, as shown by `/help`.
  static let all: [(form: String, meaning: String)] = [
    ("/adapter NAME[:STRENGTH] ...", "answer with these adapters alone"),
    ("/scale STRENGTH", "answer with the chosen adapters at this strength"),
    ("/base", "answer without adapters"),
    ("/compare [TEXT]", "answer TEXT, or the last message, with the base and each adapter"),
    ("/regenerate", "answer the last message again"),
    ("/system [TEXT]", "tell the model TEXT before all messages; nothing without TEXT"),
    ("/save FILE", "write the conversation as JSON, for lora template and training"),
    ("/stats", "show tokens per second and how much of the context is used"),
    ("/clear", "forget the conversation"), ("/quit", "leave, as Ctrl-D does"),
  ]

  /// Reads a line. One that begins with two slashes is said with one.
  init(_ line: String) {
    guard line.hasPrefix("/"), !line.hasPrefix("//") else {
      self = .say(line.hasPrefix("//") ? String(line.dropFirst()) : line)
      return
    }
    let parts = line.dropFirst().split(separator: " ", maxSplits: 1)
    let rest = parts.count > 1 ? parts[1].trimmingPrefix { $0 == " " } : ""
    switch parts.first ?? "" {
    case "adapter": self = .adapters(rest.split(separator: " ").map(String.init))
    case "scale": self = .scale(String(rest))
    case "base": self = .base
    case "compare": self = .compare(String(rest))
    case "regenerate": self = .regenerate
    case "system": self = .system(String(rest))
    case "save": self = .save(String(rest))
    case "stats": self = .stats
    case "clear": self = .clear
    case "help": self = .help
    case "quit", "exit": self = .quit
    default: self = .unknown(line)
    }
  }
}
