import Foundation
import LoRAJSON
import LoRATemplates
import TestSupport
import Testing

/// Thousands of templates that are nearly right, in a process of its own: each renders or is refused
/// with a typed error, in bounded time and memory.
///
/// `LORA_FUZZ_ROUNDS=50000 swift test --filter MutationTests` looks further, and with templates of
/// models where a folder of them is at hand (`LORA_SHARED`).
@Suite struct MutationTests {
  @Test(.timeLimit(.minutes(30))) func mutatedTemplatesEnd() async {
    await #expect(processExitsWith: .success) { try TemplateMutation.run() }
  }
}

private enum TemplateMutation {
  static var rounds: Int {
    ProcessInfo.processInfo.environment["LORA_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 3000
  }

  /// Templates to begin with.
  static func sources() throws -> [String] {
    var folders = [TemplateFixtures.directory]
    if let shared = ProcessInfo.processInfo.environment["LORA_SHARED"] {
      folders.append(shared + "/templates")
    }
    var result: [String] = []
    for folder in folders {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      where name.hasSuffix(".jinja") {
        result.append(try TemplateFixtures.source(name, in: folder))
      }
    }
    for file in ["snippets.json", "expressions.json"] {
      let cases = try TemplateFixtures.json(file)["cases"]?.arrayValue ?? []
      // Short ones together, so that their parts meet.
      let snippets = cases.compactMap { $0["template"]?.stringValue }
      for start in stride(from: 0, to: snippets.count, by: 8) {
        result.append(snippets[start..<min(start + 8, snippets.count)].joined(separator: "\n"))
      }
    }
    return result
  }

  /// Words, marks of tags and single characters.
  static func words(_ text: String) -> [String] {
    var result: [String] = []
    var isWord = false
    for scalar in text.unicodeScalars {
      let belongs = scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
      let isMark = "{%#}".unicodeScalars.contains(scalar)
      if (isWord && belongs)
        || isMark && isSingleMark(result.last)
      {
        result[result.count - 1].unicodeScalars.append(scalar)
      } else {
        result.append(String(scalar))
      }
      isWord = belongs
    }
    return result
  }

  private static func isSingleMark(_ word: String?) -> Bool {
    ["{", "%", "#", "}"].contains(word)
  }

  static let strange = [
    "9223372036854775807", "-", "[", "(", "{", "{{", "{%", "%}", "}}", "recursive", "loop",
    "(loop)",
    "*", "**", "|", "range(100000)", "* 99999", "|list", "|tojson", "|indent(9999)", "ns", "[::-1]",
    "'", "\"", "\\", "\u{0}", "\u{301}", "😀", "1e308", "none", "not", "is", "in", "~", ".x", "raw",
  ]

  static func mutate(_ source: [String], _ all: [[String]], _ numbers: inout SplitMix) -> String {
    var words = source
    for _ in 0..<Int.random(in: 1...4, using: &numbers) {
      let place = Int.random(in: 0...words.count, using: &numbers)
      let end = min(words.count, place + Int.random(in: 1...5, using: &numbers))
      switch Int.random(in: 0..<6, using: &numbers) {
      case 0: words.removeSubrange(place..<end)
      case 1: words.insert(strange.randomElement(using: &numbers) ?? "", at: place)
      case 2:
        words.replaceSubrange(
          place..<end, with: strange.randomElement(using: &numbers).map { [$0] } ?? [])
      case 3:
        words.insert(
          contentsOf: Array(repeating: Array(words[place..<end]), count: 3).joined(), at: place)
      case 4: words.removeSubrange(place...)
      default:
        let other = all.randomElement(using: &numbers) ?? []
        let start = Int.random(in: 0...other.count, using: &numbers)
        words.insert(contentsOf: other[start..<min(other.count, start + 12)], at: place)
      }
    }
    return words.joined()
  }

  static func run() throws {
    let sources = try sources().map(words)
    let conversations = try TemplateFixtures.json("conversations.json")["variables"]?.objectValue
    let chats = conversations?.values.map(TemplateFixtures.conversation) ?? []
    let limits = TemplateLimits(steps: 50_000, length: 200_000, copies: 1_000_000)
    var refused = 0
    for round in 0..<rounds {
      var numbers = SplitMix(state: UInt64(round))
      let source = mutate(sources[round % sources.count], sources, &numbers)
      let found = outcome { () throws(TemplateError) in
        let template = try ChatTemplate(source, specialTokens: TemplateFixtures.specialTokens)
        return try template.render(
          chats[round % chats.count], now: TemplateFixtures.clock, limits: limits)
      }
      if case .failure(let error) = found {
        refused += 1
        if error.message.isEmpty { fatalError("round \(round): an error without a word") }
      }
    }
    // Damage that is never noticed would mean that nothing was read.
    if refused < rounds / 4 { fatalError("only \(refused) of \(rounds) were refused") }
    if peak() > 1 << 30 { fatalError("\(peak() >> 20) MiB were taken") }
  }

  /// The most memory that the process had, in bytes.
  private static func peak() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
  }
}
