import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAKit

/// `ADAPTER:SCALE+ADAPTER:SCALE`: what is compared with others.
struct Candidate: Sendable {
  let name: String
  let parts: [AdapterArgument]

  /// Reads an argument; an option's `transform`.
  init(_ argument: String) throws(ValidationError) {
    name = argument
    // A path that exists may have a plus in it.
    if let whole = try? AdapterArgument(argument), FileSystem.exists(whole.path) {
      parts = [whole]
      return
    }
    var parts: [AdapterArgument] = []
    for part in argument.split(separator: "+", omittingEmptySubsequences: false) {
      parts.append(try AdapterArgument(String(part)))
    }
    self.parts = parts
  }
}

/// The base and the candidates, attached to one model.
struct Candidates {
  let all: [(name: String, selection: AdapterSelection)]

  /// Attaches the adapters of all candidates, each once.
  init(
    _ candidates: [Candidate], on model: any Module, from path: String,
    accepting: AcceptanceOptions
  ) throws {
    var names: [String: String] = [:]
    var all: [(name: String, selection: AdapterSelection)] = [("base", [:])]
    for candidate in candidates {
      var selection = AdapterSelection()
      for part in candidate.parts {
        let name = names[part.path] ?? "adapter-\(names.count)"
        if names[part.path] == nil {
          do {
            let warnings = try model.loadAdapter(
              try AdapterFile.opened(part.path, toAttachTo: path), named: name,
              allowsNoEffect: accepting.allowNoEffect,
              allowsOtherBase: accepting.allowOtherBase, enabled: false)
            StandardError.warnings(warnings.map { "\(part.path): \($0)" })
          } catch let error as AdapterError {
            throw CommandError(part.path, error)
          }
          names[part.path] = name
        }
        selection.strengths[name, default: 0] += part.strength
      }
      all.append((candidate.name, selection))
    }
    self.all = all
  }
}
