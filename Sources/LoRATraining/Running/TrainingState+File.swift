import Foundation
import LoRAFiles
import LoRATensor

// A safetensors file: `value/PATH` is what is trained, `best/PATH` what it was at the lowest evaluation,
// `NAME/PATH` what the optimizer remembers under NAME, `losses` the losses, and the rest JSON in the
// metadata.

extension TrainingState {
  /// Writes the state to the file at `path`, atomically: after a crash the old file or the new one
  /// is there.
  ///
  /// Throws `FormatError` for numbers that are not finite, and `FileError` if writing fails.
  public func save(to path: String) throws {
    var tensors = values.map { (name: "\(Self.value)/\($0.key)", tensor: $0.value) }
    tensors += best.map { (name: "\(Self.best)/\($0.key)", tensor: $0.value) }
    for (path, state) in optimizer.parameters {
      tensors += state.tensors.map { (name: "\($0.key)/\(path)", tensor: $0.value) }
    }
    if !losses.isEmpty { tensors.append((Self.losses, Tensor(losses))) }
    let document = Document(
      version: Document.current, options: options, tokens: tokens, firstLoss: firstLoss,
      identity: identity, updates: optimizer.parameters.mapValues(\.updates),
      evaluations: evaluations)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(document), as: UTF8.self)
    try SafetensorsWriter.write(
      tensors, metadata: ["format": Self.format, Self.key: text], to: path)
  }

  /// Reads the state in the file at `path`, strictly: a tensor that is missing, unexpected,
  /// misshapen or not finite throws `FormatError`. Resuming checks that the state belongs to the
  /// run.
  ///
  /// Tensors stay mapped until the first step replaces them. Until then the file must not change,
  /// except by being replaced as ``save(to:)`` does it.
  public init(path: String) throws {
    let file = try SafetensorsFile(path: path)
    guard file.metadata["format"] == Self.format, let text = file.metadata[Self.key] else {
      throw FormatError(
        .missingKey, file: path, subject: "metadata",
        problem: "it is not the state of a training",
        remedy: "give a file that TrainingState.save(to:) wrote")
    }
    let document = try Document(parsing: text, file: path)
    var losses: [Double] = []
    if file.entry(named: Self.losses) != nil {
      let tensor = try file.tensor(named: Self.losses)
      guard tensor.dtype == .float64, tensor.shape.count == 1 else {
        throw FormatError(
          .shapeMismatch, file: path, subject: "tensor '\(Self.losses)'",
          problem: "expected float64 of one dimension, found \(tensor.dtype) \(tensor.shape)")
      }
      losses = tensor.scalars(as: Double.self)
    }
    let reader = TensorReader(file: file, updates: document.updates)
    let paths = document.identity.groups.flatMap(\.parameters)
    let (values, best, optimizer) = try reader.read(paths)
    self.init(
      options: document.options, losses: losses, tokens: document.tokens,
      firstLoss: document.firstLoss, values: values, optimizer: optimizer,
      evaluations: document.evaluations ?? [], best: best, identity: document.identity)
    if let loss = losses.first(where: { !$0.isFinite }) {
      throw FormatError(
        .nonFinite, file: path, subject: "tensor '\(Self.losses)'", problem: "one is \(loss)")
    }
  }

  fileprivate static let format = "lora-training-state"
  fileprivate static let key = "state"
  fileprivate static let value = "value"
  fileprivate static let best = "best"
  fileprivate static let losses = "losses"

  /// What the metadata hold as JSON.
  fileprivate struct Document: Codable {
    static let current = 1

    var version: Int
    var options: TrainingOptions
    var tokens: Int
    var firstLoss: Double?
    var identity: RunIdentity
    /// How often each parameter was updated, by path.
    var updates: [String: Int]
    /// Nil in the states of earlier versions.
    var evaluations: [EvaluationPoint]?
  }
}

extension TrainingState.Document {
  /// The version alone, which is read first: what follows may be of a later one.
  private struct Version: Decodable { var version: Int }

  fileprivate init(parsing text: String, file: String) throws(FormatError) {
    let data = Data(text.utf8)
    do {
      let version = try JSONDecoder().decode(Version.self, from: data).version
      guard (1...Self.current).contains(version) else {
        throw FormatError(
          .unsupported, file: file, subject: "metadata",
          problem: "the state's version is \(version); this program reads 1 to \(Self.current)",
          remedy: "resume the run with the version of LoRAKit that began it")
      }
      self = try JSONDecoder().decode(Self.self, from: data)
      try options.check()
    } catch let error as FormatError {
      throw error
    } catch {
      throw FormatError(
        .malformed, file: file, subject: "metadata",
        problem: "the state can't be read: \(error)")
    }
    guard tokens >= 0, updates.values.allSatisfy({ $0 >= 1 }) else {
      throw FormatError(
        .invalidValue, file: file, subject: "metadata", problem: "a count is negative")
    }
  }
}

/// Reads the tensors of a state's file.
private struct TensorReader {
  let file: SafetensorsFile
  let updates: [String: Int]

  /// The values of the parameters at `paths`, what they were at the lowest evaluation, and what an
  /// optimizer remembers of them.
  func read(
    _ paths: [String]
  ) throws(FormatError) -> ([String: Tensor], best: [String: Tensor], OptimizerState) {
    let known = Set(paths)
    var (values, best): ([String: Tensor], [String: Tensor]) = ([:], [:])
    var optimizer = OptimizerState()
    for (path, count) in updates {
      guard known.contains(path) else { throw unexpected(path) }
      optimizer.parameters[path] = ParameterState()
      optimizer.parameters[path]?.updates = count
    }
    for name in file.names where name != TrainingState.losses {
      let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      let path = parts.count == 2 ? String(parts[1]) : ""
      guard known.contains(path) else { throw unexpected(name) }
      if parts[0] == TrainingState.value {
        values[path] = try numbers(name)
      } else if parts[0] == TrainingState.best {
        best[path] = try numbers(name)
      } else {
        guard updates[path] != nil else { throw unexpected(name) }
        optimizer.parameters[path]?.tensors[String(parts[0])] = try numbers(name, orCodes: true)
      }
    }
    for path in paths where values[path] == nil {
      throw FormatError(
        .missingTensor, file: file.path, subject: "tensor '\(TrainingState.value)/\(path)'",
        problem: "the parameter is trained, and its value is missing")
    }
    if let path = best.isEmpty ? nil : paths.first(where: { best[$0] == nil }) {
      throw FormatError(
        .missingTensor, file: file.path, subject: "tensor '\(TrainingState.best)/\(path)'",
        problem: "the values at the lowest evaluation are there of other parameters alone")
    }
    return (values, best, optimizer)
  }

  /// A tensor of float32 or, of an optimizer that has some, of codes of 8 bits.
  private func numbers(_ name: String, orCodes: Bool = false) throws(FormatError) -> Tensor {
    let tensor = try file.tensor(named: name)
    if orCodes, tensor.dtype == .uint8 { return tensor }
    guard tensor.dtype == .float32 else {
      throw FormatError(
        .typeMismatch, file: file.path, subject: "tensor '\(name)'",
        problem: "expected float32, found \(tensor.dtype)")
    }
    if let index = tensor.firstNonFiniteIndex() {
      throw FormatError(
        .nonFinite, file: file.path, subject: "tensor '\(name)'",
        problem: "element \(index) is not a finite number")
    }
    return tensor
  }

  private func unexpected(_ name: String) -> FormatError {
    FormatError(
      .unexpectedTensor, file: file.path, subject: "tensor '\(name)'",
      problem: "it belongs to no parameter of the run")
  }
}
