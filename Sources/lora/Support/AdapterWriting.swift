import LoRAFiles
import LoRAFormats
import LoRAKit

extension AdapterDescription {
  /// Writes this adapter, made of those in `sources`, in PEFT's layout: a folder, of an image
  /// model's adapter one for each part.
  ///
  /// - Parameters:
  ///   - making: how it was made of them, for its record, with the settings of that.
  ///   - weights: what they were multiplied by; empty if by nothing.
  func write(
    madeOf sources: [AdapterFile], _ making: AdapterRecord.Making,
    _ settings: [AdapterRecord.Entry], weights: [Float] = [], to path: String
  ) throws {
    var parents: [AdapterRecord.Parent] = []
    for (index, source) in sources.enumerated() {
      parents.append(
        try source.parent(weight: weights.isEmpty ? nil : Double(weights[index])))
    }
    let record = AdapterRecord(
      making: making, software: Version.software, parents: parents, settings: settings)
    if record.base.fingerprint == nil,
      parents.contains(where: { $0.record?.base.fingerprint != nil })
    {
      StandardError.line(
        "warning: the adapters were made on different bases; the result does not say for which it is"
      )
    }
    try carrying(record).write(madeOf: sources, to: path)
  }

  private func write(madeOf sources: [AdapterFile], to path: String) throws {
    let imageFormats: [AdapterFormat] = [.kohya, .lycoris, .diffusers]
    if var file = sources.first,
      imageFormats.contains(file.format) || file.format == .peft && file.peftConfiguration == nil
    {
      file.description = self
      try file.write(as: .peft, to: path)
    } else {
      var file = try PEFTAdapterFile(writing: self, madeOf: sources.compactMap(\.peftConfiguration))
      let names = Set(sources.map(\.provenance.baseModelName))
      if names.count == 1, let name = names.first {
        AdapterFile.Provenance(baseModelName: name).fill(&file.configuration)
      }
      try file.write(to: path)
    }
  }
}

extension PEFTAdapterFile {
  /// The adapter that `description` describes, made of those in `sources`: a configuration that gives
  /// each layer its rank and scale, and what the sources agree on.
  ///
  /// Targets are the sources' names where those mean these layers, else whole paths.
  init(
    writing description: AdapterDescription, madeOf sources: [PEFTAdapterConfiguration] = []
  ) throws(FormatError) {
    func commonest<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
      Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
        .max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }
    func agreed<Value: Hashable>(_ value: (PEFTAdapterConfiguration) -> Value?) -> Value? {
      let values = Set(sources.map(value))
      return values.count == 1 ? values.first ?? nil : nil
    }
    let layers = description.layers.compactMap { layer in
      layer.lowRank.map { (path: layer.path, change: $0) }
    }
    let rank = commonest(layers.map(\.change.rank)) ?? 1
    let alpha = commonest(layers.map(\.change.alpha)) ?? 1
    var start = PEFTAdapterConfiguration(
      rank: rank, alpha: alpha,
      targets: Self.targets(layers.map(\.path), sources),
      taskType: agreed(\.taskType), baseModelName: agreed(\.baseModelName))
    for (path, change) in layers {
      if change.rank != rank { start.rankPattern.append(.init(key: path, value: change.rank)) }
      if change.alpha != alpha { start.alphaPattern.append(.init(key: path, value: change.alpha)) }
    }
    try self.init(describing: description, keeping: start)
  }

  /// The layers by name, as short as is sure to mean the same ones in any model: the names that all
  /// the sources' targets are made of, or whole paths.
  private static func targets(
    _ paths: [String], _ sources: [PEFTAdapterConfiguration]
  ) -> PEFTAdapterConfiguration.Modules {
    var names: Set<String> = []
    for source in sources {
      guard case .names(let some) = source.targets, source.excluded == nil,
        source.layersToTransform == nil
      else { return .names(paths) }
      names.formUnion(some)
    }
    func isTarget(_ path: String) -> Bool {
      names.contains { path == $0 || path.hasSuffix("." + $0) }
    }
    return .names(paths.allSatisfy(isTarget) && !names.isEmpty ? names.sorted() : paths)
  }
}
