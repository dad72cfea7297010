import CLoRAKernels
import Testing

/// A family of kernels that this machine runs, as a test argument.
struct Family: Sendable, CustomTestStringConvertible {
  let id: UInt32

  init?(_ family: lk_family) {
    guard lk_family_is_supported(family) else { return nil }
    id = family.rawValue
  }

  var testDescription: String { String(cString: lk_family_name(lk_family(id))) }

  /// Its kernels, called directly: the family that the process uses stays what it is, so these
  /// tests may run beside any others.
  func table() throws -> lk_kernel_table { try #require(lk_family_table(lk_family(id))).pointee }

  /// What the kernels of the other families are compared with.
  static func reference() throws -> lk_kernel_table {
    try #require(lk_family_table(LK_FAMILY_REFERENCE)).pointee
  }

  /// Whether this machine runs the family.
  static func runs(_ family: lk_family) -> Bool { lk_family_is_supported(family) }

  /// Every supported family but the reference; ``KernelFamiliesTests`` shows the others as skipped.
  static let vector: [Family] = [
    LK_FAMILY_GENERIC, LK_FAMILY_AVX2, LK_FAMILY_AVX512, LK_FAMILY_AVX512BF16, LK_FAMILY_NEON,
  ].compactMap(Family.init)
}

/// Numbers for tests: the same ones in every run.
struct Samples {
  private var state: UInt64

  init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  mutating func bits() -> UInt32 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt32(truncatingIfNeeded: state >> 32)
  }

  /// `count` numbers in [low, high).
  mutating func floats(_ count: Int, _ low: Float = -2, _ high: Float = 2) -> [Float] {
    (0..<max(count, 0)).map { _ in low + (high - low) * Float(bits() >> 8) * 0x1p-24 }
  }

  mutating func indexes(_ count: Int, below limit: Int) -> [Int64] {
    (0..<count).map { _ in Int64(bits()) % Int64(limit) }
  }
}

/// Zeros, subnormals, the ends of the range, infinities and NaN, of both signs.
let specialValues: [Float] = {
  let positive: [Float] = [
    0, .leastNonzeroMagnitude, Float(bitPattern: 71362), .leastNormalMagnitude, 1e-20, 1e-3, 0.5,
    0.6249999, 0.625, 1,
    1.0000001, 2, 10, 87.3, 88.72, 88.73, 89, 89.1, 103.9, 104, 124.9, 125, 125.1, 200, 1e10, 1e20,
    .greatestFiniteMagnitude, .infinity, .nan,
  ]
  return positive + positive.map { -$0 }
}()

/// Whether `got` is `want` to so many float32 roundings: of `want` itself, or of `scale` where that
/// is larger (the size of the terms of a sum that may cancel).
func isClose(_ got: Float, _ want: Float, roundings: Double, scale: Float = 0) -> Bool {
  if got == want || (got.isNaN && want.isNaN) { return true }
  guard got.isFinite && want.isFinite else { return false }
  let size = max(abs(want), scale, .leastNormalMagnitude)
  return abs(Double(got) - Double(want)) <= roundings * 0x1p-24 * Double(size.binade) * 2
}

/// Records an issue with the first place where the two differ by more than `roundings`.
func expectClose(
  _ got: [Float], _ want: [Float], roundings: Double, scale: Float = 0,
  _ context: @autoclosure () -> String, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(got.count == want.count, sourceLocation: sourceLocation)
  for (i, pair) in zip(got, want).enumerated()
  where !isClose(pair.0, pair.1, roundings: roundings, scale: scale) {
    Issue.record(
      "\(context()): element \(i) of \(got.count) is \(pair.0), not \(pair.1)",
      sourceLocation: sourceLocation)
    return
  }
}

/// Runs `body` with the reference and with `family`, and compares what it returns.
func compare(
  _ family: Family, roundings: Double, scale: Float = 0, _ context: @autoclosure () -> String,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (lk_kernel_table) -> [Float]
) throws {
  expectClose(
    body(try family.table()), body(try Family.reference()), roundings: roundings, scale: scale,
    context(), sourceLocation: sourceLocation)
}

/// Calls `body` with a pointer to a copy of `values` and returns what it left there: for kernels
/// that work in place, where an array cannot be passed twice.
func inPlace(_ values: [Float], _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
  let memory = UnsafeMutablePointer<Float>.allocate(capacity: max(values.count, 1))
  defer { memory.deallocate() }
  memory.initialize(from: values, count: values.count)
  body(memory)
  return Array(UnsafeBufferPointer(start: memory, count: values.count))
}
