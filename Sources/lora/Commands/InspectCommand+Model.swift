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
    switch Result(catching: { () throws(FormatError) in try directory.configuration() }) {
    case .success(let configuration):
      object["configuration"] = .object(Self.json(configuration))
      lines += Self.lines(configuration)
    case .failure(let error):
      guard error.kind == .unsupported else { throw error }
      object["unsupported"] = .string(error.description)
      lines.append("not supported: \(error)")
    }
    object["tokenizer"] = .null
    if ["tokenizer.json", "vocab.json"].contains(where: { name in
      FileSystem.exists(FileSystem.join(directory.path, name))
    }) {
      let tokenizer = try BytePairTokenizer(contentsOf: directory.path)
      let special = [tokenizer.beginningOfSequence, tokenizer.endOfSequence]
      object["tokenizer"] = [
        "vocabulary": JSONValue(tokenizer.vocabularySize),
        "bos": special[0].map { JSONValue($0) } ?? .null,
        "eos": special[1].map { JSONValue($0) } ?? .null,
      ]
      lines.append(
        "tokenizer: \(tokenizer.vocabularySize) tokens, begins with "
          + Self.token(special[0], tokenizer) + ", ends with " + Self.token(special[1], tokenizer))
    } else {
      lines.append("tokenizer: none")
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

  private static func json(_ c: ModelConfiguration) -> JSONObject {
    [
      "hidden_size": JSONValue(c.hiddenSize), "intermediate_size": JSONValue(c.intermediateSize),
      "layers": JSONValue(c.layerCount), "heads": JSONValue(c.headCount),
      "key_value_heads": JSONValue(c.keyValueHeadCount), "head_size": JSONValue(c.headSize),
      "vocabulary": JSONValue(c.vocabularySize), "positions": JSONValue(c.maximumPositions),
      "tied_embeddings": .bool(c.tiesWordEmbeddings),
      "sliding_windows": .array(c.slidingWindows.map { $0.map { JSONValue($0) } ?? .null }),
      "dtype": c.storedType.map { .string($0.rawValue) } ?? .null,
    ]
  }

  private static func lines(_ c: ModelConfiguration) -> [String] {
    let windows = Set(c.slidingWindows.compactMap { $0 }).sorted().map(\.description)
    return [
      "\(c.layerCount) layers of size \(c.hiddenSize), feed-forward \(c.intermediateSize), "
        + "\(c.headCount) heads of \(c.headSize), \(c.keyValueHeadCount) for keys and values",
      "vocabulary \(c.vocabularySize), up to \(c.maximumPositions) positions, head "
        + (c.tiesWordEmbeddings ? "tied to the embedding" : "of its own")
        + (windows.isEmpty ? "" : ", windows of \(windows.joined(separator: ", "))"),
    ]
  }

  private static func token(_ id: Int?, _ tokenizer: BytePairTokenizer) -> String {
    guard let id else { return "nothing" }
    return "\(id) '\(tokenizer.token(of: id) ?? "")'"
  }
}
