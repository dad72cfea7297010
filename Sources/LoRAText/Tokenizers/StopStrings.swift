/// Strings that end a text which arrives in pieces.
///
/// What may be the beginning of one is held back until it is known, so that no part of a stop string is
/// ever given out.
///
/// ```swift
/// var stops = StopStrings(["\nUser:"])
/// let piece = stops.append("Hello.\nUs")  // "Hello."
/// ```
public struct StopStrings: Sendable {
  private let strings: [[UInt8]]
  private var held: [UInt8] = []
  /// The string that ended the text; nil while none has.
  public private(set) var found: String?

  /// Creates a search. Empty strings end nothing.
  public init(_ strings: [String]) {
    // Of two that begin together the shorter one is complete first.
    self.strings = strings.map { Array($0.utf8) }.filter { !$0.isEmpty }
      .sorted { $0.count < $1.count }
  }

  /// The text that `piece` completes, up to the stop string that comes first; empty once one was found.
  public mutating func append(_ piece: String) -> String {
    if found != nil { return "" }
    if strings.isEmpty { return piece }
    held += piece.utf8
    var start = 0
    while start < held.count {
      let rest = held[start...]
      if let stop = strings.first(where: { rest.starts(with: $0) }) {
        found = String(decoding: stop, as: UTF8.self)
        return take(start)
      }
      if strings.contains(where: { $0.starts(with: rest) }) { break }
      start += 1
    }
    return take(start)
  }

  /// The rest of the text: what was held back, and was the beginning of nothing.
  public mutating func finish() -> String { found == nil ? take(held.count) : "" }

  private mutating func take(_ count: Int) -> String {
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }
}
