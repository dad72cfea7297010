import COpenBLAS

/// An error in decomposing a matrix.
public enum LinearAlgebraError: Error, Sendable, Hashable, CustomStringConvertible {
  /// An element is infinite or NaN; its index in row-major order.
  case nonFinite(index: Int, shape: Shape)
  /// The iteration did not converge.
  case didNotConverge(shape: Shape)
  /// The matrix is too large for LAPACK's 32-bit integers.
  case tooLarge(shape: Shape)
  /// The process lacks the address space that OpenBLAS, which contains LAPACK, needs.
  case noAddressSpace(limit: Int)

  /// The description of the error, the place, and what to do.
  public var description: String {
    switch self {
    case .nonFinite(let index, let shape):
      "element \(index) of a matrix \(shape) is not a finite number, so it can't be decomposed"
    case .didNotConverge(let shape):
      "the singular value decomposition of a matrix \(shape) did not converge; "
        + "rescale the matrix, its numbers may be near the limits of float32"
    case .tooLarge(let shape):
      "a matrix \(shape) is too large to be decomposed; LAPACK counts with 32 bits"
    case .noAddressSpace(let limit):
      "decomposing a matrix takes OpenBLAS, which reserves 128 MiB of address space a thread, and the "
        + "process may have \(limit >> 20) MiB; raise the limit (ulimit -v), or lower LORA_THREADS"
    }
  }
}

// A row-major matrix X [m, n] is Xᵀ to LAPACK, which is column-major. So with Xᵀ = L Q, the rows of Q
// are the columns of X's Q and R = Lᵀ; with Xᵀ = U S Vᵀ, LAPACK's Vᵀ is our U and its U our Vᵀ. Nothing
// is ever transposed.

extension Tensor {
  /// The thin QR decomposition of a float32 matrix [m, n]: Q [m, k] with orthonormal columns and the
  /// upper triangular R [k, n], k = min(m, n), with Q R this matrix.
  ///
  /// ```swift
  /// let (q, r) = try x.qrDecomposition()
  /// q.matrixProduct(with: r)  // x, but for rounding
  /// ```
  ///
  /// Takes about 4 m n k operations on the calling thread. Traps unless this is a float32 matrix.
  public func qrDecomposition() throws(LinearAlgebraError) -> (q: Tensor, r: Tensor) {
    let (m, n) = try decomposable()
    let k = min(m, n)
    guard k > 0 else { return (.zeros([m, k]), .zeros([k, n])) }
    var packed = self
    var tau = [Float](repeating: 0, count: k)
    packed.withUnsafeMutableFloats { a in
      lapack { work, lwork, info in
        sgelqf_([blasint(n)], [blasint(m)], a, [blasint(n)], &tau, work, &lwork, &info)
      }
    }
    let r = packed.withUnsafeElements(of: Float.self) { a in
      Tensor(shape: [k, n]) { r in
        for row in 0..<k {
          for column in 0..<n { r[row * n + column] = column < row ? 0 : a[row * n + column] }
        }
      }
    }
    // Of the reflections of a wide matrix only the first k columns hold any.
    var q = n == k ? packed : packed.sliced(axis: 1, 0..<k)
    q.withUnsafeMutableFloats { a in
      lapack { work, lwork, info in
        sorglq_(
          [blasint(k)], [blasint(m)], [blasint(k)], a, [blasint(k)], tau, work, &lwork, &info)
      }
    }
    return (q, r)
  }

  /// The thin singular value decomposition of a float32 matrix [m, n], U [m, k], the singular values
  /// [k] in descending order and Vᵀ [k, n], k = min(m, n).
  ///
  /// ```swift
  /// let svd = try x.singularValueDecomposition()
  /// svd.truncated(to: 8).product()  // the matrix of rank 8 that is nearest to x
  /// ```
  ///
  /// Uses LAPACK's divide and conquer, accurate to float32 rounding of the largest singular value.
  /// The signs of a pair of singular vectors are arbitrary. Takes several times m n k operations on
  /// the calling thread; for a product of thin factors
  /// ``SingularValueDecomposition/init(ofProduct:_:scale:)`` takes far fewer. Traps unless this is
  /// a float32 matrix.
  public func singularValueDecomposition()
    throws(LinearAlgebraError) -> SingularValueDecomposition
  {
    let (m, n) = try decomposable()
    let k = min(m, n)
    var u = Tensor.zeros([m, k])
    var s = Tensor.zeros([k])
    var vt = Tensor.zeros([k, n])
    guard k > 0 else { return SingularValueDecomposition(u: u, singularValues: s, vt: vt) }
    let info = u.withUnsafeMutableFloats { u in
      s.withUnsafeMutableFloats { s in
        vt.withUnsafeMutableFloats { vt in decompose(m, n, u: u, s: s, vt: vt) }
      }
    }
    guard info == 0 else { throw .didNotConverge(shape: shape) }
    return SingularValueDecomposition(u: u, singularValues: s, vt: vt)
  }

  /// The singular values of a float32 matrix, [min(m, n)], in descending order. Less work than the
  /// full decomposition.
  public func singularValues() throws(LinearAlgebraError) -> Tensor {
    let (m, n) = try decomposable()
    var s = Tensor.zeros([min(m, n)])
    guard min(m, n) > 0 else { return s }
    let info = s.withUnsafeMutableFloats { decompose(m, n, u: nil, s: $0, vt: nil) }
    guard info == 0 else { throw .didNotConverge(shape: shape) }
    return s
  }

  /// Calls LAPACK; returns its verdict, 0 if all is well.
  private func decompose(
    _ m: Int, _ n: Int, u: UnsafeMutablePointer<Float>?, s: UnsafeMutablePointer<Float>,
    vt: UnsafeMutablePointer<Float>?
  ) -> blasint {
    let job: [CChar] = [CChar(UInt8(ascii: vt == nil ? "N" : "S"))]
    let k = min(m, n)
    // Where no vectors are wanted LAPACK still takes an address.
    var nothing: Float = 0
    return withUnsafeMutablePointer(to: &nothing) { nothing in
      var copy = self
      var integers = [blasint](repeating: 0, count: 8 * k)
      let info = copy.withUnsafeMutableFloats { a in
        lapack { work, lwork, info in
          sgesdd_(
            job, [blasint(n)], [blasint(m)], a, [blasint(n)], s, vt ?? nothing, [blasint(n)],
            u ?? nothing, [blasint(k)], work, &lwork, &integers, &info, 1)
        }
      }
      if info == 0 { return 0 }
      copy = self
      return copy.withUnsafeMutableFloats { a in
        lapack { work, lwork, info in
          sgesvd_(
            job, job, [blasint(n)], [blasint(m)], a, [blasint(n)], s, vt ?? nothing, [blasint(n)],
            u ?? nothing, [blasint(k)], work, &lwork, &info, 1, 1)
        }
      }
    }
  }

  /// The extents, once it is sure that LAPACK can take the matrix.
  private func decomposable() throws(LinearAlgebraError) -> (m: Int, n: Int) {
    require(
      shape.count == 2 && dtype == .float32, "decomposing \(dtype) numbers of shape \(shape)")
    // The workspace grows with 4 k², and LAPACK says how large it is in 32 bits.
    guard elementCount <= Int(Int32.max), min(shape[0], shape[1]) <= 20_000 else {
      throw .tooLarge(shape: shape)
    }
    if let index = firstNonFiniteIndex() { throw .nonFinite(index: index, shape: shape) }
    guard MatrixEngine.usesOpenBLAS else {
      throw .noAddressSpace(
        limit: AvailableMemory.addressSpaceLimit ?? AvailableMemory.dataLimit ?? 0)
    }
    return (shape[0], shape[1])
  }

  @discardableResult
  fileprivate mutating func withUnsafeMutableFloats<R>(
    _ body: (UnsafeMutablePointer<Float>) -> R
  ) -> R {
    require(dtype == .float32 && elementCount > 0, "\(dtype) numbers of shape \(shape)")
    return withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { misuse("a tensor without memory") }
      return body(base.floats)
    }
  }
}

/// Calls a LAPACK routine twice, to ask how large a workspace it wants and with that one; returns
/// its verdict.
@discardableResult
private func lapack(
  _ routine: (_ work: UnsafeMutablePointer<Float>, _ lwork: inout blasint, _ info: inout blasint)
    -> Void
) -> blasint {
  var wanted: Float = 0
  var lwork: blasint = -1
  var info: blasint = 0
  routine(&wanted, &lwork, &info)
  if info != 0 { return info }
  // The number came through a float32 and may have been rounded down.
  let count = max(1, Int(wanted.nextUp.rounded(.up)))
  lwork = blasint(count)
  withScratch(count) { routine($0, &lwork, &info) }
  return info
}
