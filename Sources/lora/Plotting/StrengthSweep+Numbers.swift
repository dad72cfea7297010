import Foundation
import LoRAKit

extension StrengthSweep {
  /// How the sweep's table and its plot write its numbers.
  struct Numbers: Sendable {
    private let lossPlaces: Int
    private let strengthPlaces: Int
    /// How many digits tell strengths apart that decimals can't: below a billionth, or from 1e9.
    private let strengthDigits: Int?

    init(_ sweep: StrengthSweep) {
      let losses = sweep.settings.compactMap(\.evaluation?.nll)
      let extent = (losses.max() ?? 0) - (losses.min() ?? 0)
      lossPlaces = Self.places(tellingApart: extent / 1000, 3...9)
      let steps = zip(sweep.grid, sweep.grid.dropFirst()).map { Double($1) - Double($0) }
      let step = (steps.filter { $0 > 0 }.min() ?? 1) / 100
      let greatest = sweep.grid.reduce(0) { max($0, abs(Double($1))) }
      strengthPlaces = Self.places(tellingApart: step, 0...9)
      strengthDigits =
        greatest >= 1e9 || step < 1e-9
        ? min(max(Int(log10(max(greatest, step) / step).rounded(.up)), 3), 9) : nil
    }

    /// The decimals that numbers need which lie `difference` apart.
    private static func places(tellingApart difference: Double, _ range: ClosedRange<Int>) -> Int {
      guard difference > 0, difference.isFinite else { return range.lowerBound }
      let places = Int((-log10(difference)).rounded(.up))
      return min(max(places, range.lowerBound), range.upperBound)
    }

    /// A loss with as many decimals as tell the sweep's losses apart, at least three; a dash of what
    /// is no number.
    func loss(_ loss: Double) -> String {
      loss.isFinite ? Drawing.fixed(loss, lossPlaces) : "–"
    }

    /// A strength to a hundredth of the step between two: 0.25, 1.67e19.
    func strength(_ strength: Float) -> String {
      let value = Double(strength)
      guard let strengthDigits else { return Self.short(Drawing.fixed(value, strengthPlaces)) }
      let parts = String(format: "%.\(strengthDigits - 1)e", value).split(separator: "e")
      guard value != 0, parts.count == 2, let exponent = Int(parts[1]) else { return "0" }
      return Self.short(String(parts[0])) + (exponent == 0 ? "" : "e\(exponent)")
    }

    /// A number without the zeros that end its decimals.
    private static func short(_ text: String) -> String {
      guard text.contains(".") else { return text }
      let digits = text.reversed().drop { $0 == "0" }
      return String((digits.first == "." ? digits.dropFirst() : digits).reversed())
    }
  }

  /// How the sweep's numbers are written.
  var numbers: Numbers { Numbers(self) }
}
