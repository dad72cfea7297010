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
    do {
      _ = try Regex(text)
    } catch {
      throw fields.error(
        .invalidValue, key, "'\(text)' is not a regular expression: \(error)")
    }
    self.text = text
  }

  /// A pattern of this program, known to be valid or to match nothing.
  init(unchecked text: String) { self.text = text }

  /// Whether the expression matches the whole of `path`, as Python's `re.fullmatch`.
  func matchesWhole(_ path: String) -> Bool {
    guard let regex = try? Regex(text) else { return false }
    return (try? regex.wholeMatch(in: path)) != nil
  }

  /// The first group's text where the expression matches a beginning of `path`, as `re.match`.
  func group(_ name: String, atStartOf path: String) -> Substring? {
    guard let regex = try? Regex(text), let match = try? regex.prefixMatch(in: path) else {
      return nil
    }
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
