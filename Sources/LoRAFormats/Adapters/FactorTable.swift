import LoRAFiles
import LoRATensor

/// The tensors of an adapter file by the layer and the part of it that their names say.
///
/// Reading checks what every dialect needs: each part once, floating-point numbers that float32
/// holds, at least one of them, all finite.
struct FactorTable {
  /// A tensor, widened to float32, and where it came from.
  struct Factor {
    var name: String
    var tensor: Tensor
    var storedType: DType
    var shape: Shape { tensor.shape }
  }

  let file: TensorSource
  /// The layers' paths in the file's order.
  private(set) var paths: [String] = []
  private var parts: [ExactName: [String: String]] = [:]

  init(_ file: SafetensorsFile) { self.file = .safetensors(file) }

  init(_ source: TensorSource) { file = source }

  /// Notes that the tensor `name` is `part` of the layer at `path`.
  mutating func add(_ name: String, path: String, part: String) throws(FormatError) {
    var known = parts[ExactName(path)] ?? [:]
    if known.isEmpty { paths.append(path) }
    if let other = known[part] {
      throw FormatError(
        .duplicate, file: file.path, tensor: name,
        "'\(other)' is the same part of the layer '\(path)'",
        remedy: "keep one of them; two adapters belong in two files")
    }
    known[part] = name
    parts[ExactName(path)] = known
  }

  /// The names of a layer's parts.
  func parts(of path: String) -> Set<String> { Set((parts[ExactName(path)] ?? [:]).keys) }

  /// The name of the tensor that is `part` of the layer at `path`.
  func name(_ path: String, _ part: String) -> String? { parts[ExactName(path)]?[part] }

  /// The part, if the file has it.
  func optional(_ path: String, _ part: String) throws(FormatError) -> Factor? {
    guard let name = name(path, part) else { return nil }
    return try Self.factor(named: name, in: file)
  }

  /// The part; its absence is an error that names the partner that is there.
  func required(_ path: String, _ part: String) throws(FormatError) -> Factor {
    if let factor = try optional(path, part) { return factor }
    let partner = (parts[ExactName(path)] ?? [:]).values.min() ?? ""
    let expected = parts[ExactName(path)]?.first { $0.value == partner }
      .flatMap { known in
        partner.hasSuffix(known.key) ? partner.dropLast(known.key.count) + part : nil
      }
    throw FormatError(
      .missingTensor, file: file.path, tensor: expected.map { String($0) } ?? "\(path).\(part)",
      "it is missing, although '\(partner)' is there",
      remedy: "the file is incomplete: copy or save it again")
  }

  /// A single number, such as an alpha; nil if the file has none.
  func scalar(_ path: String, _ part: String) throws(FormatError) -> Double? {
    guard let name = name(path, part) else { return nil }
    let tensor = try file.tensor(named: name)
    guard tensor.elementCount == 1, tensor.dtype.isFloatingPoint else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "expected one floating-point number, found \(tensor.dtype) \(tensor.shape)")
    }
    let value = tensor.converted(to: .float64)
    let number = value.withUnsafeElements(of: Double.self) { $0[0] }
    guard number.isFinite else {
      throw FormatError(.nonFinite, file: file.path, tensor: name, "it is not a finite number")
    }
    return number
  }

  /// The tensor `name` as float32, checked.
  static func factor(
    named name: String, in file: TensorSource
  ) throws(FormatError) -> Factor {
    let tensor = try file.tensor(named: name)
    guard tensor.dtype.isFloatingPoint, tensor.dtype != .float64 else {
      throw FormatError(
        .typeMismatch, file: file.path, tensor: name,
        "expected float32, float16 or bfloat16 numbers, found \(tensor.dtype)",
        remedy: "save the adapter in one of these types")
    }
    guard tensor.elementCount > 0 else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name, "it is empty: \(tensor.shape)")
    }
    if let index = tensor.firstNonFiniteIndex() {
      throw FormatError(
        .nonFinite, file: file.path, tensor: name,
        "the element at \(position(index, in: tensor.shape)) is not a finite number",
        remedy: "the training that made it diverged: train again with a lower learning rate")
    }
    return Factor(
      name: name, tensor: tensor.converted(to: .float32), storedType: tensor.dtype)
  }

  private static func position(_ index: Int, in shape: Shape) -> [Int] {
    var rest = index
    return shape.dimensions.reversed().map { extent in
      defer { rest /= extent }
      return rest % extent
    }.reversed()
  }
}

extension FactorTable {
  /// Throws unless `a` [r, in, ...] and `b` [out, r, 1, ...] fit each other.
  func checkPair(_ a: Factor, _ b: Factor) throws(FormatError) {
    let sameKind = a.shape.count == b.shape.count && (2...5).contains(a.shape.count)
    guard sameKind else {
      // Most adapters are of matrices: of a pair with one matrix the other one is wrong.
      let (wrong, other) = b.shape.count == 2 ? (a, b) : (b, a)
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: wrong.name,
        "expected \(wrong.name == a.name ? "[rank, inputs]" : "[outputs, rank]"), found "
          + "\(wrong.shape), which does not go with \(other.shape) of '\(other.name)'",
        remedy: "both are matrices, or both of a convolution")
    }
    guard b.shape.dimensions.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: b.name,
        "expected a kernel of extent 1, found the shape \(b.shape)")
    }
    guard a.shape[0] == b.shape[1] else {
      // Of a square layer the other extents agree too; a rank is not above them.
      let isTransposed = a.shape[1] == b.shape[0] && a.shape[1] <= min(a.shape[0], b.shape[1])
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: a.name,
        isTransposed
          ? "\(a.shape) and \(b.shape) of '\(b.name)' are transposed: expected [rank, inputs] and "
            + "[outputs, rank]"
          : "its rank \(a.shape[0]) is not the rank \(b.shape[1]) of '\(b.name)' \(b.shape): "
            + "expected [\(b.shape[1]), inputs], found \(a.shape)",
        remedy: isTransposed
          ? "transpose both; MLX's factors lie that way, open its folder instead"
          : "the factors come from different adapters: take both from one file")
    }
  }

  /// The type that holds all of the given factors: theirs if they agree, else float32.
  static func commonType(_ factors: [Factor?]) -> DType {
    let types = Set(factors.compactMap { $0?.storedType })
    return types.count == 1 ? types.first ?? .float32 : .float32
  }
}
