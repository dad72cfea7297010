/// A moment on a calendar and a clock, without a time zone: what `strftime_now` writes.
///
/// A template that writes the date makes another prompt every day. Give the moment to have the same one
/// every time.
public struct CalendarTime: Sendable, Hashable {
  /// The year, as 2026.
  public var year: Int
  /// The month, 1 to 12.
  public var month: Int
  /// The day of the month, from 1.
  public var day: Int
  /// The hour, 0 to 23.
  public var hour: Int
  /// The minute, 0 to 59.
  public var minute: Int
  /// The second, 0 to 59.
  public var second: Int
  /// The microsecond, 0 to 999,999.
  public var microsecond: Int

  /// A moment by its parts.
  public init(
    year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0,
    microsecond: Int = 0
  ) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
    self.microsecond = microsecond
  }

  /// Days before the first of January of the year, counted from the first of January of the year 1.
  private static func days(before year: Int) -> Int {
    let past = year - 1
    return past * 365 + past / 4 - past / 100 + past / 400
  }

  private var isLeapYear: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  /// The day of the year, from 1.
  var dayOfYear: Int {
    let starts = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    let start = starts.indices.contains(month - 1) ? starts[month - 1] : 0
    return start + day + (month > 2 && isLeapYear ? 1 : 0)
  }

  /// 0 for Sunday.
  var weekday: Int { (CalendarTime.days(before: year) + dayOfYear) % 7 }

  /// The week of the year by ISO 8601, with its year.
  var isoWeek: (year: Int, week: Int) {
    let fromMonday = (weekday + 6) % 7
    let week = (dayOfYear - fromMonday + 9) / 7
    func weeks(_ year: Int) -> Int {
      // A year has 53 weeks if it begins on a Thursday, or on a Wednesday and is a leap year.
      let first = CalendarTime(year: year, month: 1, day: 1)
      return first.weekday == 4 || first.weekday == 3 && first.isLeapYear ? 53 : 52
    }
    if week < 1 { return (year - 1, weeks(year - 1)) }
    if week > weeks(year) { return (year + 1, 1) }
    return (year, week)
  }
}
