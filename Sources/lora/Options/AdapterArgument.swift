import ArgumentParser
import LoRAFormats
import LoRAKit

/// `ADAPTER` or `ADAPTER:SCALE`. A path that exists as it stands is one, colons and all.
struct AdapterArgument: ExpressibleByArgument, Sendable {
  let path: String
  let strength: Float

  init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    if !FileSystem.exists(argument), let colon = argument.lastIndex(of: ":"),
      let scale = Float(argument[argument.index(after: colon)...])
    {
      guard scale.isFinite, colon > argument.startIndex else { return nil }
      (path, strength) = (String(argument[..<colon]), scale)
    } else {
      (path, strength) = (argument, 1)
    }
  }
}

/// The adapters that apply to a model.
struct AdapterOptions: ParsableArguments {
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "An adapter of any format: a folder or a file, its strength after a colon. Repeat it to add "
        + "several.",
      valueName: "adapter[:scale]"))
  var adapters: [AdapterArgument] = []

  /// Reads the adapters, attaches and enables them on `model`, which was opened from `path`; what
  /// was chosen.
  @discardableResult
  func attach(to model: any LanguageModel, from path: String) throws -> AdapterSelection {
    var selection = AdapterSelection()
    for (index, adapter) in adapters.enumerated() {
      let name = "adapter-\(index)"
      do {
        try model.loadAdapter(
          try AdapterFile(path: adapter.path, options: .init(basePath: path)), named: name,
          allowsNoEffect: adapter.strength == 0)
      } catch let error as AdapterError {
        throw CommandError(adapter.path, error)
      }
      selection.strengths[name] = adapter.strength
    }
    try model.enableAdapters(selection)
    return selection
  }
}
