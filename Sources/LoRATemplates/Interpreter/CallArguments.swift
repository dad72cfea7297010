/// The values that something is called with.
struct CallArguments {
  var positional: [Value] = []
  var named: [(name: Text, value: Value)] = []

  var isEmpty: Bool { positional.isEmpty && named.isEmpty }

  /// The values by the names of parameters; nil for what is not given.
  func bound(
    to parameters: [Text], of function: String, required: Int = 0
  ) throws(Failure) -> [Value?] {
    guard positional.count <= parameters.count else {
      throw .value(
        "\"\(function)\" takes at most \(parameters.count) arguments, \(positional.count) are given"
      )
    }
    var result = positional.map(Optional.some)
    result += [Value?](repeating: nil, count: parameters.count - positional.count)
    for (name, value) in named {
      guard let index = parameters.firstIndex(of: name) else {
        throw .value("\"\(function)\" takes no argument \"\(name.string)\"")
      }
      guard result[index] == nil else {
        throw .value("\"\(function)\" is given \"\(name.string)\" twice")
      }
      result[index] = value
    }
    for index in 0..<required where result[index] == nil {
      throw .value("\"\(function)\" needs the argument \"\(parameters[index].string)\"")
    }
    return result
  }
}
