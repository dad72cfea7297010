public import LoRAFiles
import LoRAFormats
import LoRAJSON

// Folders as sentence-transformers lays them out: `modules.json` lists what follows the model.

extension SentenceEncoder {
  /// The encoder that the files beside `pretrained` describe: `modules.json`, the pooling's `config.json`,
  /// `sentence_bert_config.json` (the longest text) and `config_sentence_transformers.json` (a prompt).
  /// Without `modules.json` it is the mean, not normalized, as in sentence-transformers.
  ///
  /// Throws `FormatError` for modules and ways of pooling that are not supported, by name.
  public init(_ pretrained: PretrainedModel) throws(FormatError) {
    let folder = pretrained.directory?.path
    func object(_ name: String) throws(FormatError) -> JSONObject? {
      guard let folder else { return nil }
      let path = FileSystem.join(folder, name)
      return FileSystem.exists(path) ? try FileSystem.readObject(path) : nil
    }
    var (pooling, isNormalized) = (Pooling.mean, false)
    if let folder, FileSystem.exists(FileSystem.join(folder, "modules.json")) {
      (pooling, isNormalized) = try Self.modules(in: folder)
    }
    let limits = try object("sentence_bert_config.json")
    let settings = try object("config_sentence_transformers.json")
    let prompt = settings?["default_prompt_name"]?.stringValue.flatMap {
      settings?["prompts"]?[$0]?.stringValue
    }
    self.init(
      pretrained.model, pooling: pooling, isNormalized: isNormalized,
      longestText: limits?["max_seq_length"]?.intValue.map { max(1, $0) }, prompt: prompt ?? "",
      lowercases: limits?["do_lower_case"]?.boolValue ?? false)
  }

  /// What `modules.json` lists behind the model.
  private static func modules(
    in folder: String
  ) throws(FormatError) -> (pooling: Pooling, isNormalized: Bool) {
    let file = FileSystem.join(folder, "modules.json")
    let modules: [JSONValue]?
    do {
      modules = try JSONValue(parsing: try FileSystem.read(file, limit: 1 << 20)).arrayValue
    } catch let error as FormatError {
      throw error
    } catch {
      throw FormatError(.malformed, file: file, problem: "it is not JSON: \(error)")
    }
    var pooling: Pooling?
    var isNormalized = false
    for module in modules ?? [] {
      let type = module["type"]?.stringValue ?? ""
      let path = module["path"]?.stringValue ?? ""
      switch type.split(separator: ".").last {
      case "Transformer" where path.isEmpty && pooling == nil: break
      case "Transformer":
        throw FormatError(
          .unsupported, file: file, subject: "the model in '\(path)'",
          problem: "only a model that lies in the folder itself is read",
          remedy: "give the folder '\(path)' for the model alone")
      case "Pooling" where pooling == nil:
        pooling = try Self.pooling(FileSystem.join(FileSystem.join(folder, path), "config.json"))
      case "Normalize" where pooling != nil: isNormalized = true
      default:
        throw FormatError(
          .unsupported, file: file, subject: "the module '\(type)'",
          problem: "it is not computed here",
          remedy: "supported are Transformer, Pooling and Normalize, in this order")
      }
    }
    guard let pooling else {
      throw FormatError(
        .missingKey, file: file, problem: "it lists no Pooling",
        remedy: "sentence-transformers' encoders have one")
    }
    return (pooling, isNormalized)
  }

  /// What the file of a Pooling says: `pooling_mode`, or a flag for each way.
  private static func pooling(_ file: String) throws(FormatError) -> Pooling {
    let object = try FileSystem.readObject(file)
    var modes = object.filter { key, value in
      key.hasPrefix("pooling_mode_") && value.boolValue == true
    }.map { String($0.key.dropFirst("pooling_mode_".count)) }
    if let mode = object["pooling_mode"]?.stringValue { modes = [mode] }
    if object["include_prompt"]?.boolValue == false {
      throw FormatError(
        .unsupported, file: file, subject: "'include_prompt'",
        problem: "a prompt that is left out of the pooling is not supported")
    }
    switch modes {
    case ["mean_tokens"], ["mean"]: return .mean
    case ["cls_token"], ["cls"]: return .first
    case ["lasttoken"]: return .last
    case ["mean_sqrt_len_tokens"]: return .meanBySquareRoot
    default:
      throw FormatError(
        .unsupported, file: file, subject: "the pooling",
        problem: modes.isEmpty
          ? "no way of pooling is on" : "'\(modes.joined(separator: "' and '"))' is not supported",
        remedy: "supported are one of cls_token, lasttoken, mean_tokens and mean_sqrt_len_tokens")
    }
  }
}
