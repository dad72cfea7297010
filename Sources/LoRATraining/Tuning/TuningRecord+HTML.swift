import LoRAPages

extension TuningRecord {
  /// The search as one HTML page that needs nothing else: what won and why, how the search went on, and all
  /// that was tried.
  ///
  /// - Parameters:
  ///   - title: what was searched for.
  ///   - command: the command that trains the winner again; nil: it is not said.
  public func html(title: String, command: String? = nil) -> String {
    var page = Page(
      title: title,
      subtitle:
        "\(tried.count.counted("candidate")) on \(exampleCount.counted("example")), measured by "
        + "\(metric.name)")
    page.add(Page.tiles(tiles))
    page.add("<div class=\"charts\">\(chart.html())</div>")
    if let winner { page.add(reasons(for: trials[winner.trial]), under: "Why this one") }
    if let command {
      page.add("<pre>\(command.htmlEscaped)</pre>", under: "To train it again")
    }
    page.add(table, under: "What was tried")
    return page.html(generator: "LoRAKit, search for settings")
  }

  /// The trials that came to something; the rest had no time.
  private var tried: [(index: Int, trial: Trial)] {
    trials.enumerated().map { (index: $0, trial: $1) }
      .filter { $0.trial.best != nil || $0.trial.failure != nil }
  }

  private func shown(_ score: TuningScore) -> String { metric.number(in: score).shown() }

  private var tiles: [(name: String, value: String)] {
    var tiles: [(name: String, value: String)] = []
    if let best { tiles.append((metric.name, shown(best.score))) }
    if let usual = defaultMeasurement {
      tiles.append(("\(metric.name) of the default", shown(usual.score)))
    }
    if let base { tiles.append(("\(metric.name) without an adapter", shown(base))) }
    tiles.append(("minutes of search", (elapsed / 60).shown(digits: 2)))
    return tiles
  }

  /// Every measurement by its time, and the best until then.
  private var chart: LineChart {
    let measured = trials.flatMap(\.measurements).sorted { $0.elapsed < $1.elapsed }
    var best: [(x: Double, y: Double)] = []
    var leader: TuningScore?
    for measurement in measured {
      if leader.map({ measurement.score.isBetter(than: $0) }) ?? true { leader = measurement.score }
      if let leader { best.append((measurement.elapsed, metric.number(in: leader))) }
    }
    return LineChart(
      "\(metric.name) over the seconds of the search",
      [
        .init("the best so far", .line, best),
        .init(
          "candidates", .dots, isSecond: true,
          measured.map { ($0.elapsed, metric.number(in: $0.score)) }),
      ], isTall: true)
  }

  /// What the winner is, and what it was better than in each respect.
  private func reasons(for winner: Trial) -> String {
    var lines = ["The winner: \(winner.candidate)."]
    if let best {
      let passes = Double(best.examples) / Double(exampleCount)
      lines.append(
        "It was trained for \(best.steps.counted("step")), \(passes.shown(digits: 2)) passes over the data."
      )
    }
    if let difference = difference() {
      let ends = [difference.lowerBound, difference.upperBound].map { metric.isLoss ? -$0 : $0 }
        .sorted()
      lines.append(
        "Beside the default it makes a difference of \(ends[0].shown()) to \(ends[1].shown()) in "
          + "\(metric.name), with 95 % probability on these examples; that they chose it makes it look a "
          + "little too good.")
    }
    let rates = trials.filter { $0.stage == .rate && $0.best != nil }
      .sorted { $0.candidate.learningRate < $1.candidate.learningRate }
    if rates.count > 1 {
      lines.append(
        "Learning rates, after short trainings: "
          + rates.map { "\($0.candidate.learningRate.shown(digits: 2))" }.joined(separator: ", ")
          + ".")
    }
    for dimension in TuningSpace.Dimension.allCases {
      let tried = trials.filter { $0.dimension == dimension && $0.best != nil }
      guard !tried.isEmpty else { continue }
      lines.append(
        "\(dimension.words): "
          + tried.map { "\($0.candidate), \(shown($0.best?.score ?? TuningScore(value: 0)))" }
          .joined(separator: "; ") + ".")
    }
    return Page.list(lines)
  }

  private var table: String {
    let rows = tried.sorted { a, b in
      guard let first = a.trial.best?.score else { return false }
      return b.trial.best.map { first.isBetter(than: $0.score) } ?? true
    }
    let names = ["candidate", "tried as", "examples", metric.name]
    var html = "<table class=\"counts\">\n<tr>"
    for (place, name) in names.enumerated() {
      html += "<th\(place > 1 ? " class=\"n\"" : "")>\(name.htmlEscaped)</th>"
    }
    html += "</tr>"
    for (index, trial) in rows {
      let mark = winner?.trial == index ? " <b>(the winner)</b>" : ""
      html +=
        "\n<tr><td style=\"white-space: normal\">\("\(trial.candidate)".htmlEscaped)\(mark)</td>"
      html += "<td>\(trial.stage.words)</td>"
      if let best = trial.best {
        html +=
          "<td class=\"n\">\(best.examples.shown)</td><td class=\"n\">\(shown(best.score))</td>"
      } else {
        html += "<td class=\"n\"></td><td>\((trial.failure ?? "").htmlEscaped)</td>"
      }
      html += "</tr>"
    }
    return html + "\n</table>"
  }
}

extension TuningRecord.Stage {
  fileprivate var words: String {
    switch self {
    case .default: "the default"
    case .rate: "a learning rate"
    case .variant: "a change"
    case .combination: "what helped, together"
    }
  }
}

extension TuningSpace.Dimension {
  fileprivate var words: String {
    switch self {
    case .learningRate: "Other learning rates"
    case .batchSize: "Other batches"
    case .headRate: "Other rates of the head"
    case .rank: "Other ranks"
    case .targets: "Other layers"
    case .method: "Other methods"
    case .dropout: "Dropout"
    }
  }
}
