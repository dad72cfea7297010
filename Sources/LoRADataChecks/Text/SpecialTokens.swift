/// Special tokens of known models, as they are spelled.
enum SpecialTokens {
  /// Those that begin with `<`, without it.
  private static let angled = [
    "|im_start|>", "|im_end|>", "|endoftext|>", "|eot_id|>", "|begin_of_text|>", "|end_of_text|>",
    "|start_header_id|>", "|end_header_id|>", "|eom_id|>", "|end|>", "|user|>", "|assistant|>",
    "|system|>", "|endofprompt|>", "|startoftext|>", "|im_sep|>", "|channel|>", "|message|>",
    "|return|>", "|call|>", "|start|>", "|eot|>", "start_of_turn>", "end_of_turn>", "bos>", "eos>",
    "<SYS>>", "</SYS>>", "/s>", "｜begin▁of▁sentence｜>", "｜end▁of▁sentence｜>", "｜User｜>",
    "｜Assistant｜>", "|pad|>", "|tool_call|>", "|python_tag|>", "pad>", "s>", "unk>",
    "|START_OF_TURN_TOKEN|>", "|END_OF_TURN_TOKEN|>",
  ].map { Array($0.utf8) }
  private static let bracketed = [
    "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[CLS]", "[SEP]",
    "[PAD]",
    "[UNK]",
  ].map { Array($0.utf8) }

  /// The first special token in a text. In a whole text `<|endoftext|>` between documents is their end.
  static func first(in text: String, isText: Bool) -> String? {
    var text = text
    return text.withUTF8 { bytes in
      var index = 0
      while index < bytes.count {
        defer { index += 1 }
        let byte = bytes[index]
        guard byte == UInt8(ascii: "<") || byte == UInt8(ascii: "[") else { continue }
        let tokens = byte == UInt8(ascii: "<") ? angled : bracketed
        let start = byte == UInt8(ascii: "<") ? index + 1 : index
        for token in tokens where bytes.hasPrefix(token, at: start) {
          let spelled = String(decoding: bytes[index..<(start + token.count)], as: UTF8.self)
          if isText, spelled == "<|endoftext|>" { continue }
          // Struck-out text of HTML ends so.
          if spelled == "</s>", bytes.contains("<s>") { continue }
          if spelled == "<s>", bytes.contains("</s>") { continue }
          return spelled
        }
      }
      return nil
    }
  }
}

extension SpecialTokens {
  /// How the turns of prompts begin that are written as text.
  private static let turns = [
    "### Response:", "### Instruction:", "### Input:", "### Human:", "### Assistant:",
  ].map { Array($0.utf8) }

  /// Who begins to speak where an answer was not stopped.
  private static let speakers = ["USER:", "User:", "HUMAN:", "Human:"]

  /// The beginning of another turn in an answer: a line "### Response:", "Human:" and "Assistant:" both, or a
  /// last line "USER:" of nothing else.
  static func turn(in answer: String) -> String? {
    var text = answer
    let lastLine = answer.split(separator: "\n").last.map(String.init) ?? ""
    if let speaker = speakers.first(where: { lastLine.hasPrefix($0) }),
      lastLine.dropFirst(speaker.count).allSatisfy(\.isWhitespace), answer.contains("\n")
    {
      return speaker
    }
    return text.withUTF8 { bytes in
      var (hasHuman, hasAssistant) = (false, false)
      for index in bytes.indices where index == 0 || bytes[index - 1] == 0x0A {
        for turn in turns where bytes.hasPrefix(turn, at: index) {
          return String(decoding: turn, as: UTF8.self)
        }
        hasHuman = hasHuman || bytes.hasPrefix("Human:", at: index)
        hasAssistant = hasAssistant || bytes.hasPrefix("Assistant:", at: index)
      }
      return hasHuman && hasAssistant ? "Human:" : nil
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether `prefix` stands at `position`.
  func hasPrefix(_ prefix: [UInt8], at position: Int) -> Bool {
    guard position >= 0, position + prefix.count <= count else { return false }
    for (index, byte) in prefix.enumerated() where self[position + index] != byte { return false }
    return true
  }

  func hasPrefix(_ prefix: StaticString, at position: Int) -> Bool {
    guard position >= 0, position + prefix.utf8CodeUnitCount <= count else { return false }
    for index in 0..<prefix.utf8CodeUnitCount
    where self[position + index] != prefix.utf8Start[index] {
      return false
    }
    return true
  }

  /// Whether `text` stands anywhere.
  func contains(_ text: StaticString) -> Bool {
    let first = text.utf8Start[0]
    return indices.contains { self[$0] == first && hasPrefix(text, at: $0) }
  }

  /// The byte at `position`; 0 beyond the ends.
  func byte(_ position: Int) -> UInt8 { position >= 0 && position < count ? self[position] : 0 }

  /// The text of a range.
  func text(_ range: Range<Int>) -> String { String(decoding: self[range], as: UTF8.self) }
}

extension UInt8 {
  var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  var isUppercase: Bool { self >= 0x41 && self <= 0x5A }
  var isLowercase: Bool { self >= 0x61 && self <= 0x7A }
  var isAlphanumeric: Bool { isDigit || isUppercase || isLowercase }
}
