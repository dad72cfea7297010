#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// An immutable multidimensional array that is cheap to copy and safe to share.
///
/// ```swift
/// let x = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
/// x.shape                     // [2, 3]
/// x.reshaped(to: [3, 2])      // the same bytes, another shape
/// x[row: 1].scalars()         // [4, 5, 6]
/// ```
///
/// Elements are contiguous, in row-major order. Copies share their bytes, in a pooled buffer or a
/// memory-mapped file. The only way to write, ``withUnsafeMutableBytes(_:)``, first copies bytes
/// that are shared. Wrong shapes are programming errors and trap with the shapes in the message.
public struct Tensor: Sendable {
  /// The extents, outermost first.
  public let shape: Shape
  /// The type of the elements.
  public let dtype: DType
  package var storage: Storage
  /// Where the elements begin in the storage, in bytes.
  package let offset: Int

  package init(shape: Shape, dtype: DType, storage: Storage, offset: Int = 0) {
    require(
      !dtype.isQuantized || shape.innermost % dtype.blockElements == 0,
      "a tensor of shape \(shape): its rows are not whole blocks of \(dtype), "
        + "\(dtype.blockElements) elements each")
    require(
      offset >= 0 && offset + dtype.byteCount(ofElements: shape.elementCount) <= storage.byteCount,
      "a tensor of \(dtype) \(shape) from byte \(offset) on, of \(storage.byteCount) bytes in all")
    self.shape = shape
    self.dtype = dtype
    self.storage = storage
    self.offset = offset
  }

  /// Creates a tensor whose bytes `fill` writes. The buffer is uninitialized, so `fill` must write
  /// all of them.
  public init(
    shape: Shape, dtype: DType,
    initializingBytes fill: (UnsafeMutableRawBufferPointer) throws -> Void
  ) rethrows {
    let byteCount = dtype.byteCount(ofElements: shape.elementCount)
    let storage = Storage(byteCount: byteCount)
    try fill(UnsafeMutableRawBufferPointer(start: storage.base, count: byteCount))
    self.init(shape: shape, dtype: dtype, storage: storage)
  }

  /// Creates a float32 tensor whose elements `fill` writes. It must write all of them.
  package init(shape: Shape, filling fill: (UnsafeMutablePointer<Float>) throws -> Void) rethrows {
    try self.init(shape: shape, dtype: .float32) { bytes in
      guard let base = bytes.baseAddress else { return }
      try fill(base.assumingMemoryBound(to: Float.self))
    }
  }

  /// Creates a float32 tensor from its elements in row-major order. Traps if their number does not
  /// fit. Literals without a type are float32: `Tensor([1, 2], shape: [2])`.
  public init(_ scalars: [Float], shape: Shape) {
    self.init(elements: scalars, shape: shape)
  }

  /// Creates a tensor of the elements' own type, in row-major order. Traps if their number does not
  /// fit.
  @_disfavoredOverload
  public init<Element: TensorElement>(_ scalars: [Element], shape: Shape) {
    self.init(elements: scalars, shape: shape)
  }

  private init<Element: TensorElement>(elements scalars: [Element], shape: Shape) {
    require(
      scalars.count == shape.elementCount,
      "\(scalars.count) elements do not fill the shape \(shape)")
    self.init(shape: shape, dtype: Element.dtype) { bytes in
      scalars.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
  }

  /// Creates a one-dimensional float32 tensor.
  public init(_ scalars: [Float]) {
    self.init(elements: scalars, shape: [scalars.count])
  }

  /// Creates a one-dimensional tensor of the elements' own type.
  @_disfavoredOverload
  public init<Element: TensorElement>(_ scalars: [Element]) {
    self.init(elements: scalars, shape: [scalars.count])
  }

  /// Creates a float32 scalar, a tensor without dimensions.
  public init(scalar: Float) {
    self.init(elements: [scalar], shape: [])
  }

  /// A tensor of zeros.
  public static func zeros(_ shape: Shape, dtype: DType = .float32) -> Tensor {
    Tensor(shape: shape, dtype: dtype) { bytes in
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  /// The number of elements.
  public var elementCount: Int { shape.elementCount }

  /// The number of bytes of the elements.
  public var byteCount: Int { dtype.byteCount(ofElements: elementCount) }

  /// Whether the elements are in a memory-mapped file.
  public var isMapped: Bool { storage.file != nil }
}

// MARK: - Access

extension Tensor {
  /// Calls `body` with the elements' bytes, valid only during the call.
  public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeRawBufferPointer(start: storage.base + offset, count: byteCount))
  }

  /// Calls `body` with bytes that it may change. Bytes that another tensor shares or that are in a
  /// file are copied first, so that nobody else sees the change.
  public mutating func withUnsafeMutableBytes<R, E: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    if !isUniquelyOwned {
      let source = self
      self = Tensor(shape: shape, dtype: dtype) { bytes in
        source.withUnsafeBytes { bytes.copyMemory(from: $0) }
      }
    }
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeMutableRawBufferPointer(start: storage.base + offset, count: byteCount))
  }

  /// Whether nobody else can see the bytes, so that changing them copies nothing.
  package var isUniquelyOwned: Bool {
    mutating get { storage.file == nil && isKnownUniquelyReferenced(&storage) }
  }

  /// Lets go of the memory behind a mapped tensor that was replaced by a converted copy: else a
  /// widened model has both resident for as long as the file is mapped.
  package func releaseMappedPages() {
    guard let file = storage.file else { return }
    let start = UnsafeRawPointer(storage.base) - file.base + offset
    file.releasePages(start..<start + byteCount)
  }

  /// Calls `body` with the elements as `Element`. Traps for a different element type.
  public func withUnsafeElements<Element: TensorElement, R, E: Error>(
    of type: Element.Type = Element.self, _ body: (UnsafeBufferPointer<Element>) throws(E) -> R
  ) throws(E) -> R {
    require(
      dtype == Element.dtype,
      "reading a \(dtype) tensor of shape \(shape) as \(Element.dtype); "
        + "read it as what it is, or convert it first with converted(to:)")
    defer { withExtendedLifetime(storage) {} }
    let start = (storage.base + offset).assumingMemoryBound(to: Element.self)
    return try body(UnsafeBufferPointer(start: start, count: elementCount))
  }

  /// The float32 elements' address, valid while the tensor is kept alive by the caller.
  package var floats: UnsafePointer<Float> {
    require(
      dtype == .float32,
      "computing with a \(dtype) tensor of shape \(shape) where float32 is wanted; "
        + "convert it first with converted(to: .float32)")
    return UnsafePointer((storage.base + offset).assumingMemoryBound(to: Float.self))
  }

  /// The elements in row-major order. Traps for a different element type.
  public func scalars<Element: TensorElement>(as type: Element.Type = Float.self) -> [Element] {
    withUnsafeElements(of: type) { Array($0) }
  }

  /// The only element of a float32 tensor of one element.
  public func item() -> Float {
    require(
      elementCount == 1,
      "item() of a tensor of shape \(shape): it has \(elementCount) elements, not one; "
        + "scalars() gives all of them")
    return withUnsafeElements(of: Float.self) { $0[0] }
  }
}

// MARK: - Shape

extension Tensor {
  /// The same elements under another shape. Shares the bytes.
  public func reshaped(to newShape: Shape) -> Tensor {
    require(
      newShape.elementCount == elementCount,
      "reshaping \(shape), \(elementCount) elements, to \(newShape), \(newShape.elementCount)")
    return Tensor(shape: newShape, dtype: dtype, storage: storage, offset: offset)
  }

  /// The slices `range` of the outermost dimension. Shares the bytes.
  public subscript(rows range: Range<Int>) -> Tensor {
    require(
      shape.count >= 1 && range.lowerBound >= 0 && range.upperBound <= shape[0],
      "rows \(range) of a tensor of shape \(shape), whose first extent is the number of rows")
    let newShape = Shape([range.count] + shape.dimensions.dropFirst())
    let rowBytes = shape[0] == 0 ? 0 : byteCount / shape[0]
    return Tensor(
      shape: newShape, dtype: dtype, storage: storage,
      offset: offset + range.lowerBound * rowBytes)
  }

  /// One slice of the outermost dimension, without that dimension. Shares the bytes.
  public subscript(row index: Int) -> Tensor {
    let slice = self[rows: index..<index + 1]
    return slice.reshaped(to: Shape(Array(shape.dimensions.dropFirst())))
  }
}

extension Tensor: Equatable {
  /// Whether type, shape and every bit are the same. (Two NaNs with the same bits are equal, zero
  /// and minus zero are not, as tests of exactness need.)
  public static func == (a: Tensor, b: Tensor) -> Bool {
    guard a.dtype == b.dtype, a.shape == b.shape else { return false }
    return memcmp(a.storage.base + a.offset, b.storage.base + b.offset, a.byteCount) == 0
  }
}

extension Tensor: CustomStringConvertible {
  /// Type, shape and the first elements.
  public var description: String {
    guard dtype.isFloatingPoint, !dtype.isQuantized else { return "Tensor(\(dtype), \(shape))" }
    let shown = reshaped(to: [elementCount])[rows: 0..<min(8, elementCount)]
    let text = shown.converted(to: .float32).scalars().map { "\($0)" }.joined(separator: ", ")
    return "Tensor(\(dtype), \(shape): \(text)\(elementCount > 8 ? ", ..." : ""))"
  }
}
