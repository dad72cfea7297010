import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor
import LoRAText

// Opening a model from a GGUF file: the layers ask for parameters by their Hugging Face names, and
// get the file's tensors under these names, in the order of rows that those have.

extension ModelConfiguration {
  /// Builds the model of a GGUF file, strictly.
  func makeModel(file: GGUFFile, type: DType?) throws -> any PretrainedTokenModel {
    let reader = try GGUFParameters(file: file, type: type)
    // Its factors are in the configuration of what has a rotary embedding.
    var used: Set<String> =
      architecture.hasKey(of: \.rotary)
      ? ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"] : []
    // What other checkpoints may hold although nothing computes it.
    for path in unreadModules {
      if let name = reader.names.tensorName(ofParameter: path + ".weight") { used.insert(name) }
    }
    func parameter(_ name: String, _ shape: Shape) throws -> Parameter {
      if let (stack, expert) = architecture.stack(of: name) {
        let stored = try reader.names(ofStack: stack, architecture)
        used.formUnion(stored)
        return try reader.parameter(ofStacks: stored, expert: expert, shape: shape)
      }
      let stored = try reader.name(of: name)
      used.insert(stored)
      return try reader.parameter(named: stored, for: name, shape: shape)
    }
    // Files have every matrix as [out, in].
    let model = try makeModel(ParameterSource(untransposed: parameter, parameter: parameter))
    for name in file.names where !used.contains(name) && !architecture.isDerived(name) {
      throw FormatError(
        .unexpectedTensor, file: file.path, subject: "tensor '\(name)'",
        problem: "a model of the architecture '\(reader.base.architecture)' has no such tensor",
        remedy: "the file holds more than this library computes")
    }
    return model
  }
}

/// The tensors of a GGUF file as the parameters of a Hugging Face model.
private struct GGUFParameters {
  let file: GGUFFile
  let base: GGUFBase
  let names: GGUFTensorNames
  let type: DType?

  init(file: GGUFFile, type: DType?) throws {
    base = try GGUFBase(file: file)
    guard let names = GGUFTensorNames(base) else {
      throw FormatError(
        .unsupported, file: file.path, subject: "'general.architecture'",
        problem: "the tensor names of '\(base.architecture)' are not known")
    }
    self.names = names
    self.file = file
    self.type = type
  }

  /// What the file calls a parameter.
  func name(of parameter: String) throws -> String {
    guard let name = names.tensorName(ofParameter: parameter) else {
      throw FormatError(
        .unsupported, file: file.path, subject: "parameter '\(parameter)'",
        problem: "files of the architecture '\(base.architecture)' have no name for it")
    }
    return name
  }

  /// What the file calls the tensors of all experts that a stack of checkpoints is: one, or a gate's and
  /// an up's.
  func names(ofStack stack: String, _ architecture: Architecture) throws -> [String] {
    let isBias = stack.hasSuffix("_bias")
    let path = isBias ? String(stack.dropLast("_bias".count)) : stack
    guard let (module, name) = architecture.module(atPath: path) else {
      return [try self.name(of: path)]
    }
    let block = TensorName.numbers(in: path, of: module.path) ?? []
    let names =
      module.partsInGGUF.isEmpty
      ? [name] : module.partsInGGUF.map { TensorName.filled($0, block) }
    return names.map { $0 + (isBias ? ".bias" : ".weight") }
  }

  /// The parameter of one expert, whose rows are those of the stacks in turn.
  func parameter(ofStacks names: [String], expert: Int, shape: Shape) throws -> Parameter {
    let (rows, rest) = (shape[0] / names.count, Array(shape.dimensions.dropFirst()))
    let mapped = try names.map { name in
      let part = try self.expert(
        expert, of: try file.tensor(named: name), name, Shape([rows] + rest))
      try check(part, name, Shape([rows] + rest))
      return part
    }
    var parts = mapped
    if Set(parts.map(\.dtype)).count > 1 { parts = parts.map { $0.converted(to: .float32) } }
    var tensor = parts.count == 1 ? parts[0] : .inTurn(parts)
    tensor = tensor.converted(to: shape.count == 1 ? .float32 : type ?? tensor.dtype)
    if !tensor.isMapped { for part in mapped { part.releaseMappedPages() } }
    return Parameter(tensor, isTrainable: false, storedType: mapped[0].dtype)
  }

  func parameter(named stored: String, for name: String, shape: Shape) throws -> Parameter {
    let stem = String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
    let module = names.module(atPath: stem)?.module
    var tensor = try file.tensor(named: stored)
    if module?.kind == .expert, let expert = names.expert(name) {
      tensor = try self.expert(expert, of: tensor, stored, shape)
    }
    try check(tensor, stored, shape)
    let mapped = tensor
    if let order = module?.order, order != .same {
      guard let rows = order.fileRows(count: tensor.shape[0], base.heads) else {
        throw FormatError(
          .shapeMismatch, file: file.path, subject: "tensor '\(stored)'",
          problem: "its \(tensor.shape[0]) rows are not those of \(base.headCount) heads")
      }
      tensor = tensor.gatheringRows(rows)
    }
    if module?.addsOne == true { tensor = tensor.converted(to: .float32).adding(-1) }
    // Vectors are few and read in every pass: widened once.
    tensor = tensor.converted(to: shape.count == 1 ? .float32 : type ?? tensor.dtype)
    if !tensor.isMapped { mapped.releaseMappedPages() }
    return Parameter(tensor, isTrainable: false, storedType: mapped.dtype)
  }

  /// The matrix of one expert, in the file's memory.
  private func expert(
    _ expert: Int, of stack: Tensor, _ name: String, _ shape: Shape
  ) throws -> Tensor {
    let count = try file.int("\(base.architecture).expert_count") ?? 0
    guard stack.shape.count == shape.count + 1, stack.shape[0] == count, expert < count,
      Array(stack.shape.dimensions.dropFirst()) == shape.dimensions
    else {
      throw FormatError(
        .shapeMismatch, file: file.path, subject: "tensor '\(name)'",
        problem:
          "the key-values make it \(count) of \(shape), the file has \(stack.shape)",
        remedy: "the file is damaged, or made by a program that lays tensors out otherwise")
    }
    return stack[row: expert]
  }

  private func check(_ tensor: Tensor, _ name: String, _ shape: Shape) throws {
    func failure(_ kind: FormatError.Kind, _ problem: String, _ remedy: String) -> FormatError {
      FormatError(
        kind, file: file.path, subject: "tensor '\(name)'", problem: problem, remedy: remedy)
    }
    guard tensor.shape == shape else {
      throw failure(
        .shapeMismatch, "the key-values make it \(shape), the file has \(tensor.shape)",
        "the file is damaged, or made by a program that lays tensors out otherwise")
    }
    let type = tensor.dtype
    guard type == .float32 || type == .float16 || type == .bfloat16 || type.isQuantized else {
      throw failure(
        .typeMismatch, "its elements are \(type)",
        "weights must be F32, F16, BF16 or quantized")
    }
    if let index = tensor.firstNonFiniteIndex() {
      throw failure(
        .nonFinite, "element \(index) is not a finite number",
        "the weights are damaged; copy or download them again")
    }
  }
}

extension Tensor {
  /// The rows of tensors of one shape and type in turn: the first's first, the second's first, and so on.
  fileprivate static func inTurn(_ parts: [Tensor]) -> Tensor {
    let (shape, count) = (parts[0].shape, parts.count)
    let size = shape[0] == 0 ? 0 : parts[0].byteCount / shape[0]
    return Tensor(
      shape: Shape([count * shape[0]] + shape.dimensions.dropFirst()), dtype: parts[0].dtype
    ) { bytes in
      for (index, part) in parts.enumerated() {
        part.withUnsafeBytes { source in
          for row in 0..<shape[0] {
            let place = (row * count + index) * size
            UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + size])
              .copyMemory(
                from: UnsafeRawBufferPointer(rebasing: source[row * size..<(row + 1) * size]))
          }
        }
      }
    }
  }
}

extension GGUFFile {
  /// The tokenizer that the file holds.
  func tokenizer() throws -> TokenizerPipeline { try TokenizerPipeline(embeddedTokenizer()) }

  /// Its fields.
  func embeddedTokenizer() throws -> EmbeddedTokenizer {
    let prefix = "tokenizer.ggml."
    guard let model = try string(prefix + "model") else {
      throw FormatError(
        .missingKey, file: path, subject: "'\(prefix)model'",
        problem: "the file holds no tokenizer", remedy: "convert the model together with one")
    }
    guard let tokens = try strings(prefix + "tokens") else {
      throw FormatError(
        .missingKey, file: path, subject: "'\(prefix)tokens'",
        problem: "the file has a tokenizer without a vocabulary", remedy: "convert the model again")
    }
    // Files without such a token write a number beyond the vocabulary.
    func token(_ name: String) throws -> Int? {
      try int("\(prefix)\(name)_token_id").flatMap { tokens.indices.contains($0) ? $0 : nil }
    }
    func array<T>(_ name: String, _ kind: String, _ value: (GGUFValue) -> T?) throws -> T? {
      guard let found = self[prefix + name] else { return nil }
      guard let result = value(found) else {
        throw FormatError(
          .typeMismatch, file: path, subject: "'\(prefix)\(name)'",
          problem: "expected an array of \(kind)")
      }
      return result
    }
    var fields = EmbeddedTokenizer(file: path, model: model, tokens: tokens)
    let isScored = model == "llama"
    // What llama.cpp takes where a file of T5's kind names none.
    let isUnigram = model == "t5"
    fields.preTokenizer = try string(prefix + "pre")
    fields.scores = try array("scores", "numbers") { $0.doubles }
    fields.types = try array("token_type", "integers") { $0.ints }
    fields.merges = try strings(prefix + "merges")
    fields.beginningOfSequence = try token("bos") ?? (isScored && tokens.count > 1 ? 1 : nil)
    fields.endOfSequence =
      try token("eos")
      ?? (isScored && tokens.count > 2 ? 2 : isUnigram && tokens.count > 1 ? 1 : nil)
    fields.unknown =
      try token("unknown") ?? (isScored ? 0 : isUnigram && tokens.count > 2 ? 2 : nil)
    fields.padding = try token("padding")
    fields.separator = try token("seperator") ?? token("separator")
    fields.classifier = try token("cls")
    fields.addsBeginning = try bool(prefix + "add_bos_token")
    fields.addsEnd = try bool(prefix + "add_eos_token")
    fields.addsSeparator = try bool(prefix + "add_sep_token")
    fields.addsSpacePrefix = try bool(prefix + "add_space_prefix")
    fields.removesExtraSpaces = try bool(prefix + "remove_extra_whitespaces")
    fields.characterMap = try array("precompiled_charsmap", "bytes") { value in
      value.ints?.map { UInt8(truncatingIfNeeded: $0) }
    }
    fields.lowercases = try bool(prefix + "normalizer.lowercase")
    fields.stripsAccents = try bool(prefix + "normalizer.strip_accents")
    fields.modelName = try string("general.name")
    return fields
  }
}
