import LoRAFiles
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What a file of training data holds, read as training reads it: how many examples there are, and
  /// how long they are.
  init(dataFile path: String) throws {
    let file = try DataFile(path)
    var contents = Contents()
    do {
      try file.forEachRawRecord { contents.add($0) }
    } catch let error as FormatError {
      // One object on several lines, as configurations are.
      guard file.format == .jsonLines, contents.isEmpty,
        let whole = (try? JSONValue(parsing: FileSystem.read(path)))?.objectValue
      else { throw error }
      self.init(kind: "a JSON object", path, examples: 1)
      lines.append("fields: " + whole.keys.joined(separator: ", "))
      object["fields"] = JSONValue(Array(whole.keys))
      return
    }
    try self.init(file, contents)
  }

  /// What the records of a data file are.
  private struct Contents {
    var tokens: [Int] = []
    var greatestID = 0
    var texts: [String] = []
    /// The lengths of each field's values: characters of a text, elements of a list.
    var fields: [String: [Int]] = [:]
    var names: [String] = []
    var records = 0

    var isEmpty: Bool { tokens.isEmpty && texts.isEmpty && records == 0 }

    mutating func add(_ record: RawRecord) {
      switch record {
      case .text(let text): texts.append(text)
      case .tokens(let ids):
        tokens.append(ids.count)
        greatestID = max(greatestID, ids.max() ?? 0)
      case .fields(let values):
        records += 1
        for (name, value) in values {
          if fields[name] == nil { names.append(name) }
          fields[name, default: []].append(
            value.stringValue?.unicodeScalars.count ?? value.arrayValue?.count ?? 0)
        }
      }
    }
  }

  private init(_ file: DataFile, _ contents: Contents) throws {
    let path = file.path
    guard !contents.isEmpty else {
      throw FormatError(
        .invalidValue, file: path, problem: "read as \(file.format.title), it holds no example")
    }
    guard contents.tokens.isEmpty || contents.records == 0 else {
      throw FormatError(
        .typeMismatch, file: path,
        problem: "it holds \(counted(contents.records, "object")) and "
          + "\(counted(contents.tokens.count, "sequence")) of token ids",
        remedy: "give all records of a file one form")
    }
    if !contents.tokens.isEmpty {
      self.init(
        kind: "token sequences", path, examples: contents.tokens.count, each: "sequence",
        unit: "tokens",
        Lengths(contents.tokens))
      object["greatest_id"] = JSONValue(contents.greatestID)
      lines.append("greatest id \(contents.greatestID)")
    } else if let text = contents.texts.first {
      let lengths = text.utf8.split(separator: 0x0A).map(\.count)
      self.init(
        kind: "text", path, examples: lengths.count, each: "line", unit: "bytes", Lengths(lengths))
      object["characters"] = JSONValue(text.unicodeScalars.count)
      lines.append("\(grouped(text.unicodeScalars.count)) characters")
    } else {
      let kind =
        switch file.format {
        case .csv: "a table"
        case .json: "objects, in a list"
        case .jsonLines, .text, .safetensors: "objects, one a line"
        }
      self.init(kind: kind, path, examples: contents.records)
      add(contents.names.map { ($0, contents.fields[$0] ?? []) }, of: contents.records)
    }
    if !file.isNamed { lines.append("note: \(file.format.assumption)") }
  }

  // MARK: - Lines

  /// The least, the mean and the greatest of some lengths.
  private struct Lengths {
    let least: Int
    let mean: Double
    let greatest: Int

    init(_ lengths: [Int]) {
      least = lengths.min() ?? 0
      greatest = lengths.max() ?? 0
      mean = lengths.isEmpty ? 0 : lengths.reduce(0.0) { $0 + Double($1) } / Double(lengths.count)
    }

    var json: JSONValue {
      ["least": JSONValue(least), "mean": .number(mean), "greatest": JSONValue(greatest)]
    }
  }

  private init(
    kind: String, _ path: String, examples: Int, each: String = "example", unit: String = "",
    _ lengths: Lengths? = nil
  ) {
    object = ["kind": .string(kind), "path": .string(path), "rows": JSONValue(examples)]
    lines = ["\(kind): \(counted(examples, each))"]
    guard let lengths else { return }
    object["lengths"] = lengths.json
    lines.append(
      "\(unit) per \(each): \(lengths.least) to \(lengths.greatest), \(decimal(lengths.mean, 1)) on average"
    )
  }

  private mutating func add(_ fields: [(name: String, lengths: [Int])], of examples: Int) {
    object["fields"] = .array(
      fields.map { name, lengths in
        [
          "name": .string(name), "rows": JSONValue(lengths.count), "lengths": Lengths(lengths).json,
        ]
      })
    lines += Self.table(
      fields.map { name, values in
        let lengths = Lengths(values)
        return [
          name, grouped(values.count), "\(lengths.least)", decimal(lengths.mean, 1),
          "\(lengths.greatest)",
          values.count < examples ? "missing in \(examples - values.count)" : "",
        ]
      }, header: ["field", "examples", "shortest", "mean", "longest", ""])
  }
}
