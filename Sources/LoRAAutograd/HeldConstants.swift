public import LoRATensor

/// Numbers that a method computes from parameters but treats as constants in its backward pass, as
/// DoRA does with the norms that it divides by.
///
/// Finite differences see through such a number and find another derivative than the backward pass.
/// A comparison of both therefore runs inside ``during(_:)``, which computes each constant once and
/// then holds it. Outside of that this is a plain computation.
///
/// ```swift
/// let norms = Variable(HeldConstants.value(of: self) { rowNorms() })
/// ```
public enum HeldConstants {
  @TaskLocal private static var held: Locked<[ObjectIdentifier: Tensor]>?

  /// The result of `compute`, or what it was the first time for the same `owner` where constants are
  /// held.
  public static func value(of owner: AnyObject, _ compute: () -> Tensor) -> Tensor {
    guard let held else { return compute() }
    let key = ObjectIdentifier(owner)
    if let known = held.withLock({ $0[key] }) { return known }
    let value = compute()
    held.withLock { $0[key] = value }
    return value
  }

  /// Runs `body` with every constant held at its first value.
  public static func during<R>(_ body: () throws -> R) rethrows -> R {
    try $held.withValue(Locked([:]), operation: body)
  }
}
