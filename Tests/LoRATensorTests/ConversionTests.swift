import LoRATensor
import Testing

@Suite struct ConversionTests {
  private static let plain = DType.allCases.filter { !$0.isQuantized }

  /// Every pair of types keeps the numbers that both can hold.
  @Test(arguments: plain, plain)
  func smallNumbersSurvive(from: DType, to: DType) {
    let isBoolean = from == .bool || to == .bool
    let isSigned = ![DType.uint8, .uint16, .uint32, .uint64].contains { $0 == from || $0 == to }
    var values: [Float] = isBoolean ? [0, 1] : [0, 1, 2, 100, 127]
    if isSigned, !isBoolean { values += [-1, -100, -127] }
    if from.isFloatingPoint, to.isFloatingPoint { values += [0.5, -1.75, 0.0078125] }
    let x = Tensor(values, shape: [1, values.count])
    let y = x.converted(to: from).converted(to: to)
    #expect(y.dtype == to && y.shape == x.shape)
    #expect(y.converted(to: .float32).scalars() == values)
    #expect(Tensor.zeros([0, 3], dtype: from).converted(to: to) == .zeros([0, 3], dtype: to))
  }

  /// All 65536 patterns of both 16-bit types become the float32 that they stand for, and back.
  @Test func everyHalfIsWidenedExactly() {
    let patterns = (0...UInt16.max).map { $0 }
    for type in [DType.bfloat16, .float16] {
      let x = Tensor(shape: [patterns.count], dtype: type) { bytes in
        patterns.withUnsafeBytes { bytes.copyMemory(from: $0) }
      }
      let wide = x.converted(to: .float32)
      for (pattern, value) in zip(patterns, wide.scalars()) {
        let expected = type == .bfloat16 ? bfloat16(pattern) : float16(pattern)
        if value != expected, !(value.isNaN && expected.isNaN) {
          Issue.record("\(type) \(pattern): \(value), expected \(expected)")
          break
        }
      }
      let back = wide.converted(to: type)
      back.withUnsafeBytes { bytes in
        let found = bytes.bindMemory(to: UInt16.self)
        for (pattern, value) in zip(patterns, wide.scalars()) where !value.isNaN {
          if found[Int(pattern)] != pattern {
            Issue.record("\(type) \(pattern) became \(found[Int(pattern)])")
            break
          }
        }
      }
    }
  }

  /// What the bits of a 16-bit float stand for, by their definition.
  private func float16(_ bits: UInt16) -> Float {
    let sign: Float = bits >> 15 == 0 ? 1 : -1
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
      return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
    }
  }

  private func bfloat16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  @Test func narrowingRoundsToNearestEven() {
    func narrowed(_ x: Float, _ type: DType) -> Float {
      Tensor([x]).converted(to: type).converted(to: .float32).item()
    }
    // bfloat16 has 8 significant bits, float16 has 11.
    #expect(narrowed(1 + 0x1p-8, .bfloat16) == 1)
    #expect(narrowed(1 + 0x3p-8, .bfloat16) == 1 + 0x1p-6)
    #expect(narrowed((1 + 0x1p-8).nextUp, .bfloat16) == 1 + 0x1p-7)
    #expect(narrowed(1 + 0x1p-11, .float16) == 1)
    #expect(narrowed((1 + 0x1p-11).nextUp, .float16) == 1 + 0x1p-10)
    #expect(narrowed(65504, .float16) == 65504 && narrowed(65519.9, .float16) == 65504)
    #expect(narrowed(65520, .float16) == .infinity && narrowed(-1e30, .float16) == -.infinity)
    #expect(narrowed(.greatestFiniteMagnitude, .bfloat16) == .infinity)
    #expect(narrowed(0x1p-25, .float16) == 0 && narrowed(0x3p-26, .float16) == 0x1p-24)
    #expect(narrowed(.nan, .float16).isNaN && narrowed(.nan, .bfloat16).isNaN)
  }

  /// From double precision too there is one rounding, not one to float32 and then another.
  @Test func narrowingFromDoubleRoundsOnce() {
    // Just above the middle between two neighbours; float32 would round it to the middle.
    for (type, step) in [(DType.bfloat16, 0x1p-7), (.float16, 0x1p-10)] {
      let x = 1 + step / 2 + 0x1p-40
      for sign in [1.0, -1] {
        let narrow = Tensor([sign * x]).converted(to: type)
        #expect(narrow.converted(to: .float64).scalars(as: Double.self) == [sign * (1 + step)])
      }
    }
    let large = Tensor([Double.greatestFiniteMagnitude, -.infinity, .nan, 0x1p-30])
    let narrow = large.converted(to: .float16).converted(to: .float32).scalars()
    #expect(narrow[0] == .infinity && narrow[1] == -.infinity && narrow[2].isNaN && narrow[3] == 0)
    #expect(large.converted(to: .bfloat16).converted(to: .float32).scalars()[3] == 0x1p-30)
  }

  @Test func integersBecomeTheNearestFloat() {
    // Above the middle by less than a double can tell.
    let x: Int64 = (1 << 60) + (1 << 36) + 1
    #expect(Tensor([x]).converted(to: .float32).scalars() == [Float(x)])
    #expect(Tensor([UInt64.max]).converted(to: .float32).scalars() == [0x1p64])
    let middle: Int64 = 256 + 1
    #expect(Tensor([middle]).converted(to: .bfloat16).converted(to: .float32).scalars() == [256])
    let above: Int64 = (1 << 40) + (1 << 32) + 1
    #expect(
      Tensor([above]).converted(to: .bfloat16).converted(to: .float32).scalars()
        == [0x1p40 + 0x1p33])
    #expect(
      Tensor([-above]).converted(to: .bfloat16).converted(to: .float32).scalars()
        == [-0x1p40 - 0x1p33])
  }

  @Test func largeIntegersStayExact() {
    let large: Int64 = (1 << 53) + 1
    let x = Tensor([Int64.min, -large, large, Int64.max] as [Int64])
    let unsigned: [UInt64] = [0, 0, UInt64(large), UInt64(Int64.max)]
    #expect(x.converted(to: .uint64).scalars(as: UInt64.self) == unsigned)
    let narrow: [Int32] = [.min, .min, .max, .max]
    #expect(x.converted(to: .int32).scalars(as: Int32.self) == narrow)
  }

  @Test func numbersBeyondAnIntegerTypeBecomeItsNearest() {
    let x = Tensor([-1e30, -1.9, -0.5, 1.9, 300, 1e30, .nan] as [Float])
    #expect(x.converted(to: .int8).scalars(as: Int8.self) == [-128, -1, 0, 1, 127, 127, 0])
    #expect(x.converted(to: .uint8).scalars(as: UInt8.self) == [0, 0, 0, 1, 255, 255, 0])
    #expect(
      x.converted(to: .int64).scalars(as: Int64.self) == [.min, -1, 0, 1, 300, .max, 0])
  }

  @Test func anEqualTypeSharesTheBytes() {
    let x = Tensor([1, 2] as [Float])
    #expect(x.converted(to: .float32).storage === x.storage)
  }
}
