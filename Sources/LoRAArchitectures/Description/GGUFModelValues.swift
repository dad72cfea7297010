package import LoRAFiles

/// What a GGUF file says of a model's shape, in the order in which it is said: the inverse of
/// ``GGUFModelKeys``.
package struct GGUFModelValues {
  /// The architecture's name and a dot, which every key begins with.
  let prefix: String
  /// The keys that readers of the architecture know; others are not written.
  private let known: Set<String>
  /// The key-values so far.
  package private(set) var all: [GGUFFile.KeyValue] = []

  init(architecture: String, known: Set<String>) {
    prefix = architecture + "."
    self.known = known
  }

  /// Writes a number from 1 on, and nothing for what is none.
  mutating func set(_ key: String, _ size: Int) { set(key, .uint32(UInt32(clamping: size))) }

  /// Writes a number from 0 on.
  mutating func set(_ key: String, whole number: Int) {
    set(key, .uint32(UInt32(clamping: number)))
  }

  /// Writes a number for each layer; one of all where they are the same.
  mutating func set(_ key: String, _ sizes: [Int]) {
    if let first = sizes.first, sizes.allSatisfy({ $0 == first }) { return set(key, first) }
    set(key, .array(.int32(sizes.map { Int32(clamping: $0) })))
  }

  mutating func set(_ key: String, _ number: Double) { set(key, .float32(Float(number))) }
  mutating func set(_ key: String, _ isTrue: Bool) { set(key, .bool(isTrue)) }
  mutating func set(_ key: String, _ flags: [Bool]) { set(key, .array(.bool(flags))) }
  mutating func set(_ key: String, _ text: String) { set(key, .string(text)) }

  /// A value that is set a second time replaces the first: what single layers have says more than what
  /// all do.
  private mutating func set(_ key: String, _ value: GGUFValue) {
    guard known.contains(key) else { return }
    if let index = all.firstIndex(where: { $0.key == prefix + key }) {
      all[index] = GGUFFile.KeyValue(key: prefix + key, value: value)
    } else {
      all.append(GGUFFile.KeyValue(key: prefix + key, value: value))
    }
  }

  /// Writes a rotary embedding, but for the factors of single frequencies, which are tensors.
  mutating func set(rotary: RotaryConfiguration, headSize: Int) {
    set("rope.freq_base", rotary.base)
    set("rope.dimension_count", rotary.rotatedSize(ofHead: headSize))
    let (type, factor) = ("rope.scaling.type", "rope.scaling.factor")
    let positions = "rope.scaling.original_context_length"
    switch rotary.scaling {
    case .none, .dynamic, .llama3, .proportional: break
    case .linear(let number):
      set(type, "linear")
      set(factor, number)
    case .yarn(let yarn):
      set(type, "yarn")
      set(factor, yarn.factor)
      set(positions, yarn.originalMaximumPositions)
      set("rope.scaling.yarn_beta_fast", yarn.fastTurns)
      set("rope.scaling.yarn_beta_slow", yarn.slowTurns)
    case .longRoPE(let long):
      set(positions, long.originalMaximumPositions)
      set("rope.scaling.attn_factor", long.amplitude)
    }
    guard let scaling = rotary.queryScaling else { return }
    set(GGUFModelKeys.queryScaling, scaling.weight)
    set(positions, scaling.period)
    if case .yarn(let yarn) = rotary.scaling {
      let usual = RotaryConfiguration.Yarn.amplitude(yarn.factor, weight: 1)
      // The weight w of an amplitude that is divided by 0.1 w ln(factor) + 1.
      if usual > 1, yarn.amplitude < usual {
        set(GGUFModelKeys.yarnWeight, (usual / yarn.amplitude - 1) / (usual - 1))
      }
    }
  }
}
