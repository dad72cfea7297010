import LoRAFiles

/// The card of an adapter: a `README.md` for people, with Hugging Face's metadata in its head.
///
/// ```swift
/// var card = AdapterCard(try AdapterFile(path: "support"), name: "support")
/// card.environment = [("date", "2026-12-01")]
/// try card.text.write(toFile: "support/README.md", atomically: true, encoding: .utf8)
/// ```
///
/// Everything in it comes from the adapter's record and from what the caller adds: names of files and models,
/// no paths, nothing of the machine unless ``environment`` says it.
///
/// Source: Hugging Face, *Model cards* (`base_model`, `library_name`, `license`, `tags`, `datasets`, `metrics`,
/// `pipeline_tag`); tags as PEFT writes them.
public struct AdapterCard: Sendable {
  /// The record that it shows.
  public var record: AdapterRecord
  /// The adapter's name: the heading, and the folder in its examples.
  public var name: String
  /// The number of numbers that were trained.
  public var parameterCount: Int
  /// Where and when it was made, as names and values; shown as they are.
  public var environment: [(name: String, value: String)] = []

  /// A line that says who wrote the card: while it is there, the card may be written anew.
  public static let mark = "<!-- Written by lora; remove this line to keep what you change. -->"

  /// Creates the card of an adapter of `parameterCount` numbers.
  public init(_ record: AdapterRecord, name: String, parameterCount: Int) {
    self.record = record
    self.name = name
    self.parameterCount = parameterCount
  }

  /// The name of the file.
  public static let fileName = "README.md"

  /// Whether the folder at `path` may get a card: it has none, or one that this library wrote.
  public static func mayBeWritten(in path: String) -> Bool {
    let file = FileSystem.join(path, fileName)
    guard FileSystem.exists(file) else { return true }
    guard let text = try? FileSystem.readText(file) else { return false }
    return text.contains(mark)
  }

  /// The whole file.
  public var text: String {
    var sections = [head, Self.mark, "# \(Self.escaped(name))", summary, use]
    sections += [table("Data", ["use", "file", "examples", "licence", "SHA-256"], dataRows)]
    sections += [table("Settings", ["setting", "value"], Self.rows(record.settings))]
    sections += [table("Results", ["result", "value"], Self.rows(record.results))]
    sections += [table("Made of", ["adapter", "weight", "SHA-256"], parentRows)]
    sections += [table("Environment", ["what", "value"], environment.map { [$0.name, $0.value] })]
    return sections.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
  }
}

// MARK: - The head

extension AdapterCard {
  private var head: String {
    var lines = ["---"]
    func add(_ key: String, _ value: String?) {
      if let value { lines.append("\(key): \(Self.scalar(value))") }
    }
    func add(_ key: String, _ values: [String]) {
      guard !values.isEmpty else { return }
      lines.append("\(key):")
      lines += values.map { "- \(Self.scalar($0))" }
    }
    // Hugging Face's names: what is none has no place there.
    let base = record.base.name.flatMap { Self.isHubName($0) ? $0 : nil }
    add("base_model", base)
    add("library_name", "peft")
    add("license", record.license)
    add("pipeline_tag", pipeline)
    add("tags", (base.map { ["base_model:adapter:\($0)"] } ?? []) + [method])
    add("datasets", Self.unique(record.allData.map(\.name)).filter(Self.isHubName))
    add("metrics", metrics)
    return (lines + ["---"]).joined(separator: "\n")
  }

  private var method: String {
    for entry in record.settings where entry.name == "method" {
      if case .text(let text) = entry.value { return text }
    }
    return "lora"
  }

  private var pipeline: String? {
    switch record.task {
    case "text", "preference": "text-generation"
    case "classification": "text-classification"
    case "token-classification": "token-classification"
    case "embedding": "sentence-similarity"
    default: nil
    }
  }

  private var metrics: [String] {
    let known = ["accuracy", "f1", "perplexity", "exact_match"]
    return known.filter { metric in
      record.results.contains { $0.name == "eval_\(metric)_after" || $0.name == metric }
    }
  }

  /// Whether Hugging Face's hub could call something so: `name` or `owner/name`.
  private static func isHubName(_ text: String) -> Bool {
    let pieces = text.split(separator: "/", omittingEmptySubsequences: false)
    return (1...2).contains(pieces.count)
      && pieces.allSatisfy { piece in
        !piece.isEmpty
          && piece.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "-_.".utf8.contains(byte)
            }
          }
      }
  }

  /// A value of YAML: quoted unless it is a word that nothing else could be read from.
  private static func scalar(_ text: String) -> String {
    let isPlain = text.utf8.first.map { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }
    let words: Set = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
    if isPlain == true, isHubName(text), !words.contains(text.lowercased()) { return text }
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\\", "\"": "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        "\\x\(hexadecimal(scalar.value, digits: 2))"
      default: "\(scalar)"
      }
    }
    return "\"\(escaped.joined())\""
  }

  fileprivate static func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}

extension AdapterRecord {
  /// The data of the adapter and of what it was made of.
  var allData: [DataFile] { data + parents.flatMap { $0.record?.allData ?? [] } }
}
