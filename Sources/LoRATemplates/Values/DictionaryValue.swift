/// A dictionary, its pairs in the order in which their keys came.
final class DictionaryValue {
  private(set) var pairs: [(key: Value, value: Value)] = []
  private var places: [ValueKey: Int] = [:]
  private(set) var depth = 1
  private(set) var weight = 1

  /// Nothing changes a dictionary after this; a key that occurs again takes the later value.
  init(_ pairs: some Sequence<(key: Value, value: Value)>) throws(Failure) {
    for (key, value) in pairs {
      let hash = try ValueKey(key)
      if let place = places[hash] {
        self.pairs[place].value = value
      } else {
        places[hash] = self.pairs.count
        self.pairs.append((key, value))
      }
    }
    let keys = try ListValue.measure(self.pairs.lazy.map(\.key))
    let values = try ListValue.measure(self.pairs.lazy.map(\.value))
    depth = max(keys.depth, values.depth)
    weight = min(keys.weight + values.weight, Int.max / 4)
  }

  var isEmpty: Bool { pairs.isEmpty }
  var count: Int { pairs.count }

  /// The value of a key; an error if such a key cannot be in a dictionary.
  func value(_ key: Value) throws(Failure) -> Value? {
    places[try ValueKey(key)].map { pairs[$0].value }
  }

  func value(_ key: Text) -> Value? { places[.text(key)].map { pairs[$0].value } }
}

/// `keys()`, `values()` or `items()` of a dictionary.
struct DictionaryView {
  enum Part {
    case keys, values, items

    var typeName: String {
      switch self {
      case .keys: "dict_keys"
      case .values: "dict_values"
      case .items: "dict_items"
      }
    }
  }

  let dictionary: DictionaryValue
  let part: Part

  func values() throws(Failure) -> [Value] {
    switch part {
    case .keys: return dictionary.pairs.map(\.key)
    case .values: return dictionary.pairs.map(\.value)
    case .items:
      var result: [Value] = []
      for (key, value) in dictionary.pairs { result.append(try .tuple(of: [key, value])) }
      return result
    }
  }
}

/// What makes two keys of a dictionary the same: 1, 1.0 and true are.
enum ValueKey: Hashable {
  case none
  case undefined
  case integer(Int)
  case float(Double)
  case text(Text)
  case tuple([ValueKey])
  case object(ObjectIdentifier)
  case other(String)

  init(_ value: Value) throws(Failure) {
    switch value {
    case .undefined: self = .undefined
    case .none: self = .none
    case .bool(let value): self = .integer(value ? 1 : 0)
    case .integer(let value): self = .integer(value)
    case .float(let value): self = Int(exactly: value).map(ValueKey.integer) ?? .float(value)
    case .string(let text), .markup(let text): self = .text(text)
    case .tuple(let list):
      var keys: [ValueKey] = []
      guard list.weight < 100_000 else {
        throw Failure(.limit, "a key of a dictionary is too large")
      }
      for item in list.items { keys.append(try ValueKey(item)) }
      self = .tuple(keys)
    case .range(let range): self = .other("range \(range.start) \(range.count) \(range.step)")
    case .namespace(let object): self = .object(ObjectIdentifier(object))
    case .loop(let loop): self = .object(ObjectIdentifier(loop))
    case .iterator(let iterator): self = .object(ObjectIdentifier(iterator))
    case .function(let function): self = .other(function.identity)
    case .list, .dictionary, .view:
      throw .value("a \(value.typeName) cannot be a key: it is unhashable")
    }
  }
}
