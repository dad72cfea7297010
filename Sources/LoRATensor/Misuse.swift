/// Ends the program with `message` unless `condition` holds: what a caller must get right, as that
/// shapes fit.
///
/// Not `precondition`, whose text an optimized build drops: a user's program is one, and "illegal
/// instruction" tells nobody which shapes met. The message is made only when it is needed, and out
/// of line, so that a check costs its comparison.
@inlinable @inline(__always)
package func require(
  _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID,
  line: UInt = #line
) {
  if !condition { misuse(message(), file: file, line: line) }
}

/// Ends the program with `message` on standard error, in optimized builds too: a mistake in the code
/// that called, which going on would only hide.
@usableFromInline @inline(never)
package func misuse(
  _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) -> Never {
  fatalError(message(), file: file, line: line)
}
