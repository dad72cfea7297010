/// The bytes of one or several tensors: a buffer of the pool, or a region of a mapped file.
///
/// Sendable, although it holds a pointer: the bytes are written only by the code that created the
/// storage, before anybody else can hold a reference to it, or through
/// ``Tensor/withUnsafeMutableBytes(_:)``, which copies unless its tensor is the storage's only
/// owner. Everyone else reads.
package final class Storage: @unchecked Sendable {
  package let base: UnsafeMutableRawPointer
  package let byteCount: Int
  /// The file that the bytes are mapped from; nil for a buffer of the pool.
  package let file: MappedFile?
  private let isPooled: Bool

  /// Takes an uninitialized buffer from the pool.
  package init(byteCount: Int) {
    self.byteCount = byteCount
    base = BufferPool.shared.allocate(byteCount)
    file = nil
    isPooled = true
  }

  /// Stands for `byteCount` bytes that nobody has: see ``Tensor/init(shapeOnly:dtype:)``.
  fileprivate init(absentBytes byteCount: Int) {
    self.byteCount = byteCount
    base = UnsafeMutableRawPointer(bitPattern: 64) ?? BufferPool.shared.allocate(0)
    file = nil
    isPooled = false
  }

  /// Stands for `byteCount` bytes of `file` at `offset`; the caller has checked that they exist.
  package init(file: MappedFile, offset: Int, byteCount: Int) {
    require(
      offset >= 0 && byteCount >= 0 && offset <= file.byteCount - byteCount,
      "bytes \(offset)..<\(offset) + \(byteCount) of '\(file.path)', which has \(file.byteCount)")
    self.byteCount = byteCount
    self.file = file
    isPooled = false
    base = UnsafeMutableRawPointer(mutating: file.base + offset)
  }

  deinit {
    if isPooled { BufferPool.shared.deallocate(base, byteCount: byteCount) }
  }
}

extension Tensor {
  /// A tensor that has a shape and a type and no elements: for a model of which only the sizes are
  /// asked. Reading an element ends the process.
  package init(shapeOnly shape: Shape, dtype: DType) {
    self.init(
      shape: shape, dtype: dtype,
      storage: Storage(absentBytes: dtype.byteCount(ofElements: shape.elementCount)))
  }
}
