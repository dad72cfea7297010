/// How often what occurs: an SVG picture of bars, 420 by 186.
package struct BarChart {
  /// A bar.
  package struct Bar {
    /// What it counts; text.
    package var label: String
    package var count: Int
    /// Whether it has the colour of what is too much.
    package var isOver: Bool

    package init(label: String, count: Int, isOver: Bool = false) {
      self.label = label
      self.count = count
      self.isOver = isOver
    }
  }

  /// What it shows; text.
  package var title: String
  /// What is said of it; text.
  package var caption: String
  package var bars: [Bar]

  package init(title: String, caption: String, bars: [Bar]) {
    self.title = title
    self.caption = caption
    self.bars = bars
  }

  /// The chart as a figure; empty without a bar.
  package func html() -> String {
    guard !bars.isEmpty else { return "" }
    let most = Double(bars.map(\.count).max() ?? 1)
    let (width, height, bottom) = (420, 186, 160.0)
    let step = Double(width - 20) / Double(bars.count)
    var marks: [String] = []
    for (index, bar) in bars.enumerated() {
      // What is there is seen, however little it is.
      let size = bar.count == 0 ? 0 : max(1.5, Double(bar.count) / max(most, 1) * (bottom - 20))
      let x = 10 + Double(index) * step
      marks.append(
        "<rect\(bar.isOver ? " class=\"over\"" : "") x=\"\(LineChart.place(x + 0.5))\" "
          + "y=\"\(LineChart.place(bottom - size))\" width=\"\(LineChart.place(max(1, step - 1)))\" "
          + "height=\"\(LineChart.place(size))\"><title>\(bar.label.htmlEscaped): "
          + "\(bar.count)</title></rect>")
    }
    let places = bars.count > 2 ? [0, bars.count / 2, bars.count - 1] : Array(bars.indices)
    for (number, index) in places.enumerated() {
      let anchor = number == 0 ? "start" : index == bars.count - 1 ? "end" : "middle"
      let x = 10 + (Double(index) + (number == 0 ? 0 : anchor == "end" ? 1 : 0.5)) * step
      marks.append(
        "<text x=\"\(LineChart.place(x))\" y=\"178\" text-anchor=\"\(anchor)\">"
          + "\(bars[index].label.htmlEscaped)</text>")
    }
    marks.append("<text x=\"10\" y=\"14\">\(Int(most)) in the highest bar</text>")
    return "<figure><figcaption>\(caption.htmlEscaped)</figcaption>"
      + "<svg viewBox=\"0 0 \(width) \(height)\" role=\"img\" aria-label=\"\(title.htmlEscaped)\">"
      + "<line x1=\"10\" y1=\"160\" x2=\"410\" y2=\"160\"/>\(marks.joined())</svg></figure>"
  }
}
