import Foundation

extension StrengthSweep {
  /// How the sweep's table and its plot write its numbers.
  package struct Numbers: Sendable {
    private let lossPlaces: Int
    private let strengthPlaces: Int

    package init(_ sweep: StrengthSweep) {
      let losses = sweep.settings.compactMap(\.evaluation?.nll)
      let extent = (losses.max() ?? 0) - (losses.min() ?? 0)
      lossPlaces = Self.places(tellingApart: extent / 1000, 3...9)
      let steps = zip(sweep.grid, sweep.grid.dropFirst()).map { Double($1 - $0) }
      strengthPlaces = Self.places(tellingApart: (steps.filter { $0 > 0 }.min() ?? 1) / 100, 0...9)
    }

    /// The decimals that numbers need which lie `difference` apart.
    private static func places(tellingApart difference: Double, _ range: ClosedRange<Int>) -> Int {
      guard difference > 0, difference.isFinite else { return range.lowerBound }
      let places = Int((-log10(difference)).rounded(.up))
      return min(max(places, range.lowerBound), range.upperBound)
    }

    /// A loss with as many decimals as tell the sweep's losses apart, at least three; a dash of what
    /// is no number.
    package func loss(_ loss: Double) -> String {
      loss.isFinite ? Drawing.fixed(loss, lossPlaces) : "–"
    }

    /// A strength to a hundredth of the step between two.
    package func strength(_ strength: Float) -> String {
      let text = Drawing.fixed(Double(strength), strengthPlaces)
      guard text.contains(".") else { return text }
      let digits = text.reversed().drop { $0 == "0" }
      return String((digits.first == "." ? digits.dropFirst() : digits).reversed())
    }
  }

  /// How the sweep's numbers are written.
  package var numbers: Numbers { Numbers(self) }
}
