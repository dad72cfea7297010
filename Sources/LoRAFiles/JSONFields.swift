package import LoRAJSON

/// Typed reading of a JSON object's members, with errors that name the file and the key. A member
/// that is null counts as absent, as it does for the programs that write these files.
package struct JSONFields {
  package let object: JSONObject
  package let file: String
  /// What precedes the keys in errors, as in "rope_parameters.".
  package var prefix = ""

  package init(object: JSONObject, file: String, prefix: String = "") {
    self.object = object
    self.file = file
    self.prefix = prefix
  }

  package subscript(key: String) -> JSONValue? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  package func error(
    _ kind: FormatError.Kind, _ key: String, _ problem: String, _ remedy: String = ""
  )
    -> FormatError
  {
    FormatError(kind, file: file, key: prefix + key, problem, remedy: remedy)
  }

  private func mismatch(_ key: String, _ expected: String, _ value: JSONValue) -> FormatError {
    let shown = value.encoded()
    let found = shown.utf8.count <= 40 ? shown : value.kind
    return error(.typeMismatch, key, "expected \(expected), found \(found)")
  }

  package func int(_ key: String) throws(FormatError) -> Int? {
    guard let value = self[key] else { return nil }
    guard let number = value.intValue else { throw mismatch(key, "a whole number", value) }
    return number
  }

  /// A size: a whole number from 1 to 2^31.
  package func size(_ key: String) throws(FormatError) -> Int? {
    guard let number = try int(key) else { return nil }
    guard number > 0, number <= 1 << 31 else {
      throw error(.invalidValue, key, "expected a number from 1, found \(number)")
    }
    return number
  }

  package func size(_ key: String, default fallback: Int) throws(FormatError) -> Int {
    try size(key) ?? fallback
  }

  package func double(_ key: String) throws(FormatError) -> Double? {
    guard let value = self[key] else { return nil }
    guard let number = value.doubleValue else { throw mismatch(key, "a number", value) }
    return number
  }

  /// A number above 0.
  package func positive(_ key: String) throws(FormatError) -> Double? {
    guard let number = try double(key) else { return nil }
    guard number > 0, number.isFinite else {
      throw error(.invalidValue, key, "expected a number above 0, found \(number)")
    }
    return number
  }

  package func bool(_ key: String) throws(FormatError) -> Bool? {
    guard let value = self[key] else { return nil }
    guard let flag = value.boolValue else { throw mismatch(key, "true or false", value) }
    return flag
  }

  package func string(_ key: String) throws(FormatError) -> String? {
    guard let value = self[key] else { return nil }
    guard let text = value.stringValue else { throw mismatch(key, "a string", value) }
    return text
  }

  package func object(_ key: String) throws(FormatError) -> JSONFields? {
    guard let value = self[key] else { return nil }
    guard let object = value.objectValue else { throw mismatch(key, "an object", value) }
    return JSONFields(object: object, file: file, prefix: "\(prefix)\(key).")
  }

  package func strings(_ key: String) throws(FormatError) -> [String]? {
    guard let value = self[key] else { return nil }
    guard let array = value.arrayValue else { throw mismatch(key, "a list of strings", value) }
    var result: [String] = []
    for element in array {
      guard let text = element.stringValue else {
        throw mismatch(key, "a list of strings", value)
      }
      result.append(text)
    }
    return result
  }

  /// One whole number or a list of them.
  package func ints(_ key: String) throws(FormatError) -> [Int]? {
    guard let value = self[key] else { return nil }
    if let single = value.intValue { return [single] }
    guard let array = value.arrayValue else {
      throw mismatch(key, "a whole number or a list of them", value)
    }
    var result: [Int] = []
    for element in array {
      guard let number = element.intValue else {
        throw mismatch(key, "a whole number or a list of them", value)
      }
      result.append(number)
    }
    return result
  }

  /// Token ids: one or a list, none negative; empty if absent.
  package func tokenIDs(_ key: String) throws(FormatError) -> [Int] {
    let ids = try ints(key) ?? []
    if let bad = ids.first(where: { $0 < 0 || $0 > Int32.max }) {
      throw error(.invalidValue, key, "\(bad) is not a token id")
    }
    return ids
  }
}

/// Token ids as files write them: null for none, a number for one, a list for more.
package func json(tokenIDs ids: [Int]) -> JSONValue {
  switch ids.count {
  case 0: .null
  case 1: .integer(Int64(ids[0]))
  default: .array(ids.map { .integer(Int64($0)) })
  }
}
