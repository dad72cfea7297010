import LoRAFiles
import LoRAJSON
import LoRAKit
import LoRATemplates

/// A conversation in a terminal: what a person types, what the model answers, and adapters that change in
/// between.
struct ChatLoop {
  private let chat: ChatSession
  private var adapters: ChatAdapters
  private let precision: ProductPrecision
  private var input = ChatInput()
  private var last: (tokens: Int, seconds: Double, context: Int, cached: Int)?
  /// How many of the forgotten messages were told of.
  private var toldForgotten = 0

  init(_ chat: ChatSession, _ adapters: ChatAdapters, precision: ProductPrecision) {
    self.chat = chat
    self.adapters = adapters
    self.precision = precision
    chat.adapters = adapters.selection
  }

  /// Talks until the input ends or `/quit`.
  mutating func run() throws {
    ChatInterrupt.watch()
    StandardError.line(
      "answers by \(adapters.description); /help shows what can be done, Ctrl-C ends an answer, "
        + "Ctrl-D leaves")
    while let text = input.next(prompt: "> ") {
      _ = ChatInterrupt.take()
      if text.allSatisfy(\.isWhitespace) { continue }
      do {
        // What readLine puts in the place of bytes that are no character.
        guard !text.unicodeScalars.contains("\u{FFFD}") else {
          throw CommandError("the line is not text in UTF-8, and was not said; convert it")
        }
        if try !follow(ChatInstruction(text)) { return }
      } catch let error as ReaderLeftError {
        throw error
      } catch {
        // Nothing that is said wrongly ends a conversation.
        StandardError.line("error: \(error)")
      }
    }
  }

  /// Does what a line asks for; false if that is to leave.
  private mutating func follow(_ instruction: ChatInstruction) throws -> Bool {
    switch instruction {
    case .say(let text): try give(try chat.answer(to: text))
    case .regenerate:
      guard let answer = try chat.answerAgain() else {
        throw CommandError("nothing was asked yet")
      }
      try give(answer)
    case .adapters(let arguments):
      try adapters.choose(arguments)
      useAdapters()
    case .scale(let text):
      try adapters.scale(text)
      useAdapters()
    case .base:
      adapters.chooseNone()
      useAdapters()
    case .compare(let text): try compare(text.isEmpty ? nil : text)
    case .system(let text):
      chat.system = text.isEmpty ? nil : text
      StandardError.line(text.isEmpty ? "the model is told nothing" : "the model is told: \(text)")
    case .save(let path): try save(to: path)
    case .stats: stats()
    case .clear:
      chat.removeAll()
      StandardError.line("the conversation is forgotten")
    case .help:
      for line in ChatInstruction.all {
        StandardError.line(line.form.padded(to: 32) + line.meaning)
      }
      StandardError.line(
        "A backslash at the end of a line, or \"\"\" around several, makes one message of them. On a "
          + "terminal Alt-Enter begins a new line, a paste is one message, and up and down go through "
          + "earlier messages.")
    case .quit: return false
    case .unknown(let line):
      throw CommandError("there is no '\(line)'; /help shows what there is, // says a slash")
    }
    return true
  }

  private mutating func useAdapters() {
    chat.adapters = adapters.selection
    StandardError.line("answers by \(adapters.description)")
  }

  // MARK: Answers

  private mutating func give(_ answer: ChatAnswer) throws {
    tellForgotten()
    let start = ContinuousClock.now
    while let piece = try ProductPrecision.withValue(precision, { try answer.next() }) {
      try StandardOutput.generated(piece)
      if ChatInterrupt.take() {
        answer.stop()
        break
      }
    }
    try StandardOutput.line()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    last = (answer.tokens.count, seconds, answer.contextTokenCount, answer.cachedTokenCount)
    tellForgotten()
    if answer.end == .length {
      let isLong = answer.tokens.count >= chat.options.maximumTokens
      StandardError.line("(cut off: \(isLong ? "--max-tokens" : "the context is full"))")
    }
  }

  /// Says what the model sees no more.
  private mutating func tellForgotten() {
    let count = chat.forgottenMessageCount
    guard count != toldForgotten else { return }
    toldForgotten = count
    if count > 0 {
      StandardError.line(
        "(the context of \(context) tokens is full: the first \(count) of \(chat.messages.count) messages are "
          + "forgotten\(chat.system == nil ? "" : ", the system's is not"))")
    }
  }

  /// The most tokens that the model sees.
  private var context: Int {
    min(chat.contextLimit ?? .max, chat.model.maximumPositions)
  }

  /// The same question to the base and to each adapter, side by side where there is room.
  private func compare(_ text: String?) throws {
    let selections: [(String, AdapterSelection)] =
      [("base", [:])]
      + adapters.names.map { name in
        let strength = adapters.selection.strengths[name] ?? 1
        return (strength == 1 ? name : "\(name):\(strength)", [name: strength])
      }
    var answers: [(title: String, text: String)] = []
    for (title, selection) in selections {
      guard let session = try chat.text(answering: text, under: selection) else {
        throw CommandError("nothing was asked yet; /compare TEXT asks")
      }
      var answer = ""
      while let piece = try ProductPrecision.withValue(precision, { try session.next() }) {
        answer += piece
        if ChatInterrupt.take() { return }
      }
      answers.append((title, answer))
    }
    let width = Terminal.columns(of: 1)
    guard StandardOutput.isTerminal, let lines = Columns.lines(answers, width: width) else {
      for answer in answers {
        try StandardOutput.line("[\(answer.title)]", in: .cyan)
        try StandardOutput.generated(answer.text)
        try StandardOutput.line()
      }
      return
    }
    try StandardOutput.line(lines[0], in: .cyan)
    try StandardOutput.lines(Array(lines.dropFirst()))
  }

  // MARK: What was said

  private func save(to path: String) throws {
    guard !path.isEmpty else { throw CommandError("/save needs a file's name") }
    guard !FileSystem.exists(path) else {
      throw CommandError("\(path): it exists, and is not replaced; choose another name")
    }
    var messages = chat.messages
    if let system = chat.system {
      messages.insert(["role": "system", "content": .string(system)], at: 0)
    }
    let lines = messages.map { message -> String in
      func text(_ name: String) -> JSONValue {
        if case .string(let text)? = message[name] { .string(text) } else { .null }
      }
      return "  " + JSONValue.object(["role": text("role"), "content": text("content")]).encoded()
    }
    let document = "[\n" + lines.joined(separator: ",\n") + "\n]\n"
    try AtomicFile.write(Array(document.utf8), to: path)
    StandardError.line("\(path): \(messages.count) messages")
  }

  private func stats() {
    guard let last else { return StandardError.line("nothing was answered yet") }
    // The last token of a full context has no place of its own.
    let used = min(context, last.context)
    let forgotten = chat.forgottenMessageCount
    StandardError.line(
      "\(last.tokens) tokens, \(decimal(Double(last.tokens) / max(1e-9, last.seconds), 1)) tokens/s; "
        + "context \(used) of \(context) tokens (\(decimal(100 * Double(used) / Double(context), 0)) %), "
        + "\(last.cached) of them kept from before"
        + (forgotten == 0
          ? "" : "; \(forgotten) of \(chat.messages.count) messages forgotten"))
  }
}
