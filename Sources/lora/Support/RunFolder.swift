import ArgumentParser
import Foundation
import LoRAFiles
import LoRAJSON
import LoRAKit

/// A training that can be resumed, in the folder that its result will lie in: how it was begun, and
/// the states that were saved.
struct RunFolder {
  let path: String

  private static let recipeName = "lora-run.json"
  private static let historyName = "lora-run-history.jsonl"

  /// Whether a file of this name is part of a run.
  static func owns(_ name: String) -> Bool {
    name == recipeName || name == historyName || step(of: name) != nil
  }

  /// The step of the state in a file of this name; nil if it is none.
  private static func step(of name: String) -> Int? {
    guard name.hasPrefix("lora-run-"), name.hasSuffix(".safetensors") else { return nil }
    return Int(name.dropFirst("lora-run-".count).dropLast(".safetensors".count))
  }

  private func file(_ name: String) -> String { FileSystem.join(path, name) }

  /// Removes what a killed process left of files that it was writing.
  func recover() { AtomicFile.removeLeftovers(in: path, of: Self.owns) }

  // MARK: How it was begun

  /// The arguments that the run was begun with, the folder that they are read in, and whether it came
  /// to its end.
  struct Recipe {
    var arguments: [String]
    var folder: String
    var isFinished = false
  }

  /// Whether a run lies here.
  var exists: Bool { FileSystem.exists(file(Self.recipeName)) }

  /// Reads how the run was begun.
  func recipe() throws -> Recipe {
    guard exists else {
      throw CommandError(
        "\(path): there is no training to resume; one that was begun with --checkpoint-every can be"
      )
    }
    let object = try FileSystem.readObject(file(Self.recipeName))
    guard object["version"]?.intValue == 1,
      let arguments = object["arguments"]?.arrayValue?.map(\.stringValue),
      let folder = object["folder"]?.stringValue, let isFinished = object["finished"]?.boolValue,
      arguments.allSatisfy({ $0 != nil })
    else {
      throw CommandError(
        "\(file(Self.recipeName)): it is damaged, or of a later version of lora")
    }
    return Recipe(
      arguments: arguments.compactMap(\.self), folder: folder, isFinished: isFinished)
  }

  /// Writes how the run was begun, before its first step or when it has ended.
  func write(_ recipe: Recipe) throws {
    let object: JSONObject = [
      "version": 1, "arguments": JSONValue(recipe.arguments), "folder": .string(recipe.folder),
      "finished": .bool(recipe.isFinished),
    ]
    try FileSystem.makeFolder(path)
    try AtomicFile.write(Array((object.encoded() + "\n").utf8), to: file(Self.recipeName))
  }

  // MARK: How far it came

  /// The file of what happened in the run, for its report.
  var history: String { file(Self.historyName) }

  /// The steps of the states that were saved, the last one first.
  private var steps: [(step: Int, name: String)] {
    FileSystem.names(in: path).compactMap { name in Self.step(of: name).map { ($0, name) } }
      .sorted { $0.step > $1.step }
  }

  /// Saves `state`, and removes all but the last `count` states.
  func save(_ state: TrainingState, keeping count: Int) throws {
    let digits = "\(state.step)"
    let name =
      "lora-run-\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits).safetensors"
    try state.save(to: file(name))
    for (_, name) in steps.dropFirst(count) { unlink(file(name)) }
  }

  /// The last state; nil if the run was stopped before one was saved. One that is damaged is passed
  /// over with a warning.
  func lastState() throws -> TrainingState? {
    let steps = steps
    for (index, (_, name)) in steps.enumerated() {
      do {
        return try TrainingState(path: file(name))
      } catch let error as FormatError where index + 1 < steps.count {
        StandardError.line("warning: \(error); the state before it is taken")
      }
    }
    return nil
  }

  /// Removes the states and the history, which a run that has ended does not need.
  func removeStates() {
    for (_, name) in steps { unlink(file(name)) }
    unlink(history)
  }

  /// Removes all that is left of a run, of which nothing is wanted any more.
  func remove() {
    removeStates()
    unlink(file(Self.recipeName))
  }
}

extension RunFolder {
  /// `arguments` as they are, or for `train --resume DIR` those that the run in DIR was begun with,
  /// read in the folder that it was begun in.
  static func resumed(_ arguments: [String]) throws -> [String] {
    let name = "--resume"
    guard arguments.first == "train", !arguments.contains("--help"), !arguments.contains("-h"),
      let index = arguments.firstIndex(where: { $0 == name || $0.hasPrefix("\(name)=") })
    else { return arguments }
    var rest = arguments
    var path = String(rest.remove(at: index).dropFirst(name.count + 1))
    if arguments[index] == name {
      guard index < rest.count else { return arguments }
      path = rest.remove(at: index)
    }
    guard rest.dropFirst().allSatisfy({ $0 == "--json" }) else {
      throw ValidationError(
        "\(name) takes no other option than --json: a run goes on as it was begun")
    }
    if FileSystem.isFolder(path) { try AtomicFolder.recover(path) }
    let recipe = try RunFolder(path: path).recipe()
    if FileSystem.absolute(".") != recipe.folder {
      path = FileSystem.absolute(path)
      guard FileManager.default.changeCurrentDirectoryPath(recipe.folder) else {
        throw CommandError(
          "\(path): the training was begun in '\(recipe.folder)', which can't be entered; its files "
            + "are looked for from there")
      }
    }
    return ["train"] + recipe.arguments + ["--output", path, name, path]
      + (rest.count > 1 && !recipe.arguments.contains("--json") ? ["--json"] : [])
  }
}
