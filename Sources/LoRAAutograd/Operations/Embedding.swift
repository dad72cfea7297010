import CLoRAKernels
public import LoRATensor

extension Variable {
  /// The embeddings of the tokens `ids`: rows of this table, `[vocabulary, size]` of any
  /// floating-point type.
  ///
  /// - Parameter ids: int64, of any shape, each in `0..<vocabulary`. An id outside the table traps,
  ///   so check ids that come from outside.
  /// - Returns: float32, the shape of `ids` with `size` appended.
  public func gathered(_ ids: Tensor) -> Variable {
    require(shape.count == 2, "gathering rows of shape \(shape), which is no matrix")
    require(
      ids.dtype == .int64,
      "gathering rows of numbers that are \(ids.dtype) \(ids.shape); token ids are int64: make them "
        + "of an array of Int or Int64")
    let (rows, columns, vocabulary) = (ids.elementCount, shape[1], shape[0])
    let table = value
    let tableShape = shape
    let y = ids.withUnsafeElements(of: Int64.self) { ids -> Tensor in
      for id in ids {
        require(
          id >= 0 && id < vocabulary,
          "row \(id) of a table of \(vocabulary) rows; validate(_:) of a language model checks token ids"
        )
      }
      return Tensor(shape: [rows, columns]) { y in
        table.withUnsafeBytes { bytes in
          guard let base = bytes.baseAddress, let ids = ids.baseAddress else { return }
          let halves = base.assumingMemoryBound(to: UInt16.self)
          switch table.dtype {
          case .float32: lk_gather_f32(rows, columns, base.floats, ids, y)
          case .bfloat16: lk_gather_bf16(rows, columns, halves, ids, y)
          case .float16: lk_gather_f16(rows, columns, halves, ids, y)
          default:
            for row in 0..<rows {
              let id = Int(ids[row])
              table.widen(rows: id..<id + 1, into: y + row * columns)
            }
          }
        }
      }
    }
    let shaped = y.reshaped(to: Shape(ids.shape.dimensions + [columns]))
    return Self.record(shaped, inputs: [self]) { dy, inputs in
      inputs.accumulate(to: 0, shape: tableShape) { dtable, beta in
        if beta == 0 { lk_fill(tableShape.elementCount, 0, dtable) }
        ids.withUnsafeElements(of: Int64.self) { ids in
          withExtendedLifetime(dy) {
            lk_scatter_add(rows, columns, dy.floats, ids.baseAddress, dtable)
          }
        }
      }
    }
  }
}
