package import LoRAJSON

/// What a checkpoint may call the tensors of a model: one of the body alone leaves the prefix out, and
/// a head that is the embedding is not stored.
///
/// Of a model whose architecture is not known, the names that the known ones have are tried.
package struct CheckpointNames: Sendable {
  /// The architecture; nil if it is not known.
  package let architecture: Architecture?

  /// The names of the models that `config.json` calls `modelType`.
  package init(modelType: String?) {
    architecture = modelType.flatMap(Architecture.init(modelType:))
  }

  /// The names of models of a known architecture.
  package init(_ architecture: Architecture) { self.architecture = architecture }

  /// The architecture, or all that are known.
  private var candidates: [Architecture] { architecture.map { [$0] } ?? Architecture.all }

  /// What checkpoints of the body alone leave out, as "model."; several where the architecture is not
  /// known.
  package var bodyPrefixes: [String] { architecture?.bodyPrefixes ?? Architecture.bodyPrefixes }

  /// The path of the output head.
  package var headPath: String { architecture?.headPath ?? "lm_head" }

  /// The names that a checkpoint may have the parameter at `path` under, the likeliest first.
  package func names(ofParameter path: String) -> [String] {
    var names = [path]
    for prefix in bodyPrefixes where path.hasPrefix(prefix) {
      names.append(String(path.dropFirst(prefix.count)))
    }
    names += architecture?.textPart?.namesInFile(path) ?? []
    guard path == headPath + ".weight" else { return names }
    for architecture in candidates {
      let table = architecture.embeddingPath + ".weight"
      names.append(table)
      names += architecture.textPart?.namesInFile(table) ?? []
      for prefix in architecture.bodyPrefixes {
        names.append(String(table.dropFirst(prefix.count)))
      }
    }
    return names
  }

  /// The model's name of the checkpoint's tensor `name`, where these differ in more than the body's
  /// prefix.
  package func nameInModel(_ name: String) -> String {
    architecture?.textPart?.nameInModel(name) ?? name
  }

  /// Whether the checkpoint has the weight of the layer at `path` as `[in, out]`.
  package func isTransposed(_ path: String) -> Bool {
    architecture?.module(atPath: path)?.module.isTransposed ?? false
  }

  /// Whether `path` is a list of the model's blocks, as "model.layers".
  package func isListOfBlocks(_ path: String) -> Bool {
    candidates.contains { architecture in
      architecture.tensors.contains { $0.pathInBlock?.list == path }
    }
  }

  /// The number of blocks that `config.json` says; nil if it doesn't.
  package func layerCount(_ configuration: JSONObject) -> Int? {
    let isPart = architecture?.textPart != nil
    let configuration =
      isPart ? configuration["text_config"]?.objectValue ?? configuration : configuration
    let keys = [architecture?.key(of: \.layerCount), "num_hidden_layers"].compactMap { $0 }
    return keys.lazy.compactMap { configuration[$0]?.intValue }.first
  }
}

extension Architecture {
  /// ``bodyPrefix`` if there is one.
  fileprivate var bodyPrefixes: [String] { bodyPrefix.isEmpty ? [] : [bodyPrefix] }

  /// The prefixes of the bodies of all architectures that are known, each once.
  package static var bodyPrefixes: [String] {
    all.map(\.bodyPrefix).reduce(into: []) { prefixes, prefix in
      if !prefix.isEmpty, !prefixes.contains(prefix) { prefixes.append(prefix) }
    }
  }

  /// The module at `path`, and its name in GGUF files without ".weight"; nil if the architecture has
  /// none there. `inBodyAlone`: whether the path may lack ``bodyPrefix``.
  package func module(
    atPath path: String, inBodyAlone: Bool = true
  ) -> (module: TensorName, name: String)? {
    for path in inBodyAlone ? [path] + bodyPrefixes.map({ $0 + path }) : [path] {
      for module in tensors {
        if let name = TensorName.translated(path, from: module.path, to: module.name) {
          return (module, name)
        }
      }
    }
    return nil
  }
}

extension TensorName {
  /// `text` in the terms of pattern `target` if it matches `pattern`; "{}" in them stands for a
  /// number: a block's, an expert's.
  package static func translated(_ text: String, from pattern: String, to target: String) -> String?
  {
    guard pattern.contains("{}") else { return text == pattern ? target : nil }
    return numbers(in: text, of: pattern).map { filled(target, $0) }
  }

  /// The numbers that stand for the "{}" of `pattern` in `text`; nil if it does not match.
  package static func numbers(in text: String, of pattern: String) -> [Int]? {
    let parts = pattern.split(separator: "{}", omittingEmptySubsequences: false)
    guard text.hasPrefix(parts[0]) else { return nil }
    var rest = text.dropFirst(parts[0].count)
    var numbers: [Int] = []
    for part in parts.dropFirst() {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      guard !digits.isEmpty, digits == "0" || digits.first != "0", let number = Int(digits),
        rest.dropFirst(digits.count).hasPrefix(part)
      else { return nil }
      numbers.append(number)
      rest = rest.dropFirst(digits.count + part.count)
    }
    return rest.isEmpty ? numbers : nil
  }
}
