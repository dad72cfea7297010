import LoRAKit

extension StrengthSweep {
  /// The sweep as a plot in SVG: of one adapter a line, of two a map of colors; the best setting is
  /// marked. Follows the reader's light or dark mode.
  ///
  /// - Parameter title: what stands above it, "Loss by strength" for example.
  func svg(title: String) -> String {
    let plot = SweepPlot(self)
    return adapters.count == 1 ? plot.line(title) : plot.heatMap(title)
  }
}

/// A sweep and the range of its losses.
private struct SweepPlot {
  let sweep: StrengthSweep
  let numbers: StrengthSweep.Numbers
  /// The range of the losses that are numbers.
  let losses: ClosedRange<Double>

  init(_ sweep: StrengthSweep) {
    self.sweep = sweep
    numbers = sweep.numbers
    let finite = sweep.settings.compactMap(\.evaluation?.nll)
    losses = (finite.min() ?? 0)...(finite.max() ?? 1)
  }

  func text(_ loss: Double) -> String { numbers.loss(loss) }

  func text(strength: Float) -> String { numbers.strength(strength) }

  var adapters: [String] { sweep.adapters }
  var grid: [Float] { sweep.grid }
  var settings: [StrengthSweep.Setting] { sweep.settings }
  var best: StrengthSweep.Best { sweep.best }

  // MARK: - One adapter

  func line(_ title: String) -> String {
    var drawing = Drawing(width: 640, height: 400)
    let (left, right, top, bottom) = (72.0, 616.0, 56.0, 336.0)
    let extent = losses.upperBound - losses.lowerBound
    let margin = extent > 0 ? extent * 0.08 : max(0.01, abs(losses.lowerBound) * 0.01)
    let y = Axis(
      values: losses.lowerBound - margin...losses.upperBound + margin, places: (bottom, top))
    let x = Axis(
      values: Double(grid.first ?? 0)...Double(grid.last ?? 1), places: (left, right))

    drawing.text(left, 30, title, role: "ink", size: 15, isBold: true)
    for tick in y.ticks(5) {
      drawing.line(left, y.place(tick.value), right, y.place(tick.value), role: "grid")
      drawing.text(left - 10, y.place(tick.value) + 4, tick.text, anchor: .end)
    }
    drawing.line(left, bottom, right, bottom, role: "axis")
    let marks =
      grid.count <= 12
      ? grid.map { (value: Double($0), text: text(strength: $0)) } : x.ticks(8)
    for mark in marks {
      drawing.line(x.place(mark.value), bottom, x.place(mark.value), bottom + 5, role: "axis")
      drawing.text(x.place(mark.value), bottom + 20, mark.text, anchor: .middle)
    }
    drawing.text((left + right) / 2, 384, "strength of \(adapters[0])", anchor: .middle)
    drawing.text(20, (top + bottom) / 2, "loss a token (NLL)", anchor: .middle, turned: true)

    let points = zip(grid, settings).compactMap { strength, setting in
      setting.evaluation.map { (x: x.place(Double(strength)), y: y.place($0.nll)) }
    }
    if let base = zip(grid, settings).first(where: { $0.0 == 0 })?.1.evaluation?.nll {
      drawing.line(left, y.place(base), right, y.place(base), role: "base", isDashed: true)
      drawing.text(right, y.place(base) - 6, "base \(text(base))", anchor: .end)
    }
    drawing.polyline(points, role: "line", width: 2)
    for point in points { drawing.circle(point.x, point.y, radius: 3.5, role: "dot") }
    let place = (x: x.place(Double(best.strengths[0])), y: y.place(best.evaluation.nll))
    drawing.circle(place.x, place.y, radius: 7, role: "ring", isRing: true)
    // Above it: a valley is empty inside.
    let anchor: Drawing.Anchor =
      place.x < left + 80 ? .start : (place.x > right - 80 ? .end : .middle)
    drawing.text(
      place.x, place.y - 16, bestText, role: "ink", anchor: anchor, isBold: true)
    return drawing.document(title: description(title))
  }

  // MARK: - Two adapters

  func heatMap(_ title: String) -> String {
    let count = grid.count
    let cell = max(2, min(72, 504 / Double(count)))
    let (left, top) = (84.0, 56.0)
    let (right, bottom) = (left + cell * Double(count), top + cell * Double(count))
    var drawing = Drawing(width: max(right, left + 220) + 96, height: max(bottom, top + 160) + 88)
    drawing.text(left, 30, title, role: "ink", size: 15, isBold: true)
    // The first adapter from left to right, the second from below to above.
    for (index, setting) in settings.enumerated() {
      let (x, y) = (
        left + Double(index / count) * cell, bottom - Double(index % count + 1) * cell
      )
      let loss = setting.evaluation?.nll ?? .nan
      let color = Self.color(share(of: loss))
      drawing.rectangle(
        x, y, cell, cell, fill: loss.isFinite ? color.text : "none",
        stroke: cell > 8 ? "gap" : nil, strokeWidth: 1.5)
      if cell >= 44 {
        drawing.text(
          x + cell / 2, y + cell / 2 + 4, text(loss), role: "soft",
          fill: loss.isFinite ? (color.isDark ? "#ffffff" : "#1a1a19") : nil,
          size: text(loss).count > 6 ? 10 : 12, anchor: .middle, isBold: sweep.isBest(setting))
      }
      if sweep.isBest(setting) {
        drawing.rectangle(
          x + 1.5, y + 1.5, cell - 3, cell - 3, stroke: "mark", strokeWidth: 3)
      }
    }
    let every = max(1, (count + 11) / 12)
    for (index, strength) in grid.enumerated() where index % every == 0 {
      let middle = (Double(index) + 0.5) * cell
      drawing.text(left + middle, bottom + 18, text(strength: strength), anchor: .middle)
      drawing.text(left - 8, bottom - middle + 4, text(strength: strength), anchor: .end)
    }
    drawing.text(
      (left + right) / 2, bottom + 42, "strength of \(adapters[0])", anchor: .middle)
    drawing.text(
      24, (top + bottom) / 2, "strength of \(adapters[1])", anchor: .middle, turned: true)
    drawing.rectangle(left, bottom + 58, 12, 12, stroke: "mark", strokeWidth: 3)
    drawing.text(left + 20, bottom + 68, bestText, role: "ink", isBold: true)
    legend(&drawing, x: right + 24, top: top, bottom: max(bottom, top + 120))
    return drawing.document(title: description(title))
  }

  func legend(_ drawing: inout Drawing, x: Double, top: Double, bottom: Double) {
    let steps = 32
    let height = (bottom - top) / Double(steps)
    for step in 0..<steps {
      let color = Self.color(1 - (Double(step) + 0.5) / Double(steps))
      // Half a unit more than its share: else the ground shows between two steps.
      drawing.rectangle(x, top + Double(step) * height, 14, height + 0.5, fill: color.text)
    }
    drawing.text(x, top - 8, "NLL")
    drawing.text(x + 20, top + 10, text(losses.upperBound))
    drawing.text(x + 20, bottom, text(losses.lowerBound))
  }

  /// Where a loss lies between the lowest (0) and the highest (1).
  func share(of loss: Double) -> Double {
    let extent = losses.upperBound - losses.lowerBound
    return extent > 0 && loss.isFinite ? (loss - losses.lowerBound) / extent : 0
  }

  /// One hue from dark for the lowest loss to light for the highest: its lightness alone tells the
  /// order.
  static func color(_ share: Double) -> (text: String, isDark: Bool) {
    let ramp: [(Double, Double, Double)] = [
      (16, 66, 129), (37, 106, 191), (82, 152, 231), (158, 200, 244), (226, 239, 252),
    ]
    let place = min(max(share, 0), 1) * Double(ramp.count - 1)
    let index = min(Int(place), ramp.count - 2)
    let weight = place - Double(index)
    func mix(_ a: Double, _ b: Double) -> Int { Int((a + (b - a) * weight).rounded()) }
    let (low, high) = (ramp[index], ramp[index + 1])
    let color = (mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
    return ("rgb(\(color.0),\(color.1),\(color.2))", share < 0.45)
  }

  /// Where the best setting lies, in words: the first strength, the second one, the loss.
  var bestText: String {
    let strengths = best.strengths.map { text(strength: $0) }.joined(separator: ", ")
    return "best \(strengths): \(text(best.evaluation.nll))"
  }

  func description(_ title: String) -> String {
    let strengths = zip(adapters, best.strengths).map { "\($0) \(text(strength: $1))" }
    return
      "\(title). Best: \(strengths.joined(separator: ", ")), loss \(text(best.evaluation.nll))"
  }
}
