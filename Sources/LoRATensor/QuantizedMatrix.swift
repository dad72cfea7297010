import CLoRAKernels

/// How a ``QuantizedMatrix`` stores its numbers: blocks of consecutive elements of a row, each with
/// its own scale (and, in some formats, minimum). The formats are those of GGUF files.
public enum BlockFormat: String, Sendable, Hashable, CaseIterable {
  /// 4 bits and a scale, 32 elements a block.
  case q4_0 = "Q4_0"
  /// 4 bits, a scale and a minimum.
  case q4_1 = "Q4_1"
  /// 5 bits and a scale.
  case q5_0 = "Q5_0"
  /// 5 bits, a scale and a minimum.
  case q5_1 = "Q5_1"
  /// 8 bits and a scale.
  case q8_0 = "Q8_0"
  /// 4 bits, 256 elements a block, whose eight parts have scales and minima of 6 bits.
  case q4K = "Q4_K"
  /// 5 bits, otherwise as ``q4K``.
  case q5K = "Q5_K"
  /// 6 bits, 256 elements a block, whose sixteen parts have scales of 8 bits.
  case q6K = "Q6_K"

  /// The kernels' name of the format.
  var kernel: lk_block_format {
    switch self {
    case .q4_0: LK_Q4_0
    case .q4_1: LK_Q4_1
    case .q5_0: LK_Q5_0
    case .q5_1: LK_Q5_1
    case .q8_0: LK_Q8_0
    case .q4K: LK_Q4_K
    case .q5K: LK_Q5_K
    case .q6K: LK_Q6_K
    }
  }

  /// The elements of a block; rows are whole blocks.
  public var elementCount: Int { lk_block_elements(kernel) }
  /// The bytes of a block.
  public var byteCount: Int { lk_block_bytes(kernel) }
  /// Whether ``QuantizedMatrix/init(quantizing:as:)`` makes this format.
  public var isQuantizable: Bool { elementCount == 32 }
}

extension BlockFormat: CustomStringConvertible {
  /// The name as GGUF tools write it, as in "Q4_K".
  public var description: String { rawValue }
}

/// A matrix whose numbers are stored in blocks of few bits: a weight of a quantized model.
///
/// ```swift
/// let small = QuantizedMatrix(quantizing: weight, as: .q8_0)   // [out, in]
/// small.dequantized()                                          // float32, [out, in]
/// ```
///
/// An immutable value, cheap to copy. Its numbers are a definite float32 matrix, bit for bit what
/// gguf-py makes of the blocks; products take tiles of it and never hold all of it widened.
public struct QuantizedMatrix: Sendable, Equatable {
  /// How the numbers are stored.
  public let format: BlockFormat
  /// `[rows, columns]`; of a weight, `[out, in]`.
  public let shape: Shape
  /// The blocks, uint8, `[rows, bytes of a row]`: in memory, or mapped from a file.
  public let blocks: Tensor

  /// Takes a matrix from its blocks, uint8 `[rows, bytes of a row]`. Traps if there are
  /// none, and if the bytes of a row are not whole blocks.
  public init(format: BlockFormat, blocks: Tensor) {
    precondition(
      blocks.dtype == .uint8 && blocks.shape.count == 2 && blocks.elementCount > 0
        && blocks.shape[1] % format.byteCount == 0,
      "\(blocks.dtype) blocks of shape \(blocks.shape) for \(format)")
    self.format = format
    self.blocks = blocks
    shape = [blocks.shape[0], blocks.shape[1] / format.byteCount * format.elementCount]
  }

  /// Rounds the numbers of a float32 matrix to `format`, bit for bit as gguf-py does. Traps for a
  /// format that is not ``BlockFormat/isQuantizable``, and if rows are not whole blocks.
  public init(quantizing matrix: Tensor, as format: BlockFormat) {
    precondition(
      matrix.shape.count == 2 && matrix.elementCount > 0
        && matrix.shape[1] % format.elementCount == 0
        && format.isQuantizable,
      "a matrix of shape \(matrix.shape) can't be stored as \(format)")
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let rowBlocks = columns / format.elementCount
    let rowBytes = rowBlocks * format.byteCount
    let blocks = matrix.withUnsafeElements(of: Float.self) { numbers in
      Tensor(shape: [rows, rowBytes], dtype: .uint8) { bytes in
        guard let from = numbers.baseAddress, let to = bytes.baseAddress else { return }
        let target = to.assumingMemoryBound(to: UInt8.self)
        parallelTiles(rows, tile: max(1, elementTile / columns)) { range in
          let first = range.lowerBound
          _ = lk_quantize(
            format.kernel, range.count * rowBlocks, from + first * columns,
            target + first * rowBytes)
        }
      }
    }
    self.init(format: format, blocks: blocks)
  }

  /// The number of bytes that the blocks occupy.
  public var byteCount: Int { blocks.byteCount }

  /// All numbers, float32, of ``shape``.
  public func dequantized() -> Tensor { dequantized(rows: 0..<shape[0]) }

  /// The numbers of some rows, float32, `[range.count, columns]`.
  public func dequantized(rows range: Range<Int>) -> Tensor {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of shape \(shape)")
    return Tensor(shape: [range.count, shape[1]]) { dequantize(rows: range, into: $0) }
  }

  /// The rows `ids`, int64 of any shape, each in `0..<rows` (another traps): float32, the shape of
  /// `ids` with the number of columns appended.
  public func gathered(_ ids: Tensor) -> Tensor {
    let columns = shape[1]
    return ids.withUnsafeElements(of: Int64.self) { ids in
      for id in ids {
        precondition(id >= 0 && id < shape[0], "row \(id) of a table of \(shape[0]) rows")
      }
      return Tensor(shape: [ids.count, columns]) { y in
        for (index, id) in ids.enumerated() {
          widen(rows: Int(id)..<Int(id) + 1, into: y + index * columns)
        }
      }
    }.reshaped(to: Shape(ids.shape.dimensions + [columns]))
  }

  /// The row of the first block with a scale that is not a finite number; nil if all are.
  public func firstNonFiniteRow() -> Int? {
    let rowBlocks = shape[1] / format.elementCount
    let block = blocks.withUnsafeElements(of: UInt8.self) { bytes in
      bytes.baseAddress.map { lk_first_nonfinite_block(format.kernel, shape[0] * rowBlocks, $0) }
    }
    guard let block, block >= 0 else { return nil }
    return block / rowBlocks
  }

  /// Writes the numbers of some rows to `target`, on all threads of the pool.
  package func dequantize(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let columns = shape[1]
    parallelTiles(range.count, tile: max(1, elementTile / columns)) { part in
      widen(
        rows: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound,
        into: target + part.lowerBound * columns)
    }
  }

  /// Writes the numbers of some rows to `target`, on this thread.
  private func widen(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    blocks.withUnsafeElements(of: UInt8.self) { bytes in
      guard let base = bytes.baseAddress else { return }
      lk_dequantize(
        format.kernel, range.count * (shape[1] / format.elementCount),
        base + range.lowerBound * blocks.shape[1], target)
    }
  }
}
