import LoRAPages

// What the model said, and what it was taught, as HTML.

extension TrainingReport {
  /// What the model said to each prompt, first and last side by side.
  var samplesHTML: String {
    let prompts = Dictionary(grouping: history.samples, by: \.prompt).sorted { $0.key < $1.key }
    return prompts.map { _, samples in
      let all = samples.sorted { $0.step < $1.step }
      // What came after the values that are the result is not shown.
      let end = all.lastIndex { $0.step == bestStep } ?? all.count - 1
      let samples = all[...end]
      guard let first = samples.first, let last = samples.last else { return "" }
      var html = "<div class=\"card\"><span class=\"label\">prompt</span>"
      html += Self.text(first.question)
      if let expected = first.expected {
        html += "<span class=\"label\">expected</span>" + Self.text(expected)
      }
      let shown = samples.count == 1 ? [first] : [first, last]
      html += "<div class=\"two\">\(shown.map(Self.answer).joined())</div>"
      let others = samples.dropFirst().dropLast()
      if !others.isEmpty {
        html +=
          "<details><summary>\(others.count.counted("answer")) in between</summary>"
          + "<div class=\"two\">\(others.map(Self.answer).joined())</div></details>"
      }
      return html + "</div>"
    }.joined(separator: "\n")
  }

  private static func answer(_ sample: TrainingSample) -> String {
    let title = sample.step == 0 ? "before the training" : "after step \(sample.step.shown)"
    return "<div class=\"card\"><span class=\"label\">\(title)</span>\(text(sample.text))</div>"
  }

  private static func text(_ text: String) -> String {
    text.isEmpty
      ? "<p class=\"text soft\">(nothing)</p>" : "<p class=\"text\">\(text.htmlEscaped)</p>"
  }

  /// The losses of single examples, and the texts with the highest ones.
  var examplesHTML: String {
    guard let examples, !examples.examples.isEmpty else { return "" }
    let measured = examples.examples.count
    let part =
      measured == examples.exampleCount
      ? "all \(measured.counted("example"))"
      : "\(measured.shown) of \(examples.exampleCount.counted("example")), evenly spread over the data"
    var html = "<p>Measured at the end on \(part).</p>"
    if measured > 2 {
      let losses = examples.examples.map(\.loss).sorted()
      let chart = BarChart(
        title: "Losses", caption: "Examples by their mean loss", bars: Self.bars(of: losses))
      let numbers = Page.table([
        ("mean loss", examples.loss.shown()), ("lowest", losses[0].shown()),
        ("median", losses[measured / 2].shown()), ("highest", losses[measured - 1].shown()),
      ])
      html += "<div class=\"two\"><div>\(numbers)</div>\(chart.html())</div>"
    }
    guard !examples.worst.isEmpty else { return html }
    html += "<h3>The highest losses, as the model sees the texts</h3>"
    let isMarked = examples.worst.contains { $0.pieces.contains { $0.loss != nil } }
    html +=
      !isMarked
      ? ""
      : "<p class=\"soft\"><mark>Marked</mark> is what is learned; of the <mark class=\"h1\">darker</mark> tokens the model "
        + "expected each by less than a third, <mark class=\"h2\">less than a tenth</mark>, "
        + "<mark class=\"h3\">less than a hundredth</mark>.</p>"
    return html + "\n" + examples.worst.map(Self.card).joined(separator: "\n")
  }

  private static func card(_ text: ExampleLosses.MarkedText) -> String {
    let example = text.example
    let note = text.note.isEmpty ? example.targetCount.counted("learned token") : text.note
    func leftOut(_ count: Int) -> String {
      count == 0 ? "" : "<span class=\"soft\"> … \(count.counted("token")) … </span>"
    }
    // Neighbours that look alike are one element.
    var parts: [(level: Int?, text: String)] = []
    for piece in text.pieces {
      let level = piece.loss.map(level)
      if let last = parts.last, last.level == level {
        parts[parts.count - 1].text += piece.text
      } else {
        parts.append((level, piece.text))
      }
    }
    let body = parts.map { level, text in
      guard let level else { return text.htmlEscaped }
      return "<mark\(level == 0 ? "" : " class=\"h\(level)\"")>\(text.htmlEscaped)</mark>"
    }.joined()
    return "<div class=\"card\"><span class=\"label\">\(example.place.htmlEscaped): loss "
      + "\(example.loss.shown()), \(note.htmlEscaped)</span>"
      + "<p class=\"text\">\(leftOut(text.leftOutBefore))\(body)\(leftOut(text.leftOutAfter))</p></div>"
  }

  /// How unexpected a token was: 0 to 3, from losses of 1.1 (a third), 2.3 (a tenth) and 4.6 (a hundredth) on.
  private static func level(_ loss: Float) -> Int {
    [1.0986, 2.3026, 4.6052].reduce(0) { $0 + (loss > $1 ? 1 : 0) }
  }

  /// Up to 16 bars of equal width.
  private static func bars(of losses: [Double]) -> [BarChart.Bar] {
    let losses = losses.filter(\.isFinite)
    guard let low = losses.min(), let high = losses.max() else { return [] }
    guard high > low else { return [.init(label: low.shown(digits: 3), count: losses.count)] }
    let count = min(16, max(4, losses.count / 3))
    let width = (high - low) / Double(count)
    var counts = [Int](repeating: 0, count: count)
    for loss in losses { counts[min(count - 1, Int((loss - low) / width))] += 1 }
    return counts.enumerated().map { index, number in
      let start = low + Double(index) * width
      return .init(
        label: "\(start.shown(digits: 3)) to \((start + width).shown(digits: 3))", count: number)
    }
  }
}
