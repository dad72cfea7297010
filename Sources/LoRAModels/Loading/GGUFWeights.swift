import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

/// The weights of a model as llama.cpp's files have them, each laid out when it is written.
struct GGUFWeights {
  private(set) var items: [GGUFWriter.Item] = []
  /// The numbers of elements of tensors, of all experts and of everything else.
  private var counts = (expert: 0, other: 0)
  private var expertCount = 0
  private let type: DType
  private let file: String
  private let heads: TensorName.RowOrder.Heads

  /// Throws for a parameter that files have no name for.
  init(_ pretrained: PretrainedModel, type: DType, file: String) throws {
    self.type = type
    self.file = file
    let (model, configuration) = (pretrained.model, pretrained.configuration)
    heads = .init(queries: configuration.headCount, keys: configuration.keyValueHeadCount)
    for (name, tensor) in try configuration.ggufFrequencyFactors() {
      add(name, tensor.shape) { [Part(source: tensor, place: []) { tensor }] }
    }
    var stacks: [String: Stack] = [:]
    var order: [String] = []
    let merged = try model.mergedValues(transposing: false)
    var values = model.namedParameters().map { name, parameter in
      (name, merged[name] ?? parameter.value)
    }
    if configuration.tiesWordEmbeddings, let model = model as? any LanguageModel,
      let head = try model.mergedApart(try model.mergedValues())
    {
      values.append(head)
    }
    for (name, value) in values {
      let place = try Place(name, configuration.architecture, file: pretrained.path)
      guard let expert = place.expert else {
        add(place, value)
        continue
      }
      for (index, stored) in place.names.enumerated() {
        if stacks[stored] == nil { order.append(stored) }
        stacks[stored, default: Stack(part: index, parts: place.names.count)].experts[expert] =
          value
      }
    }
    for name in order { if let stack = stacks[name] { add(name, stack) } }
  }

  /// What converters call the size of the model, as "135M" and "8x47B".
  var sizeLabel: String {
    let count = counts.expert + counts.other
    let (unit, suffix) =
      count > 1_000_000_000_000
      ? (1e12, "T")
      : count > 1_000_000_000 ? (1e9, "B") : count > 1_000_000 ? (1e6, "M") : (1e3, "K")
    let scaled = Double(count) / unit
    let digits = "\(Int(scaled.rounded(.toNearestOrEven)))".drop { $0 == "0" }.count
    let places = max(2 - digits, 0)
    let power = places == 0 ? 1.0 : places == 1 ? 10.0 : 100.0
    let rounded = (scaled * power).rounded(.toNearestOrEven)
    var text = "\(Int(rounded / power))"
    if places > 0 {
      let rest = "\(Int(rounded) % Int(power))"
      text += "." + String(repeating: "0", count: places - rest.count) + rest
    }
    return (expertCount > 0 ? "\(expertCount)x" : "") + text + suffix
  }
}

// MARK: - Where a parameter goes

extension GGUFWeights {
  /// The experts of one tensor, of which each parameter has every `parts`-th row from `part` on.
  private struct Stack {
    let part: Int
    let parts: Int
    var experts: [Int: Tensor] = [:]
  }

  /// What files call a parameter.
  private struct Place {
    /// One tensor; several of which the parameter's rows are in turn.
    let names: [String]
    let module: TensorName
    /// The number of the expert whose it is, in a tensor of all of them.
    let expert: Int?

    init(_ name: String, _ architecture: Architecture, file: String) throws(FormatError) {
      var (path, leaf, number) = (name, "", nil as Int?)
      if let stack = architecture.stack(of: name) {
        let isBias = stack.name.hasSuffix("_bias")
        path = isBias ? String(stack.name.dropLast("_bias".count)) : stack.name
        (leaf, number) = (isBias ? ".bias" : ".weight", stack.expert)
      } else if architecture.module(atPath: name, inBodyAlone: false)?.module.isParameter == true {
        leaf = ".weight"
      } else if let dot = name.lastIndex(of: ".") {
        (path, leaf) = (String(name[..<dot]), String(name[dot...]))
      }
      guard let (module, stored) = architecture.module(atPath: path, inBodyAlone: false) else {
        throw FormatError(
          .unsupported, file: file, subject: "parameter '\(name)'",
          problem: "GGUF files of '\(architecture)' have no name for it",
          remedy: "write a folder")
      }
      if module.isEmbeddingInGGUF {
        throw FormatError(
          .unsupported, file: file, subject: "the output head",
          problem:
            "it has a weight of its own, and llama.cpp takes the table of embeddings for the head "
            + "in models of '\(architecture)'",
          remedy: "write a folder")
      }
      if module.kind == .expert { number = TensorName.numbers(in: path, of: module.path)?.last }
      let block = TensorName.numbers(in: path, of: module.path) ?? []
      let parts = module.partsInGGUF.map { TensorName.filled($0, block) }
      names = (parts.isEmpty ? [stored] : parts).map { $0 + leaf }
      self.module = module
      expert = number
    }
  }

  private mutating func add(_ place: Place, _ value: Tensor) {
    let (module, heads) = (place.module, heads)
    add(place.names[0], value.shape) {
      guard module.order != .same || module.addsOne else { return Part.divided(value) }
      var tensor = value
      if module.order != .same,
        let rows = module.order.checkpointRows(count: tensor.shape[0], heads)
      {
        tensor = tensor.gatheringRows(rows)
      }
      if module.addsOne { tensor = tensor.converted(to: .float32).adding(1) }
      return [Part(source: value, place: []) { tensor }]
    }
  }

  private mutating func add(_ name: String, _ stack: Stack) {
    let experts = stack.experts.sorted { $0.key < $1.key }.map(\.value)
    guard let first = experts.first else { return }
    let (part, parts) = (stack.part, stack.parts)
    let rows = first.shape[0] / parts
    expertCount = experts.count
    add(name, Shape([experts.count, rows] + first.shape.dimensions.dropFirst()), isOfExperts: true)
    {
      experts.enumerated().map { index, expert in
        Part(source: expert, place: [index]) {
          parts == 1 ? expert : expert.gatheringRows((0..<rows).map { $0 * parts + part })
        }
      }
    }
  }

  private mutating func add(
    _ name: String, _ shape: Shape, isOfExperts: Bool = false,
    _ laidOut: @escaping @Sendable () -> [Part]
  ) {
    let (target, file) = (Self.type(of: name, shape, wanted: type), file)
    // Each expert counts once.
    if isOfExperts {
      counts.expert += shape.elementCount / shape[0]
    } else {
      counts.other += shape.elementCount
    }
    items.append(
      .init(name: name, shape: shape, type: target) { emit in
        for part in laidOut() {
          do {
            let made = try part.tensor().stored(as: target)
            try emit(made)
            if !made.isMapped { part.source.releaseMappedPages() }
          } catch let error as UnstorableNumber {
            throw FormatError(file: file, tensor: name, part.placed(error))
          }
        }
      })
  }

  /// A part of a tensor: some rows, or an expert.
  private struct Part {
    /// Where its numbers lie.
    let source: Tensor
    /// Its first indices in the tensor; one with `isFirst` is where its first index begins.
    let place: [Int]
    var isFirst = false
    /// Lays it out.
    let tensor: () -> Tensor

    /// The rows of `tensor`, as many at a time as have about 16 million elements.
    static func divided(_ tensor: Tensor) -> [Part] {
      guard tensor.shape.count == 2, tensor.shape[1] > 0 else {
        return [Part(source: tensor, place: []) { tensor }]
      }
      let step = max(1, (1 << 24) / tensor.shape[1])
      return stride(from: 0, to: tensor.shape[0], by: step).map { first in
        let rows = tensor[rows: first..<min(first + step, tensor.shape[0])]
        return Part(source: rows, place: [first], isFirst: true) { rows }
      }
    }

    /// An error of the part as one of the whole.
    func placed(_ error: UnstorableNumber) -> UnstorableNumber {
      var position = error.position
      if isFirst, !position.isEmpty {
        position[0] += place[0]
      } else {
        position = place + position
      }
      return UnstorableNumber(position: position, value: error.value, type: error.type)
    }
  }

  /// The type of a tensor, as llama.cpp's converter chooses it.
  private static func type(of name: String, _ shape: Shape, wanted: DType) -> DType {
    let always = ["ffn_gate_inp.weight", "position_embd.weight", "token_types.weight"]
    if shape.count <= 1 || !name.hasSuffix(".weight") || name.hasSuffix("_norm.weight")
      || always.contains(where: { name == $0 || name.hasSuffix("." + $0) })
    {
      return .float32
    }
    return wanted == .q8_0 && shape.innermost % 32 != 0 ? .float16 : wanted
  }
}
