import LoRATraining
import Testing

/// Numbers of labels, by scikit-learn's `precision_recall_fscore_support` and `f1_score(average="macro")`.
@Suite struct LabelReportTests {
  @Test func oneLabelEach() {
    let expected = ["a", "a", "a", "b", "b", "c", "d", "d"]
    let found = ["a", "b", "b", "b", "a", "c", "c", "c"]
    let report = LabelReport(expected: expected.map { [$0] }, found: found.map { [$0] })
    #expect(report.scores == [1, 0, 0, 1, 0, 1, 0, 0] && report.accuracy == 0.375)
    #expect(report.labels.map(\.name) == ["a", "b", "c", "d"])
    #expect(report.labels.map(\.support) == [3, 2, 1, 2])
    #expect(report.labels.map(\.precision) == [0.5, 1.0 / 3, 1.0 / 3, 0])
    #expect(report.labels.map(\.recall) == [1.0 / 3, 0.5, 1, 0])
    #expect(report.labels.map(\.f1) == [0.4, 0.4, 0.5, 0])
    #expect(abs(report.macroF1 - 0.325) < 1e-12)
    #expect(
      report.confusions.map { "\($0.expected)\($0.found)\($0.count)" } == ["ab2", "dc2", "ba1"])
  }

  /// Several labels, or none: right are those with all and no other.
  @Test func severalLabels() {
    let report = LabelReport(
      expected: [["a", "b"], ["b"], [], ["c"]], found: [["b", "a"], ["a", "b"], [], ["a"]])
    #expect(report.scores == [1, 0, 1, 0])
    #expect(report.labels.map(\.f1) == [0.5, 1, 0])
    #expect(report.confusions.map(\.found) == ["a"])
  }
}
