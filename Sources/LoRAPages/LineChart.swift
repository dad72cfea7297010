import Foundation

/// Curves over the steps of a training: an SVG picture that stretches with the page, under labels that don't.
package struct LineChart {
  /// A curve, or single points.
  package struct Series {
    package enum Kind: Sendable {
      /// Many noisy numbers, of which the lowest and the highest of each place are drawn.
      case raw
      case line
      /// Few numbers, each a dot.
      case dots
    }

    /// What it shows; text.
    package var name: String
    package var kind: Kind
    /// Whether it has the second colour.
    package var isSecond = false
    package var points: [(x: Double, y: Double)]

    package init(
      _ name: String, _ kind: Kind, isSecond: Bool = false, _ points: [(x: Double, y: Double)]
    ) {
      self.name = name
      self.kind = kind
      self.isSecond = isSecond
      self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
    }
  }

  /// What it shows; text.
  package var title: String
  /// What is said of it; text.
  package var note = ""
  package var series: [Series]
  package var isTall = false
  /// The x of a point that is ringed.
  package var marked: Double?

  package init(_ title: String, _ series: [Series], isTall: Bool = false) {
    self.title = title
    self.series = series.filter { !$0.points.isEmpty }
    self.isTall = isTall
  }

  /// The width and the height of the picture in its own units.
  private static let size = (width: 1000.0, height: 300.0)

  /// The chart as a figure; empty without a point.
  package func html() -> String {
    guard let range else { return "" }
    let paths = series.map { path(of: $0, in: range) }.joined()
    let lines = range.yTicks.map { tick in
      "<path class=\"grid\" d=\"M0 \(Self.place(range.top(tick) * Self.size.height))H1000\"/>"
    }.joined()
    let labels =
      range.yTicks.map { tick in
        "<span class=\"y\" style=\"top:\(Self.place(100 * range.top(tick)))%\">"
          + "\(tick.shown())</span>"
      } + xLabels(range)
    let keys =
      series.count < 2
      ? ""
      : series.map { series in
        "<span><i class=\"key\(series.classes)\"></i>\(series.name.htmlEscaped)</span>"
      }.joined()
    let about = note.isEmpty ? "" : "<span>\(note.htmlEscaped)</span>"
    return "<figure><figcaption><b>\(title.htmlEscaped)</b>\(keys)\(about)</figcaption>"
      + "<div class=\"plot\(isTall ? " tall" : "")\"><svg viewBox=\"0 0 1000 300\" "
      + "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"\(title.htmlEscaped)\">"
      + "\(lines)\(paths)</svg>\(labels.joined())</div></figure>"
  }

  // MARK: - Places

  private struct Range {
    var x: ClosedRange<Double>
    var y: ClosedRange<Double>
    var yTicks: [Double]

    /// Where a value lies, from 0 at the left to 1.
    func left(_ value: Double) -> Double {
      x.upperBound == x.lowerBound
        ? 0.5 : (value - x.lowerBound) / (x.upperBound - x.lowerBound)
    }

    /// Where a value lies, from 0 at the top to 1.
    func top(_ value: Double) -> Double {
      (y.upperBound - value) / (y.upperBound - y.lowerBound)
    }
  }

  /// What is shown. Of noisy numbers the highest few may lie above it: one spike would flatten the rest.
  private var range: Range? {
    let xs = series.flatMap { $0.points.map(\.x) }
    guard let left = xs.min(), let right = xs.max() else { return nil }
    var (low, high) = (Double.infinity, -Double.infinity)
    for series in series {
      let values = series.points.map(\.y).sorted()
      low = min(low, values[0])
      let place = series.kind == .raw ? Int(Double(values.count - 1) * 0.99) : values.count - 1
      high = max(high, values[place])
    }
    if low == high {
      (low, high) = (low - max(abs(low) / 10, 1e-6), high + max(abs(high) / 10, 1e-6))
    }
    let step = Self.niceStep((high - low) / (isTall ? 5 : 3))
    let bounds = (step * (low / step).rounded(.down))...(step * (high / step).rounded(.up))
    let count = Int(((bounds.upperBound - bounds.lowerBound) / step).rounded())
    return Range(
      x: left...right, y: bounds,
      yTicks: (0...max(1, count)).map { bounds.lowerBound + Double($0) * step }
        .map { abs($0) < step / 1e6 ? 0 : $0 })
  }

  /// The number of 1, 2 or 5 times a power of ten that is the next one above `step`.
  private static func niceStep(_ step: Double) -> Double {
    let power = pow(10, log10(step).rounded(.down))
    let factor = [1, 2, 5, 10].first { $0 * power >= step * 0.999 } ?? 10
    return factor * power
  }

  private func xLabels(_ range: Range) -> [String] {
    let (low, high) = (range.x.lowerBound, range.x.upperBound)
    guard high > low else {
      return ["<span class=\"x\" style=\"left:50%\">\(Int(low).shown)</span>"]
    }
    let step = max(1, Self.niceStep((high - low) / (isTall ? 5 : 3)))
    var ticks: [(value: Double, place: String)] = [(low, " first")]
    var next = (low / step).rounded(.up) * step
    while next < high {
      // Not so near to an end that labels would meet.
      if range.left(next) > 0.1, range.left(next) < (isTall ? 0.78 : 0.68) {
        ticks.append((next, ""))
      }
      next += step
    }
    ticks.append((high, " last"))
    return ticks.map { tick in
      "<span class=\"x\(tick.place)\" style=\"left:\(Self.place(100 * range.left(tick.value)))%\">"
        + "\(Int(tick.value).shown)</span>"
    }
  }

  // MARK: - Paths

  private func path(of series: Series, in range: Range) -> String {
    func place(_ point: (x: Double, y: Double)) -> String {
      "\(Self.place(range.left(point.x) * Self.size.width)) "
        + Self.place(max(-8, range.top(point.y) * Self.size.height))
    }
    let points = Self.thinned(series.points, keepsExtremes: series.kind == .raw)
    let isDots = series.kind == .dots || points.count == 1
    var result = ""
    if isDots, let marked, let point = points.first(where: { $0.x == marked }) {
      result += "<path class=\"ring\(series.classes)\" d=\"M\(place(point))h0.01\"/>"
    }
    if series.kind == .dots, points.count > 1 {
      result +=
        "<path class=\"faint\(series.classes)\" d=\"M\(points.map(place).joined(separator: "L"))\"/>"
    }
    let data =
      isDots
      ? points.map { "M\(place($0))h0.01" }.joined()
      : "M" + points.map(place).joined(separator: "L")
    return result + "<path class=\"\(isDots ? "dots" : "")\(series.classes)\" d=\"\(data)\"/>"
  }

  /// At most about 1,000 of the points: of each place the lowest and the highest, or the last.
  private static func thinned(
    _ points: [(x: Double, y: Double)], keepsExtremes: Bool
  ) -> [(x: Double, y: Double)] {
    let places = 500
    guard points.count > 2 * places else { return points }
    var result: [(x: Double, y: Double)] = []
    for place in 0..<places {
      let part = points[place * points.count / places..<(place + 1) * points.count / places]
      guard let last = part.last else { continue }
      guard keepsExtremes, let low = part.min(by: { $0.y < $1.y }),
        let high = part.max(by: { $0.y < $1.y })
      else {
        result.append(last)
        continue
      }
      result += low.x <= high.x ? [low, high] : [high, low]
    }
    return result
  }

  /// A place in a picture, to a tenth.
  static func place(_ value: Double) -> String {
    let tenths = Int((min(max(value, -1e6), 1e6) * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
  }
}

extension LineChart.Series {
  /// The classes of what it is drawn with.
  fileprivate var classes: String {
    (kind == .raw ? " faint" : "") + (kind == .dots ? " dot" : "") + (isSecond ? " second" : "")
  }
}
