/// Something that looks for one kind of defect.
///
/// A detector sees the examples one after another and reports what it finds; what it learns of the
/// whole file it reports at the end.
///
/// ```swift
/// struct Shouting: DataDetector {
///   mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
///     for turn in example.answers where turn.text == turn.text.uppercased() {
///       log.add(.role, in: example, "it is shouted")
///     }
///   }
/// }
/// ```
public protocol DataDetector {
  /// Looks at an example.
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws
  /// Looks at an example of the evaluation set. By default nothing happens.
  mutating func examineEvaluation(_ example: CheckedExample) throws
  /// Reports what only all examples together say. By default nothing happens.
  mutating func finish(_ log: inout FindingLog) throws
}

extension DataDetector {
  /// Nothing.
  public mutating func examineEvaluation(_ example: CheckedExample) throws {}
  /// Nothing.
  public mutating func finish(_ log: inout FindingLog) throws {}
}
