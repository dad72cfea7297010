import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// Agreement with PEFT's methods on one layer: outputs, gradients, merged weights. See
/// Tests/Reference/methods.py.
@Suite struct MethodAgreementTests {
  @Test(arguments: MethodCase.names) func agreesWithPEFT(_ name: String) throws {
    let cases = try MethodCase.load()
    #expect(cases.map(\.name) == MethodCase.names)
    let reference = try #require(cases.first { $0.name == name })
    for isOpaque in [false, true] {
      let dense = Linear(
        weight: Parameter(try reference.tensor("weight"), isTrainable: false),
        bias: try reference.optional("bias").map { Parameter($0, isTrainable: false) })
      let layer: any LinearLayer = isOpaque ? OpaqueLinear(dense) : dense
      for adapter in reference.adapters {
        try layer.attach(["": reference.makeAdapter(adapter)], named: adapter.name)
      }
      try check(layer, reference)
    }
  }

  /// 1e-5 relative to the largest element.
  private func expect(_ found: Tensor?, _ expected: Tensor, _ what: String) throws {
    let comparison = compare(try #require(found, "\(what)"), to: expected)
    #expect(comparison.isWithin(relative: 1e-5), "\(what): \(comparison)")
  }

  private func check(_ layer: any LinearLayer, _ reference: MethodCase) throws {
    let x = Parameter(try reference.tensor("x"))
    let y = layer(Variable(x))
    try expect(y.value, try reference.tensor("out"), "output")
    let gradients = y.gradients(from: try reference.tensor("dy"))
    try expect(gradients[x], try reference.tensor("dx"), "dx")
    for adapter in reference.adapters {
      let attached = try #require(layer.slot[adapter.name])
      for (path, parameter) in attached.namedParameters() {
        try expect(
          gradients[parameter], try reference.tensor("\(adapter.name)/d_\(path)"),
          "\(adapter.name) \(path)")
      }
    }
    // The layer that is merged has the output and the weights of PEFT's.
    let names = reference.adapters.map { ($0.name, Float(1)) }
    try layer.mergeAdapters(AdapterSelection(Dictionary(uniqueKeysWithValues: names)))
    defer { try? layer.unmergeAdapters() }
    try expect(layer(Variable(x)).value, try reference.tensor("out"), "merged output")
    let zero = Variable(.zeros([1, layer.inputSize]))
    let identity = Tensor(
      (0..<layer.inputSize * layer.inputSize).map {
        $0 % (layer.inputSize + 1) == 0 ? Float(1) : 0
      }, shape: [layer.inputSize, layer.inputSize])
    let bias = layer(zero).value
    let weight = (layer(Variable(identity)).value - bias).transposed()
    try expect(weight, try reference.tensor("merged_weight"), "merged weight")
    if let expected = try reference.optional("merged_bias") {
      try expect(bias.reshaped(to: [layer.outputSize]), expected, "merged bias")
    }
  }

  /// Dropout acts on what the adapter adds, as PEFT has it for DoRA: also on the part that its
  /// magnitudes change of the base.
  @Test func dropoutOfDoRAIsPEFTs() throws {
    let layer = MethodTests.layer("dense with bias")
    var random = SeededRandom(seed: 1, path: "a")
    let adapter = try DoRA(rank: 2, alpha: 3, dropout: 0.5).makeAdapter(
      for: layer, using: &random)
    var values = SeededRandom(seed: 2, path: "b")
    adapter.b.value = values.normal(adapter.b.shape)
    adapter.magnitude.value = adapter.magnitude.value + values.normal(adapter.magnitude.shape)
    try layer.attach(["": adapter], named: "a")
    let x = Variable(values.normal([4, layer.inputSize]))
    let plain = layer(x).value
    let found = Dropout.during(step: 3, seed: 7) { layer(x).value }
    let again = Dropout.during(step: 3, seed: 7) { layer(x).value }
    #expect(found == again && found != plain)

    let draws = SeededRandom(seed: 7, stream: adapter.dropoutStream, block: 3 << 40)
    let dropped = x.dropout(rate: 0.5, random: draws).value
    let weight = layer.denseWeight()
    let ba = adapter.b.value.matrixProduct(with: adapter.a.value).scaled(by: adapter.scale)
    let sum = weight + ba
    let norms = (sum * sum).matrixProduct(
      with: Tensor(Array(repeating: Float(1), count: layer.inputSize), shape: [layer.inputSize, 1]))
    let gain = Tensor(
      zip(adapter.magnitude.value.scalars(), norms.scalars()).map { $0 / $1.squareRoot() })
    let base = try layer.withAdapters([:]) { layer(x).value }
    let change =
      (gain.adding(-1)) * dropped.matrixProduct(with: weight, transposeOther: true)
      + gain * dropped.matrixProduct(with: ba, transposeOther: true)
    #expect(compare(found, to: base + change).isWithin(relative: 1e-5))
  }
}

/// One case of methods.safetensors.
struct MethodCase: Sendable {
  struct Adapter: Sendable {
    let name: String
    let method: String
    let scale: Double
    let rank: Int
    let scalesInput: Bool
  }

  let name: String
  let adapters: [Adapter]
  let file: SafetensorsFile

  /// What Tests/Reference/methods.py lists, so that none goes missing unseen.
  static let names = [
    "lora_bias", "lora_two", "dora", "dora_nobias", "dora_rslora", "loha", "loha_two", "lokr",
    "lokr_product", "lokr_both", "lokr_factor", "lokr_whole", "lokr_two", "ia3_output",
    "ia3_output_nobias", "ia3_input", "ia3_two_outputs", "ia3_two_inputs",
  ]

  static func load() throws -> [MethodCase] {
    let file = try SafetensorsFile(path: Fixtures.path("methods/methods.safetensors"))
    let text = try #require(file.metadata["cases"])
    let list = try #require(try JSONValue(parsing: text).arrayValue)
    return try list.map { entry in
      let adapters = try #require(entry["adapters"]?.arrayValue).map { adapter in
        Adapter(
          name: try #require(adapter["name"]?.stringValue),
          method: try #require(adapter["method"]?.stringValue),
          scale: try #require(adapter["scale"]?.doubleValue),
          rank: try #require(adapter["rank"]?.intValue),
          scalesInput: try #require(adapter["input"]?.boolValue as Bool?))
      }
      return MethodCase(
        name: try #require(entry["name"]?.stringValue), adapters: adapters, file: file)
    }
  }

  func tensor(_ path: String) throws -> Tensor { try file.tensor(named: "\(name)/\(path)") }

  func optional(_ path: String) throws -> Tensor? {
    file.names.contains("\(name)/\(path)") ? try tensor(path) : nil
  }

  /// The adapter as its description makes it.
  func makeAdapter(_ adapter: Adapter) throws -> any LinearAdapter {
    func get(_ path: String) throws -> Tensor { try tensor("\(adapter.name)/\(path)") }
    func maybe(_ path: String) throws -> Tensor? { try optional("\(adapter.name)/\(path)") }
    func factor(_ path: String) throws -> KroneckerChange.Factor {
      if let whole = try maybe(path) { return .whole(whole) }
      return .product(try get("\(path)_a"), try get("\(path)_b"))
    }
    let alpha = adapter.scale * Double(adapter.rank)
    let change: any LayerChange
    switch adapter.method {
    case "LORA":
      change = LowRankChange(
        a: try get("lora_A.weight"), b: try get("lora_B.weight"), alpha: alpha,
        scale: adapter.scale, bias: try maybe("lora_B.bias"),
        magnitude: try maybe("lora_magnitude_vector"))
    case "LOHA":
      change = HadamardChange(
        b1: try get("hada_w1_a"), a1: try get("hada_w1_b"), b2: try get("hada_w2_a"),
        a2: try get("hada_w2_b"), alpha: alpha, scale: adapter.scale)
    case "LOKR":
      change = KroneckerChange(
        first: try factor("lokr_w1"), second: try factor("lokr_w2"), rank: adapter.rank,
        alpha: alpha, scale: adapter.scale)
    default:
      change = ScalingChange(vector: try get("ia3_l"), scalesInput: adapter.scalesInput)
    }
    return try change.makeAdapter(isTrainable: true)
  }
}
