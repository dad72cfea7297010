import Foundation
import LoRAKit

/// A number with a fixed number of decimals, as people read it; with an exponent where that would be
/// hundreds of digits, or none but zeros.
func decimal(_ number: Double, _ places: Int) -> String {
  let isLarge = abs(number) >= 1e15
  let isSmall = places > 0 && number != 0 && abs(number) < 0.5 * pow(10, -Double(places))
  return String(format: "%.\(places)\(isLarge || isSmall ? "e" : "f")", number)
}

/// The perplexity of an evaluation as people read it: of a loss above 700 it is more than a double
/// holds.
func perplexityText(_ evaluation: Evaluation) -> String {
  let value = evaluation.perplexity
  return value.isFinite ? decimal(value, 4) : "above 1e308"
}

/// A whole number with a comma every three digits.
func grouped(_ number: Int) -> String {
  var digits = String(number)
  var result = ""
  while digits.count > 3 {
    result = ",\(digits.suffix(3))" + result
    digits.removeLast(3)
  }
  return digits + result
}
