import LoRAFormats
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What an adapter says of its making.
  mutating func add(_ record: AdapterRecord) {
    object["record"] = record.json
    lines += record.lines.map { TerminalText.shortened($0, limit: 1000) }
  }
}

extension AdapterRecord {
  /// The record for people, a line a matter.
  fileprivate var lines: [String] {
    var lines = ["made by \(software), \(making.word)" + (task.map { " for \($0)" } ?? "")]
    if let license { lines.append("licence: \(license)") }
    var parts = [base.name].compactMap(\.self)
    if let fingerprint = base.fingerprint { parts.append("fingerprint \(fingerprint)") }
    if let license = base.license { parts.append("licence \(license)") }
    if !parts.isEmpty { lines.append("made for: " + parts.joined(separator: ", ")) }
    for file in data {
      let facts = [
        file.examples.map { counted($0, "example") },
        file.sha256.map { "sha256 \($0.prefix(12))" }, file.license.map { "licence \($0)" },
      ].compactMap(\.self)
      lines.append("\(file.use) data: " + ([file.name] + facts).joined(separator: ", "))
    }
    for (title, entries) in [("settings", settings), ("results", results)] where !entries.isEmpty {
      lines.append(
        "\(title): " + entries.map { "\($0.name) \($0.value.text)" }.joined(separator: ", "))
    }
    for parent in parents {
      let weight = parent.weight.map { " times \(AdapterRecord.Entry.Value.number($0).text)" } ?? ""
      lines.append("made of: \(parent.name)\(weight)")
      lines += (parent.record?.lines ?? []).map { "  \($0)" }
    }
    return lines
  }
}

extension AdapterRecord.Making {
  /// As a participle.
  fileprivate var word: String {
    switch self {
    case .training: "trained"
    case .combination: "combined"
    case .extraction: "extracted"
    case .reduction: "reduced"
    }
  }
}

extension AdapterRecord.Entry.Value {
  /// For people: numbers with as many digits as tell something.
  var text: String {
    switch self {
    case .number(let number):
      Int64(exactly: number).map { "\($0)" }
        ?? (number.magnitude < 1e-3 ? "\(number)" : decimal(number, 5))
    case .text(let text): text
    case .flag(let flag): flag ? "yes" : "no"
    }
  }
}
