public import LoRATensor

/// Values that a method computes from parameters but treats as constants in its backward pass, such
/// as the norms that DoRA divides by.
///
/// Finite differences do not treat such a value as constant and give a different derivative from
/// the backward pass. A comparison of both therefore runs inside ``during(_:)``, which computes
/// each constant once and then holds it. Elsewhere this is a plain computation.
///
/// ```swift
/// let norms = Variable(HeldConstants.value(of: self) { rowNorms() })
/// ```
public enum HeldConstants {
  @TaskLocal private static var held: Locked<[ObjectIdentifier: Tensor]>?

  /// The result of `compute`; inside ``during(_:)`` the first result for the same `owner`.
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
