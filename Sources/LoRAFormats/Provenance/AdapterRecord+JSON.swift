package import LoRAFiles
package import LoRAJSON

extension AdapterRecord {
  /// The record as JSON; what is not known is left out.
  package var json: JSONValue {
    var object: JSONObject = [
      "version": .integer(Int64(Self.version)), "software": .string(software),
      "made_by": .string(making.rawValue),
    ]
    object["task"] = task.map { .string($0) }
    object["license"] = license.map { .string($0) }
    var base: JSONObject = [:]
    base["name"] = self.base.name.map { .string($0) }
    base["license"] = self.base.license.map { .string($0) }
    base["fingerprint"] = self.base.fingerprint?.json
    if !base.isEmpty { object["base"] = .object(base) }
    if !data.isEmpty { object["data"] = .array(data.map(\.json)) }
    for (key, entries) in [("settings", settings), ("results", results)] where !entries.isEmpty {
      object[key] = .object(JSONObject(entries.map { ($0.name, $0.value.json) }))
    }
    if !parents.isEmpty { object["parents"] = .array(parents.map(\.json)) }
    return .object(object)
  }

  /// The record in the metadata of a file; nil where it has none, or one of a later form.
  package init?(metadata: [String: String], file: String) throws(FormatError) {
    guard let text = metadata[Self.metadataKey], !text.isEmpty else { return nil }
    let remedy =
      "the file is damaged; without its metadata it loads as an adapter of unknown making"
    let value: JSONValue
    do {
      value = try JSONValue(parsing: text)
    } catch {
      throw FormatError(
        .malformed, file: file, key: Self.metadataKey, "it is no JSON: \(error)", remedy: remedy)
    }
    guard let object = value.objectValue else {
      throw FormatError(
        .typeMismatch, file: file, key: Self.metadataKey,
        "expected an object, found \(value.kind)", remedy: remedy)
    }
    try self.init(JSONFields(object: object, file: file, prefix: "\(Self.metadataKey)."))
  }

  private init?(_ fields: JSONFields) throws(FormatError) {
    guard let version = try fields.int("version") else {
      throw fields.error(.missingKey, "version", "the record does not say which form it has")
    }
    guard version == Self.version else { return nil }
    guard let making = Making(rawValue: try fields.string("made_by") ?? "") else {
      throw fields.error(
        .invalidValue, "made_by",
        "expected one of \(listed(Making.allCases.map(\.rawValue))), found "
          + (fields["made_by"]?.encoded() ?? "nothing"))
    }
    self.init(making: making, software: try fields.string("software") ?? "")
    task = try fields.string("task")
    license = try fields.string("license")
    if let base = try fields.object("base") {
      self.base.name = try base.string("name")
      self.base.license = try base.string("license")
      if let print = try base.object("fingerprint") {
        self.base.fingerprint = try BaseFingerprint(print)
      }
    }
    for item in try fields.objects("data") { data.append(try DataFile(item)) }
    settings = try Self.entries(fields, "settings")
    results = try Self.entries(fields, "results")
    for item in try fields.objects("parents") {
      var parent = Parent(
        name: try item.string("name") ?? "", sha256: try item.string("sha256"),
        weight: try item.double("weight"))
      if let record = try item.object("record") { parent.record = try Self(record) }
      parents.append(parent)
    }
  }

  private static func entries(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> [Entry] {
    guard let values = try fields.object(key) else { return [] }
    var entries: [Entry] = []
    for (name, value) in values.object {
      switch value {
      case .integer, .number: entries.append(Entry(name, value.doubleValue ?? 0))
      case .string(let text): entries.append(Entry(name, .text(text)))
      case .bool(let flag): entries.append(Entry(name, .flag(flag)))
      default:
        throw values.error(
          .typeMismatch, name, "expected a number, a word or true or false, found \(value.kind)")
      }
    }
    return entries
  }
}

extension AdapterRecord.Entry.Value {
  /// The value as JSON: whole numbers without a point.
  package var json: JSONValue {
    switch self {
    case .number(let number): Int64(exactly: number).map { .integer($0) } ?? .number(number)
    case .text(let text): .string(text)
    case .flag(let flag): .bool(flag)
    }
  }
}

extension AdapterRecord.DataFile {
  fileprivate init(_ fields: JSONFields) throws(FormatError) {
    self.init(
      use: try fields.string("use") ?? "", name: try fields.string("name") ?? "",
      sha256: try fields.string("sha256"), examples: try fields.int("examples"),
      license: try fields.string("license"))
  }

  fileprivate var json: JSONValue {
    var object: JSONObject = ["use": .string(use), "name": .string(name)]
    object["sha256"] = sha256.map { .string($0) }
    object["examples"] = examples.map { .integer(Int64($0)) }
    object["license"] = license.map { .string($0) }
    return .object(object)
  }
}

extension AdapterRecord.Parent {
  fileprivate var json: JSONValue {
    var object: JSONObject = ["name": .string(name)]
    object["sha256"] = sha256.map { .string($0) }
    object["weight"] = weight.map { .number($0) }
    object["record"] = record?.json
    return .object(object)
  }
}

extension JSONFields {
  /// A list of objects; empty if absent.
  fileprivate func objects(_ key: String) throws(FormatError) -> [JSONFields] {
    guard let value = self[key] else { return [] }
    guard let array = value.arrayValue else {
      throw error(.typeMismatch, key, "expected a list of objects, found \(value.kind)")
    }
    var result: [JSONFields] = []
    for (index, element) in array.enumerated() {
      guard let object = element.objectValue else {
        throw error(.typeMismatch, key, "expected a list of objects, found \(element.kind) in it")
      }
      result.append(JSONFields(object: object, file: file, prefix: "\(prefix)\(key)[\(index)]."))
    }
    return result
  }
}
