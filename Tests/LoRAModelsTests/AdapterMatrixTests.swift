import Foundation
import LoRAFiles
import LoRAJSON
import LoRAModels
import LoRATensor
import Testing

/// One adapter of PEFT's for each feature of its configuration, on tiny Llama, Qwen2, Mistral and
/// GPT-2 models: the same losses for base, adapted and merged; see Tests/Reference/conformance.py.
@Suite struct AdapterMatrixTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let family: String
    let feature: String
    /// Whether PEFT merges the adapter.
    let isMergedByPEFT: Bool
    /// Whether PEFT's merged model computes something else than its adapted one, as it does where it
    /// adds an embedding's change to the table that a tied head shares.
    let changesByMerging: Bool
    var testDescription: String { "\(family) \(feature)" }
  }

  /// The rows that PEFT does not refuse altogether.
  static let rows: [Row] = {
    let path = Fixtures.path("conformance/rows.json")
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? "[]"
    let rows = (try? JSONValue(parsing: text))?.arrayValue ?? []
    return rows.compactMap { row in
      guard row["refused"] == nil, let family = row["family"]?.stringValue,
        let feature = row["feature"]?.stringValue
      else { return nil }
      return Row(
        family: family, feature: feature, isMergedByPEFT: row["not_merged"] == nil,
        changesByMerging: (row["merging_changes_by"]?.doubleValue ?? 0) > 1e-3)
    }
  }()

  @Test func thereAreRows() { #expect(Self.rows.count > 120) }

  @Test(arguments: rows) func computesWhatPEFTComputes(row: Row) throws {
    let folder = Fixtures.path("conformance/\(row.family)")
    let expected = try SafetensorsFile(path: "\(folder)/expected.safetensors")
    func values(_ name: String) throws -> Tensor {
      try expected.tensor(named: name == "base" ? name : "\(row.feature)/\(name)")
    }
    let ids = try expected.tensor(named: "ids")
    let model = try PretrainedModel(path: "\(folder)/model").languageModel
    let base = model.losses(ids)
    #expect(largestDifference(base, try values("base")) < 1e-4)
    try model.loadAdapter(from: "\(folder)/\(row.feature)")
    let adapted = model.losses(ids)
    #expect(largestDifference(adapted, try values("adapted")) < 1e-4)
    #expect(largestDifference(adapted, base) > 5e-3, "the adapter has an effect")

    try model.mergeAdapters(["default": 1])
    let merged = model.losses(ids)
    let wanted = row.isMergedByPEFT && !row.changesByMerging ? "merged" : "adapted"
    #expect(largestDifference(merged, try values(wanted)) < 1e-4)
    let written = try Fixtures.temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: written) }
    // A bias that the architecture lacks can be merged, but has no place in its files.
    if row.isMergedByPEFT {
      try model.save(to: written)
      let reopened = try PretrainedModel(path: written).languageModel
      #expect(largestDifference(reopened.losses(ids), merged) < 1e-5)
    } else {
      #expect(throws: AdapterError.self) { try model.save(to: written) }
    }
    try model.unmergeAdapters()
    #expect(model.losses(ids) == adapted)
    try model.detach("default")
    #expect(model.losses(ids) == base)
  }
}
