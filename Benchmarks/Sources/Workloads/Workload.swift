public import LoRAKit

/// A piece of work that is repeated, to be timed or counted.
public struct Workload: Sendable {
  /// The name, as in "AdaptedLinear-forward-512x2048x2048-rank8".
  public let name: String
  /// The floating-point operations of one iteration, a multiply-add as two; 0 where they say little.
  public let flops: Double
  /// The type whose arithmetic limit the speed is compared with.
  public let dtype: DType
  /// Whether the library's buffers are counted: not where they depend on the machine's caches, nor
  /// where it has none.
  public let isCounted: Bool
  /// Makes what an iteration needs, and gives one iteration.
  public let prepare: @Sendable () throws -> () throws -> Void

  /// All that there are.
  public static var all: [Workload] { products + layers + models }
}

extension [Workload] {
  /// Adds a workload of `body`, which is what one iteration does. `prepare` makes what it needs.
  mutating func add<State>(
    _ name: String, flops: Double = 0, dtype: DType = .float32, isCounted: Bool = true,
    prepare: @escaping @Sendable () throws -> State,
    _ body: @escaping @Sendable (inout State) throws -> Void
  ) {
    append(
      Workload(name: name, flops: flops, dtype: dtype, isCounted: isCounted) {
        var state = try prepare()
        return { try body(&state) }
      })
  }
}

/// Takes a result, so that the compiler does not leave out what makes it.
@inline(never)
func blackHole(_: some Any) {}
