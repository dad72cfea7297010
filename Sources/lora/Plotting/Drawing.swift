/// A drawing in SVG: a list of elements on a canvas whose colors follow the reader's light or dark
/// mode.
struct Drawing {
  /// Where a text's anchor lies.
  enum Anchor: String {
    case start, middle, end
  }

  let width: Double
  let height: Double
  private var elements: [String] = []

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  /// The colors by role, for paper and, in the query, for a dark screen.
  private static let style = """
    .ground{fill:#fcfcfb}.ink{fill:#1a1a19}.soft{fill:#6b6a64}.grid{stroke:#e4e3de}\
    .axis{stroke:#a5a49c}.base{stroke:#6b6a64}.line{stroke:#2a78d6}.dot{fill:#2a78d6}\
    .ring{stroke:#1a1a19}.gap{stroke:#fcfcfb}.mark{stroke:#f2a33a}\
    @media(prefers-color-scheme:dark){.ground{fill:#1a1a19}.ink{fill:#f3f2ee}.soft{fill:#a5a49c}\
    .grid{stroke:#33322f}.axis{stroke:#6b6a64}.base{stroke:#a5a49c}.line{stroke:#5c9ce8}\
    .dot{fill:#5c9ce8}.ring{stroke:#f3f2ee}.gap{stroke:#1a1a19}}
    """

  mutating func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, role: String, width: Double = 1,
    isDashed: Bool = false
  ) {
    elements.append(
      "<line class=\"\(role)\" x1=\"\(Self.place(x1))\" y1=\"\(Self.place(y1))\" "
        + "x2=\"\(Self.place(x2))\" y2=\"\(Self.place(y2))\" stroke-width=\"\(Self.place(width))\""
        + (isDashed ? " stroke-dasharray=\"5 4\"" : "") + "/>")
  }

  mutating func polyline(_ points: [(x: Double, y: Double)], role: String, width: Double) {
    let list = points.map { "\(Self.place($0.x)),\(Self.place($0.y))" }.joined(separator: " ")
    elements.append(
      "<polyline class=\"\(role)\" points=\"\(list)\" fill=\"none\" "
        + "stroke-width=\"\(Self.place(width))\" stroke-linejoin=\"round\"/>")
  }

  /// A circle, filled with `role` or, if it is a ring, drawn with it.
  mutating func circle(_ x: Double, _ y: Double, radius: Double, role: String, isRing: Bool = false)
  {
    elements.append(
      "<circle class=\"\(role)\" cx=\"\(Self.place(x))\" cy=\"\(Self.place(y))\" "
        + "r=\"\(Self.place(radius))\"" + (isRing ? " fill=\"none\" stroke-width=\"1.5\"" : "")
        + "/>")
  }

  /// A rectangle: of a role, or of a color of its own; with `stroke`, its outline in that role.
  mutating func rectangle(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, fill: String? = nil,
    stroke: String? = nil, strokeWidth: Double = 1
  ) {
    elements.append(
      "<rect"
        + (stroke.map { " class=\"\($0)\" stroke-width=\"\(Self.place(strokeWidth))\"" } ?? "")
        + " x=\"\(Self.place(x))\" y=\"\(Self.place(y))\" width=\"\(Self.place(width))\" "
        + "height=\"\(Self.place(height))\" fill=\"\(fill ?? "none")\"/>")
  }

  /// A text of a role, or of a color of its own; `turned`: it reads upwards.
  mutating func text(
    _ x: Double, _ y: Double, _ text: String, role: String = "soft", fill: String? = nil,
    size: Double = 12, anchor: Anchor = .start, isBold: Bool = false, turned: Bool = false
  ) {
    elements.append(
      "<text" + (fill.map { " fill=\"\($0)\"" } ?? " class=\"\(role)\"")
        + " x=\"\(Self.place(x))\" y=\"\(Self.place(y))\" font-size=\"\(Self.place(size))\" "
        + "text-anchor=\"\(anchor.rawValue)\"" + (isBold ? " font-weight=\"600\"" : "")
        + (turned ? " transform=\"rotate(-90 \(Self.place(x)) \(Self.place(y)))\"" : "")
        + ">\(Self.escaped(text))</text>")
  }

  /// The document, `title` for those who can't see it.
  func document(title: String) -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.place(width)) \
    \(Self.place(height))" width="\(Self.place(width))" height="\(Self.place(height))" \
    font-family="system-ui, sans-serif" role="img">
    <title>\(Self.escaped(title))</title>
    <style>\(Self.style)</style>
    <rect class="ground" width="100%" height="100%"/>
    \(elements.joined(separator: "\n"))
    </svg>

    """
  }

  /// A number of the canvas, to a hundredth.
  private static func place(_ number: Double) -> String {
    let text = fixed(number, 2)
    let digits = text.reversed().drop { $0 == "0" }
    return String((digits.first == "." ? digits.dropFirst() : digits).reversed())
  }

  /// A number with `places` decimals, however large or small it is.
  static func fixed(_ number: Double, _ places: Int) -> String {
    guard number.isFinite, abs(number) < 1e12 else { return "\(number)" }
    let unit = (0..<places).reduce(1) { product, _ in product * 10 }
    let whole = Int64((abs(number) * Double(unit)).rounded())
    let fraction = String(whole % Int64(unit))
    let sign = number < 0 && whole > 0 ? "-" : ""
    if places == 0 { return "\(sign)\(whole)" }
    return "\(sign)\(whole / Int64(unit))."
      + String(repeating: "0", count: places - fraction.count) + fraction
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "&": result += "&amp;"
      case "\"": result += "&quot;"
      // XML has no place for other control characters, not even escaped.
      case let scalar where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
        result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// An axis: the range of its values, where they lie on the canvas, and round numbers between.
struct Axis {
  let values: ClosedRange<Double>
  /// Where the lowest value lies, and the highest.
  let places: (low: Double, high: Double)

  func place(_ value: Double) -> Double {
    let extent = values.upperBound - values.lowerBound
    let share = extent > 0 ? (value - values.lowerBound) / extent : 0.5
    return places.low + share * (places.high - places.low)
  }

  /// Multiples of 1, 2 or 5 times a power of ten within the range, about `count` of them, with as
  /// many decimals as tell them apart.
  func ticks(_ count: Int) -> [(value: Double, text: String)] {
    let extent = values.upperBound - values.lowerBound
    guard extent > 0, extent.isFinite else { return [] }
    var unit = 1.0
    var places = 0
    while unit > extent / Double(count) { (unit, places) = (unit / 10, places + 1) }
    while unit * 10 <= extent / Double(count) { (unit, places) = (unit * 10, places - 1) }
    let factor = [1.0, 2, 5, 10].first { $0 * unit >= extent / Double(count) } ?? 10
    if factor == 10 { places -= 1 }
    let step = factor * unit
    let first = (values.lowerBound / step).rounded(.up)
    let last = (values.upperBound / step).rounded(.down)
    guard last >= first, last - first < 100 else { return [] }
    return stride(from: first, through: last, by: 1).map {
      ($0 * step, Drawing.fixed($0 * step, max(0, places)))
    }
  }
}
