import CLoRAKernels

extension DType {
  /// The quantized types.
  public static let quantized: [DType] = [
    .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4K, .q5K, .q6K, .mxfp4,
  ]

  /// Whether elements are stored in low-bit blocks that share scales.
  public var isQuantized: Bool {
    switch self {
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4K, .q5K, .q6K, .mxfp4: true
    default: false
    }
  }

  /// Whether tensors can be converted to this type: false for ``q4K``, ``q5K``, ``q6K`` and
  /// ``mxfp4``, which are read-only.
  public var isQuantizable: Bool {
    !isQuantized || blockElements == 32 && self != .mxfp4
  }

  /// The number of elements per block; 1 for types that are not quantized.
  public var blockElements: Int { isQuantized ? lk_block_elements(blockFormat) : 1 }

  /// The number of bytes per block, or per element.
  public var blockBytes: Int { isQuantized ? lk_block_bytes(blockFormat) : stride }

  /// The kernels' name of a quantized type. Traps for others.
  var blockFormat: lk_block_format {
    switch self {
    case .q4_0: LK_Q4_0
    case .q4_1: LK_Q4_1
    case .q5_0: LK_Q5_0
    case .q5_1: LK_Q5_1
    case .q8_0: LK_Q8_0
    case .q4K: LK_Q4_K
    case .q5K: LK_Q5_K
    case .q6K: LK_Q6_K
    case .mxfp4: LK_MXFP4
    default: misuse("elements of type \(self) can't be multiplied or widened")
    }
  }
}

extension Tensor {
  /// Takes a quantized tensor from its bytes, as a GGUF file holds them. Traps if they are not those
  /// of the shape.
  public init(blocks bytes: [UInt8], shape: Shape, dtype: DType) {
    require(
      dtype.isQuantized && bytes.count == dtype.byteCount(ofElements: shape.elementCount),
      "\(bytes.count) bytes for \(dtype) \(shape)")
    self.init(shape: shape, dtype: dtype) { target in
      bytes.withUnsafeBytes { target.copyMemory(from: $0) }
    }
  }

  /// The numbers of a quantized tensor, float32.
  func dequantized() -> Tensor {
    let columns = max(1, shape.innermost)
    return Tensor(shape: shape) { numbers in
      let matrix = reshaped(to: [elementCount / columns, columns])
      matrix.dequantize(rows: 0..<matrix.shape[0], into: numbers)
    }
  }

  /// Writes the numbers of some rows of a quantized matrix to `target`, on all threads of the pool.
  func dequantize(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let columns = shape[1]
    parallelTiles(range.count, tile: max(1, elementTile / max(1, columns))) { part in
      let first = range.lowerBound + part.lowerBound
      widen(rows: first..<first + part.count, into: target + part.lowerBound * columns)
    }
  }

  /// This float32 tensor in blocks.
  func quantized(to target: DType) -> Tensor {
    require(target.isQuantizable, "numbers can't be converted to \(target)")
    let columns = max(1, shape.innermost)
    let size = target.blockElements
    return withUnsafeElements(of: Float.self) { numbers in
      Tensor(shape: shape, dtype: target) { bytes in
        guard let from = numbers.baseAddress, let to = bytes.baseAddress else { return }
        let blocks = to.assumingMemoryBound(to: UInt8.self)
        parallelTiles(elementCount / columns, tile: max(1, elementTile / columns)) { rows in
          let first = rows.lowerBound * columns
          _ = lk_quantize(
            target.blockFormat, rows.count * columns / size, from + first,
            blocks + target.byteCount(ofElements: first))
        }
      }
    }
  }

  /// The first element of the first block with a scale that is not a finite number; nil if all are.
  func firstNonFiniteBlockIndex() -> Int? {
    withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
      let block = lk_first_nonfinite_block(
        dtype.blockFormat, elementCount / dtype.blockElements, base)
      return block < 0 ? nil : block * dtype.blockElements
    }
  }

  /// The numbers that ``forEachTile(_:)`` widens at a time; 0 of a plain type.
  package var widenedElementCount: Int {
    guard dtype.isQuantized, shape.count == 2, shape[1] > 0 else { return 0 }
    return min(shape[0], widenedRowCount) * shape[1]
  }

  private var widenedRowCount: Int { max(256, (1 << 20) / shape[1] / 256 * 256) }

  /// Calls `body` with consecutive rows of this weight, where they lie and their type: all rows of a
  /// plain type at once; of a quantized one as many as have about a million elements, as float32, in
  /// memory that all of them share. The division follows from the shape alone.
  func forEachTile(_ body: (Range<Int>, UnsafeRawPointer, lk_element) -> Void) {
    let (out, inner) = (shape[0], shape[1])
    guard dtype.isQuantized, inner > 0 else {
      return withUnsafeBytes { bytes in
        guard let data = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1) else { return }
        body(0..<out, data, inner > 0 ? dtype.element : LK_F32)
      }
    }
    let most = widenedRowCount
    withScratch(min(out, most) * inner) { numbers in
      for first in stride(from: 0, to: out, by: most) {
        let rows = first..<min(out, first + most)
        dequantize(rows: rows, into: numbers)
        body(rows, numbers, LK_F32)
      }
    }
  }
}
