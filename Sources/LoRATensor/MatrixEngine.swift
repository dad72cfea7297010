import COpenBLAS

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Synchronization

/// The library's use of OpenBLAS.
///
/// OpenBLAS has one thread count for the whole process, and its idle threads spin. The library
/// calls it from the tiles of its own pool, so it sets that count to 1 before its first product. A
/// program that uses OpenBLAS itself with threads sets ``managesOpenBLASThreads`` to false before
/// the library computes anything, and sets the count itself.
///
/// OpenBLAS reserves a buffer of 128 MiB for each thread that multiplies, and retries forever if
/// the address space is limited (`ulimit -v`) to less. The library's own kernels then multiply
/// instead, see ``usesOpenBLAS``. OpenBLAS's own threads, which it starts before a program's first
/// line, need buffers too: under such a limit start the program with `OPENBLAS_NUM_THREADS=1`, as
/// `lora` does for itself.
public enum MatrixEngine {
  private static let manages = Atomic<Bool>(true)

  /// Whether the library sets OpenBLAS's thread count to 1 at its first product. True by default.
  public static var managesOpenBLASThreads: Bool {
    get { manages.load(ordering: .relaxed) }
    set { manages.store(newValue, ordering: .relaxed) }
  }

  /// The kernels that OpenBLAS chose for this machine, such as "Haswell" or "SkylakeX".
  public static var openBLASCore: String {
    openblas_get_corename().map { String(cString: $0) } ?? "unknown"
  }

  /// Whether this process uses OpenBLAS: false if its buffers do not fit into a limited address
  /// space. Determined at the first product.
  public static let usesOpenBLAS: Bool = {
    guard reserveBuffers() else { return false }
    if managesOpenBLASThreads { openblas_set_num_threads(1) }
    return true
  }()

  /// What OpenBLAS reserves for each thread that multiplies.
  static let openBLASBufferBytes = 128 << 20

  /// Lets OpenBLAS reserve all the buffers that it will ever want while there is room for them; false
  /// if there is not. Without a limit there always is.
  private static func reserveBuffers() -> Bool {
    guard let left = ProcessMemory.ofThisProcess.addressSpaceLeft else { return true }
    // Besides the buffers something must be left to compute with.
    guard left / (openBLASBufferBytes + (1 << 20)) > Threads.count else { return false }
    typealias Allocate = @convention(c) (Int32) -> UnsafeMutableRawPointer?
    typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void
    let program = dlopen(nil, RTLD_NOW)
    guard let allocate = dlsym(program, "blas_memory_alloc"),
      let free = dlsym(program, "blas_memory_free")
    else { return false }
    let buffers = (0..<Threads.count).map { _ in unsafeBitCast(allocate, to: Allocate.self)(0) }
    for buffer in buffers { unsafeBitCast(free, to: Free.self)(buffer) }
    return true
  }

  /// One call of cblas_sgemm on the calling thread: c = alpha op(a) op(b) + beta c, row-major.
  @inline(__always)
  package static func sgemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ alpha: Float,
    _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>, _ ldb: Int, _ beta: Float,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int
  ) {
    guard usesOpenBLAS else {
      return BlockedProduct.compute(
        m: m, n: n, k: k, transposeA ? .init(columns: a, stride: lda) : .init(rows: a, stride: lda),
        transposeB ? .init(rows: b, stride: ldb) : .init(columns: b, stride: ldb), alpha: alpha,
        beta: beta, c, ldc: ldc)
    }
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      Int32(m), Int32(n), Int32(k), alpha, a, Int32(max(lda, 1)), b, Int32(max(ldb, 1)), beta, c,
      Int32(max(ldc, 1)))
  }
}
