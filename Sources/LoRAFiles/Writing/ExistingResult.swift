/// What becomes of a result that lies where a new one is to be put. Bound to the task: replaced, as
/// long as nobody says otherwise.
///
/// ```swift
/// try ExistingResult.$policy.withValue(.kept) { try adapter.write(to: "support") }
/// ```
///
/// Whether there is one is looked at when the new one is complete, in the step that puts it in its
/// place: another process may have made it while this one computed.
package enum ExistingResult: Sendable {
  /// The new one takes its place.
  case replaced
  /// It stays, and writing throws ``ResultAppeared``. An empty file or folder is none.
  case kept

  /// What holds now.
  @TaskLocal package static var policy = ExistingResult.replaced
}

/// A result that was there when a new one was to take the place, and has stayed.
package struct ResultAppeared: Error, Sendable, Hashable, CustomStringConvertible {
  /// The place.
  package let path: String

  /// What has happened, and what to do.
  package var description: String {
    "\(path): another result has appeared there meanwhile, which stays, and this one is not saved; "
      + "give another place, or --force to replace it"
  }
}
