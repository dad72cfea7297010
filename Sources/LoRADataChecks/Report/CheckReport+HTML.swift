import LoRAPages
import LoRATraining

extension CheckReport {
  /// The report as one HTML page that needs nothing else: counts, histograms, and the findings of each kind.
  ///
  /// It follows the reader's choice of light or dark. `shown` is how many findings of each kind are listed.
  public func html(shown: Int = 200) -> String {
    var page = Page(
      title: "Data check: " + files.map { Self.name(of: $0.path) }.joined(separator: ", "),
      subtitle: files.map(\.path).joined(separator: ", "))
    page.add(tiles)
    for note in notes { page.add("<p class=\"note\">\(note.htmlEscaped)</p>") }
    page.add(countsTable)
    page.add(
      "<div class=\"charts\">\n"
        + lengths.map { chart(of: $0.histogram, $0.title) }.joined(separator: "\n") + "\n</div>",
      under: "Lengths")
    for (kind, count) in counts { page.add(section(kind, count, shown)) }
    return page.html(generator: "LoRAKit, data check")
  }

  // MARK: - Parts

  private var tiles: String {
    let affected = Set(findings.map(\.example)).count
    let isCut = counts.contains { $0.count > FindingLog.kept }
    let dropped = (0..<exampleCount).reduce(0) { $0 + (reasonToDrop($1) == nil ? 0 : 1) }
    return Page.tiles([
      ("examples", "\(exampleCount)"), ("findings", "\(findingCount)"),
      ("examples with findings", (isCut ? "more than " : "") + "\(affected)"),
      ("left out by --fix", "\(dropped)"),
    ])
  }

  private var countsTable: String {
    guard !counts.isEmpty else { return "<p class=\"good\">Nothing was found.</p>" }
    let most = counts.map(\.count).max() ?? 1
    let rows = counts.map { kind, count in
      let width = max(0.5, 100 * Double(count) / Double(most))
      return "<tr><td><a href=\"#\(kind.rawValue)\">\(kind.rawValue)</a></td><td>\(kind.title)</td>"
        + "<td class=\"n\">\(count)</td><td class=\"bar\"><i style=\"width:\(Self.tenths(width))%\"></i></td>"
        + "<td>\(kind.isDropped ? "left out" : "kept")</td></tr>"
    }
    return "<h2>Findings</h2>\n<table class=\"counts\"><tr><th>kind</th><th>what it is</th>"
      + "<th class=\"n\">count</th><th></th><th>by --fix</th></tr>\n" + rows.joined(separator: "\n")
      + "\n</table>"
  }

  private func section(_ kind: Finding.Kind, _ count: Int, _ shown: Int) -> String {
    let listed = Array(findings.lazy.filter { $0.kind == kind }.prefix(shown))
    let hasFiles = files.count > 1
    let rows = listed.map { finding in
      "<tr>\(hasFiles ? "<td>\(Self.name(of: files[finding.file].path).htmlEscaped)</td>" : "")"
        + "<td class=\"n\">\(finding.line)</td><td>\(finding.detail.htmlEscaped)</td></tr>"
    }
    let rest = count - rows.count
    return
      "<details id=\"\(kind.rawValue)\"\(count <= 20 ? " open" : "")><summary>\(kind.rawValue) "
      + "<span>\(kind.title), \(count)</span></summary>\n<table><tr>\(hasFiles ? "<th>file</th>" : "")"
      + "<th class=\"n\">line</th>"
      + "<th>what was found</th></tr>\n\(rows.joined(separator: "\n"))\n</table>"
      + (rest > 0 ? "<p>and \(rest) more</p>" : "") + "</details>"
  }

  /// A histogram of lengths, those beyond the model's positions in another colour.
  private func chart(of histogram: Histogram, _ title: String) -> String {
    BarChart(
      title: title, caption: Self.summary(of: histogram, title),
      bars: histogram.merged(to: 24).map { bin in
        BarChart.Bar(
          label: Self.label(of: bin), count: bin.count,
          isOver: title.contains("tokens")
            && positions.map { bin.lengths.lowerBound > $0 + 1 } ?? false)
      }
    ).html()
  }

  // MARK: - Text

  private static func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}
