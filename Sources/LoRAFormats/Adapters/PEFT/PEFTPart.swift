import LoRAFiles
import LoRATensor

/// A tensor of a layer's adapter by its name in PEFT's files.
struct PEFTPart: Sendable {
  /// How a name goes on after the part's.
  enum Form: Sendable {
    /// Not at all: a parameter by itself.
    case parameter
    /// With ".weight", and ".bias" if it may have one.
    case module(hasBias: Bool)
    /// Not at all, or with ".weight" in files of before PEFT 0.10.
    case formerModule
  }

  let name: String
  let form: Form
  /// What to do about one that the configuration does not speak of.
  let remedy: String?
  /// The same about its bias.
  let remedyOfBias: String?

  init(_ name: String, _ form: Form = .parameter, remedy: String? = nil, ofBias: String? = nil) {
    self.name = name
    self.form = form
    self.remedy = remedy
    remedyOfBias = ofBias
  }

  /// The name of its bias as a part of its own.
  var bias: String? { if case .module(hasBias: true) = form { "\(name).bias" } else { nil } }

  /// What follows in a file's names.
  var ending: String { if case .module = form { ".weight" } else { "" } }

  /// The part that a name stands for which goes on with `rest`, and the adapter's name if it is there,
  /// as in `lora_A.default.weight`.
  func part(followedBy rest: [String]) -> (part: String, adapter: String?)? {
    switch form {
    case .parameter: return rest.count <= 1 ? (name, rest.first) : nil
    case .module:
      guard let last = rest.last, rest.count <= 2 else { return nil }
      let adapter = rest.count == 2 ? rest[0] : nil
      if last == "weight" { return (name, adapter) }
      return last == "bias" ? bias.map { ($0, adapter) } : nil
    case .formerModule:
      let rest = rest.last == "weight" ? rest.dropLast() : rest[...]
      return rest.count <= 1 ? (name, rest.first) : nil
    }
  }
}

/// The tensors of one layer that are still to be read.
struct PEFTLayerReader {
  let path: String
  let configuration: PEFTAdapterConfiguration
  /// The parts' names and the tensors'.
  private(set) var names: [String: String]
  private let reader: PEFTAdapterReader
  private var types: Set<DType> = []

  init(_ module: PEFTAdapterReader.Module, _ reader: PEFTAdapterReader) {
    path = module.path
    configuration = reader.configuration
    names = module.parts
    self.reader = reader
  }

  /// The type that holds all of them exactly.
  var storedType: DType { types.count == 1 ? types.first ?? .float32 : .float32 }
  /// The file's path.
  var file: String { reader.file.path }
  /// The configured rank.
  var rank: Int { configuration.rank(forPath: path) }
  /// The configured alpha.
  var alpha: Double { configuration.alpha(forPath: path) }
  /// The configured scale.
  var scale: Double { configuration.scale(alpha: alpha, rank: rank) }

  /// A tensor with its name.
  struct Part {
    var name: String
    var tensor: Tensor
  }

  mutating func take(_ part: String) throws(FormatError) -> Part? {
    guard let name = names.removeValue(forKey: part) else { return nil }
    let (tensor, type) = try reader.checkedTensor(name)
    types.insert(type)
    return Part(name: name, tensor: tensor)
  }

  /// A part without which the others mean nothing.
  mutating func require(_ part: String) throws(FormatError) -> Part {
    let others = names.values.sorted()
    if let found = try take(part) { return found }
    let ending = configuration.method.options.type.part(called: part)?.ending ?? ""
    throw FormatError(
      .missingTensor, file: file,
      tensor: path.isEmpty
        ? part : "\(PEFTTensorName.prefix)\(path).\(part)\(part.hasSuffix(".bias") ? "" : ending)",
      "it is missing, although '\(others.first ?? path)' is there",
      remedy: "the file is incomplete: save the adapter again")
  }

  /// A tensor that layers share, one of the method's ``PEFTMethod/sharedTensors``. Read once.
  func shared(_ name: String) throws(FormatError) -> Part {
    guard reader.file.entry(named: name) != nil else {
      throw FormatError(
        .missingTensor, file: file, tensor: name,
        "it is missing, although \(PEFTAdapterConfiguration.fileName) says that it is saved",
        remedy: "the file is incomplete: save the adapter again")
    }
    return Part(name: name, tensor: try reader.sharedTensor(name))
  }

  func mismatch(_ part: Part, _ problem: String, remedy: String = "") -> FormatError {
    FormatError(
      .shapeMismatch, file: file, tensor: part.name, "\(problem), found \(part.tensor.shape)",
      remedy: remedy)
  }

  static let rankRemedy = "check 'r' and 'rank_pattern': the scale depends on them"

  /// Checks a core of a convolution in Tucker form.
  func checkCore(_ core: Part) throws(FormatError) {
    guard core.tensor.shape.count == 4, core.tensor.shape[0] == rank, core.tensor.shape[1] == rank
    else {
      throw mismatch(
        core, "expected [\(rank), \(rank), height, width]", remedy: Self.rankRemedy)
    }
  }
}

/// A layer that is being written, which the configuration must describe.
struct PEFTLayerWriter {
  let path: String
  let configuration: PEFTAdapterConfiguration
  /// The file's path, for errors.
  let file: String

  func mismatch(_ problem: String) -> FormatError {
    FormatError(
      .invalidValue, file: file, subject: "layer '\(path)'", problem: problem,
      remedy: "give a configuration that describes the factors")
  }

  func inexpressible(_ what: String) -> FormatError {
    FormatError(
      .unsupported, file: file, subject: "layer '\(path)'", problem: "PEFT has no \(what)")
  }

  /// Checks that the configuration gives the layer its rank and its scale, this up to the roundings
  /// of computing it in float32.
  func check(rank: Int?, scale: Double) throws(FormatError) {
    let configured = configuration.rank(forPath: path)
    if let rank, rank != configured {
      throw mismatch("its factors have rank \(rank), the configuration says \(configured)")
    }
    let expected = configuration.scale(forPath: path)
    guard PEFTAdapterConfiguration.isSameScale(expected, scale) else {
      throw mismatch("its scale is \(scale), the configuration says \(expected)")
    }
  }
}
