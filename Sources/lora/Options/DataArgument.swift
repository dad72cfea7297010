import ArgumentParser
import LoRAFiles
import LoRAKit

extension WeightedFile {
  /// Reads `FILE` or `FILE:WEIGHT`, an option's `transform`. A file that exists under the whole name is one,
  /// colons and all.
  init(argument: String) throws {
    if argument.isEmpty { throw ValidationError("the file's name is empty") }
    guard !FileSystem.exists(argument), let colon = argument.lastIndex(of: ":") else {
      try self.init(argument)
      return
    }
    let (path, text) = (String(argument[..<colon]), argument[argument.index(after: colon)...])
    // A path with a colon in a folder's name: whoever opens it reports it.
    if text.contains("/") || text.contains("#") || path.isEmpty {
      try self.init(argument)
      return
    }
    guard let weight = Double(text), weight > 0, weight <= Self.greatestWeight else {
      throw ValidationError(
        "the weight '\(text)' of \(path) is no number above 0 and at most "
          + "\(Int(Self.greatestWeight)), and there is no file '\(argument)'; write \(path):0.5 to "
          + "learn half of its examples, \(path):2 to learn each twice")
    }
    try self.init(path, weight: weight)
  }
}

extension [WeightedFile] {
  /// The files in a sentence.
  var names: String { map(\.path).joined(separator: ", ") }
}
