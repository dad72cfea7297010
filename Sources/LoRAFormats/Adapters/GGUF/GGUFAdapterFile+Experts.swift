import LoRAArchitectures
import LoRAFiles
import LoRATensor

// Adapters of experts: GGUF files have one tensor of all experts' factors, A [experts, rank, inputs] and
// B [experts, outputs, rank], of gate, up and down each.
//
// Source: `build_lora_mm_id` of llama.cpp.

extension GGUFTensorNames {
  /// `layers` under the model's names, those of gate and up together as two: both have A, and each its
  /// rows of B.
  func separatingPairs(_ layers: [AdapterDescription.Layer]) -> [AdapterDescription.Layer] {
    layers.flatMap { layer -> [AdapterDescription.Layer] in
      var layer = layer
      layer.path = modules.modelPath(ofAdapterPath: layer.path) ?? layer.path
      guard let change = layer.lowRank, change.b.shape.count == 2, change.outputSize % 2 == 0,
        let (pair, numbers) = pair(layer.path)
      else { return [layer] }
      let half = change.outputSize / 2
      return ["ffn_gate_exps", "ffn_up_exps"].enumerated().compactMap { index, role in
        let module = modules.first { $0.role == role && $0.holder == pair.holder }
        guard let module else { return nil }
        var part = layer
        part.path = TensorName.filled(module.path, numbers)
        part.change = LowRankChange(
          a: change.a, b: change.b[rows: index * half..<(index + 1) * half], alpha: change.alpha,
          scale: change.scale)
        return part
      }
    }
  }

  private func pair(_ path: String) -> (module: TensorName, numbers: [Int])? {
    for module in modules where module.kind == .expertPair {
      if let numbers = TensorName.numbers(in: path, of: module.path) { return (module, numbers) }
    }
    return nil
  }
}

extension GGUFAdapterFile {
  /// The factors of experts that belong to one tensor.
  struct ExpertFactors {
    /// The base's tensor.
    let stem: String
    /// How many experts the base has; nil if unknown.
    let count: Int?
    private var experts: [(expert: Int, factors: [Tensor])] = []

    init(stem: String, count: Int?) { (self.stem, self.count) = (stem, count) }

    mutating func add(_ factors: [Tensor], of expert: Int) { experts.append((expert, factors)) }

    /// The tensors of all of them. Throws unless each expert is there once, with one rank.
    func items(file: String) throws(FormatError) -> [GGUFWriter.Item] {
      func unsupported(_ problem: String) -> FormatError {
        FormatError(
          .unsupported, file: file, subject: "'\(stem)'", problem: problem,
          remedy: "merge the adapter into the model, and convert that with llama.cpp's "
            + "convert_hf_to_gguf.py")
      }
      let ordered = experts.sorted { $0.expert < $1.expert }
      guard ordered.map(\.expert) == Array(0..<(count ?? ordered.count)) else {
        throw unsupported(
          "the adapter is on \(ordered.count) experts\(count.map { " of \($0)" } ?? ""), the format has "
            + "one tensor for all")
      }
      return try ["lora_a", "lora_b"].indices.map { (index) throws(FormatError) in
        let tensors = ordered.map { $0.factors[index] }
        guard let first = tensors.first, tensors.allSatisfy({ $0.shape == first.shape }) else {
          throw unsupported("its experts have different ranks, the format has one for all")
        }
        let type = Set(tensors.map(\.dtype)).count == 1 ? tensors[0].dtype : .float32
        return GGUFWriter.Item(
          name: "\(stem).\(index == 0 ? "lora_a" : "lora_b")",
          tensor: .stacked(tensors.map { $0.converted(to: type) }))
      }
    }
  }
}
