/// A string as Python has it: code points, each of which counts, compares and is found as itself.
///
/// Swift's `String` takes a letter with its accent for one character and for equal to the letter and
/// the accent written apart; templates must not.
struct Text: Hashable, Sendable {
  var scalars: [Unicode.Scalar]

  init() { scalars = [] }
  init(_ string: String) { scalars = Array(string.unicodeScalars) }
  init(_ scalars: some Sequence<Unicode.Scalar>) { self.scalars = Array(scalars) }

  var count: Int { scalars.count }
  var isEmpty: Bool { scalars.isEmpty }

  var string: String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  static func + (left: Text, right: Text) -> Text { Text(left.scalars + right.scalars) }
  static func += (left: inout Text, right: Text) { left.scalars += right.scalars }
  mutating func append(_ scalar: Unicode.Scalar) { scalars.append(scalar) }
  mutating func append(_ text: String) { scalars.append(contentsOf: text.unicodeScalars) }

  func prefix(_ count: Int) -> Text { Text(scalars.prefix(max(0, count))) }
  subscript(range: Range<Int>) -> Text { Text(scalars[range]) }
}

extension Text: ExpressibleByStringInterpolation {
  init(stringLiteral value: String) { self.init(value) }
}

extension Text: Comparable {
  static func < (left: Text, right: Text) -> Bool {
    left.scalars.lexicographicallyPrecedes(right.scalars)
  }
}
