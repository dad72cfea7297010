import Foundation
import LoRADataChecks
import LoRAJSON
import LoRATraining
import Testing

/// The defects that `Tests/Reference/planted_defects.py --examples 250 --each 10` planted.
@Suite struct PlantedDefectTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/data").path

  private func planted(_ set: String) throws -> [(kind: String, lines: [Int])] {
    let bytes = try Data(contentsOf: URL(filePath: Self.folder + "/planted.json"))
    let object = try JSONValue(parsing: Array(bytes))[set]?.objectValue ?? [:]
    return object.map { ($0.key, ($0.value.arrayValue ?? []).compactMap(\.intValue)) }
  }

  /// What a finding of some other kind says as well: half a pair of surrogates is no JSON either.
  private static let equivalents: [String: Set<String>] = [
    "role": ["role", "special-token", "empty"], "encoding": ["encoding", "malformed"],
    "duplicate": ["duplicate"], "conflict": ["conflict"],
  ]

  @Test func everyDefectIsFoundAndNothingElse() throws {
    let report = try DataCheck(
      try DataFile(Self.folder + "/planted.jsonl"),
      evaluation: try DataFile(Self.folder + "/planted-eval.jsonl")
    ).run()
    #expect(report.exampleCount == 250)
    var found: [Int: Set<String>] = [:]
    for finding in report.findings {
      found[finding.line, default: []].insert(finding.kind.rawValue)
    }
    // These need a model, or more answers than are here.
    let elsewhere = ["too-long", "tokens", "boilerplate"]
    var defects: Set<Int> = []
    for (kind, lines) in try planted("kinds") {
      #expect(lines.count == 10)
      defects.formUnion(lines)
      for line in lines where !elsewhere.contains(kind) {
        let right = Self.equivalents[kind] ?? [kind]
        #expect(
          !right.isDisjoint(with: found[line] ?? []),
          "line \(line): \(kind) planted, found \(found[line] ?? [])")
      }
    }
    for (line, kinds) in found where !defects.contains(line) {
      Issue.record("line \(line): nothing planted, found \(kinds)")
    }
  }

  @Test func labels() throws {
    let report = try DataCheck(try DataFile(Self.folder + "/labels.jsonl")).run()
    let lines = Dictionary(grouping: report.findings, by: \.kind.rawValue)
      .mapValues { Set($0.map(\.line)) }
    for (kind, planted) in try planted("labels") where kind != "unbalanced" {
      #expect(lines[kind] == Set(planted), "\(kind)")
    }
  }
}
