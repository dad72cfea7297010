import Foundation

/// A number with a fixed number of decimals, as people read it.
func decimal(_ number: Double, _ places: Int) -> String {
  String(format: "%.\(places)f", number)
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
