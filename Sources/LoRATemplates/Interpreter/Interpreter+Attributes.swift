/// `value.name` and `value[key]`. Both find attributes and items; which comes first differs.
extension Interpreter {
  func attribute(_ name: Text, of value: Value) throws(Failure) -> Value {
    if case .undefined(let missing) = value { throw missing.failure }
    if let attribute = try ownAttribute(name, of: value) { return attribute }
    if let item = try ownItem(.string(name), of: value) { return item }
    return .undefined(.attribute(of: value.typeName, name))
  }

  func item(_ key: Value, of value: Value) throws(Failure) -> Value {
    if case .undefined(let missing) = value { throw missing.failure }
    if let item = try ownItem(key, of: value) { return item }
    if let name = key.text {
      if let attribute = try ownAttribute(name, of: value) { return attribute }
      return .undefined(.attribute(of: value.typeName, name))
    }
    let key = try ValuePrinter.representation(key, limit: limits.length)
    return .undefined(.element(of: value.typeName, key.string))
  }

  /// What `value[key]` is in Python; nil where Python raises an error.
  private func ownItem(_ key: Value, of value: Value) throws(Failure) -> Value? {
    func place(_ count: Int) -> Int? {
      guard let index = key.integer, index >= -count, index < count else { return nil }
      return index < 0 ? index + count : index
    }
    switch value {
    case .list(let list), .tuple(let list): return place(list.items.count).map { list.items[$0] }
    case .string(let text): return place(text.count).map { .string(Text([text.scalars[$0]])) }
    case .markup(let text): return place(text.count).map { .markup(Text([text.scalars[$0]])) }
    case .range(let range): return place(range.count).map { .integer(range.item($0)) }
    case .dictionary(let dictionary):
      switch key {
      case .list, .dictionary, .view: return nil
      default: return (try? dictionary.value(key)) ?? nil
      }
    case .namespace(let object) where object.kind == .template:
      guard let text = key.text, let name = program.names.existing(text),
        program.blocks[name] != nil
      else { return nil }
      return .function(.block(name))
    default: return nil
    }
  }

  /// Attributes that every object of Python has, and that must not be reached.
  private static let hidden: Set<Text> = [
    "__class__", "__doc__", "__init__", "__dict__", "__module__", "__getitem__", "__len__",
    "__iter__", "__contains__", "__eq__", "__ne__", "__hash__", "__str__", "__repr__", "__add__",
    "__mul__", "__mod__", "__format__", "__sizeof__", "__reduce__", "__reduce_ex__", "__dir__",
    "__new__", "__getattribute__", "__setattr__", "__delattr__", "__init_subclass__",
    "__subclasshook__", "__lt__", "__le__", "__gt__", "__ge__", "__call__", "__self__",
    "__func__", "__globals__", "__code__", "__name__", "__qualname__",
  ]

  /// What Python's `getattr` finds; nil where it finds nothing.
  func ownAttribute(_ name: Text, of value: Value) throws(Failure) -> Value? {
    func forbidden() -> Value {
      .undefined(
        .forbidden("templates must not use \"\(name.string)\" of a \(value.typeName)"))
    }
    if name.scalars.first == "_", Interpreter.hidden.contains(name) { return forbidden() }
    if changes(name, value) { return forbidden() }
    if hasMethod(name, value) { return .function(.method(of: value, name)) }
    switch value {
    case .namespace(let object): return try attribute(name, of: object)
    case .loop(let loop): return try attribute(name, of: loop)
    case .integer, .bool, .float: return numberAttribute(name, of: value)
    case .range(let range):
      switch name {
      case "start": return .integer(range.start)
      case "stop": return .integer(range.stop)
      case "step": return .integer(range.step)
      default: return nil
      }
    case .tuple(let list):
      return list.partNames.firstIndex(of: name).map { list.items[$0] }
    case .function(.macro(let macro)): return try attribute(name, of: macro)
    case .function(.block(let block)) where name == "name":
      return .string(program.names[block])
    case .function(.block) where name == "super":
      return .undefined(.hint("there is no parent block: templates stand alone"))
    default: return nil
    }
  }

  private func numberAttribute(_ name: Text, of value: Value) -> Value? {
    switch (name, value) {
    case ("real", .float), ("real", .integer): value
    case ("real", .bool), ("numerator", .bool), ("numerator", .integer):
      .integer(value.integer ?? 0)
    case ("imag", .float): .float(0)
    case ("imag", _): .integer(0)
    case ("denominator", .integer), ("denominator", .bool): .integer(1)
    default: nil
    }
  }

  private func attribute(_ name: Text, of object: NamespaceValue) throws(Failure) -> Value? {
    switch object.kind {
    case .namespace: return object.attribute(name)
    case .cycler:
      switch name {
      case "current": return object.items[object.index]
      case "pos": return .integer(object.index)
      case "items": return try .tuple(of: object.items)
      default: return nil
      }
    case .joiner: return name == "sep" ? .string(object.separator) : nil
    case .template: return nil
    }
  }

  private func attribute(_ name: Text, of loop: LoopValue) throws(Failure) -> Value? {
    switch name {
    case "index": return .integer(loop.index0 + 1)
    case "index0": return .integer(loop.index0)
    case "first": return .bool(loop.index0 == 0)
    case "last": return .bool(try loop.nextItem() == nil)
    case "length": return .integer(try loop.length())
    case "revindex": return .integer(try loop.length() - loop.index0)
    case "revindex0": return .integer(try loop.length() - loop.index0 - 1)
    case "depth": return .integer(loop.recursionDepth + 1)
    case "depth0": return .integer(loop.recursionDepth)
    case "previtem":
      return loop.index0 == 0
        ? .undefined(.hint("there is no previous item"))
        : loop.previous ?? .undefined(.hint("there is no previous item"))
    case "nextitem":
      return try loop.nextItem() ?? .undefined(.hint("there is no next item"))
    default: return nil
    }
  }

  private func attribute(_ name: Text, of macro: MacroValue) throws(Failure) -> Value? {
    switch name {
    case "name": return macro.name.map(Value.string) ?? Value.none
    case "arguments": return try .tuple(of: macro.parameterNames.map(Value.string))
    case "catch_kwargs": return .bool(macro.callable.takesNamed)
    case "catch_varargs": return .bool(macro.callable.takesFurther)
    case "caller": return .bool(macro.callable.takesCaller)
    case "explicit_caller": return .bool(macro.parameterNames.contains("caller"))
    default: return nil
    }
  }
}
