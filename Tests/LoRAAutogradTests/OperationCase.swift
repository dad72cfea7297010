import LoRAAutograd
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

/// One case of `Tests/Fixtures/ops/ops.safetensors`, which `Tests/Reference/ops.py` wrote: what
/// PyTorch computes in float64 from float32 inputs.
struct OperationCase: Sendable, CustomTestStringConvertible {
  let operation: String
  let name: String
  let parameters: JSONObject
  let inputs: [Tensor]
  /// The upstream gradient.
  let dy: Tensor
  let out: Tensor
  /// The gradients of the inputs that have one, by their positions.
  let gradients: [Int: Tensor]

  var testDescription: String { "\(operation).\(name)" }

  /// What results may differ by, relative to a tensor's largest element: 2e-6 is 33 roundings of
  /// float32, room for the sums of these sizes, not for a wrong formula.
  var tolerance: Double {
    switch operation {
    // Frequencies are float32, as transformers has them: an angle of 37 is off by 2e-6.
    case "rotary": 5e-6
    // Inputs near 100: what is rounded there is an exponent afterwards.
    case "softmax", "cross_entropy": name == "large" ? 1e-5 : 2e-6
    default: 2e-6
    }
  }

  /// Every case of the file.
  static let all: Result<[OperationCase], any Error> = Result { try load() }

  private static func load() throws -> [OperationCase] {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    let path = folder.joined(separator: "/") + "/Fixtures/ops/ops.safetensors"
    let file = try SafetensorsFile(path: path)
    let list = try #require(file.metadata["cases"])
    return try #require(try JSONValue(parsing: list).arrayValue).map { entry in
      let operation = try #require(entry["operation"]?.stringValue)
      let name = try #require(entry["case"]?.stringValue)
      let count = try #require(entry["inputs"]?.intValue)
      let prefix = "\(operation).\(name)/"
      let differentiable = try #require(entry["gradients"]?.arrayValue).compactMap(\.intValue)
      return OperationCase(
        operation: operation, name: name,
        parameters: try #require(entry["parameters"]?.objectValue),
        inputs: try (0..<count).map { try file.tensor(named: "\(prefix)in\($0)") },
        dy: try file.tensor(named: prefix + "dy"), out: try file.tensor(named: prefix + "out"),
        gradients: try Dictionary(
          uniqueKeysWithValues: differentiable.map {
            ($0, try file.tensor(named: "\(prefix)d\($0)"))
          }))
    }
  }

  private func number(_ key: String) throws -> Double {
    try #require(parameters[key]?.doubleValue, "\(testDescription) has no \(key)")
  }
  private func integer(_ key: String) throws -> Int {
    try #require(parameters[key]?.intValue, "\(testDescription) has no \(key)")
  }
  private func flag(_ key: String) throws -> Bool {
    try #require(parameters[key]?.boolValue as Bool?, "\(testDescription) has no \(key)")
  }
  private func integers(_ key: String) throws -> [Int] {
    try #require(parameters[key]?.arrayValue).compactMap(\.intValue)
  }

  /// This library's computation of the case.
  func evaluate(_ x: [Variable]) throws -> Variable {
    if let activation = Self.activations[operation] { return x[0](activation) }
    switch operation {
    case "linear":
      return x[0].linear(weight: x[1], bias: try flag("bias") ? x[2] : nil)
    case "lowrank_linear":
      let term = LowRankTerm(
        a: x[x.count - 2], b: x[x.count - 1], scale: Float(try number("scale")))
      return x[0].linear(weight: x[1], bias: try flag("bias") ? x[2] : nil, lowRank: [term])
    case "embedding":
      return x[1].gathered(x[0].value)
    case "rmsnorm":
      return x[0].rmsNorm(weight: x[1], epsilon: Float(try number("eps")))
    case "layernorm":
      return x[0].layerNorm(
        weight: x[1], bias: try flag("bias") ? x[2] : nil, epsilon: Float(try number("eps")))
    case "rotary":
      return try rotary(x)
    case "attention":
      return x[0].attention(
        keys: x[1], values: x[2], scale: Float(try number("scale")),
        window: parameters["window"]?.intValue)
    case "gated_silu": return x[0].gated(.silu, by: x[1])
    case "gated_gelu": return x[0].gated(.gelu, by: x[1])
    case "gated_gelu_tanh": return x[0].gated(.geluTanh, by: x[1])
    case "add": return x[0] + x[1]
    case "sub": return x[0] - x[1]
    case "mul": return x[0] * x[1]
    case "div": return x[0] / x[1]
    case "scale": return x[0].scaled(by: Float(try number("factor")))
    case "sum": return reduced(x[0], all: { $0.sum() }, along: { $0.sum(axis: $1) })
    case "mean": return reduced(x[0], all: { $0.mean() }, along: { $0.mean(axis: $1) })
    case "softmax": return x[0].softmax()
    case "cross_entropy":
      let isMean = parameters["reduction"]?.stringValue == "mean"
      return x[0].crossEntropy(targets: x[1].value, reduction: isMean ? .mean : .sum)
    case "matmul":
      if x[0].shape.count == 3, x[1].shape.count == 2 {
        let rows = x[0].reshaped(to: [x[0].shape.rowCount, x[0].shape.innermost])
        return rows.matrixProduct(with: x[1]).reshaped(to: out.shape)
      }
      return x[0].matrixProduct(with: x[1])
    case "transpose": return x[0].permuted(try integers("axes"))
    case "reshape": return x[0].reshaped(to: Shape(try integers("shape")))
    case "slice":
      return x[0].sliced(axis: try integer("axis"), try integer("start")..<(try integer("end")))
    case "concatenate": return .concatenated(x, axis: try integer("axis"))
    default:
      throw UnknownOperation(name: operation)
    }
  }

  private static let activations: [String: Activation] = [
    "silu": .silu, "gelu": .gelu, "gelu_tanh": .geluTanh, "relu": .relu, "tanh": .tanh,
    "sigmoid": .sigmoid, "exp": .exp, "log": .log, "sqrt": .sqrt,
  ]

  private func reduced(
    _ x: Variable, all: (Variable) -> Variable, along: (Variable, Int) -> Variable
  ) -> Variable {
    guard let axis = parameters["axis"]?.intValue else { return all(x) }
    return along(x, axis).reshaped(to: out.shape)
  }

  private func rotary(_ x: [Variable]) throws -> Variable {
    let (base, size) = (try number("base"), try integer("rotary"))
    let frequencies = (0..<size / 2).map { Float(power(base, -2 * Double($0) / Double(size))) }
    let isAdjacent = try flag("adjacent")
    func angles(_ positions: Range<Int>) -> RotaryAngles {
      RotaryAngles(positions: positions, frequencies: frequencies, isAdjacent: isAdjacent)
    }
    guard x.count == 2 else {
      let offset = try integer("offset")
      return x[0].rotated(by: angles(offset..<offset + x[0].shape[1]))
    }
    // Positions that are not consecutive: one at a time, from a longer table.
    let positions = x[1].value.scalars(as: Int64.self).map { Int($0) }
    let (table, time) = (angles(0..<64), x[0].shape[1])
    let rows = (0..<x[0].shape[0]).map { row in
      let sequence = x[0].sliced(axis: 0, row..<row + 1)
      return Variable.concatenated(
        (0..<time).map { t in
          let position = positions[row * time + t]
          return sequence.sliced(axis: 1, t..<t + 1).rotated(by: table[position..<position + 1])
        }, axis: 1)
    }
    return .concatenated(rows)
  }

  struct UnknownOperation: Error { let name: String }
}

/// `x` to the power of `y`, by repeated square roots: tests import no C library.
func power(_ x: Double, _ y: Double) -> Double {
  if y < 0 { return 1 / power(x, -y) }
  var result = 1.0
  var whole = Int(y)
  var square = x
  while whole > 0 {
    if whole & 1 == 1 { result *= square }
    square *= square
    whole >>= 1
  }
  var (fraction, root) = (y - y.rounded(.down), x)
  while fraction > 0 {
    root = root.squareRoot()
    fraction *= 2
    if fraction >= 1 {
      result *= root
      fraction -= 1
    }
  }
  return result
}
