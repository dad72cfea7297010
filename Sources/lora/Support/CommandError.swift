/// A failure of a command that no layer of the library has a type for.
struct CommandError: Error, CustomStringConvertible {
  /// What, where, what to do.
  let description: String

  init(_ description: String) { self.description = description }

  /// `error` with the place that it concerns before it.
  init(_ place: String, _ error: some Error) { description = "\(place): \(error)" }
}

/// Options that contradict what a file says: wrong usage, found only when the file was read.
struct ContradictionError: Error, CustomStringConvertible {
  let description: String
}
