public import LoRAFiles

/// What an adapter says of its making: for which base it is, what it learned from and how, what came out,
/// what it was made of, and what may be done with it.
///
/// ```swift
/// let adapter = try AdapterFile(path: "support")
/// adapter.record?.base.name             // "SmolLM2-135M"
/// adapter.record?.data.map(\.name)      // ["support.jsonl"]
/// adapter.record?.results               // [loss: 0.41, eval_nll_after: 0.52, ...]
/// ```
///
/// It lies in the same file as the factors, as JSON under ``metadataKey``: in the metadata of safetensors
/// files, which PEFT, transformers and kohya's scripts pass over, and in GGUF files under
/// `adapter.metadata.lora_record`. Copying, uploading and converting keep it; a program that loads an
/// adapter and saves it anew, as PEFT's `save_pretrained`, does not.
///
/// Nothing in it depends on when or where it was made: the same training writes the same bytes. Names are
/// those of files and models, never whole paths.
public struct AdapterRecord: Sendable, Hashable {
  /// What metadata calls it.
  public static let metadataKey = "lora_record"
  /// Which form records of this library have.
  public static let version = 1

  /// How an adapter came to be.
  public enum Making: String, Sendable, Hashable, CaseIterable {
    /// It was trained.
    case training = "train"
    /// It was combined of its parents.
    case combination = "combine"
    /// It is the difference of a model to its base.
    case extraction = "extract"
    /// It is its parent at a lower rank.
    case reduction = "reduce"
  }

  /// The model that an adapter is for.
  public struct Base: Sendable, Hashable {
    /// Its name on the hub, or that of its folder or file.
    public var name: String?
    /// What tells it from others.
    public var fingerprint: BaseFingerprint?
    /// Its licence, as its model card or its GGUF file names it.
    public var license: String?

    /// Creates a description.
    public init(
      name: String? = nil, fingerprint: BaseFingerprint? = nil, license: String? = nil
    ) {
      (self.name, self.fingerprint, self.license) = (name, fingerprint, license)
    }
  }

  /// A file that was learned from or measured on.
  public struct DataFile: Sendable, Hashable {
    /// What it was for, "train" or "eval".
    public var use: String
    /// The file's name, without its folder.
    public var name: String
    /// SHA-256 of its bytes, as `sha256sum` prints it.
    public var sha256: String?
    /// How many examples it has.
    public var examples: Int?
    /// Its licence, if that was said.
    public var license: String?

    /// Creates a description.
    public init(
      use: String, name: String, sha256: String? = nil, examples: Int? = nil,
      license: String? = nil
    ) {
      (self.use, self.name, self.sha256) = (use, name, sha256)
      (self.examples, self.license) = (examples, license)
    }
  }

  /// An adapter that this one was made of or goes on from.
  public struct Parent: Sendable, Hashable {
    /// The name of its file or folder.
    public var name: String
    /// SHA-256 of the file with its factors.
    public var sha256: String?
    /// What it was multiplied by.
    public var weight: Double?
    /// What it says of its own making; without the fingerprint of a base, which is the child's.
    public var record: AdapterRecord? {
      get { records.first }
      set { records = newValue.map { [$0] } ?? [] }
    }
    // A struct can't hold itself.
    private var records: [AdapterRecord] = []

    /// Creates a description.
    public init(
      name: String, sha256: String? = nil, weight: Double? = nil, record: AdapterRecord? = nil
    ) {
      (self.name, self.sha256, self.weight) = (name, sha256, weight)
      self.record = record
    }
  }

  /// A setting or a result.
  public struct Entry: Sendable, Hashable {
    /// A number, a word or a switch.
    public enum Value: Sendable, Hashable {
      case number(Double)
      case text(String)
      case flag(Bool)
    }

    /// Its name, as in "learning_rate".
    public var name: String
    /// Its value.
    public var value: Value

    /// Creates an entry.
    public init(_ name: String, _ value: Value) { (self.name, self.value) = (name, value) }

    /// Creates an entry of a number.
    public init(_ name: String, _ value: Double) { self.init(name, .number(value)) }
  }

  /// How the adapter came to be.
  public var making: Making
  /// The program that made it, with its version.
  public var software: String
  /// The model that it is for.
  public var base: Base
  /// What it was trained for, as "text" or "classification".
  public var task: String?
  /// The licence that it is given under, if that was said.
  public var license: String?
  /// What it learned from, and what it was measured on.
  public var data: [DataFile]
  /// Its hyperparameters and those of its making, in the order in which they are shown.
  public var settings: [Entry]
  /// What came out, in the order in which it is shown.
  public var results: [Entry]
  /// What it was made of.
  public var parents: [Parent]

  /// Creates a record.
  public init(
    making: Making, software: String, base: Base = Base(), task: String? = nil,
    license: String? = nil, data: [DataFile] = [], settings: [Entry] = [], results: [Entry] = [],
    parents: [Parent] = []
  ) {
    (self.making, self.software, self.base) = (making, software, base)
    (self.task, self.license, self.data) = (task, license, data)
    (self.settings, self.results, self.parents) = (settings, results, parents)
  }

  /// The number of this name among the results.
  public func result(_ name: String) -> Double? {
    for entry in results where entry.name == name {
      if case .number(let number) = entry.value { return number }
    }
    return nil
  }
}

extension AdapterRecord {
  /// What the model at `path` is called for others: its name on the hub where the path is one or lies in
  /// the hub's cache, else the name of its folder or file. Never a path of this machine.
  public static func publicName(ofModel path: String) -> String {
    let pieces = path.split(separator: "/")
    let mark = "models--"
    if let cached = pieces.last(where: { $0.hasPrefix(mark) }) {
      return String(cached.dropFirst(mark.count)).replacing("--", with: "/")
    }
    let isAddress = pieces.count == 2 && !path.hasPrefix("/") && !path.hasPrefix(".")
    if isAddress, !path.hasSuffix("/"), !FileSystem.exists(path) { return path }
    if FileSystem.exists(path) { return FileSystem.name(of: FileSystem.absolute(path)) }
    return pieces.last.map(String.init) ?? path
  }

  /// The record of an adapter that is made of `parents`. The base is theirs, where those that name one
  /// agree.
  package init(
    making: Making, software: String, parents: [Parent], settings: [Entry]
  ) {
    let bases = parents.compactMap(\.record?.base)
    func agreed(_ value: (Base) -> String?) -> String? {
      let values = Set(bases.compactMap(value))
      return values.count == 1 ? values.first : nil
    }
    let fingerprints = bases.compactMap(\.fingerprint)
    let isOne = fingerprints.allSatisfy { fingerprints[0].agreement(with: $0) != .other }
    self.init(
      making: making, software: software,
      base: Base(
        name: agreed(\.name), fingerprint: isOne ? fingerprints.first : nil,
        license: agreed(\.license)),
      settings: settings,
      parents: parents.map { parent in
        var parent = parent
        parent.record?.base.fingerprint = nil
        return parent
      })
    if Set(parents.map(\.record?.license)).count == 1 { license = parents.first?.record?.license }
  }
}

extension AdapterRecord.DataFile {
  /// The file at `path`, with its hash; what follows a "#" names a tensor in it.
  public init(
    use: String, path: String, examples: Int? = nil, license: String? = nil
  ) throws(FormatError) {
    var (file, tensor) = (path, "")
    if !FileSystem.exists(path), let mark = path.lastIndex(of: "#") {
      (file, tensor) = (String(path[..<mark]), String(path[mark...]))
    }
    self.init(
      use: use, name: FileSystem.name(of: file) + tensor, sha256: try SHA256.digest(ofFile: file),
      examples: examples, license: license)
  }
}
