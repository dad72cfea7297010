import LoRAFormats
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What a file of training data holds: token rows, objects a line, a table or text, told apart by
  /// the content; how many rows there are, and how long they are.
  init(dataFile path: String, _ content: PathContent) throws {
    let bytes = try FileSystem.read(path)
    guard let first = bytes.first(where: { !Self.isBlank($0) }) else {
      throw FormatError(.invalidValue, file: path, problem: "it holds nothing but blanks")
    }
    if content == .json, first == UInt8(ascii: "[") {
      try self.init(tokenRows: path)
    } else if content == .json {
      try self.init(objectLines: path, bytes)
    } else if [".csv", ".tsv"].contains(where: path.lowercased().hasSuffix) {
      try self.init(table: path)
    } else {
      try self.init(text: path, bytes)
    }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  // MARK: - Kinds of data

  private init(tokenRows path: String) throws {
    let rows = try TokenRows(path, defaultName: "train").rows
    let lengths = Lengths(rows.map(\.count))
    let greatest = rows.lazy.compactMap { $0.max() }.max() ?? 0
    self.init(kind: "token rows", path, rows: rows.count, unit: "tokens", lengths)
    object["greatest_id"] = JSONValue(greatest)
    lines.append("greatest id \(greatest)")
  }

  private init(objectLines path: String, _ bytes: [UInt8]) throws {
    var fields: [String: [Int]] = [:]
    var order: [String] = []
    var count = 0
    for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
    {
      if line.allSatisfy(Self.isBlank) { continue }
      let place = "line \(index + 1)"
      let value: JSONValue
      do throws(JSONError) {
        value = try JSONValue(parsing: line)
      } catch {
        // One object on several lines, as configurations are.
        if count == 0, let whole = (try? JSONValue(parsing: bytes))?.objectValue {
          self.init(kind: "a JSON object", path, rows: 1)
          lines.append("fields: " + whole.keys.joined(separator: ", "))
          object["fields"] = JSONValue(Array(whole.keys))
          return
        }
        throw FormatError(
          .malformed, file: path, subject: place, problem: "it is not JSON: \(error.message)",
          remedy: "data have an object on each line")
      }
      guard let row = value.objectValue else {
        throw FormatError(
          .typeMismatch, file: path, subject: place,
          problem: "expected an object, found \(value.kind)")
      }
      count += 1
      for (key, value) in row {
        if fields[key] == nil { order.append(key) }
        fields[key, default: []].append(
          value.stringValue?.unicodeScalars.count ?? value.arrayValue?.count ?? 0)
      }
    }
    self.init(kind: "objects, one a line", path, rows: count)
    add(order.map { ($0, fields[$0] ?? []) }, of: count)
  }

  private init(table path: String) throws {
    var reader = try CSVReader(path: path)
    guard let header = try reader.next()?.fields else {
      throw FormatError(.invalidValue, file: path, problem: "it has no line of names")
    }
    var count = 0
    var lengths = header.map { _ in [Int]() }
    while let row = try reader.next() {
      count += 1
      for (column, field) in row.fields.prefix(header.count).enumerated() {
        lengths[column].append(field.unicodeScalars.count)
      }
    }
    self.init(kind: "a table", path, rows: count)
    add(Array(zip(header, lengths)), of: count)
  }

  private init(text path: String, _ bytes: [UInt8]) throws {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw FormatError(
        .malformed, file: path, problem: "it is not UTF-8 text", remedy: "convert it to UTF-8")
    }
    let lines = bytes.split(separator: 0x0A).map(\.count)
    self.init(kind: "text", path, rows: lines.count, unit: "bytes", Lengths(lines))
    object["characters"] = JSONValue(text.unicodeScalars.count)
    self.lines.append("\(grouped(text.unicodeScalars.count)) characters")
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
    kind: String, _ path: String, rows: Int, unit: String = "", _ lengths: Lengths? = nil
  ) {
    object = ["kind": .string(kind), "path": .string(path), "rows": JSONValue(rows)]
    lines = ["\(kind): \(counted(rows, "row"))"]
    guard let lengths else { return }
    object["lengths"] = lengths.json
    lines.append(
      "\(unit) a row: \(lengths.least) to \(lengths.greatest), \(decimal(lengths.mean, 1)) on average"
    )
  }

  private mutating func add(_ fields: [(name: String, lengths: [Int])], of rows: Int) {
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
          "\(lengths.greatest)", values.count < rows ? "missing in \(rows - values.count)" : "",
        ]
      }, header: ["field", "rows", "shortest", "mean", "longest", ""])
  }
}
