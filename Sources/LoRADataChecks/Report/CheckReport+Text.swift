import LoRATraining

extension CheckReport {
  /// The report in lines of plain text.
  ///
  /// - Parameters:
  ///   - columns: the most characters of a line of a histogram; findings may be longer.
  ///   - shown: how many findings of each kind are shown.
  ///   - blocks: whether bars are drawn of block characters, not of `#`.
  public func lines(columns: Int = 80, shown: Int = 3, blocks: Bool = true) -> [String] {
    var lines = [
      "\(files.map(\.path).joined(separator: ", ")): \(exampleCount) example\(exampleCount == 1 ? "" : "s"), "
        + (findingCount == 0
          ? "nothing found" : "\(findingCount) finding\(findingCount == 1 ? "" : "s")")
    ]
    lines += notes.map { "note: \($0)" }
    for (title, histogram) in lengths {
      lines += ["", Self.summary(of: histogram, title)]
      lines += Self.bars(of: histogram, columns: columns, mark: blocks ? "█" : "#")
      if let positions, title.contains("tokens") {
        lines.append("  the context has \(positions) positions")
      }
    }
    for (kind, count) in counts {
      lines += ["", "\(kind.rawValue): \(count) (\(kind.title))"]
      let findings = findings.filter { $0.kind == kind }
      lines += findings.prefix(shown).map { finding in
        (files.count > 1 ? "  \(files[finding.file].path), line " : "  line ")
          + "\(finding.line): \(finding.detail)"
      }
      if count > shown { lines.append("  and \(count - min(shown, findings.count)) more") }
    }
    return lines
  }

  static func summary(of histogram: Histogram, _ title: String) -> String {
    "\(title): \(histogram.least) to \(histogram.greatest), half up to \(histogram.quantile(0.5)), "
      + "95 % up to \(histogram.quantile(0.95))"
  }

  private static func bars(of histogram: Histogram, columns: Int, mark: String) -> [String] {
    let bins = histogram.merged(to: 10)
    guard bins.count > 1 else { return [] }
    let labels = bins.map { label(of: $0) }
    let width = labels.map(\.count).max() ?? 0
    let counts = bins.map { "\($0.count)" }
    let numberWidth = counts.map(\.count).max() ?? 0
    let room = max(4, min(40, columns - width - numberWidth - 5))
    let most = bins.map(\.count).max() ?? 1
    return bins.indices.map { index in
      let count = bins[index].count
      // What is there is seen, however little it is.
      let length = count == 0 ? 0 : max(1, (count * room + most / 2) / most)
      return "  " + String(repeating: " ", count: width - labels[index].count) + labels[index] + " "
        + String(repeating: " ", count: numberWidth - counts[index].count) + counts[index] + " "
        + String(repeating: mark, count: length)
    }
  }

  static func label(of bin: Histogram.Bin) -> String {
    bin.lengths.count == 1
      ? "\(bin.lengths.lowerBound)" : "\(bin.lengths.lowerBound)-\(bin.lengths.upperBound)"
  }
}
