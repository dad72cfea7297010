/// What a test says of a value, with its arguments.
typealias Check = @Sendable (Interpreter, Value, CallArguments) throws(Failure) -> Bool

/// Jinja's tests, as in `x is defined`.
enum CheckTable {
  static let all: [Text: Check] = kinds.merging(comparisons) { first, _ in first }
  static let names = Set(all.keys)

  private static func simple(_ check: @escaping @Sendable (Value) -> Bool) -> Check {
    { (_, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "is")
      return check(value)
    }
  }

  private static let kinds: [Text: Check] = [
    "boolean": simple { if case .bool = $0 { true } else { false } },
    "callable": simple {
      switch $0 {
      case .function, .loop: true
      case .undefined: true
      case .namespace(let object): object.kind == .joiner
      default: false
      }
    },
    "defined": simple { !$0.isUndefined },
    "escaped": simple { if case .markup = $0 { true } else { false } },
    "false": simple { if case .bool(false) = $0 { true } else { false } },
    "float": simple { if case .float = $0 { true } else { false } },
    "integer": simple { if case .integer = $0 { true } else { false } },
    "iterable": simple {
      switch $0 {
      case .none, .bool, .integer, .float, .namespace, .function: false
      default: true
      }
    },
    "mapping": simple { if case .dictionary = $0 { true } else { false } },
    "none": simple(\.isNone),
    "number": simple { $0.number != nil },
    "sequence": simple {
      switch $0 {
      case .undefined, .string, .markup, .list, .tuple, .dictionary, .range: true
      default: false
      }
    },
    "string": simple { $0.text != nil },
    "true": simple { if case .bool(true) = $0 { true } else { false } },
    "undefined": simple(\.isUndefined),
    "filter": { (_, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "filter")
      return value.text.map { FilterTable.names.contains($0) } ?? false
    },
    "test": { (_, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "test")
      return value.text.map { CheckTable.names.contains($0) } ?? false
    },
    "lower": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "lower")
      return interpreter.isLower(try interpreter.text(of: value))
    },
    "upper": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "upper")
      return interpreter.isUpper(try interpreter.text(of: value))
    },
  ]

  private static func compared(_ comparison: Expression.Comparison) -> Check {
    { (interpreter, value, arguments) throws(Failure) in
      let other = try arguments.bound(to: ["other"], of: "is", required: 1)[0] ?? .none
      return try interpreter.compare(value, comparison, other)
    }
  }

  private static func remainder(_ expected: Int?) -> Check {
    { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(
        to: expected == nil ? ["num"] : [], of: "is", required: expected == nil ? 1 : 0)
      let divisor = given.first.flatMap { $0 } ?? .integer(2)
      let remainder = try interpreter.compute(value, .remainder, divisor)
      return try interpreter.areEqual(remainder, .integer(expected ?? 0))
    }
  }

  private static let comparisons: [Text: Check] = [
    "==": compared(.equal), "eq": compared(.equal), "equalto": compared(.equal),
    "!=": compared(.notEqual), "ne": compared(.notEqual),
    ">": compared(.greater), "gt": compared(.greater), "greaterthan": compared(.greater),
    ">=": compared(.greaterOrEqual), "ge": compared(.greaterOrEqual),
    "<": compared(.less), "lt": compared(.less), "lessthan": compared(.less),
    "<=": compared(.lessOrEqual), "le": compared(.lessOrEqual),
    "divisibleby": remainder(nil), "even": remainder(0), "odd": remainder(1),
    "in": { (interpreter, value, arguments) throws(Failure) in
      let container = try arguments.bound(to: ["seq"], of: "in", required: 1)[0] ?? .none
      return try interpreter.contains(container, value)
    },
    "sameas": { (_, value, arguments) throws(Failure) in
      let other = try arguments.bound(to: ["other"], of: "sameas", required: 1)[0] ?? .none
      return value.isSame(as: other)
    },
  ]
}

extension Interpreter {
  func check(
    _ name: Text, _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Bool {
    guard let check = CheckTable.all[name] else {
      throw Failure(.syntax, "there is no test \"\(name.string)\"")
    }
    return try nested { () throws(Failure) in try check(self, value, arguments) }
  }
}
