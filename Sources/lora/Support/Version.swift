/// Which version of the package this is: the only place that says so. A test compares it with
/// CHANGELOG.md.
enum Version {
  /// The version as semantic versioning writes it; `-dev` before its release.
  static let current = "0.1.0-dev"

  /// What adapters name as the program that made them.
  static let software = "lora \(current)"
}
