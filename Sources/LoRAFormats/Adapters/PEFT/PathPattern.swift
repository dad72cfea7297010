import LoRAFiles
import LoRAPatterns
import LoRATensor

/// A regular expression over module paths, as Python's `re` reads it.
///
/// Configurations hold patterns as text; the compiled form of those in use is kept, so that asking for
/// one again costs a look-up.
struct PathPattern: Sendable {
  private enum Purpose: Hashable { case whole, start, group(String) }

  private struct Key: Hashable {
    var text: String
    var purpose: Purpose
  }

  /// nil: not an expression.
  private let expression: RegularExpression?

  private static let longestText = 1 << 16
  private static let mostKept = 256
  private static let known = Locked<[Key: PathPattern]>([:])

  /// What PEFT puts around a text of a configuration before it matches with it.
  struct Frame {
    var before: String
    var after: String

    /// The expression that it makes of `text`.
    func expression(of text: String) -> String { before + text + after }
  }

  /// Throws for a text that is not an expression or can't be matched here; `fields` and `key` are for
  /// the error.
  static func check(
    _ text: String, within frame: Frame? = nil, _ fields: JSONFields, _ key: String
  ) throws(FormatError) {
    if let problem = problem(of: text, within: frame) {
      throw fields.error(.invalidValue, key, "'\(text.prefix(200))' can't be matched: \(problem)")
    }
  }

  /// What Python's `re` or this program does not take about an expression, nil if both take it.
  static func problem(of text: String, within frame: Frame? = nil) -> String? {
    guard text.utf8.count <= longestText else {
      return "it has more than \(longestText) bytes"
    }
    guard let frame else { return failure(of: text).map { "\($0.message), in Python's syntax" } }
    guard var failure = failure(of: frame.expression(of: text)) else { return nil }
    // Places are those that the text's writer knows.
    if let own = Self.failure(of: text) { return "\(own.message), in Python's syntax" }
    let start = frame.before.unicodeScalars.count
    failure.place = failure.place.map { min(max(0, $0 - start), text.unicodeScalars.count) }
    return "\(failure.message), in Python's syntax; PEFT puts '\(frame.before)' before it"
  }

  private static func failure(of text: String) -> RegularExpressionError? {
    do {
      _ = try RegularExpression(text, dialect: .python, matchesWhole: true)
      return nil
    } catch {
      return error
    }
  }

  private init(_ key: Key) {
    switch key.purpose {
    case .whole:
      expression = try? RegularExpression(key.text, dialect: .python, matchesWhole: true)
    case .start: expression = try? RegularExpression(key.text, dialect: .python)
    case .group(let name):
      expression = try? RegularExpression(key.text, dialect: .python, group: name)
    }
  }

  private static func pattern(_ text: String, _ purpose: Purpose) -> PathPattern {
    let key = Key(text: text, purpose: purpose)
    if let pattern = known.withLock({ $0[key] }) { return pattern }
    let pattern = PathPattern(key)
    known.withLock { known in
      if known.count >= mostKept { known.removeAll() }
      known[key] = pattern
    }
    return pattern
  }

  /// Whether the expression matches the whole of `path`, as `re.fullmatch`.
  static func matchesWhole(_ text: String, _ path: String) -> Bool {
    pattern(text, .whole).expression?.matches(path) ?? false
  }

  /// Whether the expression matches a beginning of `path`, as `re.match`.
  static func matchesStart(_ text: String, _ path: String) -> Bool {
    pattern(text, .start).expression?.matches(path) ?? false
  }

  /// The text of a named group where the expression matches a beginning of `path`.
  static func group(_ name: String, of text: String, atStartOf path: String) -> String? {
    pattern(text, .group(name)).expression?.group(in: path)
  }
}

/// How PEFT matches the names in a list: the whole path, or a suffix of it after a dot.
package func isPath(_ path: String, namedBy name: String) -> Bool {
  let (path, name) = (path.utf8, name.utf8)
  guard path.count >= name.count, path.suffix(name.count).elementsEqual(name) else { return false }
  if path.count == name.count { return true }
  return path[path.index(path.endIndex, offsetBy: -name.count - 1)] == UInt8(ascii: ".")
}
