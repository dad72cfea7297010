import LoRATraining

extension CheckReport {
  /// The report as one HTML page that needs nothing else: counts, histograms, and the findings of each kind.
  ///
  /// It follows the reader's choice of light or dark. `shown` is how many findings of each kind are listed.
  public func html(shown: Int = 200) -> String {
    let title = "Data check: " + Self.escaped(Self.name(of: file.path))
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title)</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <main>
      <h1>\(title)</h1>
      <p class="path">\(Self.escaped(file.path))</p>
      \(tiles)
      \(countsTable)
      <h2>Lengths</h2>
      <div class="charts">
      \(lengths.map { Self.chart(of: $0.histogram, $0.title, positions: positions) }.joined(separator: "\n"))
      </div>
      \(counts.map { section($0.kind, $0.count, shown) }.joined(separator: "\n"))
      </main>
      </body>
      </html>

      """
  }

  // MARK: - Parts

  private var tiles: String {
    let affected = Set(findings.map(\.example)).count
    let isCut = counts.contains { $0.count > FindingLog.kept }
    let tiles = [
      ("examples", "\(exampleCount)"), ("findings", "\(findingCount)"),
      ("examples with findings", (isCut ? "more than " : "") + "\(affected)"),
      (
        "left out by --fix",
        "\((0..<exampleCount).reduce(0) { $0 + (reasonToDrop($1) == nil ? 0 : 1) })"
      ),
    ]
    return "<div class=\"tiles\">"
      + tiles.map { "<div><b>\($0.1)</b><span>\($0.0)</span></div>" }.joined() + "</div>"
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
    let rows = listed.map { finding in
      "<tr><td class=\"n\">\(finding.line)</td><td>\(Self.escaped(finding.detail))</td></tr>"
    }
    let rest = count - rows.count
    return
      "<details id=\"\(kind.rawValue)\"\(count <= 20 ? " open" : "")><summary>\(kind.rawValue) "
      + "<span>\(kind.title), \(count)</span></summary>\n<table><tr><th class=\"n\">line</th>"
      + "<th>what was found</th></tr>\n\(rows.joined(separator: "\n"))\n</table>"
      + (rest > 0 ? "<p>and \(rest) more</p>" : "") + "</details>"
  }

  // MARK: - Charts

  /// A histogram as an SVG picture, 420 by 200.
  private static func chart(of histogram: Histogram, _ title: String, positions: Int?) -> String {
    let bins = histogram.merged(to: 24)
    let most = Double(bins.map(\.count).max() ?? 1)
    let (width, height, bottom) = (420.0, 200.0, 160.0)
    let step = (width - 20) / Double(bins.count)
    var marks: [String] = []
    for (index, bin) in bins.enumerated() {
      let size = bin.count == 0 ? 0 : max(1.5, Double(bin.count) / most * (bottom - 20))
      let x = 10 + Double(index) * step
      let isOver =
        title.contains("tokens") && positions.map { bin.lengths.lowerBound > $0 + 1 } ?? false
      marks.append(
        "<rect\(isOver ? " class=\"over\"" : "") x=\"\(tenths(x + 0.5))\" y=\"\(tenths(bottom - size))\" "
          + "width=\"\(tenths(max(1, step - 1)))\" height=\"\(tenths(size))\"><title>\(label(of: bin)): "
          + "\(bin.count)</title></rect>")
    }
    let places = bins.count > 2 ? [0, bins.count / 2, bins.count - 1] : Array(bins.indices)
    for (number, index) in places.enumerated() {
      let anchor = number == 0 ? "start" : index == bins.count - 1 ? "end" : "middle"
      let x = 10 + (Double(index) + (number == 0 ? 0 : anchor == "end" ? 1 : 0.5)) * step
      marks.append(
        "<text x=\"\(tenths(x))\" y=\"178\" text-anchor=\"\(anchor)\">\(label(of: bins[index]))</text>"
      )
    }
    marks.append("<text x=\"10\" y=\"14\">\(Int(most)) in the highest bar</text>")
    return "<figure><figcaption>\(escaped(summary(of: histogram, title)))</figcaption>"
      + "<svg viewBox=\"0 0 \(Int(width)) \(Int(height) - 14)\" role=\"img\" aria-label=\"\(escaped(title))\">"
      + "<line x1=\"10\" y1=\"160\" x2=\"410\" y2=\"160\"/>" + marks.joined() + "</svg></figure>"
  }

  // MARK: - Text

  private static func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      // What no page may hold.
      case "\u{0}"..."\u{8}", "\u{B}"..."\u{1F}", "\u{7F}"..."\u{9F}": result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static let style = """
    :root { color-scheme: light dark; --ink: #1d2330; --soft: #5c6575; --paper: #ffffff; --card: #f4f6f9;
      --line: #d9dee7; --bar: #3b73b9; --over: #c2472f; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a0a8b8; --paper: #14171d;
      --card: #1e232c; --line: #343b48; --bar: #6ea3e4; --over: #ec7a62; } }
    body { margin: 0; background: var(--paper); color: var(--ink);
      font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK JP", sans-serif; }
    main { max-width: 920px; margin: 0 auto; padding: 24px 20px 64px; }
    h1 { font-size: 24px; margin: 8px 0 0; overflow-wrap: anywhere; }
    h2 { font-size: 18px; margin: 32px 0 8px; }
    .path { color: var(--soft); margin: 0 0 20px; overflow-wrap: anywhere; }
    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
    .tiles div { background: var(--card); border-radius: 8px; padding: 12px 16px; }
    .tiles b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
    .tiles span, summary span { color: var(--soft); }
    table { border-collapse: collapse; width: 100%; }
    th { text-align: left; color: var(--soft); font-weight: normal; }
    th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top;
      overflow-wrap: anywhere; }
    .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; }
    .counts td { white-space: nowrap; }
    .counts .bar { width: 40%; vertical-align: middle; }
    .bar i { display: block; height: 10px; border-radius: 2px; background: var(--bar); }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; }
    figure { margin: 0; background: var(--card); border-radius: 8px; padding: 12px 16px; }
    figcaption { font-size: 14px; }
    svg { width: 100%; height: auto; display: block; margin-top: 8px; }
    svg rect { fill: var(--bar); } svg .over { fill: var(--over); }
    svg line { stroke: var(--line); } svg text { fill: var(--soft); font-size: 12px; }
    details { margin-top: 16px; border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; }
    summary { cursor: pointer; font-weight: 600; } summary span { font-weight: normal; }
    a { color: var(--bar); } .good { font-size: 18px; }
    """
}
