import COpenBLAS
import Synchronization

/// The library's use of OpenBLAS.
///
/// OpenBLAS has one thread count for the whole process, and its idle threads spin. The library
/// calls it from the tiles of its own pool, so it sets that count to 1 before its first product.
/// A program that uses OpenBLAS itself, with threads, sets ``managesOpenBLASThreads`` to false
/// before it computes anything here, and chooses the count itself.
public enum MatrixEngine {
  private static let manages = Atomic<Bool>(true)
  private static let isPrepared = Atomic<Bool>(false)

  /// Whether the library sets OpenBLAS's thread count to 1 at its first product. True by default.
  public static var managesOpenBLASThreads: Bool {
    get { manages.load(ordering: .relaxed) }
    set { manages.store(newValue, ordering: .relaxed) }
  }

  /// The kernels that OpenBLAS chose for this machine, as in "Haswell" or "SkylakeX".
  public static var openBLASCore: String {
    openblas_get_corename().map { String(cString: $0) } ?? "unknown"
  }

  @inline(__always)
  static func prepare() {
    if !isPrepared.load(ordering: .relaxed) {
      if managesOpenBLASThreads { openblas_set_num_threads(1) }
      isPrepared.store(true, ordering: .relaxed)
    }
  }

  /// One call of cblas_sgemm on the calling thread: c = alpha op(a) op(b) + beta c, row-major.
  @inline(__always)
  package static func sgemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ alpha: Float,
    _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>, _ ldb: Int, _ beta: Float,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int
  ) {
    prepare()
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      Int32(m), Int32(n), Int32(k), alpha, a, Int32(max(lda, 1)), b, Int32(max(ldb, 1)), beta, c,
      Int32(max(ldc, 1)))
  }
}
