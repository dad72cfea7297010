import CLoRAKernels
import Testing

/// Conversions between float32, bfloat16 and float16, over all 65,536 patterns.
@Suite struct KernelsConversionTests {
  static let patterns: [UInt16] = (0...65535).map { UInt16($0) }

  /// The bits of `convert`'s results: NaN has to keep its payload too.
  private func widened(
    _ x: [UInt16], _ convert: (Int, UnsafePointer<UInt16>, UnsafeMutablePointer<Float>) -> Void
  ) -> [UInt32] {
    var y = [Float](repeating: 0, count: x.count)
    convert(x.count, x, &y)
    return y.map(\.bitPattern)
  }

  private func narrowed(
    _ x: [Float], _ convert: (Int, UnsafePointer<Float>, UnsafeMutablePointer<UInt16>) -> Void
  ) -> [UInt16] {
    var y = [UInt16](repeating: 0, count: x.count)
    convert(x.count, x, &y)
    return y
  }

  @Test func referenceWidensFloat16ByItsFields() throws {
    let reference = try Family.reference()
    let bits = widened(Self.patterns) { reference.f32_from_f16($0, $1, $2) }
    for pattern in Self.patterns where (pattern & 0x7fff) <= 0x7c00 {
      // Built from its fields: Float16 does not exist on every platform.
      let exponent = Int(pattern >> 10 & 31)
      let mantissa = Float(pattern & 1023)
      var want: Float = exponent == 0 ? mantissa * 0x1p-24 : (1024 + mantissa) * 0x1p-24
      for _ in stride(from: 1, to: exponent, by: 1) { want *= 2 }
      if exponent == 31 { want = .infinity }
      if pattern >> 15 == 1 { want = -want }
      if Float(bitPattern: bits[Int(pattern)]) != want {
        Issue.record("pattern \(pattern): \(Float(bitPattern: bits[Int(pattern)])), not \(want)")
        return
      }
    }
  }

  @Test(arguments: Family.vector) func everyPatternWidensAlike(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    #expect(
      widened(Self.patterns) { table.f32_from_bf16($0, $1, $2) }
        == widened(Self.patterns) { reference.f32_from_bf16($0, $1, $2) })
    #expect(
      widened(Self.patterns) { table.f32_from_f16($0, $1, $2) }
        == widened(Self.patterns) { reference.f32_from_f16($0, $1, $2) })
    for n in 0...40 {  // the ends of vectors
      let x = Array(Self.patterns[30000..<30000 + n])
      #expect(
        widened(x) { table.f32_from_f16($0, $1, $2) }
          == widened(x) { reference.f32_from_f16($0, $1, $2) })
    }
  }

  @Test(arguments: [LK_FAMILY_REFERENCE, LK_FAMILY_GENERIC, LK_FAMILY_AVX2].map { $0.rawValue })
  func narrowingUndoesWidening(id: UInt32) throws {
    guard let table = lk_family_table(lk_family(id))?.pointee else { return }
    let bf16 = widened(Self.patterns) { table.f32_from_bf16($0, $1, $2) }
    let f16 = widened(Self.patterns) { table.f32_from_f16($0, $1, $2) }
    let backBF16 = narrowed(bf16.map(Float.init(bitPattern:))) { table.bf16_from_f32($0, $1, $2) }
    let backF16 = narrowed(f16.map(Float.init(bitPattern:))) { table.f16_from_f32($0, $1, $2) }
    for p in Self.patterns {
      // A signalling NaN becomes quiet, everything else returns to itself.
      let quietBF16 = (p & 0x7fff) > 0x7f80 ? p | 0x40 : p
      let quietF16 = (p & 0x7fff) > 0x7c00 ? p | 0x200 : p
      guard backBF16[Int(p)] == quietBF16 && backF16[Int(p)] == quietF16 else {
        Issue.record("pattern \(p) became \(backBF16[Int(p)]) and \(backF16[Int(p)])")
        return
      }
    }
  }

  /// Every bfloat16 and float16 value, the middle between it and the next, and the floats beside
  /// that middle: ties go to the even one.
  @Test(arguments: Family.vector) func tiesAndNeighbours(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    var x: [Float] = specialValues
    for p in Self.patterns {
      for offset in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] as [UInt32] {
        x.append(Float(bitPattern: UInt32(p) << 16 | offset))
      }
    }
    for bits in widened(Self.patterns, { reference.f32_from_f16($0, $1, $2) }) {
      for offset in [0xfff, 0x1000, 0x1001] as [UInt32] {
        x.append(Float(bitPattern: bits | offset))
      }
    }
    for units in 0..<2100 {  // subnormal float16 in eighths of its unit
      x.append(Float(units) * 0x1p-27)
      x.append(-Float(units) * 0x1p-27)
    }
    let bf16 = narrowed(x) { table.bf16_from_f32($0, $1, $2) }
    #expect(bf16 == narrowed(x) { reference.bf16_from_f32($0, $1, $2) })
    let f16 = narrowed(x) { table.f16_from_f32($0, $1, $2) }
    let want = narrowed(x) { reference.f16_from_f32($0, $1, $2) }
    for i in x.indices where f16[i] != want[i] {
      Issue.record("\(x[i].bitPattern): \(f16[i]), not \(want[i])")
      return
    }
  }

  @Test func knownRoundings() throws {
    let reference = try Family.reference()
    let x: [Float] = [1, 1.00390625, 1.01171875, 3.4e38, 65504, 65519.99, 65520, 0x1p-25, 0x1p-24]
    #expect(
      narrowed(x) { reference.bf16_from_f32($0, $1, $2) }
        == [0x3f80, 0x3f80, 0x3f82, 0x7f80, 0x4780, 0x4780, 0x4780, 0x3300, 0x3380])
    #expect(
      narrowed(x) { reference.f16_from_f32($0, $1, $2) }
        == [0x3c00, 0x3c04, 0x3c0c, 0x7c00, 0x7bff, 0x7bff, 0x7c00, 0, 1])
  }
}
