extension FilterTable {
  /// Filters of lists and dictionaries.
  static let sequences: [Text: Filter] = [
    "batch": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.batching(value, arguments)
    },
    "count": length,
    "dictsort": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.sortingDictionary(value, arguments)
    },
    "first": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "first")
      if case .iterator(let iterator) = value {
        return try iterator.nextItem() ?? .undefined(.hint("there is no first item"))
      }
      return try interpreter.iterate(value).first ?? .undefined(.hint("there is no first item"))
    },
    "groupby": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.grouping(value, arguments)
    },
    "items": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "items")
      return .iterator(
        try IteratorValue(name: "generator", over: value) { () throws(Failure) in
          if value.isUndefined { return [] }
          guard case .dictionary(let dictionary) = value else {
            throw .value("\"items\" takes a dictionary, not a \(value.typeName)")
          }
          return try DictionaryView(dictionary: dictionary, part: .items).values()
        })
    },
    "join": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["d", "attribute"], of: "join")
      let path = AttributePath(given[1])
      var parts: [Text] = []
      var size = 0
      let separator =
        try given[0].map { (value) throws(Failure) in
          try interpreter.text(of: value)
        } ?? ""
      for item in try interpreter.iterate(value) {
        let part = try interpreter.text(of: try path.value(of: item, interpreter))
        size += part.count + separator.count
        parts.append(part)
      }
      try interpreter.charge(copies: size)
      return .string(separator.joining(parts))
    },
    "last": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "last")
      if case .iterator = value {
        throw .value("what a filter like \"map\" gives has no last item; write |list|last")
      }
      return try interpreter.iterate(value).last ?? .undefined(.hint("there is no last item"))
    },
    "length": length,
    "list": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "list")
      let items = try interpreter.iterate(value)
      try interpreter.charge(copies: items.count)
      return try .list(of: items)
    },
    "max": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.extreme(value, arguments, isMaximum: true)
    },
    "min": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.extreme(value, arguments, isMaximum: false)
    },
    "reverse": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "reverse")
      if let text = value.text { return .string(Text(text.scalars.reversed())) }
      let items = try interpreter.iterate(value)
      // Python turns what it cannot visit from the end into a list.
      if case .iterator = value { return try .list(of: items.reversed()) }
      return .iterator(
        try IteratorValue(name: "list_reverseiterator", over: try .list(of: items)) {
          items.reversed()
        })
    },
    "slice": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.dividing(value, arguments)
    },
    "sort": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.sorting(value, arguments)
    },
    "sum": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["attribute", "start"], of: "sum")
      let path = AttributePath(given[0])
      var result = given[1] ?? .integer(0)
      if result.text != nil { throw .value("\"sum\" does not add texts; write |join") }
      for item in try interpreter.iterate(value) {
        result = try interpreter.compute(result, .add, try path.value(of: item, interpreter))
      }
      return result
    },
    "unique": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["case_sensitive", "attribute"], of: "unique")
      return .iterator(
        try IteratorValue(name: "generator", over: value) { () throws(Failure) in
          let path = AttributePath(given[1])
          var seen: Set<ValueKey> = []
          var result: [Value] = []
          for item in try interpreter.iterate(value) {
            let key = try path.value(of: item, interpreter).folded(unless: given.flag(0))
            try interpreter.charge(key.weight)
            if seen.insert(try ValueKey(key)).inserted { result.append(item) }
          }
          return result
        })
    },
  ]

  private static let length: Filter = { (interpreter, value, arguments) throws(Failure) in
    _ = try arguments.bound(to: [], of: "length")
    guard let length = try interpreter.length(of: value) else {
      throw .value("a \(value.typeName) has no length")
    }
    return .integer(length)
  }
}

extension Interpreter {
  fileprivate func sorting(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["reverse", "case_sensitive", "attribute"], of: "sort")
    let isCaseSensitive = given.flag(1)
    var paths = [AttributePath(given[2])]
    if let text = given[2]?.text {
      paths = text.split(at: ",").map { AttributePath(.string($0)) }
    }
    var keyed: [(key: [Value], item: Value)] = []
    for item in try iterate(value) {
      var key: [Value] = []
      for path in paths {
        key.append(try path.value(of: item, self).folded(unless: isCaseSensitive))
      }
      keyed.append((key, item))
    }
    let sorted = try sorted(keyed, isReversed: given.flag(0)) { (a, b) throws(Failure) in
      for (left, right) in zip(a.key, b.key) {
        if try !areEqual(left, right) { return try isLess(left, right) }
      }
      return false
    }
    return try .list(of: sorted.map(\.item))
  }

  /// Python's `sorted`: stable, backwards too.
  private func sorted<Element>(
    _ elements: [Element], isReversed: Bool,
    _ isLess: (Element, Element) throws(Failure) -> Bool
  ) throws(Failure) -> [Element] {
    try charge(copies: elements.count)
    guard isReversed else { return try elements.stablySorted(by: isLess) }
    return try elements.reversed().stablySorted(by: isLess).reversed()
  }

  fileprivate func sortingDictionary(
    _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["case_sensitive", "by", "reverse"], of: "dictsort")
    let by = given[1]?.text ?? "key"
    guard by == "key" || by == "value" else {
      throw .value("\"dictsort\" sorts by \"key\" or by \"value\"")
    }
    if case .undefined(let missing) = value { throw missing.failure }
    guard case .dictionary(let dictionary) = value else {
      throw .value("\"dictsort\" takes a dictionary, not a \(value.typeName)")
    }
    let isCaseSensitive = given.flag(0)
    let pairs = try sorted(dictionary.pairs, isReversed: given.flag(2)) { (a, b) throws(Failure) in
      let (left, right) = by == "key" ? (a.key, b.key) : (a.value, b.value)
      return try isLess(
        left.folded(unless: isCaseSensitive), right.folded(unless: isCaseSensitive))
    }
    var result: [Value] = []
    for (key, value) in pairs { result.append(try .tuple(of: [key, value])) }
    return try .list(of: result)
  }

  fileprivate func grouping(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(
      to: ["attribute", "default", "case_sensitive"], of: "groupby", required: 1)
    let path = AttributePath(given[0])
    let fallback = given.given(1)
    let isCaseSensitive = given.flag(2)
    var keyed: [(key: Value, original: Value, item: Value)] = []
    for item in try iterate(value) {
      let original = try path.value(of: item, default: fallback, self)
      keyed.append((original.folded(unless: isCaseSensitive), original, item))
    }
    keyed = try sorted(keyed, isReversed: false) { (a, b) throws(Failure) in
      try isLess(a.key, b.key)
    }
    var result: [Value] = []
    var start = 0
    while start < keyed.count {
      var end = start + 1
      while end < keyed.count, try areEqual(keyed[start].key, keyed[end].key) { end += 1 }
      let items = try Value.list(of: keyed[start..<end].map(\.item))
      result.append(
        .tuple(try ListValue([keyed[start].original, items], partNames: ["grouper", "list"])))
      start = end
    }
    return try .list(of: result)
  }

  fileprivate func extreme(
    _ value: Value, _ arguments: CallArguments, isMaximum: Bool
  ) throws(Failure) -> Value {
    let given = try arguments.bound(
      to: ["case_sensitive", "attribute"], of: isMaximum ? "max" : "min")
    let path = AttributePath(given[1])
    var best: (key: Value, item: Value)?
    for item in try iterate(value) {
      let key = try path.value(of: item, self).folded(unless: given.flag(0))
      guard let current = best else {
        best = (key, item)
        continue
      }
      let isBetter =
        isMaximum ? try isLess(current.key, key, ">") : try isLess(key, current.key)
      if isBetter { best = (key, item) }
    }
    return best?.item ?? .undefined(.hint("the list is empty"))
  }

  fileprivate func batching(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["linecount", "fill_with"], of: "batch", required: 1)
    // Jinja compares the size with the count, and what is no integer equals none.
    let size = given[0]?.integer
    if size == nil, given.given(1) != nil { _ = try integer(given[0] ?? .none, "batch") }
    return .iterator(
      try IteratorValue(name: "generator", over: value) { [self] () throws(Failure) in
        var result: [Value] = []
        var batch: [Value] = []
        for item in try iterate(value) {
          if batch.count == size {
            result.append(try .list(of: batch))
            batch = []
          }
          batch.append(item)
        }
        if !batch.isEmpty {
          if let filler = given.given(1), let size, batch.count < size {
            try charge(copies: size)
            batch += Array(repeating: filler, count: size - batch.count)
          }
          result.append(try .list(of: batch))
        }
        return result
      })
  }

  fileprivate func dividing(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["slices", "fill_with"], of: "slice", required: 1)
    let count = try integer(given[0] ?? .none, "slice")
    return .iterator(
      try IteratorValue(name: "generator", over: value) { [self] () throws(Failure) in
        let items = try iterate(value)
        guard count != 0 else { throw .value("\"slice\" needs a number above 0") }
        try charge(copies: max(0, count))
        var result: [Value] = []
        var start = 0
        for index in 0..<max(0, count) {
          let size = items.count / count + (index < items.count % count ? 1 : 0)
          var part = Array(items[start..<start + size])
          start += size
          if let filler = given.given(1), index >= items.count % count { part.append(filler) }
          result.append(try .list(of: part))
        }
        return result
      })
  }
}
