import LoRAFiles
package import LoRATensor

extension BaseFingerprint {
  /// A matrix of a base, of which one row may be read.
  package struct Matrix {
    /// Its path in Hugging Face's checkpoints, without what bodies' names lack.
    package let name: String
    /// `[rows, columns]`.
    package let shape: Shape
    /// The type that its file has it in.
    package let storedType: DType
    /// The type that `row` was rounded to after that.
    package let valueType: DType
    /// A row as float32.
    package let row: (Int) -> [Float]

    package init(
      name: String, shape: Shape, storedType: DType, valueType: DType,
      row: @escaping (Int) -> [Float]
    ) {
      self.name = name
      self.shape = shape
      self.storedType = storedType
      self.valueType = valueType
      self.row = row
    }
  }

  private static let greatestMatrixCount = 256
  private static let greatestColumnCount = 1024
  private static let greatestSampleCount = 256

  /// The fingerprint of the base that consists of `matrices`, in any order.
  package init(of matrices: [Matrix]) {
    let all = matrices.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    var structure = SHA256()
    for matrix in all {
      structure.add("\(matrix.name) \(matrix.shape[0]) \(matrix.shape[1])\n")
    }
    self.structure = String(structure.digest.prefix(32))

    let count = min(all.count, Self.greatestMatrixCount)
    let chosen = (0..<count).map { all[$0 * all.count / count] }
    let each = count == 0 ? 0 : max(1, Self.greatestSampleCount / count)
    var hash = SHA256()
    hash.add("lora base fingerprint \(Self.version)\n\(self.structure)\n")
    var samples: [Sample] = []
    for (index, matrix) in chosen.enumerated() {
      // Steps of the golden ratio, which spread evenly however many there are.
      let place = (UInt64(index + 1) &* 2_654_435_769) & 0xFFFF_FFFF
      let row = matrix.row(Int((place * UInt64(matrix.shape[0])) >> 32))
      let columns = min(row.count, Self.greatestColumnCount)
      let rounded = row[..<columns].map { UInt16(roundingToBfloat16: $0).littleEndian }
      rounded.withUnsafeBytes { hash.add($0) }
      let taken = min(each, columns)
      for sample in 0..<taken {
        let column = (2 * sample + 1) * columns / (2 * taken)
        samples.append(
          Sample(
            value: row[column],
            tolerance: Self.tolerance(
              of: row, column, storedType: matrix.storedType, valueType: matrix.valueType)))
      }
    }
    digest = hash.digest
    self.samples = samples
    var counts: [DType: Int] = [:]
    for matrix in chosen { counts[matrix.storedType, default: 0] += 1 }
    type =
      counts.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key ?? .float32
  }

  /// How far the number may lie from the one in `column` that was rounded to the types of the row,
  /// rounded up to a bfloat16.
  private static func tolerance(
    of row: [Float], _ column: Int, storedType: DType, valueType: DType
  ) -> Float {
    var tolerance = rounding(row, column, storedType)
    if valueType != storedType { tolerance += rounding(row, column, valueType) }
    guard tolerance.isFinite else { return .infinity }
    return Float(bitPattern: (tolerance.bitPattern + 0xFFFF) & 0xFFFF_0000)
  }

  private static func rounding(_ row: [Float], _ column: Int, _ type: DType) -> Float {
    let size = row[column].magnitude
    switch type {
    case .bfloat16: return size * 0x1p-8
    case .float16: return size * 0x1p-11 + 0x1p-25
    case _ where type.isQuantized: break
    default: return 0
    }
    // The blocks, or their parts, that have a scale of their own.
    let length = type == .q6K ? 16 : 32
    let start = column / length * length
    let block = row[start..<min(start + length, row.count)]
    let (least, greatest) = (block.min() ?? 0, block.max() ?? 0)
    let (range, reach) = (greatest - least, max(-least, greatest))
    guard range > 0 else { return .infinity }
    let step: Float =
      switch type {
      case .q8_0: reach / 127
      case .q4_0: reach / 8
      case .q5_0: reach / 16
      case .q4_1: range / 15
      case .q5_1: range / 31
      // Their scales are rounded too: the ends of the range need not be used.
      case .q4K: max(range / 15, smallestGap(block))
      case .q5K: max(range / 31, smallestGap(block))
      case .q6K: max(reach / 32, smallestGap(block))
      // Steps grow with the number; what is beyond the last is cut.
      default: max(size * 2 / 3, reach / 8)
      }
    return step / 2
  }

  private static func smallestGap(_ block: ArraySlice<Float>) -> Float {
    let sorted = block.sorted()
    return zip(sorted, sorted.dropFirst()).map { $1 - $0 }.filter { $0 > 0 }.min() ?? 0
  }
}

extension UInt16 {
  /// The bits of the nearest bfloat16, of two equally near ones the even one; those of 0 for -0.
  fileprivate init(roundingToBfloat16 value: Float) {
    let bits = value.bitPattern
    let rounded = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    self = rounded == 0x8000 ? 0 : rounded
  }
}
