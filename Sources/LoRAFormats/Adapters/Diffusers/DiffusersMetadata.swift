import LoRAFiles
import LoRAJSON

/// `lora_adapter_metadata`: PEFT's configurations of the parts of a pipeline, `unet.r` and so on; of
/// a model that was saved alone, `r` and so on.
struct DiffusersMetadata {
  /// The configuration of each part that has one.
  private(set) var configurations: [String: PEFTAdapterConfiguration] = [:]
  /// The parts of the file that have none, although others do.
  private(set) var partsWithout: [String] = []
  /// What could not be matched.
  private(set) var notes: [AdapterNote] = []

  /// Reads the metadata of a file that has factors of `parts`.
  init(_ metadata: [String: String], file: String, parts: [String]) throws(FormatError) {
    let key = DiffusersAdapterFile.configurationKey
    guard let text = metadata[key], !text.isEmpty else { return }
    let place = "\(file) (\(key))"
    let object = try FileSystem.object(parsing: Array(text.utf8), file: place)
    var fields: [String: JSONObject] = [:]
    for part in ImageModuleNames.components {
      let own = Self.fields(of: part, in: object)
      if !own.isEmpty { fields[part] = own }
    }
    let bare = object.filter { !$0.key.contains(".") }
    if !bare.isEmpty {
      guard let part = parts.first, parts.count == 1, fields[part] == nil else {
        throw FormatError(
          .invalidValue, file: file, key: key,
          fields.isEmpty
            ? "it describes one model without saying which, and the file has factors of "
              + listed(parts)
            : "some of its fields have a part's name before them, others have none: "
              + listed(bare.map(\.key), limit: 3),
          remedy: "put the part's name before each field, as in '\(parts.first ?? "unet").r'")
      }
      fields[part] = JSONObject(bare.map { ($0.key, $0.value) })
    }
    for (part, object) in fields.sorted(by: { $0.key < $1.key }) {
      var object = object
      if object["peft_type"]?.isNull ?? true { object["peft_type"] = "LORA" }
      let configuration = try PEFTAdapterConfiguration(object, file: "\(place), \(part)")
      try PEFTAdapterFile.refuseChangedBase(configuration, "\(place), \(part)")
      configurations[part] = configuration
      if let note = configuration.noteOfUnknownFields { notes.append(note) }
    }
    partsWithout = parts.filter { fields[$0] == nil }
    noteUnmatched(object, parts: parts)
  }

  /// The fields of the part, without its name.
  static func fields(of part: String, in object: JSONObject) -> JSONObject {
    JSONObject(
      object.filter { $0.key.hasPrefix(part + ".") }
        .map { (String($0.key.dropFirst(part.count + 1)), $0.value) })
  }

  private mutating func noteUnmatched(_ object: JSONObject, parts: [String]) {
    let key = DiffusersAdapterFile.configurationKey
    if let first = partsWithout.first {
      notes.append(
        AdapterNote(
          text: "\(key) says nothing of '\(first)'"
            + (partsWithout.count > 1 ? " and \(partsWithout.count - 1) more" : "")
            + ": its alphas are not in the file, and it is read with a scale of 1"))
    }
    let prefixes = Set(object.compactMap { $0.key.split(separator: ".").first.map(String.init) })
    let strangers = prefixes.filter { prefix in
      !parts.contains(prefix) && object.contains { $0.key.hasPrefix(prefix + ".") }
    }.sorted()
    if !strangers.isEmpty {
      notes.append(
        AdapterNote(
          text: "\(key) describes \(listed(strangers)), of which the file has no factors"))
    }
  }
}
