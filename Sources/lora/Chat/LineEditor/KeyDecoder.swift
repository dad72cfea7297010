/// Keys of the bytes that a terminal sends, one byte after the other.
///
/// Sources: ECMA-48 (control sequences), xterm's *Control Sequences* (modifiers, bracketed paste).
struct KeyDecoder {
  private enum State {
    case ground
    /// Behind ESC: a sequence, or a key pressed with Alt.
    case escape
    /// In `ESC [`, with its parameters so far.
    case sequence([UInt8])
    /// Behind `ESC O`.
    case single
    /// Behind `ESC [ [`, the function keys of Linux's console.
    case function
    /// In a character of several bytes, of which so many are missing.
    case character([UInt8], missing: Int)
    case paste([UInt8])
  }

  private var state = State.ground
  /// The longest sequence of a key.
  private static let longest = 32
  private static let pasteEnd = Array("\u{1B}[201~".utf8)

  /// The key that `byte` completes; nil if it completes none.
  mutating func key(_ byte: UInt8) -> Key? {
    switch state {
    case .ground: return ground(byte)
    case .escape: return escaped(byte)
    case .function:
      state = .ground
      return nil
    case .single:
      state = .ground
      return Self.arrow(byte, modifier: 1)
    case .sequence(let bytes):
      switch byte {
      case 0x5B where bytes.isEmpty:
        state = .function
        return nil
      case 0x20...0x3F:
        // What is longer than any key's is read to its end, and not kept.
        if bytes.count < Self.longest { state = .sequence(bytes + [byte]) }
        return nil
      default:
        state = .ground
        return sequence(bytes, byte)
      }
    case .character(var bytes, let missing):
      guard byte & 0xC0 == 0x80 else {
        // Half a character is none; what comes is read anew.
        state = .ground
        return ground(byte) ?? .text("\u{FFFD}")
      }
      bytes.append(byte)
      state = missing == 1 ? .ground : .character(bytes, missing: missing - 1)
      return missing == 1 ? .text(String(decoding: bytes, as: UTF8.self)) : nil
    case .paste(var bytes):
      // Emptied first, so that it stays one array.
      state = .ground
      bytes.append(byte)
      guard bytes.suffix(Self.pasteEnd.count) == Self.pasteEnd[...] else {
        state = .paste(bytes)
        return nil
      }
      return .paste(Self.pasted(bytes.dropLast(Self.pasteEnd.count)))
    }
  }

  private mutating func ground(_ byte: UInt8) -> Key? {
    switch byte {
    case 0x01: return .lineStart
    case 0x02: return .left
    case 0x03: return .interrupt
    case 0x04: return .endOfInput
    case 0x05: return .lineEnd
    case 0x06: return .right
    case 0x08, 0x7F: return .deleteLeft
    case 0x09: return .text("\t")
    // A line feed is what Enter gave before keys were read one by one.
    case 0x0A, 0x0D: return .enter
    case 0x0B: return .deleteToLineEnd
    case 0x0C: return .clearScreen
    case 0x0E: return .later
    case 0x10: return .earlier
    case 0x15: return .deleteToLineStart
    case 0x17: return .deleteWordLeft
    case 0x19: return .putBack
    case 0x1A: return .suspend
    case 0x1B:
      state = .escape
      return nil
    case 0x00...0x1F: return nil
    case 0x20...0x7E: return .text(String(Unicode.Scalar(byte)))
    case 0xC2...0xDF: state = .character([byte], missing: 1)
    case 0xE0...0xEF: state = .character([byte], missing: 2)
    case 0xF0...0xF4: state = .character([byte], missing: 3)
    default: return .text("\u{FFFD}")
    }
    return nil
  }

  private mutating func escaped(_ byte: UInt8) -> Key? {
    state = .ground
    switch byte {
    case 0x1B: state = .escape
    case UInt8(ascii: "["): state = .sequence([])
    case UInt8(ascii: "O"): state = .single
    case 0x0A, 0x0D: return .newLine
    case UInt8(ascii: "b"): return .wordLeft
    case UInt8(ascii: "f"): return .wordRight
    case UInt8(ascii: "d"): return .deleteWordRight
    case 0x08, 0x7F: return .deleteWordLeft
    case UInt8(ascii: "<"): return .start
    case UInt8(ascii: ">"): return .end
    default: break
    }
    return nil
  }

  private mutating func sequence(_ bytes: [UInt8], _ last: UInt8) -> Key? {
    let numbers = bytes.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
      .map { Int(String(decoding: $0, as: UTF8.self)) ?? 1 }
    let modifier = numbers.count > 1 ? numbers[1] : 1
    switch last {
    case UInt8(ascii: "~"):
      switch numbers[0] {
      case 1, 7: return modifier == 1 ? .lineStart : .start
      case 4, 8: return modifier == 1 ? .lineEnd : .end
      case 3: return modifier == 1 ? .deleteRight : .deleteWordRight
      // Enter with another key, as xterm says it.
      case 27 where numbers.count == 3 && numbers[2] == 13: return .newLine
      case 200: state = .paste([])
      default: break
      }
    // The same as kitty says it.
    case UInt8(ascii: "u") where numbers[0] == 13: return modifier == 1 ? .enter : .newLine
    default: return Self.arrow(last, modifier: modifier)
    }
    return nil
  }

  /// Keys that a letter names. Modifiers are counted from 1; Alt is 2 and Ctrl 4 more.
  private static func arrow(_ letter: UInt8, modifier: Int) -> Key? {
    let isWord = (modifier - 1) & 6 != 0
    return switch letter {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): isWord ? .wordRight : .right
    case UInt8(ascii: "D"): isWord ? .wordLeft : .left
    case UInt8(ascii: "H"): isWord ? .start : .lineStart
    case UInt8(ascii: "F"): isWord ? .end : .lineEnd
    case UInt8(ascii: "M"): .enter
    default: nil
    }
  }

  /// A pasted text: its lines end by line feeds, and nothing in it is a key.
  private static func pasted(_ bytes: some Sequence<UInt8>) -> String {
    var result = String.UnicodeScalarView()
    var isAfterReturn = false
    for scalar in String(decoding: Array(bytes), as: UTF8.self).unicodeScalars {
      switch scalar {
      case "\r": result.append("\n")
      case "\n": if !isAfterReturn { result.append("\n") }
      case "\t": result.append("\t")
      default:
        if scalar.value >= 0x20, !(0x7F...0x9F).contains(scalar.value) { result.append(scalar) }
      }
      isAfterReturn = scalar == "\r"
    }
    return String(result)
  }
}
