import LoRAArchitectures
import LoRAFiles

/// A file that was written of a model and is not in its place yet: whether it says what the model is.
struct GGUFDraft {
  let path: String
  /// Where it will be.
  let target: String

  init(path: String, of target: String) { (self.path, self.target) = (path, target) }

  /// What llama.cpp computes otherwise, of windows alone. Throws if the file describes another model: some
  /// options of models have no place in GGUF files.
  func differences(from pretrained: PretrainedModel) throws -> [String] {
    let (own, read): (Description, Description)
    do {
      let file = try GGUFFile(path: path)
      own = try Description(pretrained.configuration)
      read = try Description(ModelConfiguration(file))
    } catch let error as FormatError where error.file == path {
      throw FormatError(
        error.kind, file: target, subject: error.subject,
        problem: "what was written can't be read back: \(error.problem)",
        remedy: "the model has options that GGUF files have no place for")
    }
    let names = Set(own.values.keys).union(read.values.keys)
      .filter { !own.agrees(with: read, $0) }.sorted()
    // Windows that a file says nothing of, and that some text is longer than.
    func isUnsaid(_ name: String) -> Bool {
      guard name.hasSuffix(".window"), case .number? = own.values[name] else { return false }
      return read.values[name] == nil
    }
    let windows = names.filter(isUnsaid)
    if let name = names.first(where: { !isUnsaid($0) }) {
      throw FormatError(
        .unsupported, file: target, subject: name,
        problem: "it is \(own.values[name] ?? .none) in the model, and a GGUF file can say only "
          + "\(read.values[name] ?? .none)",
        remedy: "llama.cpp has no such models of '\(pretrained.configuration.architecture)'")
    }
    guard let name = windows.first, case .number(let window)? = own.values[name],
      window < Double(pretrained.configuration.maximumPositions)
    else { return [] }
    return [
      "\(target): \(windows.count) layers see \(Int(window)) positions, which llama.cpp does not know: "
        + "it gives longer texts other probabilities"
    ]
  }

  /// What a model computes, as numbers and words by their places.
  private struct Description {
    enum Value: CustomStringConvertible {
      case none
      case number(Double)
      case text(String)

      var description: String {
        switch self {
        case .none: "nothing"
        case .number(let number): "\(number)"
        case .text(let text): text
        }
      }
    }

    private(set) var values: [String: Value] = [:]

    init(_ configuration: ModelConfiguration) throws {
      for (name, size) in [
        ("embedding length", configuration.hiddenSize), ("heads", configuration.headCount),
        ("key heads", configuration.keyValueHeadCount), ("head size", configuration.headSize),
        ("layers", configuration.layerCount), ("tokens", configuration.vocabularySize),
        ("feed-forward length", configuration.intermediateSize),
      ] { values[name] = .number(Double(size)) }
      values["norm epsilon"] = .number(configuration.normEpsilon)
      add(
        try configuration.architecture.structure(configuration), "",
        headSize: configuration.headSize)
    }

    func agrees(with other: Description, _ name: String) -> Bool {
      switch (values[name] ?? .none, other.values[name] ?? .none) {
      case (.none, .none): return true
      case (.number(let a), .number(let b)):
        return abs(a - b) <= 1e-5 * max(abs(a), abs(b))
      case (.text(let a), .text(let b)): return a == b
      default: return false
      }
    }

    private mutating func add(_ value: Any, _ place: String, headSize: Int) {
      let place = place.hasPrefix(".") ? String(place.dropFirst()) : place
      switch value {
      case let rotary as RotaryConfiguration:
        // What scaling computes counts, not how a file says it.
        let turned = rotary.rotatedSize(ofHead: headSize)
        values["\(place).size"] = .number(Double(turned))
        values["\(place).amplitude"] = .number(rotary.amplitude)
        for (pair, frequency) in rotary.frequencies(headSize: turned).enumerated() {
          values["\(place).frequencies[\(pair)]"] = .number(Double(frequency))
        }
        if let scaling = rotary.queryScaling {
          values["\(place).queryScaling"] = .number(scaling.weight)
        }
      case let number as Int: values[place] = .number(Double(number))
      case let number as Float: values[place] = .number(Double(number))
      case let number as Double: values[place] = .number(number)
      case let flag as Bool: values[place] = .text("\(flag)")
      case let text as String: values[place] = .text(text)
      default: addParts(of: value, place, headSize: headSize)
      }
    }

    private mutating func addParts(of value: Any, _ place: String, headSize: Int) {
      let mirror = Mirror(reflecting: value)
      switch mirror.displayStyle {
      case .optional:
        if let some = mirror.children.first { add(some.value, place, headSize: headSize) }
      case .enum where mirror.children.isEmpty: values[place] = .text("\(value)")
      case .enum:
        for child in mirror.children {
          values[place] = .text(child.label ?? "")
          add(child.value, "\(place).\(child.label ?? "")", headSize: headSize)
        }
      case .collection:
        for (index, child) in mirror.children.enumerated() {
          add(child.value, "\(place)[\(index)]", headSize: headSize)
        }
      default:
        let size = mirror.children.first { $0.label == "headSize" }.flatMap { $0.value as? Int? }
        for child in mirror.children {
          add(
            child.value, "\(place).\(child.label ?? "")", headSize: (size ?? nil) ?? headSize)
        }
      }
    }
  }
}
