import LoRAFiles
import LoRAKit

/// The adapters of a chat by the names that a person calls them, and which of them answer.
struct ChatAdapters {
  /// The names, in the order of the command line.
  let names: [String]
  /// What answers.
  private(set) var selection: AdapterSelection

  /// Names for adapters at `paths`: what their folder or file is called, with a number where two are called
  /// the same.
  static func names(of paths: [String]) -> [String] {
    var names: [String] = []
    for path in paths {
      var name = path.split(separator: "/").last.map(String.init) ?? path
      for ending in [".gguf", ".safetensors"] where name.hasSuffix(ending) {
        name.removeLast(ending.count)
      }
      // What parts names and strengths can't be in a name.
      name = String(name.map { $0 == ":" || $0 == " " ? "-" : $0 })
      var candidate = name
      var number = 2
      while names.contains(candidate) {
        candidate = "\(name)-\(number)"
        number += 1
      }
      names.append(candidate)
    }
    return names
  }

  init(names: [String], selection: AdapterSelection) {
    self.names = names
    self.selection = selection
  }

  /// What answers, in words.
  var description: String {
    let parts = names.compactMap { name in
      selection.strengths[name].map { $0 == 1 ? name : "\(name):\($0)" }
    }
    return parts.isEmpty ? "base" : parts.joined(separator: " + ")
  }

  /// What can be chosen, in words.
  private var known: String {
    switch names.count {
    case 0: "start with --adapter PATH"
    case 1: "there is '\(names[0])'"
    default: "there are '\(names.joined(separator: "', '"))'"
    }
  }

  /// Chooses the adapters that `arguments` name, as `NAME` or `NAME:STRENGTH`.
  mutating func choose(_ arguments: [String]) throws(CommandError) {
    guard !arguments.isEmpty else { throw CommandError("/adapter needs a name; \(known)") }
    var chosen = AdapterSelection()
    for argument in arguments {
      let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard names.contains(name) else {
        throw CommandError("there is no adapter '\(name)'; \(known)")
      }
      chosen.strengths[name] = parts.count == 1 ? 1 : try Self.strength(String(parts[1]))
    }
    selection = chosen
  }

  /// Gives the chosen adapters another strength.
  mutating func scale(_ text: String) throws(CommandError) {
    let strength = try Self.strength(text)
    guard !selection.strengths.isEmpty else {
      throw CommandError("no adapter is chosen; /adapter NAME chooses one")
    }
    for name in selection.strengths.keys { selection.strengths[name] = strength }
  }

  /// Chooses none.
  mutating func chooseNone() { selection = [:] }

  private static func strength(_ text: String) throws(CommandError) -> Float {
    guard let strength = Float(text), strength.isFinite else {
      throw CommandError("'\(text)' is no strength; give a number, as 0.7")
    }
    return strength
  }
}
