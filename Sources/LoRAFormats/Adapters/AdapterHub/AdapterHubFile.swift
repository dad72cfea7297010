import LoRAFiles
import LoRAJSON
import LoRATensor

/// Bottleneck adapters as the `adapters` package has them: a folder with `adapter_config.json` and
/// `adapter.safetensors`.
///
/// A network's tensors are called `<block>.<place>.adapters.<name>.adapter_down.0.weight` [width,
/// hidden size] and so on; the place of those behind the attention is `attention_adapters`, in
/// models of BERT's kind `attention.output`. A head that was trained along lies in
/// `model_head.safetensors`, under the model's own names.
struct AdapterHubFile {
  static let weightsFile = "adapter.safetensors"
  static let pickleFile = "pytorch_adapter.bin"
  static let headFile = "model_head.safetensors"

  var configuration: AdapterHubConfiguration
  var description: AdapterDescription
  var notes: [AdapterNote] = []

  /// Where a network's tensors stand in a block.
  private enum Place: String, CaseIterable {
    case bertAttention = ".attention.output.adapters."
    case bertFeedForward = ".output.adapters."
    case attention = ".attention_adapters.adapters."
    case feedForward = ".output_adapters.adapters."

    var isAttention: Bool { self == .bertAttention || self == .attention }
  }

  /// A network's tensors.
  private enum Part: String, CaseIterable {
    case down = "adapter_down.0.weight"
    case downBias = "adapter_down.0.bias"
    case up = "adapter_up.weight"
    case upBias = "adapter_up.bias"
  }

  /// Reads the adapter in the folder at `path`, or of its file.
  init(path: String) throws(FormatError) {
    let folder = FileSystem.isFolder(path) ? path : FileSystem.folder(of: path)
    try FolderJournal.check(folder)
    let configurationFile = FileSystem.join(folder, AdapterHubConfiguration.fileName)
    configuration = try AdapterHubConfiguration(
      try FileSystem.readObject(configurationFile), file: configurationFile)
    let weights = FileSystem.join(folder, Self.weightsFile)
    let pickle = FileSystem.join(folder, Self.pickleFile)
    if !FileSystem.exists(weights), FileSystem.exists(pickle) {
      throw FormatError(
        .unsupported, file: pickle,
        problem: "files in PyTorch's pickle format are not read: opening them can run code",
        remedy: "save it with save_adapter(..., use_safetensors=True)")
    }
    let file = try SafetensorsFile(path: weights, access: .copied)
    var table = FactorTable(file)
    for name in file.names {
      guard let (network, part) = Self.parse(name, adapter: configuration.name) else {
        throw FormatError(
          .unexpectedTensor, file: weights, tensor: name,
          "it belongs to no bottleneck adapter called '\(configuration.name)'",
          remedy: "check 'name' in \(AdapterHubConfiguration.fileName)")
      }
      try table.add(name, path: network, part: part)
    }
    let layers = try Self.layers(table, configuration)
    description = AdapterDescription(layers: layers, metadata: file.metadata)
    try readHead(folder)
  }

  /// The network, as its block and place, and the part that a tensor is.
  private static func parse(_ name: String, adapter: String) -> (network: String, part: String)? {
    var name = name
    // What the package's first versions called them.
    for former in [
      "attention_text_task_adapters", "attention_text_lang_adapters", "layer_text_task_adapters",
      "layer_text_lang_adapters",
    ] {
      name = name.replacing(".\(former).", with: ".adapters.")
    }
    for place in Place.allCases {
      let infix = "\(place.rawValue)\(adapter)."
      for part in Part.allCases where name.hasSuffix(infix + part.rawValue) {
        let block = name.dropLast(infix.utf8.count + part.rawValue.utf8.count)
        return block.isEmpty ? nil : ("\(block)\(place.rawValue)", part.rawValue)
      }
    }
    return nil
  }

  private static func layers(
    _ table: FactorTable, _ configuration: AdapterHubConfiguration
  ) throws(FormatError) -> [AdapterDescription.Layer] {
    var changes: [String: BottleneckChange] = [:]
    var types: [String: DType] = [:]
    for path in table.paths {
      guard let place = Place.allCases.first(where: { path.hasSuffix($0.rawValue) }) else {
        continue
      }
      let block = String(path.dropLast(place.rawValue.utf8.count))
      let (network, type) = try network(path, table, configuration)
      var change =
        changes[block]
        ?? BottleneckChange(
          attention: nil, feedForward: nil, input: configuration.input,
          activation: configuration.activation, scale: configuration.scale)
      if place.isAttention { change.attention = network } else { change.feedForward = network }
      changes[block] = change
      types[block] = type
    }
    for (block, change) in changes.sorted(by: { naturallyPrecedes($0.key, $1.key) }) {
      let (wanted, found) = (
        configuration.behind, (change.attention != nil, change.feedForward != nil)
      )
      guard wanted == found else {
        let key = wanted.attention == found.0 ? "output_adapter" : "mh_adapter"
        throw FormatError(
          .missingTensor, file: table.file.path, subject: "block '\(block)'",
          problem: "'\(key)' in \(AdapterHubConfiguration.fileName) says that it "
            + ((key == "mh_adapter" ? wanted.attention : wanted.feedForward) ? "has" : "lacks")
            + " a network behind the "
            + (key == "mh_adapter" ? "attention" : "feed-forward network")
            + ", the file says otherwise",
          remedy: "the file is incomplete, or another adapter's: save it again")
      }
    }
    guard !changes.isEmpty else {
      throw FormatError(
        .missingTensor, file: table.file.path, problem: "the file holds no network of an adapter")
    }
    return changes.map { block, change in
      AdapterDescription.Layer(path: block, change: change, storedType: types[block] ?? .float32)
    }
  }

  private static func network(
    _ path: String, _ table: FactorTable, _ configuration: AdapterHubConfiguration
  ) throws(FormatError) -> (BottleneckChange.Network, DType) {
    let down = try table.required(path, Part.down.rawValue)
    let downBias = try table.required(path, Part.downBias.rawValue)
    let up = try table.required(path, Part.up.rawValue)
    let upBias = try table.required(path, Part.upBias.rawValue)
    guard down.shape.count == 2, up.shape == [down.shape[1], down.shape[0]] else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: up.name,
        "it is \(up.shape) behind '\(down.name)' \(down.shape): [hidden size, width] and [width, "
          + "hidden size] are expected")
    }
    if let size = configuration.hiddenSize, size != down.shape[1] {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: down.name,
        "it reads \(down.shape[1]) numbers, 'hidden_size' in \(AdapterHubConfiguration.fileName) is "
          + "\(size)")
    }
    for (bias, count) in [(downBias, down.shape[0]), (upBias, down.shape[1])]
    where bias.shape != [count] {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: bias.name,
        "expected [\(count)], found \(bias.shape)")
    }
    return (
      BottleneckChange.Network(
        down: down.tensor, downBias: downBias.tensor, up: up.tensor, upBias: upBias.tensor),
      FactorTable.commonType([down, up])
    )
  }

  /// The head that was trained along: parameters that replace the model's.
  private mutating func readHead(_ folder: String) throws(FormatError) {
    let path = FileSystem.join(folder, Self.headFile)
    guard FileSystem.exists(path) else { return }
    let file = try SafetensorsFile(path: path, access: .copied)
    guard !file.names.contains(where: { $0.hasPrefix("heads.") }) else {
      notes.append(
        AdapterNote(
          text: "the head in \(Self.headFile) is one of the package's own models and is left out: "
            + "save it of a model of transformers after adapters.init(model)"))
      return
    }
    var replacements: [AdapterDescription.Replacement] = []
    for name in file.names {
      let factor = try FactorTable.factor(named: name, in: .safetensors(file))
      replacements.append(
        AdapterDescription.Replacement(
          path: name, value: factor.tensor, storedType: factor.storedType))
    }
    description = AdapterDescription(
      layers: description.layers, replacements: replacements, metadata: description.metadata)
  }
}

// MARK: - Writing

extension AdapterHubFile {
  /// The adapter as the package can hold it. Throws `FormatError` for what it can't.
  init(
    fitting adapter: AdapterFile, modelType: String?, file path: String
  ) throws(FormatError) {
    let description = adapter.description
    if let tokens = description.replacedTokens.first {
      throw FormatError(
        .unsupported, file: path, subject: "embedding '\(tokens.path)'",
        problem: "adapters files cannot hold trained token vectors",
        remedy: "write it as PEFT")
    }
    var changes: [(block: Int, change: BottleneckChange)] = []
    for layer in description.layers {
      guard let change = layer.change as? BottleneckChange else {
        throw description.refusal(
          layer.path, .adapters, path, "\(layer.change.methodName): only bottleneck adapters",
          remedy: "write it as PEFT")
      }
      guard let index = layer.path.split(separator: ".").last.flatMap({ Int($0) }) else {
        throw description.refusal(
          layer.path, .adapters, path, "networks of a block without a number at its path's end")
      }
      changes.append((index, change))
    }
    guard let first = changes.first?.change else {
      throw FormatError(
        .missingTensor, file: path, problem: "the adapter has no networks: nothing could be written"
      )
    }
    for (layer, (_, change)) in zip(description.layers, changes) {
      let widths = Set(change.networks.map(\.network.width))
      guard change.input == first.input, change.activation == first.activation,
        change.scale == first.scale, (change.attention == nil) == (first.attention == nil),
        (change.feedForward == nil) == (first.feedForward == nil), widths.count == 1
      else {
        throw description.refusal(
          layer.path, .adapters, path,
          "networks that differ from other blocks' in more than their width")
      }
    }
    configuration = AdapterHubConfiguration(
      describing: changes, name: "default", modelType: modelType,
      modelName: adapter.provenance.baseModelName, dropout: adapter.provenance.dropout ?? 0,
      keeping: adapter.adapterHubConfiguration)
    self.description = description
  }

  /// The files of the folder at `path`.
  func parts(of path: String) throws(FormatError) -> [AtomicFile.Part] {
    let weights = FileSystem.join(path, Self.weightsFile)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in description.layers {
      guard let change = layer.change as? BottleneckChange else { continue }
      // Models of BERT's kind keep the networks in the modules that add.
      let isBERT = layer.path.hasSuffix(
        "encoder.layer.\(layer.path.split(separator: ".").last ?? "")")
      let places: [(Place, BottleneckChange.Network?)] = [
        (isBERT ? .bertAttention : .attention, change.attention),
        (isBERT ? .bertFeedForward : .feedForward, change.feedForward),
      ]
      for (place, network) in places {
        guard let network else { continue }
        let prefix = "\(layer.path)\(place.rawValue)\(configuration.name)."
        for (part, tensor) in [
          (Part.down, network.down), (.downBias, network.downBias), (.up, network.up),
          (.upBias, network.upBias),
        ] {
          let name = prefix + part.rawValue
          tensors.append(
            (name, try tensor.stored(as: layer.storedType, named: name, file: weights)))
        }
      }
    }
    var parts = [
      try SafetensorsWriter.part(tensors, metadata: ["format": "pt"], path: weights),
      AtomicFile.Part(
        FileSystem.join(path, AdapterHubConfiguration.fileName),
        JSONValue.object(configuration.original).encodedBytes(pretty: true, sortedKeys: true)),
    ]
    if !description.replacements.isEmpty {
      let head = FileSystem.join(path, Self.headFile)
      var values: [(name: String, tensor: Tensor)] = []
      for replacement in description.replacements {
        values.append(
          (replacement.path, replacement.value.converted(to: replacement.storedType)))
      }
      parts.append(try SafetensorsWriter.part(values, metadata: ["format": "pt"], path: head))
    }
    return parts
  }
}
