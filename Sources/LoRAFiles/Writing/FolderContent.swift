/// What a folder can hold as a whole, told by the names of its files: what ``AtomicFolder`` replaces, and
/// what it refuses to mix with something else.
package protocol FolderContent: Sendable, Hashable, CustomStringConvertible {
  /// What lies in `folder`: nothing, one, or what has been mixed up.
  static func all(in folder: String) -> [Self]
  /// Whether a file of this name is part of it, and goes when it is replaced.
  func owns(_ name: String) -> Bool
}
