import LoRAPages

extension TrainingReport {
  /// The report as one HTML page that needs nothing else: curves, samples, losses of single examples, data,
  /// settings, memory, machine and warnings.
  ///
  /// It follows the reader's choice of light or dark, and is made for a phone's width and for paper too.
  public func html() -> String {
    var page = Page(title: title, subtitle: subtitle)
    page.add(endingAlert)
    page.add(Page.tiles(tiles))
    page.add(lossChart)
    page.add(otherCharts)
    page.add(
      Page.list(history.warnings.map { "warning: \($0)" } + notes), under: "Warnings and notes")
    page.add(samplesHTML, under: "Samples")
    page.add(examplesHTML, under: "Losses of single examples")
    page.add(dataHTML, under: "Data")
    page.add(Page.table(settings.map { ($0.name, $0.value) }), under: "Configuration")
    if let command {
      page.add(
        "<p class=\"soft\">In the folder that it was begun in:</p><pre>\(command.htmlEscaped)</pre>",
        under: "To repeat it")
    }
    page.add(Page.table(machine), under: "Memory and machine")
    return page.html(generator: Self.generator)
  }

  // MARK: - Head

  private var endingAlert: String {
    let text =
      switch ending {
      case .complete: ""
      case .early(let reason): "Ended early: \(reason)."
      case .interrupted:
        "The training was interrupted after \(done); this is what was learned until then."
      case .failed(let reason):
        "The training failed after \(done), and what was learned until then is saved: \(reason)"
      }
    return text.isEmpty ? "" : "<p class=\"alert\" role=\"status\">\(text.htmlEscaped)</p>"
  }

  private var done: String { history.steps.count.counted("step") }

  private var tiles: [(name: String, value: String)] {
    var tiles: [(name: String, value: String)] = []
    if let first = history.steps.first?.loss, let last = history.smoothedLosses.last {
      tiles.append(("training loss", Self.change(first, last)))
    }
    for key in measuredKeys {
      let points = points(of: key)
      guard let first = points.first, let last = points.last else { continue }
      let name = "\(self.name(of: key)), held-out data"
      let end = bestStep.flatMap { step in points.last { $0.x == Double(step) } } ?? last
      tiles.append(
        first.x == end.x ? (name, first.y.shown()) : (name, Self.change(first.y, end.y)))
    }
    if let last = history.steps.last {
      let count = last.step.shown
      tiles.append(
        ("steps", last.step == last.stepCount ? count : "\(count) of \(last.stepCount.shown)"))
      tiles.append(("tokens", history.tokens.shown))
      tiles.append(("time of the steps", Self.clock(history.seconds)))
    }
    if trainedParameterCount > 0 {
      tiles.append(("trained parameters", trainedParameterCount.shown))
    }
    if let peakBytes { tiles.append(("most memory", peakBytes.shownBytes)) }
    return tiles
  }

  private static func change(_ first: Double, _ last: Double) -> String {
    "\(first.shown()) → \(last.shown())"
  }

  /// Seconds as a clock shows them: 0:07, 1:05:00.
  private static func clock(_ seconds: Double) -> String {
    if seconds < 10 { return "\(seconds.shown(digits: 2)) s" }
    let whole = Int(min(seconds.rounded(), 1e9))
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":\(two(whole % 60))"
  }

  // MARK: - Curves

  /// The keys of the measured values, in their order.
  private var measuredKeys: [String] {
    var keys: [String] = []
    for value in history.measurements.flatMap(\.values) where !keys.contains(value.key) {
      keys.append(value.key)
    }
    return keys
  }

  private func name(of key: String) -> String {
    history.measurements.flatMap(\.values).last { $0.key == key }?.name ?? key
  }

  private func points(of key: String) -> [(x: Double, y: Double)] {
    history.measurements.flatMap { measurement in
      measurement.values.filter { $0.key == key }.map { (Double(measurement.step), $0.number) }
    }
  }

  private func curve(_ value: (StepReport) -> Double) -> [(x: Double, y: Double)] {
    history.steps.map { (Double($0.step), value($0)) }
  }

  private static let losses = ["nll", "loss"]

  private var lossChart: String {
    let smoothed = zip(history.steps, history.smoothedLosses).map { (Double($0.step), $1) }
    var chart = LineChart(
      "Loss",
      [.init("each step", .raw, curve(\.loss)), .init("smoothed", .line, smoothed)]
        + measuredKeys.filter(Self.losses.contains).map {
          .init("\(name(of: $0)), held-out data", .dots, isSecond: true, points(of: $0))
        },
      isTall: true)
    chart.marked = bestStep.map(Double.init)
    if let bestStep { chart.note = "ringed: step \(bestStep.shown), whose values are the result" }
    let figure = chart.html()
    return figure.isEmpty ? "" : "<div class=\"charts\">\(figure)</div>"
  }

  private var otherCharts: String {
    let charts =
      measuredKeys.filter { !Self.losses.contains($0) }.map {
        LineChart(
          "\(name(of: $0)), held-out data", [.init("", .dots, isSecond: true, points(of: $0))])
      } + [
        LineChart("Learning rate", [.init("", .line, curve(\.learningRate))]),
        LineChart(
          "Gradient norm, before clipping", [.init("", .line, curve { Double($0.gradientNorm) })]),
        LineChart("Tokens per second", [.init("", .line, curve(\.tokensPerSecond))]),
      ]
    let figures = charts.map { $0.html() }.filter { !$0.isEmpty }
    return figures.isEmpty ? "" : "<div class=\"charts\">\(figures.joined(separator: "\n"))</div>"
  }

  // MARK: - Tables

  private var dataHTML: String {
    data.map { summary in
      let bars = summary.lengths.merged(to: 24).map { bin in
        // The outer bins end where the lengths do.
        let (low, high) = (
          max(bin.lengths.lowerBound, summary.lengths.least),
          min(bin.lengths.upperBound, summary.lengths.greatest)
        )
        return BarChart.Bar(label: low == high ? "\(low)" : "\(low)-\(high)", count: bin.count)
      }
      let rows = [
        ("examples", summary.exampleCount.shown), ("tokens", summary.tokenCount.shown),
        ("targets of the loss", summary.targetCount.shown),
        (
          "length",
          "\(summary.lengths.least.shown) to \(summary.lengths.greatest.shown) tokens, "
            + "half up to \(summary.lengths.quantile(0.5).shown)"
        ),
      ]
      let chart = BarChart(
        title: "Lengths of examples", caption: "Lengths of examples, in tokens", bars: bars)
      return "<h3>\(summary.source.htmlEscaped)</h3>\n<div class=\"two\"><div>"
        + Page.table(rows) + (summary.notes.isEmpty ? "" : "<p></p>" + Page.list(summary.notes))
        + "</div>\(bars.count > 1 ? chart.html() : "")</div>"
    }.joined(separator: "\n")
  }

  private var machine: [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = []
    if let peakBytes { rows.append(("most memory of the process", peakBytes.shownBytes)) }
    if let predictedBytes {
      rows.append(("memory that was predicted", predictedBytes.shownBytes))
    }
    return rows + environment.map { ($0.name, $0.value) }
  }
}
