import LoRAJSON
import LoRAKit

extension SweepCommand {
  /// Writes the sweep as one JSON object or as a table.
  func report(_ sweep: StrengthSweep) throws {
    if output.isJSON { return try StandardOutput.json(json(sweep)) }
    let lines = sweep.adapters.count == 1 ? Self.list(sweep) : Self.grid(sweep)
    for line in lines { try StandardOutput.line(line) }
    let lost = sweep.settings.filter { $0.evaluation == nil }.count
    if lost > 0 {
      StandardError.line(
        "warning: what the model computes is not finite at \(lost) of \(sweep.settings.count) settings"
      )
    }
    // As --adapter takes it.
    let best = zip(sweep.adapters, sweep.best.strengths).map { "\($0):\(Self.decimal($1))" }
    try StandardOutput.line(
      "best: \(best.joined(separator: " ")), "
        + "NLL \(sweep.numbers.loss(sweep.best.evaluation.nll)) over "
        + counted(sweep.best.evaluation.tokens, "token"))
  }

  /// A line a strength.
  private static func list(_ sweep: StrengthSweep) -> [String] {
    let numbers = sweep.numbers
    let rows = sweep.settings.map { setting in
      [
        numbers.strength(setting.strengths[0]),
        setting.evaluation.map { numbers.loss($0.nll) } ?? "not finite",
        setting.evaluation.map { perplexityText($0) } ?? "", sweep.isBest(setting) ? "best" : "",
      ]
    }
    return InspectCommand.Report.table(rows, header: ["strength", "NLL", "perplexity", ""])
  }

  /// The losses where the plot has them: the first adapter's strength grows to the right, the
  /// second one's upwards.
  private static func grid(_ sweep: StrengthSweep) -> [String] {
    let (count, numbers) = (sweep.grid.count, sweep.numbers)
    let strengths = sweep.grid.map { numbers.strength($0) }
    let losses = sweep.settings.map { setting in
      (setting.evaluation.map { numbers.loss($0.nll) } ?? "-")
        + (sweep.isBest(setting) ? "*" : " ")
    }
    let width = ((losses + strengths.map { $0 + " " }).map(\.count).max() ?? 0) + 2
    let margin = strengths.map(\.count).max() ?? 0
    func line(_ label: String, _ cells: [String]) -> String {
      let text = label.padded(from: margin) + cells.map { $0.padded(from: width) }.joined()
      return String(text.reversed().drop { $0 == " " }.reversed())
    }
    let rows = strengths.indices.reversed().map { second in
      line(strengths[second], strengths.indices.map { losses[$0 * count + second] })
    }
    return [
      "NLL by strength: of \(sweep.adapters[0]) to the right, of \(sweep.adapters[1]) upwards; "
        + "* the best"
    ] + rows + [line("", strengths.map { $0 + " " })]
  }

  /// The shortest number that is this strength: 0.5, 1, 0.16666667.
  private static func decimal(_ strength: Float) -> String {
    let text = "\(strength)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private func json(_ sweep: StrengthSweep) -> JSONObject {
    func json(_ strengths: [Float], _ evaluation: Evaluation?) -> JSONValue {
      [
        "strengths": JSONValue(strengths.map { Double("\($0)") ?? Double($0) }),
        "nll": evaluation.map { .number($0.nll) } ?? .null,
        "perplexity": evaluation.map { .number($0.perplexity) } ?? .null,
      ]
    }
    return [
      "adapters": JSONValue(adapters.map(\.path)),
      "tokens": JSONValue(sweep.best.evaluation.tokens),
      "settings": .array(sweep.settings.map { json($0.strengths, $0.evaluation) }),
      "best": json(sweep.best.strengths, sweep.best.evaluation),
    ]
  }
}
