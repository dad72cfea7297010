import LoRATraining

/// Conversations whose messages are in an order that templates do not expect, and special tokens that are
/// spelled in texts.
struct RoleOrder: DataDetector {
  /// The form of the first record of the file, which all others must have.
  private var firstForm: (form: String, line: Int, file: Int)?
  private static let known = [
    "system", "developer", "user", "assistant", "tool", "function", "ipython",
  ]

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    let form = example.form
    if let firstForm, firstForm.file == example.file {
      if firstForm.form != form {
        log.add(
          .malformed, in: example,
          "expected \(firstForm.form), as on line \(firstForm.line); found \(form)")
      }
    } else {
      firstForm = (form, example.line, example.file)
    }
    if example.isChat, let problem = Self.problem(example.turns) {
      log.add(.role, in: example, problem)
    }
    for turn in example.turns {
      if let token = SpecialTokens.first(in: turn.text, isText: turn.role == "text") {
        log.add(.specialToken, in: example, "\"\(token)\" stands in the \(turn.place)")
        return
      }
      // In a file of texts, or in prompts, they are the format.
      if turn.role == "assistant", let begun = SpecialTokens.turn(in: turn.text) {
        log.add(.specialToken, in: example, "another turn, \"\(begun)\", begins in the answer")
        return
      }
    }
  }

  private static func problem(_ turns: [CheckedExample.Turn]) -> String? {
    var last = ""
    for (index, turn) in turns.enumerated() {
      let number = index + 1
      if !known.contains(turn.role) {
        return "message \(number) has the role '\(turn.role)', which few templates know"
      }
      if turn.isEmpty, turn.role != "system", index + 1 < turns.count {
        return "message \(number) of the \(turn.role) is empty"
      }
      switch turn.role {
      case "system", "developer":
        if index > 0, !["system", "developer"].contains(last) {
          return "message \(number) is the system's, in the middle of the conversation"
        }
      case "assistant":
        if last == "" || last == "system" || last == "developer" {
          return "the assistant speaks first, in message \(number)"
        }
        if last == "assistant", !turns[index - 1].callsTools {
          return "messages \(number - 1) and \(number) are both the assistant's"
        }
      case "user":
        if last == "user" { return "messages \(number - 1) and \(number) are both the user's" }
      default: break
      }
      last = turn.role
    }
    guard last != "assistant" else { return nil }
    return "the last message is the \(last)'s, not the assistant's"
  }
}

extension CheckedExample.Turn {
  /// Where it stands, in words.
  var place: String {
    switch role {
    case "text": "text"
    case "assistant": "answer"
    case "user": "question"
    case "rejected": "rejected answer"
    default: "message of the \(role)"
    }
  }
}
