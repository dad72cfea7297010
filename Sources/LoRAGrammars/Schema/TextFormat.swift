/// The formats of strings that are guaranteed, as patterns of the whole string.
///
/// Where a standard leaves readers room, these are on the strict side: what they describe is also
/// taken by Python's `jsonschema` with its checks of formats.
enum TextFormat {
  static let names = [
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
  ]

  /// The strings of a format; nil if it is not one of ``names``.
  static func automaton(
    named name: String, place: String
  ) throws(ConstraintError) -> TextAutomaton? {
    guard let pattern = pattern(named: name) else { return nil }
    return try TextAutomaton(pattern: pattern, isSearch: false, place: place)
  }

  private static func pattern(named name: String) -> String? {
    switch name {
    case "date": date
    case "time": time
    case "date-time": "(?:\(date))T(?:\(time))"
    case "duration": duration
    case "email": "\(atom)(?:\\.\(atom))*@\(label)(?:\\.\(label))+"
    case "hostname": "\(label)(?:\\.\(label)){0,2}"
    case "ipv4": ipv4
    case "ipv6": ipv6
    case "uri": uri
    case "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    default: nil
    }
  }

  /// Days of the Gregorian calendar from the year 0001 on.
  private static let date: String = {
    let year = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
    let multipleOfFour = "(?:0[48]|[2468][048]|[13579][26])"
    // Divisible by 4 but not by 100, or by 400.
    let leap = "(?:[0-9]{2}\(multipleOfFour)|\(multipleOfFour)00)"
    return "\(year)-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
      + "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|\(leap)-02-29"
  }()

  /// Without leap seconds, which depend on the day; at most nine digits of a second.
  private static let time =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    + "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

  private static let duration: String = {
    let number = "[0-9]{1,9}"
    let time = "T(?:\(number)H(?:\(number)M(?:\(number)S)?)?|\(number)M(?:\(number)S)?|\(number)S)"
    let date = "(?:\(number)D|\(number)M(?:\(number)D)?|\(number)Y(?:\(number)M(?:\(number)D)?)?)"
    return "P(?:\(date)(?:\(time))?|\(time)|\(number)W)"
  }()

  private static let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
  private static let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

  private static let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
  private static let ipv4 = "\(octet)(?:\\.\(octet)){3}"

  /// Eight groups, or fewer round one "::"; no embedded IPv4, no zone.
  private static let ipv6: String = {
    let group = "[0-9A-Fa-f]{1,4}"
    var forms = ["\(group)(?::\(group)){7}"]
    for count in 0...7 {
      let before = count == 0 ? "" : "\(group)(?::\(group)){\(count - 1)}"
      let after = count == 7 ? "" : "(?:\(group)(?::\(group)){0,\(6 - count)})?"
      forms.append("\(before)::\(after)")
    }
    return forms.joined(separator: "|")
  }()

  /// Schemes with an authority, as http and https have.
  private static let uri: String = {
    let character = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
    let host = "\(label)(?:\\.\(label)){0,7}"
    return "[A-Za-z][A-Za-z0-9+.-]{0,31}://\(host)(?::[0-9]{1,5})?(?:/\(character)*)*"
      + "(?:\\?(?:\(character)|[/?])*)?(?:#(?:\(character)|[/?])*)?"
  }()
}
