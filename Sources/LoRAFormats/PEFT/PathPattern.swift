/// A regular expression over module paths that came from a file: checked when it is made, compiled
/// when it is used (Swift's `Regex` is not Sendable).
struct PathPattern: Sendable, Hashable {
  let text: String

  /// Checks `text`; `fields` and `key` are for the error.
  init(_ text: String, _ fields: JSONFields, _ key: String) throws(FormatError) {
    // The compiler of expressions recurses: nesting from a hostile file must stay within the stack.
    var depth = 0
    var deepest = 0
    for byte in text.utf8 {
      if byte == UInt8(ascii: "(") || byte == UInt8(ascii: "[") { depth += 1 }
      if byte == UInt8(ascii: ")") || byte == UInt8(ascii: "]") { depth -= 1 }
      deepest = max(deepest, depth)
    }
    guard text.utf8.count <= 1 << 16, deepest <= 32 else {
      throw fields.error(
        .invalidValue, key, "the regular expression is too long or nested too deeply")
    }
    guard !Self.repeatsChoices(text) else {
      throw fields.error(
        .unsupported, key,
        "'\(text)' repeats a group that can match in several ways, which may take forever",
        "write it without a repetition or an alternative inside of a repeated group")
    }
    do {
      _ = try Regex(text)
    } catch {
      throw fields.error(
        .invalidValue, key, "'\(text)' is not a regular expression: \(error)")
    }
    self.text = text
  }

  /// Whether an unbounded repetition applies to a group that holds another one, or alternatives, as
  /// in "(a+)+" or "(a|aa)*": the time that matching by backtracking takes is exponential in those.
  private static func repeatsChoices(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    /// Of every group that is open: whether it holds such a thing.
    var hasChoice = [false]
    var index = 0
    /// Whether an unbounded quantifier stands at `index`.
    func isUnbounded() -> Bool {
      guard index < bytes.count else { return false }
      switch bytes[index] {
      case UInt8(ascii: "*"), UInt8(ascii: "+"): return true
      case UInt8(ascii: "{"):
        guard let end = bytes[index...].firstIndex(of: UInt8(ascii: "}")) else { return false }
        return bytes[end - 1] == UInt8(ascii: ",")
      default: return false
      }
    }
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      switch byte {
      case UInt8(ascii: "\\"): index += 1
      case UInt8(ascii: "["):
        // A "]" that comes first stands for itself.
        if index < bytes.count, bytes[index] == UInt8(ascii: "^") { index += 1 }
        if index < bytes.count, bytes[index] == UInt8(ascii: "]") { index += 1 }
        while index < bytes.count, bytes[index] != UInt8(ascii: "]") {
          index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        index += 1
      case UInt8(ascii: "("):
        hasChoice.append(false)
        continue
      case UInt8(ascii: "|"):
        hasChoice[hasChoice.count - 1] = true
        continue
      case UInt8(ascii: ")"):
        guard hasChoice.count > 1, let inner = hasChoice.popLast() else { continue }
        if inner, isUnbounded() { return true }
        if inner { hasChoice[hasChoice.count - 1] = true }
      default: break
      }
      if isUnbounded() { hasChoice[hasChoice.count - 1] = true }
    }
    return false
  }

  /// The longest path that is matched: several "*" in a row take time by a power of it. Paths of
  /// modules have a hundred characters at most.
  private static let longestPath = 256

  /// A pattern of this program, known to be valid or to match nothing.
  init(unchecked text: String) { self.text = text }

  /// Whether the expression matches the whole of `path`, as Python's `re.fullmatch`.
  func matchesWhole(_ path: String) -> Bool {
    guard path.utf8.count <= Self.longestPath, let regex = try? Regex(text) else { return false }
    return (try? regex.wholeMatch(in: path)) != nil
  }

  /// The first group's text where the expression matches a beginning of `path`, as `re.match`.
  func group(_ name: String, atStartOf path: String) -> Substring? {
    guard path.utf8.count <= Self.longestPath, let regex = try? Regex(text),
      let match = try? regex.prefixMatch(in: path)
    else { return nil }
    return match[name]?.substring
  }
}

/// How PEFT matches the names in a list: the whole path, or a suffix of it after a dot.
package func isPath(_ path: String, namedBy name: String) -> Bool {
  let (path, name) = (path.utf8, name.utf8)
  guard path.count >= name.count, path.suffix(name.count).elementsEqual(name) else { return false }
  if path.count == name.count { return true }
  return path[path.index(path.endIndex, offsetBy: -name.count - 1)] == UInt8(ascii: ".")
}
