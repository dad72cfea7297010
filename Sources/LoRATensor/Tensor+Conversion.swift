import CLoRAKernels

extension Tensor {
  /// The elements converted to another type. Floating-point types convert to each other with one
  /// rounding to nearest even, and so do integers to floating point and back. Float32 converts to
  /// quantized types as in gguf-py, if they are ``DType/isQuantizable`` (others trap). Shares the
  /// bytes if the type is the same.
  public func converted(to target: DType) -> Tensor {
    if dtype == target { return self }
    if dtype.isQuantized { return dequantized().converted(to: target) }
    if target.isQuantized { return converted(to: .float32).quantized(to: target) }
    let n = elementCount
    return withUnsafeBytes { source -> Tensor in
      guard let x = source.baseAddress else { return Tensor.zeros(shape, dtype: target) }
      return Tensor(shape: shape, dtype: target) { bytes in
        guard let y = bytes.baseAddress else { return }
        switch (dtype, target) {
        case (.bfloat16, .float32):
          lk_f32_from_bf16(n, x.assumingMemoryBound(to: UInt16.self), y.floats)
        case (.float16, .float32):
          lk_f32_from_f16(n, x.assumingMemoryBound(to: UInt16.self), y.floats)
        case (.float32, .bfloat16):
          lk_bf16_from_f32(n, x.floats, y.assumingMemoryBound(to: UInt16.self))
        case (.float32, .float16):
          lk_f16_from_f32(n, x.floats, y.assumingMemoryBound(to: UInt16.self))
        case (.bfloat16, .float16), (.float16, .bfloat16):
          converted(to: .float32).converted(to: target).withUnsafeBytes {
            bytes.copyMemory(from: $0)
          }
        default:
          convertBySteps(to: target, into: bytes)
        }
      }
    }
  }

  /// The remaining pairs of types, which no hot path meets: element by element through `Double`,
  /// which holds every float32 and every integer up to 2^53 exactly.
  private func convertBySteps(to target: DType, into bytes: UnsafeMutableRawBufferPointer) {
    if target == .bfloat16 || target == .float16 {
      // Two roundings to nearest are not one; rounding to odd first keeps what the second needs.
      roundedToOdd().converted(to: target).withUnsafeBytes { bytes.copyMemory(from: $0) }
      return
    }
    if dtype == .bfloat16 || dtype == .float16 {
      converted(to: .float32).converted(to: target).withUnsafeBytes { bytes.copyMemory(from: $0) }
      return
    }
    func store<T: TensorElement>(_ type: T.Type, _ make: (Double) -> T) {
      let values = doubles().map(make)
      values.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
    switch target {
    case .float64: store(Double.self) { $0 }
    case .float32: nearestFloats().withUnsafeBytes { bytes.copyMemory(from: $0) }
    case .int64: integers(Int64.self, into: bytes)
    case .int32: integers(Int32.self, into: bytes)
    case .int16: integers(Int16.self, into: bytes)
    case .int8: integers(Int8.self, into: bytes)
    case .uint64: integers(UInt64.self, into: bytes)
    case .uint32: integers(UInt32.self, into: bytes)
    case .uint16: integers(UInt16.self, into: bytes)
    case .uint8: integers(UInt8.self, into: bytes)
    case .bool: store(Bool.self) { $0 != 0 }
    default: break
    }
  }

  private func integers<T: FixedWidthInteger & TensorElement>(
    _ type: T.Type, into bytes: UnsafeMutableRawBufferPointer
  ) {
    let values: [T]
    switch dtype {
    case .int64: values = scalars(as: Int64.self).map { T(clamping: $0) }
    case .int32: values = scalars(as: Int32.self).map { T(clamping: $0) }
    case .int16: values = scalars(as: Int16.self).map { T(clamping: $0) }
    case .int8: values = scalars(as: Int8.self).map { T(clamping: $0) }
    case .uint64: values = scalars(as: UInt64.self).map { T(clamping: $0) }
    case .uint32: values = scalars(as: UInt32.self).map { T(clamping: $0) }
    case .uint16: values = scalars(as: UInt16.self).map { T(clamping: $0) }
    case .uint8: values = scalars(as: UInt8.self).map { T(clamping: $0) }
    case .bool: values = scalars(as: Bool.self).map { $0 ? 1 : 0 }
    default:
      values = doubles().map { value in
        if value.isNaN { return 0 }
        return T(exactly: value.rounded(.towardZero)) ?? (value < 0 ? T.min : T.max)
      }
    }
    values.withUnsafeBytes { bytes.copyMemory(from: $0) }
  }

  /// The float32 numbers nearest to the elements.
  private func nearestFloats() -> [Float] {
    switch dtype {
    case .int64: scalars(as: Int64.self).map { Float($0) }
    case .uint64: scalars(as: UInt64.self).map { Float($0) }
    default: doubles().map { Float($0) }
    }
  }

  /// The elements as float32, those that it cannot hold as the neighbour whose last bit is one:
  /// rounding that to fewer bits gives what rounding the element itself would.
  ///
  /// Source: Boldo and Melquiond, *Emulation of a FMA and correctly rounded sums*, 2008.
  private func roundedToOdd() -> Tensor {
    func odd(_ nearest: Float, isExact: Bool, isTooLarge: Bool) -> Float {
      if isExact || nearest.isNaN { return nearest }
      // Toward zero, and then the last bit set.
      let magnitude = nearest.magnitude.bitPattern - (isTooLarge ? 1 : 0)
      return Float(sign: nearest.sign, exponent: 0, significand: 1)
        * Float(bitPattern: magnitude | 1)
    }
    let floats: [Float]
    switch dtype {
    case .int64:
      floats = scalars(as: Int64.self).map { x in
        let y = Float(x)
        return odd(y, isExact: Int64(exactly: y) == x, isTooLarge: isAbove(y, x))
      }
    case .uint64:
      floats = scalars(as: UInt64.self).map { x in
        let y = Float(x)
        return odd(y, isExact: UInt64(exactly: y) == x, isTooLarge: isAbove(y, x))
      }
    default:
      floats = doubles().map { x in
        let y = Float(x)
        return odd(y, isExact: Double(y) == x, isTooLarge: Double(y).magnitude > x.magnitude)
      }
    }
    return Tensor(floats, shape: shape)
  }

  /// Whether `y` has a larger magnitude than the integer `x` that it was rounded from.
  private func isAbove<T: FixedWidthInteger>(_ y: Float, _ x: T) -> Bool {
    guard let whole = T(exactly: y) else { return true }
    return whole.magnitude > x.magnitude
  }

  private func doubles() -> [Double] {
    switch dtype {
    case .float64: scalars(as: Double.self)
    case .float32: scalars(as: Float.self).map { Double($0) }
    case .float16, .bfloat16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4K, .q5K, .q6K, .mxfp4:
      converted(to: .float32).doubles()
    case .int64: scalars(as: Int64.self).map { Double($0) }
    case .int32: scalars(as: Int32.self).map { Double($0) }
    case .int16: scalars(as: Int16.self).map { Double($0) }
    case .int8: scalars(as: Int8.self).map { Double($0) }
    case .uint64: scalars(as: UInt64.self).map { Double($0) }
    case .uint32: scalars(as: UInt32.self).map { Double($0) }
    case .uint16: scalars(as: UInt16.self).map { Double($0) }
    case .uint8: scalars(as: UInt8.self).map { Double($0) }
    case .bool: scalars(as: Bool.self).map { $0 ? 1 : 0 }
    }
  }
}

extension UnsafeRawPointer {
  /// The address as one of float32 numbers.
  package var floats: UnsafePointer<Float> { assumingMemoryBound(to: Float.self) }
}

extension UnsafeMutableRawPointer {
  /// The address as one of float32 numbers.
  package var floats: UnsafeMutablePointer<Float> { assumingMemoryBound(to: Float.self) }
}
