extension FilterTable {
  /// Filters that apply tests and other filters to the items of a list.
  static let selections: [Text: Filter] = [
    "map": { (interpreter, value, arguments) throws(Failure) in
      .iterator(
        try IteratorValue(name: "generator", over: value) { () throws(Failure) in
          try interpreter.mapping(value, arguments)
        })
    },
    "reject": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.selecting(value, arguments, keeps: false, byAttribute: false)
    },
    "rejectattr": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.selecting(value, arguments, keeps: false, byAttribute: true)
    },
    "select": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.selecting(value, arguments, keeps: true, byAttribute: false)
    },
    "selectattr": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.selecting(value, arguments, keeps: true, byAttribute: true)
    },
  ]
}

extension Interpreter {
  fileprivate func mapping(_ value: Value, _ arguments: CallArguments) throws(Failure) -> [Value] {
    guard value.isTrue else { return [] }
    var result: [Value] = []
    if arguments.positional.isEmpty,
      let attribute = arguments.named.first(where: { $0.name == "attribute" })
    {
      var fallback: Value?
      for (name, value) in arguments.named where name != "attribute" {
        guard name == "default" else {
          throw .value("\"map\" takes no argument \"\(name.string)\"")
        }
        fallback = value.isNone ? nil : value
      }
      let path = AttributePath(attribute.value)
      for item in try iterate(value) {
        result.append(try path.value(of: item, default: fallback, self))
      }
      return result
    }
    guard let name = arguments.positional.first?.text else {
      throw .value("\"map\" needs the name of a filter or an attribute")
    }
    let further = CallArguments(
      positional: Array(arguments.positional.dropFirst()), named: arguments.named)
    for item in try iterate(value) { result.append(try filter(name, item, further)) }
    return result
  }

  fileprivate func selecting(
    _ value: Value, _ arguments: CallArguments, keeps: Bool, byAttribute: Bool
  ) throws(Failure) -> Value {
    .iterator(
      try IteratorValue(name: "generator", over: value) { [self] () throws(Failure) in
        guard value.isTrue else { return [] }
        var arguments = arguments
        var path = AttributePath(nil)
        if byAttribute {
          guard !arguments.positional.isEmpty else {
            throw .value("\"selectattr\" and \"rejectattr\" need the name of an attribute")
          }
          path = AttributePath(arguments.positional.removeFirst())
        }
        var test: Text?
        if !arguments.positional.isEmpty {
          let name = arguments.positional.removeFirst()
          guard let text = name.text else { throw .value("a test is named by a text") }
          test = text
        }
        var result: [Value] = []
        for item in try iterate(value) {
          let subject = try path.value(of: item, self)
          let passes =
            try test.map { (test) throws(Failure) in
              try check(test, subject, arguments)
            } ?? subject.isTrue
          if passes == keeps { result.append(item) }
        }
        return result
      })
  }
}
