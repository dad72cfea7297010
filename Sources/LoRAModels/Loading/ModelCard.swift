import LoRAFiles

/// What the head of a model's `README.md` says that a GGUF file can say too: its licence and its tags.
///
/// Source: Hugging Face's model cards, YAML between two lines of "---". Only single values and lists of
/// them are read; everything else is left alone.
struct ModelCard {
  private var texts: [String: String] = [:]
  private var lists: [String: [String]] = [:]

  /// Reads the card in `folder`; empty where there is none.
  init(folder: String) throws(FormatError) {
    let path = FileSystem.join(folder, "README.md")
    guard FileSystem.exists(path),
      let text = String(validating: try FileSystem.read(path), as: UTF8.self)
    else { return }
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else { return }
    var key = ""
    for line in lines[1..<end] {
      let entry = line.drop { $0 == " " }
      if entry.hasPrefix("- ") {
        let value = Self.value(entry.dropFirst(2))
        // Lists of objects are no lists of words.
        if !value.contains(": ") { lists[key, default: []].append(value) }
      } else if entry.count == line.count, let colon = line.firstIndex(of: ":") {
        key = String(line[..<colon])
        let value = Self.value(line[line.index(after: colon)...])
        if !value.isEmpty { texts[key] = value }
      } else {
        key = ""
      }
    }
  }

  private static func value(_ text: Substring) -> String {
    var value = text.drop { $0 == " " }
    while value.last == " " { value.removeLast() }
    for quote in ["\"", "'"]
    where value.count > 1 && value.hasPrefix(quote) && value.hasSuffix(quote) {
      value = value.dropFirst().dropLast()
    }
    return String(value)
  }

  /// The words under `key`, of which files may have one or several.
  private func words(_ key: String) -> [String] {
    lists[key] ?? texts[key].map { $0.hasPrefix("[") ? [] : [$0] } ?? []
  }

  /// The licences; nil where it names none.
  var license: String? {
    let words = words("license")
    return words.isEmpty ? nil : words.joined(separator: ",")
  }

  /// Its part of a GGUF file.
  var keyValues: [GGUFFile.KeyValue] {
    var values: [GGUFFile.KeyValue] = []
    if let licence = license {
      values.append(.init(key: "general.license", value: .string(licence)))
    }
    for key in ["license_name", "license_link"] {
      guard let text = texts[key] else { continue }
      values.append(
        .init(key: "general.\(key.replacing("_", with: "."))", value: .string(text)))
    }
    let tags = words("tags") + words("pipeline_tag")
    if !tags.isEmpty { values.append(.init(key: "general.tags", value: .strings(tags))) }
    let languages = words("language")
    if !languages.isEmpty {
      values.append(.init(key: "general.languages", value: .strings(languages)))
    }
    return values
  }
}
