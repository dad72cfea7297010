extension CalendarTime: LosslessStringConvertible {
  /// The moment as 2026-12-01T09:30:00; of its microseconds nothing.
  public var description: String {
    func digits(_ number: Int, _ count: Int = 2) -> String {
      let text = "\(number)"
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    return
      "\(digits(year, 4))-\(digits(month))-\(digits(day))T\(digits(hour)):\(digits(minute)):\(digits(second))"
  }

  /// Reads 2026-12-01 or 2026-12-01T09:30:00; nil for anything else, and for days that no month has.
  public init?(_ text: String) {
    let parts = text.split(separator: "T", omittingEmptySubsequences: false)
    func numbers(_ part: Substring, _ separator: Character, _ counts: [Int]) -> [Int]? {
      let fields = part.split(separator: separator, omittingEmptySubsequences: false)
      guard fields.map(\.utf8.count) == counts,
        fields.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
      else { return nil }
      return fields.compactMap { Int($0) }
    }
    guard (1...2).contains(parts.count), let date = numbers(parts[0], "-", [4, 2, 2]),
      let time = parts.count == 1 ? [0, 0, 0] : numbers(parts[1], ":", [2, 2, 2])
    else { return nil }
    self.init(
      year: date[0], month: date[1], day: date[2], hour: time[0], minute: time[1], second: time[2])
    guard year > 0, (1...12).contains(month), (1...dayCount).contains(day), hour < 24, minute < 60,
      second < 60
    else { return nil }
  }

  /// The number of days of the month.
  private var dayCount: Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}
