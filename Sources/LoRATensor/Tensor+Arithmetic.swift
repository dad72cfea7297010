import CLoRAKernels

// Element-by-element arithmetic of float32 tensors. Loops lie in the C kernels; here are shapes,
// broadcasting (NumPy's rules) and the cut into tiles for the threads.

extension Tensor {
  /// The sum, with broadcasting.
  public static func + (a: Tensor, b: Tensor) -> Tensor { a.combined(with: b, lk_add) }
  /// The difference, with broadcasting.
  public static func - (a: Tensor, b: Tensor) -> Tensor { a.combined(with: b, lk_sub) }
  /// The elementwise product, with broadcasting.
  public static func * (a: Tensor, b: Tensor) -> Tensor { a.combined(with: b, lk_mul) }
  /// The quotient, with broadcasting.
  public static func / (a: Tensor, b: Tensor) -> Tensor { a.combined(with: b, lk_div) }

  /// Every element times `factor`.
  public func scaled(by factor: Float) -> Tensor {
    mapped { n, x, y in lk_scale(n, factor, x, y) }
  }

  /// Every element plus `term`.
  public func adding(_ term: Float) -> Tensor {
    mapped { n, x, y in lk_add_scalar(n, term, x, y) }
  }

  /// A tensor of the same shape that `kernel(count, x, y)` fills, tile by tile.
  package func mapped(
    _ kernel: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    withUnsafeElements(of: Float.self) { x in
      Tensor(shape: shape) { y in
        guard let x = x.baseAddress else { return }
        parallelTiles(elementCount, tile: elementTile) {
          kernel($0.count, x + $0.lowerBound, y + $0.lowerBound)
        }
      }
    }
  }

  private typealias Binary = (
    Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?
  ) -> Void

  private func combined(with other: Tensor, _ kernel: Binary) -> Tensor {
    if shape != other.shape {
      let common = Self.broadcastShape(shape, other.shape)
      return expanded(to: common).combined(with: other.expanded(to: common), kernel)
    }
    return withUnsafeElements(of: Float.self) { x in
      other.withUnsafeElements(of: Float.self) { y in
        Tensor(shape: shape) { z in
          guard let x = x.baseAddress, let y = y.baseAddress else { return }
          parallelTiles(elementCount, tile: elementTile) {
            kernel($0.count, x + $0.lowerBound, y + $0.lowerBound, z + $0.lowerBound)
          }
        }
      }
    }
  }

  /// Adds `factor` times `other` to this tensor, in place if nobody else shares its bytes.
  public mutating func add(_ other: Tensor, times factor: Float = 1) {
    require(shape == other.shape, "adding shape \(other.shape) to shape \(shape)")
    let n = elementCount
    require(
      dtype == .float32, "adding to a \(dtype) tensor; convert it with converted(to: .float32)")
    withUnsafeMutableBytes { bytes in
      other.withUnsafeElements(of: Float.self) { x in
        guard let y = bytes.baseAddress?.floats, let x = x.baseAddress else { return }
        parallelTiles(n, tile: elementTile) {
          lk_axpy($0.count, factor, x + $0.lowerBound, y + $0.lowerBound)
        }
      }
    }
  }
}

// MARK: - Broadcasting

extension Tensor {
  /// The shape that two shapes broadcast to. Traps if they do not fit.
  package static func broadcastShape(_ a: Shape, _ b: Shape) -> Shape {
    let count = max(a.count, b.count)
    let x = Array(repeating: 1, count: count - a.count) + a.dimensions
    let y = Array(repeating: 1, count: count - b.count) + b.dimensions
    return Shape(
      zip(x, y).map { p, q in
        require(
          p == q || p == 1 || q == 1,
          "shapes \(a) and \(b) do not broadcast: from the last extent on, two must be equal or "
            + "one of them 1")
        return p == 1 ? q : p
      })
  }

  /// This tensor broadcast to `shape`: repeated along extents of 1 and new outer dimensions, as in
  /// NumPy.
  package func expanded(to target: Shape) -> Tensor {
    if shape == target { return self }
    let padded = Array(repeating: 1, count: target.count - shape.count) + shape.dimensions
    var result = reshaped(to: Shape(padded))
    for axis in padded.indices.reversed() where padded[axis] != target[axis] {
      require(padded[axis] == 1, "shape \(shape) does not broadcast to \(target)")
      result = result.repeated(target[axis], axis: axis)
    }
    return result
  }

  /// This tensor, whose extent along `axis` is 1, repeated `count` times along it.
  private func repeated(_ count: Int, axis: Int) -> Tensor {
    var dimensions = shape.dimensions
    dimensions[axis] = count
    let inner = dimensions[(axis + 1)...].reduce(1, *)
    let outer = dimensions[..<axis].reduce(1, *)
    return withUnsafeElements(of: Float.self) { x in
      Tensor(shape: Shape(dimensions)) { y in
        guard let x = x.baseAddress else { return }
        for o in 0..<outer {
          let target = y + o * count * inner
          if inner == 1 {
            lk_fill(count, x[o], target)
          } else {
            for c in 0..<count { (target + c * inner).update(from: x + o * inner, count: inner) }
          }
        }
      }
    }
  }

  /// The sum over the dimensions that ``expanded(to:)`` repeats: its transpose, needed for the
  /// gradient of a broadcast.
  package func summed(to target: Shape) -> Tensor {
    if shape == target { return self }
    var result = self
    let lead = shape.count - target.count
    for axis in shape.indices {
      let wanted = axis < lead ? 1 : target[axis - lead]
      if result.shape[axis] != wanted { result = result.summed(axis: axis) }
    }
    return result.reshaped(to: target)
  }

  /// The sum along `axis`, whose extent becomes 1.
  package func summed(axis: Int) -> Tensor {
    var dimensions = shape.dimensions
    let count = dimensions[axis]
    dimensions[axis] = 1
    let inner = dimensions[(axis + 1)...].reduce(1, *)
    let outer = dimensions[..<axis].reduce(1, *)
    return withUnsafeElements(of: Float.self) { x in
      Tensor(shape: Shape(dimensions)) { y in
        lk_fill(outer * inner, 0, y)
        guard let x = x.baseAddress else { return }
        if inner == 1 {
          lk_row_sums(outer, count, x, y)
        } else {
          for o in 0..<outer { lk_sum_rows(count, inner, x + o * count * inner, y + o * inner) }
        }
      }
    }
  }

  /// The sum of all elements, added in double precision in a fixed order.
  public func sum() -> Double {
    withUnsafeElements(of: Float.self) { lk_sum($0.count, $0.baseAddress) }
  }

  /// The sum of the squares of all elements, likewise.
  public func sumOfSquares() -> Double {
    withUnsafeElements(of: Float.self) { lk_sum_squares($0.count, $0.baseAddress) }
  }
}

// MARK: - Products and moves

extension Tensor {
  /// The matrix product of `[m, k]` and `[k, n]`.
  public func matrixProduct(
    with other: Tensor, transposeSelf: Bool = false, transposeOther: Bool = false
  ) -> Tensor {
    require(
      shape.count == 2 && other.shape.count == 2,
      "a matrix product of shapes \(shape) and \(other.shape); both must have two extents")
    let (m, k) = transposeSelf ? (shape[1], shape[0]) : (shape[0], shape[1])
    let (k2, n) =
      transposeOther ? (other.shape[1], other.shape[0]) : (other.shape[0], other.shape[1])
    require(
      k == k2,
      "product of \(shape)\(transposeSelf ? "ᵀ" : "") and \(other.shape)\(transposeOther ? "ᵀ" : "")"
    )
    return withUnsafeElements(of: Float.self) { a in
      other.withUnsafeElements(of: Float.self) { b in
        Tensor(shape: [m, n]) { c in
          guard let a = a.baseAddress, let b = b.baseAddress else { return }
          gemm(
            transposeA: transposeSelf, transposeB: transposeOther, m: m, n: n, k: k, a,
            lda: shape[1], b, ldb: other.shape[1], c, ldc: n)
        }
      }
    }
  }

  /// The transpose of this matrix. Copies.
  public func transposed() -> Tensor {
    require(shape.count == 2, "transposing shape \(shape); permuted(_:) takes other than matrices")
    return withUnsafeElements(of: Float.self) { x in
      Tensor(shape: [shape[1], shape[0]]) { y in
        guard let x = x.baseAddress else { return }
        lk_transpose(shape[0], shape[1], x, y)
      }
    }
  }

  /// The tensor whose dimension `i` is this tensor's `order[i]`. Copies. Works for any element
  /// type, but the innermost dimension of quantized types must stay innermost.
  public func permuted(_ order: [Int]) -> Tensor {
    require(order.sorted() == Array(shape.indices), "\(order) does not permute \(shape)")
    if order == Array(shape.indices) { return self }
    if order == [1, 0], dtype == .float32 { return transposed() }
    let target = Shape(order.map { shape[$0] })
    var strides = Array(repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    // Move the longest run that stays contiguous as one piece.
    var kept = shape.count
    while kept > 0, order[kept - 1] == kept - 1 { kept -= 1 }
    let run = dtype.byteCount(ofElements: shape.dimensions[kept...].reduce(1, *))
    let moved = order[..<kept].map {
      (extent: shape[$0], stride: dtype.byteCount(ofElements: strides[$0]))
    }
    let runs = moved.map(\.extent).reduce(1, *)
    return withUnsafeBytes { x in
      Tensor(shape: target, dtype: dtype) { y in
        guard let x = x.baseAddress, let y = y.baseAddress, runs > 0 else { return }
        var index = Array(repeating: 0, count: moved.count)
        var from = 0
        for to in 0..<runs {
          (y + to * run).copyMemory(from: x + from, byteCount: run)
          var axis = moved.count - 1
          while axis >= 0 {
            index[axis] += 1
            from += moved[axis].stride
            if index[axis] < moved[axis].extent { break }
            from -= moved[axis].stride * moved[axis].extent
            index[axis] = 0
            axis -= 1
          }
        }
      }
    }
  }

  /// The slices `range` along `axis`. Copies unless `axis` is the outermost.
  public func sliced(axis: Int, _ range: Range<Int>) -> Tensor {
    require(
      range.lowerBound >= 0 && range.upperBound <= shape[axis],
      "slices \(range) along axis \(axis) of shape \(shape)")
    if axis == 0 { return self[rows: range] }
    var dimensions = shape.dimensions
    dimensions[axis] = range.count
    let outer = dimensions[..<axis].reduce(1, *)
    let inner = dtype.byteCount(ofElements: dimensions[(axis + 1)...].reduce(1, *))
    let run = range.count * inner
    return withUnsafeBytes { x in
      Tensor(shape: Shape(dimensions), dtype: dtype) { y in
        guard let x = x.baseAddress, let y = y.baseAddress else { return }
        for o in 0..<outer {
          let source = x + (o * shape[axis] + range.lowerBound) * inner
          (y + o * run).copyMemory(from: source, byteCount: run)
        }
      }
    }
  }

  /// Tensors of one shape and type, of any type, along a new outermost dimension.
  package static func stacked(_ parts: [Tensor]) -> Tensor {
    require(
      !parts.isEmpty
        && parts.allSatisfy { $0.shape == parts[0].shape && $0.dtype == parts[0].dtype },
      "stacking \(parts.count) tensors, of which all must have one shape and type")
    return Tensor(
      shape: Shape([parts.count] + parts[0].shape.dimensions), dtype: parts[0].dtype
    ) { bytes in
      for (index, part) in parts.enumerated() {
        part.withUnsafeBytes { source in
          UnsafeMutableRawBufferPointer(
            rebasing: bytes[index * source.count..<(index + 1) * source.count]
          ).copyMemory(from: source)
        }
      }
    }
  }

  /// The tensors joined along `axis`. Traps if their other extents or their types differ.
  public static func concatenated(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
    guard let first = tensors.first else {
      misuse("concatenating no tensors; there must be at least one")
    }
    var dimensions = first.shape.dimensions
    for tensor in tensors.dropFirst() {
      var others = tensor.shape.dimensions
      others[axis] = first.shape[axis]
      require(
        others == first.shape.dimensions && tensor.dtype == first.dtype,
        "concatenating \(first.shape) and \(tensor.shape) along axis \(axis)")
    }
    dimensions[axis] = tensors.reduce(0) { $0 + $1.shape[axis] }
    let outer = dimensions[..<axis].reduce(1, *)
    let inner = first.dtype.byteCount(ofElements: dimensions[(axis + 1)...].reduce(1, *))
    return Tensor(shape: Shape(dimensions), dtype: first.dtype) { y in
      var offset = 0
      for tensor in tensors {
        let run = tensor.shape[axis] * inner
        tensor.withUnsafeBytes { x in
          guard run > 0, let x = x.baseAddress, let y = y.baseAddress else { return }
          for o in 0..<outer {
            (y + o * dimensions[axis] * inner + offset).copyMemory(
              from: x + o * run, byteCount: run)
          }
        }
        offset += run
      }
    }
  }

  /// The position of the first element that is not finite, or nil. Integer tensors are always
  /// finite. In a quantized tensor it is the first element of the block whose scale is not finite.
  ///
  /// Reads every element once, at memory speed on all threads, and so loads the pages of a mapped
  /// tensor into memory.
  public func firstNonFiniteIndex() -> Int? {
    let n = elementCount
    if dtype == .float64 { return scalars(as: Double.self).firstIndex { !$0.isFinite } }
    if dtype.isQuantized { return firstNonFiniteBlockIndex() }
    guard n > 0, dtype.isFloatingPoint else { return nil }
    let tile = 1 << 20
    let tiles = (n + tile - 1) / tile
    // Nothing was found (-1) or where, tile by tile.
    var found = Array(repeating: -1, count: tiles)
    found.withUnsafeMutableBufferPointer { found in
      withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress, let found = found.baseAddress else { return }
        parallelFor(tiles) { index in
          let start = base + index * tile * dtype.stride
          let count = min(tile, n - index * tile)
          switch dtype {
          case .float32: found[index] = lk_first_nonfinite_f32(count, start.floats)
          case .bfloat16:
            found[index] = lk_first_nonfinite_bf16(
              count, start.assumingMemoryBound(to: UInt16.self))
          case .float16:
            found[index] = lk_first_nonfinite_f16(
              count, start.assumingMemoryBound(to: UInt16.self))
          default: break
          }
        }
      }
    }
    return found.firstIndex { $0 >= 0 }.map { $0 * tile + found[$0] }
  }
}
