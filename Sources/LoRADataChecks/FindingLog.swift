/// The findings of a check as they come, in bounded memory.
public struct FindingLog: Sendable {
  /// How many findings of each kind are kept with their details; the rest is counted.
  public static let kept = 10_000

  /// The findings with details, in the order in which they came.
  public private(set) var findings: [Finding] = []
  /// The number of all findings of a kind.
  public private(set) var counts: [Finding.Kind: Int] = [:]
  /// For each example what it was first found with, as its kind's number plus 1; 0 for nothing.
  private(set) var marks: [UInt8] = []
  /// The files, and the number of the first example of each.
  private var files: [(name: String, first: Int)] = []

  init() {}

  /// Says that the next examples, from this number on, are those of another file.
  mutating func begin(file name: String, at example: Int) { files.append((name, example)) }

  /// The index of the file that an example is from.
  func file(of example: Int) -> Int { files.lastIndex { $0.first <= example } ?? 0 }

  /// The number of the first example of a file.
  func firstExample(of file: Int) -> Int { files[file].first }

  /// Where an example stands, as it is said of another: "line 7", or "line 7 of b.jsonl" if that is in another
  /// file.
  func place(line: Int, of example: Int, seenFrom other: Int) -> String {
    let file = file(of: example)
    return "line \(line)" + (file == self.file(of: other) ? "" : " of \(files[file].name)")
  }

  /// Adds a finding.
  public mutating func add(_ finding: Finding) {
    var finding = finding
    finding.file = file(of: finding.example)
    counts[finding.kind, default: 0] += 1
    if counts[finding.kind, default: 0] <= Self.kept { findings.append(finding) }
    guard finding.kind.isDropped else { return }
    if finding.example >= marks.count {
      marks.append(contentsOf: repeatElement(0, count: finding.example + 1 - marks.count))
    }
    if marks[finding.example] == 0 { marks[finding.example] = UInt8(finding.kind.number + 1) }
  }

  /// Adds what was found in `example`.
  public mutating func add(_ kind: Finding.Kind, in example: CheckedExample, _ detail: String) {
    add(Finding(kind, line: example.line, example: example.number, detail: detail))
  }

  /// Adds the first thing that `find` finds in what is said in `example`; of its text the report shows the
  /// beginning only.
  mutating func add(
    _ kind: Finding.Kind, in example: CheckedExample,
    hiding find: (String) -> (what: String, text: String)?
  ) {
    for turn in example.turns {
      guard let (what, text) = find(turn.text) else { continue }
      return add(kind, in: example, "\(what) in the \(turn.place): \(Excerpt.hidden(text))")
    }
  }

  /// What the example is dropped for; nil if it is kept.
  func mark(of example: Int) -> Finding.Kind? {
    guard marks.indices.contains(example), marks[example] > 0 else { return nil }
    return Finding.Kind.allCases[Int(marks[example]) - 1]
  }
}
