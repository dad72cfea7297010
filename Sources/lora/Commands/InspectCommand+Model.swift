import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What a model's directory holds. An architecture that is not supported is said to be, and the
  /// tensors are shown all the same.
  init(_ directory: ModelDirectory) throws {
    let entries = directory.tensorNames.compactMap { directory.entry(named: $0) }
    let parameters = entries.reduce(0) { $0 + $1.shape.elementCount }
    let types = Dictionary(grouping: entries, by: \.typeName).mapValues(\.count)
      .sorted { $0.key < $1.key }
    object = [
      "kind": "model", "path": .string(directory.path),
      "architecture": directory.modelType.map { .string($0) } ?? .null,
      "parameters": JSONValue(parameters),
      "types": .object(JSONObject(types.map { ($0.key, JSONValue($0.value)) })),
      "files": JSONValue(directory.files.map(\.path)),
    ]
    lines = [
      "model \(directory.modelType ?? "of an architecture that is not named"), "
        + "\(grouped(parameters)) parameters in \(entries.count) tensors, "
        + types.map { "\($0.value) \($0.key)" }.joined(separator: ", "),
      "files: " + directory.files.map(\.path).joined(separator: ", "),
    ]
    var supported: ModelConfiguration?
    do throws(FormatError) {
      let configuration = try directory.configuration()
      let structure = try configuration.architecture.structure(configuration)
      object["configuration"] = .object(Self.json(configuration, structure))
      lines += Self.lines(configuration, structure)
      supported = configuration
      let others = directory.tensorsOfOtherParts(of: configuration.architecture)
      if !others.isEmpty {
        object["tensors_of_other_parts"] = JSONValue(others.count)
        lines.append(
          "also reads images: \(grouped(others.count)) tensors belong to parts that are not supported; "
            + "--text-only uses the text part, which is described here")
      }
    } catch {
      guard error.kind == .unsupported else { throw error }
      object["unsupported"] = .string(error.description)
      lines.append("not supported: \(error)")
    }
    try addTokenizer(of: directory)
    if let supported {
      addTraining(of: supported, weightBytes: entries.reduce(0) { $0 + $1.byteRange.count })
    }
    object["tensors"] = .array(
      entries.map { entry in
        [
          "name": .string(entry.name), "dtype": .string(entry.typeName),
          "shape": JSONValue(entry.shape),
        ]
      })
    lines += Self.table(
      entries.map { [$0.name, $0.typeName, "\($0.shape)"] }, header: ["tensor", "type", "shape"])
  }

  private mutating func addTokenizer(of directory: ModelDirectory) throws {
    object["tokenizer"] = .null
    let files = ["tokenizer.json", "vocab.json", "vocab.txt"]
    guard files.contains(where: { FileSystem.exists(FileSystem.join(directory.path, $0)) }) else {
      return lines.append("tokenizer: none")
    }
    let tokenizer: TokenizerPipeline
    do throws(TokenizerError) {
      tokenizer = try TokenizerPipeline(contentsOf: directory.path)
    } catch {
      guard error.kind == .unsupported else { throw error }
      object["tokenizer"] = ["unsupported": .string(error.description)]
      return lines.append("tokenizer: not supported: \(error)")
    }
    let special = [tokenizer.beginningOfSequence, tokenizer.endOfSequence]
    object["tokenizer"] = [
      "vocabulary": JSONValue(tokenizer.vocabularySize),
      "bos": special[0].map { JSONValue($0) } ?? .null,
      "eos": special[1].map { JSONValue($0) } ?? .null,
    ]
    lines.append(
      "tokenizer: \(tokenizer.vocabularySize) tokens, begins with "
        + Self.token(special[0], tokenizer) + ", ends with " + Self.token(special[1], tokenizer))
  }

  private static func json(
    _ c: ModelConfiguration, _ structure: TransformerStructure
  ) -> JSONObject {
    var object: JSONObject = [
      "hidden_size": JSONValue(c.hiddenSize), "intermediate_size": JSONValue(c.intermediateSize),
      "layers": JSONValue(c.layerCount), "heads": JSONValue(c.headCount),
      "key_value_heads": JSONValue(c.keyValueHeadCount), "head_size": JSONValue(c.headSize),
      "vocabulary": JSONValue(c.vocabularySize), "positions": JSONValue(c.maximumPositions),
      "tied_embeddings": .bool(c.tiesWordEmbeddings),
      "sliding_windows": .array(c.slidingWindows.map { $0.map { JSONValue($0) } ?? .null }),
      "dtype": c.storedType.map { .string($0.rawValue) } ?? .null,
      "labels": c.labels.isEmpty ? .null : .array(c.labels.map { .string($0) }),
      "labelled": c.labels.isEmpty
        ? .null : .string(c.classifierKind == .tokens ? "tokens" : "sequences"),
    ]
    if structure.encoder != nil, !structure.blocks.isEmpty {
      object["decoder_layers"] = JSONValue(structure.blocks.count)
    }
    let mixtures = structure.blocks.map(\.feedForward.experts)
    if let experts = mixtures.lazy.compactMap({ $0 }).first {
      object["experts"] = [
        "count": JSONValue(experts.count), "active": JSONValue(experts.active),
        "intermediate_size": JSONValue(experts.size),
        "layers": .array(mixtures.indices.filter { mixtures[$0] != nil }.map { JSONValue($0) }),
      ]
    }
    return object
  }

  /// What a line says of the experts; nil for a model without.
  private static func text(ofExperts structure: TransformerStructure) -> String? {
    let mixtures = structure.blocks.compactMap(\.feedForward.experts)
    guard let experts = mixtures.first else { return nil }
    let layers =
      mixtures.count == structure.blocks.count
      ? "every layer" : "\(mixtures.count) of \(structure.blocks.count) layers"
    return "a mixture of experts: \(experts.active) of \(experts.count) active for each token in "
      + "\(layers), feed-forward \(experts.size) each"
  }

  /// The most labels that are shown in a line.
  private static let mostLabels = 20

  private static func lines(
    _ c: ModelConfiguration, _ structure: TransformerStructure
  ) -> [String] {
    let windows = Set(c.slidingWindows.compactMap { $0 }).sorted().map(\.description)
    return [
      "\(layers(c, structure)) of size \(c.hiddenSize), feed-forward \(c.intermediateSize), "
        + "\(c.headCount) heads of \(c.headSize), \(c.keyValueHeadCount) for keys and values",
      "vocabulary \(c.vocabularySize), up to \(c.maximumPositions) positions, "
        + text(of: structure.head, c)
        + (windows.isEmpty ? "" : ", windows of \(windows.joined(separator: ", "))"),
    ] + [text(ofExperts: structure)].compactMap { $0 }
  }

  private static func layers(_ c: ModelConfiguration, _ structure: TransformerStructure) -> String {
    structure.encoder != nil && !structure.blocks.isEmpty
      ? "an encoder of \(c.layerCount) and a decoder of \(structure.blocks.count) layers"
      : "\(c.layerCount) layers"
  }

  private static func text(of head: TransformerStructure.Head, _ c: ModelConfiguration) -> String {
    switch head {
    case .nextToken: return "head \(c.tiesWordEmbeddings ? "tied to the embedding" : "of its own")"
    case .none: return "no head"
    case .classification(let head):
      let more = c.labels.count - mostLabels
      return "head of \(counted(c.labels.count, "label"))"
        + (head.pooling == nil ? " for each token: " : ": ")
        + c.labels.prefix(mostLabels).joined(separator: ", ")
        + (more > 0 ? " and \(grouped(more)) more" : "")
    }
  }

  private static func token(_ id: Int?, _ tokenizer: TokenizerPipeline) -> String {
    guard let id else { return "nothing" }
    return "\(id) '\(tokenizer.token(of: id) ?? "")'"
  }
}
