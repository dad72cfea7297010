#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Python's arithmetic. Integers have 64 bits here; a result beyond is an error.
extension Interpreter {
  func compute(
    _ left: Value, _ operation: Expression.Operation, _ right: Value
  ) throws(Failure) -> Value {
    if operation == .remainder, let format = left.text {
      let text = try PercentFormat.text(format, right, limit: limits.length)
      try charge(copies: text.count)
      return .string(text)
    }
    if case .undefined(let missing) = left { throw missing.failure }
    if case .undefined(let missing) = right { throw missing.failure }
    if let a = left.integer, let b = right.integer { return try integers(a, operation, b) }
    if let a = left.number, let b = right.number { return try floats(a, operation, b) }
    switch operation {
    case .add: if let sum = try joined(left, right) { return sum }
    case .multiply:
      if let count = right.integer, let product = try repeated(left, count) { return product }
      if let count = left.integer, let product = try repeated(right, count) { return product }
    default: break
    }
    throw .value(
      "\"\(operation.rawValue)\" does not apply to a \(left.typeName) and a \(right.typeName)")
  }

  private func joined(_ left: Value, _ right: Value) throws(Failure) -> Value? {
    switch (left, right) {
    case (.string(let a), .string(let b)):
      try charge(copies: a.count + b.count)
      return .string(a + b)
    case (.markup(let a), .markup(let b)): return .markup(a + b)
    case (.markup(let a), .string(let b)): return .markup(a + b.escapedForHTML)
    case (.string(let a), .markup(let b)): return .markup(a.escapedForHTML + b)
    case (.list(let a), .list(let b)):
      try charge(copies: a.items.count + b.items.count)
      return try .list(of: a.items + b.items)
    case (.tuple(let a), .tuple(let b)):
      try charge(copies: a.items.count + b.items.count)
      return try .tuple(of: a.items + b.items)
    default: return nil
    }
  }

  private func repeated(_ value: Value, _ count: Int) throws(Failure) -> Value? {
    let count = max(0, count)
    func check(_ size: Int) throws(Failure) {
      let (total, overflows) = size.multipliedReportingOverflow(by: count)
      try charge(copies: overflows ? Int.max : total)
    }
    switch value {
    case .string(let text), .markup(let text):
      try check(text.count)
      let result = Text(repeatElement(text.scalars, count: text.isEmpty ? 0 : count).joined())
      if case .markup = value { return .markup(result) }
      return .string(result)
    case .list(let list), .tuple(let list):
      try check(list.items.count)
      let items = Array(
        repeatElement(list.items, count: list.items.isEmpty ? 0 : count).joined())
      if case .list = value { return try .list(of: items) }
      return try .tuple(of: items)
    default: return nil
    }
  }

  private func overflow() -> Failure {
    Failure(.limit, "an integer grows beyond 64 bits")
  }

  private func integers(
    _ a: Int, _ operation: Expression.Operation, _ b: Int
  ) throws(Failure) -> Value {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case .add: result = a.addingReportingOverflow(b)
    case .subtract: result = a.subtractingReportingOverflow(b)
    case .multiply: result = a.multipliedReportingOverflow(by: b)
    case .divide:
      guard b != 0 else { throw .value("division by zero") }
      return .float(Double(a) / Double(b))
    case .divideDown, .remainder:
      guard b != 0 else { throw .value("division by zero") }
      guard !(a == Int.min && b == -1) else {
        if operation == .remainder { return .integer(0) }
        throw overflow()
      }
      let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
      let isInexact = remainder != 0 && (remainder < 0) != (b < 0)
      return .integer(
        operation == .remainder
          ? isInexact ? remainder + b : remainder : isInexact ? quotient - 1 : quotient)
    case .power: return try power(a, b)
    }
    guard !result.overflow else { throw overflow() }
    return .integer(result.partialValue)
  }

  private func power(_ base: Int, _ exponent: Int) throws(Failure) -> Value {
    if exponent < 0 { return try floats(Double(base), .power, Double(exponent)) }
    if base == 0 || base == 1 { return .integer(exponent == 0 ? 1 : base) }
    if base == -1 { return .integer(exponent % 2 == 0 ? 1 : -1) }
    guard exponent < 64 else { throw overflow() }
    var result = 1
    for _ in 0..<exponent {
      let (product, overflows) = result.multipliedReportingOverflow(by: base)
      guard !overflows else { throw overflow() }
      result = product
    }
    return .integer(result)
  }

  private func floats(
    _ a: Double, _ operation: Expression.Operation, _ b: Double
  ) throws(Failure) -> Value {
    switch operation {
    case .add: return .float(a + b)
    case .subtract: return .float(a - b)
    case .multiply: return .float(a * b)
    case .divide:
      guard b != 0 else { throw .value("division by zero") }
      return .float(a / b)
    case .divideDown, .remainder:
      guard b != 0 else { throw .value("division by zero") }
      var remainder = fmod(a, b)
      var quotient = (a - remainder) / b
      if remainder != 0 {
        if (b < 0) != (remainder < 0) {
          remainder += b
          quotient -= 1
        }
      } else {
        remainder = copysign(0, b)
      }
      if operation == .remainder { return .float(remainder) }
      guard quotient != 0 else { return .float(copysign(0, a / b)) }
      let floor = quotient.rounded(.down)
      return .float(quotient - floor > 0.5 ? floor + 1 : floor)
    case .power:
      if a == 0, b < 0 { throw .value("zero cannot be raised to a negative power") }
      if a < 0, a.isFinite, b.isFinite, b != b.rounded() {
        throw .value("a negative number has no such power: complex numbers are not supported")
      }
      let result = pow(a, b)
      if result.isInfinite, a.isFinite, b.isFinite { throw .value("the power is too large") }
      return .float(result)
    }
  }

  func signed(_ value: Value, isNegative: Bool) throws(Failure) -> Value {
    if case .undefined(let missing) = value { throw missing.failure }
    if let integer = value.integer {
      guard isNegative else { return .integer(integer) }
      guard integer != Int.min else { throw overflow() }
      return .integer(-integer)
    }
    if case .float(let number) = value { return .float(isNegative ? -number : number) }
    throw .value("a \(value.typeName) has no sign")
  }
}
