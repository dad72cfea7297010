import LoRAJSON
import LoRAKit

extension SweepCommand {
  /// Writes the sweep as one JSON object or as a table.
  func report(_ sweep: StrengthSweep) throws {
    if output.isJSON { return try StandardOutput.json(json(sweep)) }
    let lines = sweep.adapters.count == 1 ? Self.list(sweep) : Self.grid(sweep)
    for line in lines { try StandardOutput.line(line) }
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
        numbers.strength(setting.strengths[0]), numbers.loss(setting.evaluation.nll),
        lora.decimal(setting.evaluation.perplexity, 4), setting == sweep.best ? "best" : "",
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
      numbers.loss(setting.evaluation.nll) + (setting == sweep.best ? "*" : " ")
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
    func json(_ setting: StrengthSweep.Setting) -> JSONValue {
      [
        "strengths": JSONValue(setting.strengths.map { Double("\($0)") ?? Double($0) }),
        "nll": .number(setting.evaluation.nll),
        "perplexity": .number(setting.evaluation.perplexity),
      ]
    }
    return [
      "adapters": JSONValue(adapters.map(\.path)),
      "tokens": JSONValue(sweep.best.evaluation.tokens),
      "settings": .array(sweep.settings.map(json)), "best": json(sweep.best),
    ]
  }
}
