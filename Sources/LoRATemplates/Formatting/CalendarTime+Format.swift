extension CalendarTime {
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  private static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  private func padded(_ number: Int, _ width: Int = 2, _ filler: String = "0") -> String {
    let digits = String(number)
    return String(repeating: filler, count: max(0, width - digits.count)) + digits
  }

  /// `strftime`, in English, whatever the machine's language.
  func formatted(_ format: Text) -> Text {
    var result = Text()
    var index = 0
    while index < format.count {
      let scalar = format.scalars[index]
      index += 1
      guard scalar == "%", index < format.count else {
        result.append(scalar)
        continue
      }
      var letter = format.scalars[index]
      index += 1
      // glibc's flags: no padding, spaces, zeros, upper case.
      var flag: Unicode.Scalar?
      if "-_0^#".unicodeScalars.contains(letter), index < format.count {
        flag = letter
        letter = format.scalars[index]
        index += 1
      }
      guard let text = part(letter, flag) else {
        result.append("%" as Unicode.Scalar)
        if let flag { result.append(flag) }
        result.append(letter)
        continue
      }
      result.append(flag == "^" || flag == "#" && letter != "p" ? text.uppercased() : text)
    }
    return result
  }

  private func number(
    _ number: Int, _ flag: Unicode.Scalar?, _ width: Int = 2, spaces: Bool = false
  ) -> String {
    switch flag {
    case "-": String(number)
    case "_": padded(number, width, " ")
    case "0": padded(number, width)
    default: padded(number, width, spaces ? " " : "0")
    }
  }

  private func part(_ letter: Unicode.Scalar, _ flag: Unicode.Scalar?) -> String? {
    let month = CalendarTime.months[min(max(month - 1, 0), 11)]
    let day = CalendarTime.weekdays[weekday]
    let halfHour = hour % 12 == 0 ? 12 : hour % 12
    func text(_ format: Text) -> String { formatted(format).string }
    switch letter {
    case "a": return String(day.prefix(3))
    case "A": return day
    case "b", "h": return String(month.prefix(3))
    case "B": return month
    case "c": return text("%a %b %e %H:%M:%S %Y")
    case "C": return number(year / 100, flag)
    case "d": return number(self.day, flag)
    case "D", "x": return text("%m/%d/%y")
    case "e": return number(self.day, flag, spaces: true)
    case "f": return padded(microsecond, 6)
    case "F": return text("%Y-%m-%d")
    case "g": return number(isoWeek.year % 100, flag)
    case "G": return String(isoWeek.year)
    case "H": return number(hour, flag)
    case "I": return number(halfHour, flag)
    case "j": return number(dayOfYear, flag, 3)
    case "k": return number(hour, flag, spaces: true)
    case "l": return number(halfHour, flag, spaces: true)
    case "m": return number(self.month, flag)
    case "M": return number(minute, flag)
    case "n": return "\n"
    case "p": return flag == "#" ? (hour < 12 ? "am" : "pm") : hour < 12 ? "AM" : "PM"
    case "P": return hour < 12 ? "am" : "pm"
    case "r": return text("%I:%M:%S %p")
    case "R": return text("%H:%M")
    case "S": return number(second, flag)
    case "t": return "\t"
    case "T", "X": return text("%H:%M:%S")
    case "u": return String(weekday == 0 ? 7 : weekday)
    case "U": return number((dayOfYear + 6 - weekday) / 7, flag)
    case "V": return number(isoWeek.week, flag)
    case "w": return String(weekday)
    case "W": return number((dayOfYear + 6 - (weekday + 6) % 7) / 7, flag)
    case "y": return number(year % 100, flag)
    case "Y": return String(year)
    case "z", "Z": return ""
    case "%": return "%"
    default: return nil
    }
  }
}
