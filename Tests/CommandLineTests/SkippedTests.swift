import Foundation
import Testing

/// A test that is skipped says why in the log: each condition of a test has a comment.
@Suite struct SkippedTests {
  @Test func everyConditionHasAReason() throws {
    let tests = Fixtures.root.appending(path: "Tests")
    let files = FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil)
    var found = 0
    for case let file as URL in files ?? .init() where file.pathExtension == "swift" {
      let text = try String(contentsOf: file, encoding: .utf8)
      for start in text.ranges(of: /\.(enabled|disabled)\(/) {
        let arguments = Self.arguments(text[start.upperBound...])
        found += 1
        #expect(
          arguments.hasSuffix("\""), "\(file.lastPathComponent): \(arguments) gives no reason")
      }
    }
    #expect(found > 10)
  }

  /// The text up to the parenthesis that closes.
  private static func arguments(_ text: Substring) -> Substring {
    var depth = 1
    let end = text.firstIndex { character in
      if character == "(" { depth += 1 }
      if character == ")" { depth -= 1 }
      return depth == 0
    }
    return text[..<(end ?? text.endIndex)]
  }
}
