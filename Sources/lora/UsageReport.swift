import ArgumentParser

/// What is wrong with arguments that can't be parsed, in one line, with what was probably meant.
enum UsageReport {
  /// The line for `error`, which parsing `arguments` ended with.
  static func line(for error: any Error, arguments: [String]) -> String {
    let (commands, rest) = commands(in: asked(arguments))
    let name = commands.map { $0._commandName }.joined(separator: " ")
    let command = commands.last ?? LoRACommand.self
    let text =
      unknownCommand(rest, of: command, name) ?? unknownOption(rest, of: command, name)
      ?? LoRACommand.message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
    if text.hasSuffix("?") { return "\(text) See '\(name) --help'" }
    return "\(text.hasSuffix(".") ? String(text.dropLast()) : text); see '\(name) --help'"
  }

  /// The mistake in arguments that ask for help with a command that is not there; nil if there is
  /// none. ArgumentParser shows other help without a word.
  static func wrongRequest(for arguments: [String]) -> String? {
    guard arguments.first == "help" else { return nil }
    let (commands, rest) = commands(in: asked(arguments))
    let name = commands.map { $0._commandName }.joined(separator: " ")
    guard let text = unknownCommand(rest, of: commands.last ?? LoRACommand.self, name) else {
      return nil
    }
    return text + (text.hasSuffix("?") ? " See" : "; see") + " '\(name) --help'"
  }

  /// What help was asked for with: `help train` is about `train`.
  private static func asked(_ arguments: [String]) -> [String] {
    arguments.first == "help" ? Array(arguments.dropFirst()) : arguments
  }

  /// The commands that the arguments begin with, the program first, and what follows them.
  private static func commands(
    in arguments: [String]
  ) -> (commands: [any ParsableCommand.Type], rest: [String]) {
    var commands: [any ParsableCommand.Type] = [LoRACommand.self]
    var rest = arguments[...]
    while let name = rest.first,
      let next = commands.last?.configuration.subcommands.first(where: { $0._commandName == name })
    {
      commands.append(next)
      rest.removeFirst()
    }
    return (commands, Array(rest))
  }

  private static func unknownCommand(
    _ rest: [String], of command: any ParsableCommand.Type, _ name: String
  ) -> String? {
    let known = command.configuration.subcommands.map { $0._commandName }
    guard !known.isEmpty, let word = rest.first, !word.hasPrefix("-"), word != "help" else {
      return nil
    }
    if let guess = nearest(to: word, among: known + options(of: command).keys.sorted()) {
      return "'\(name)' has no command '\(word)'; did you mean '\(guess)'?"
    }
    return "'\(name)' has no command '\(word)', only \(known.joined(separator: ", "))"
  }

  /// The first option that the command does not have. ArgumentParser reports a required one that is
  /// missing before one that is misspelt, which is often the same.
  private static func unknownOption(
    _ rest: [String], of command: any ParsableCommand.Type, _ name: String
  ) -> String? {
    let known = options(of: command)
    for (index, argument) in rest.enumerated() {
      if argument == "--" { return nil }
      let option = String(argument.prefix { $0 != "=" })
      guard option.hasPrefix("-"), option.drop(while: { $0 == "-" }).first?.isLetter == true,
        known[option] == nil
      else { continue }
      // Text after an option that takes any is that text.
      if index > 0, known[rest[index - 1]] == true { continue }
      let long = known.keys.filter { $0.hasPrefix("--") }.sorted()
      if let guess = nearest(to: option, among: long) {
        return "'\(name)' has no option '\(option)'; did you mean '\(guess)'?"
      }
      return "'\(name)' has no option '\(option)'"
    }
    return nil
  }

  /// The options of the command, and whether they take a value, by its help.
  static func options(of command: any ParsableCommand.Type) -> [String: Bool] {
    var options: [String: Bool] = [:]
    let help = LoRACommand.helpMessage(for: command, columns: 10_000)
    for line in help.split(separator: "\n") where line.hasPrefix("  -") {
      guard let label = HelpText.split(String(line))?.label else { continue }
      for name in label.split(whereSeparator: { " ,/".contains($0) }) where name.hasPrefix("-") {
        options[String(name)] = label.contains("<")
      }
    }
    return options
  }

  /// What `word` was probably meant to be: the same but for a few letters, its beginning or end, or
  /// its initials, as `--lr` of `--learning-rate`.
  static func nearest(to word: String, among known: [String]) -> String? {
    func bare(_ text: String) -> String {
      String(text.lowercased().replacing("_", with: "-").drop { $0 == "-" })
    }
    let wanted = bare(word)
    let near = known.map { (name: $0, distance: distance(wanted, bare($0))) }
      .filter { $0.distance <= max(1, wanted.count / 3) && $0.distance < bare($0.name).count }
      .min { $0.distance < $1.distance }
    if let near { return near.name }
    return known.first { name in
      let name = bare(name)
      let initials = String(name.split(separator: "-").compactMap(\.first))
      return wanted.count > 2 && name.hasPrefix(wanted) || wanted.hasPrefix(name + "-")
        || wanted.hasSuffix("-" + name) || wanted.count > 1 && wanted == initials
    }
  }

  /// How many letters have to be put in, left out, changed or swapped with their neighbour.
  private static func distance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first), Array(second))
    var rows = [Array(0...b.count)]
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var best = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
          best = min(best, rows[i - 1][j - 1] + 1)
        }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }
}
