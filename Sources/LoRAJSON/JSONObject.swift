/// The members of a JSON object, in the order in which they were written, each key once.
///
/// Keys are compared byte by byte. Finding a key costs a scan of at most eight members or one probe
/// of a hash table; replacing keeps the member's place, adding appends, removing is linear.
package struct JSONObject: Sendable {
  package typealias Element = (key: String, value: JSONValue)

  private var members: [Element]
  /// Open addressing over `members`, -1 where free; empty while a scan is as good.
  private var table: [Int32]

  private static let scanned = 8

  package init() {
    members = []
    table = []
  }

  /// The given members in their order. A key that occurs twice is a mistake of the program.
  package init(_ pairs: some Sequence<(String, JSONValue)>) {
    self.init()
    for (key, value) in pairs {
      if !append(key, value) { fatalError("JSONObject: the key \"\(key)\" occurs twice") }
    }
  }

  package var keys: [String] { members.map(\.key) }
  package var values: [JSONValue] { members.map(\.value) }

  /// The member named `key`, bytes compared. Setting nil removes it.
  package subscript(key: String) -> JSONValue? {
    get { position(of: key).map { members[$0].value } }
    set {
      guard let newValue else {
        removeValue(forKey: key)
        return
      }
      if let position = position(of: key) {
        members[position].value = newValue
      } else {
        append(key, newValue)
      }
    }
  }

  /// Removes a member and returns its value, nil if there was none.
  @discardableResult
  package mutating func removeValue(forKey key: String) -> JSONValue? {
    guard let position = position(of: key) else { return nil }
    let removed = members.remove(at: position)
    rebuildTable()
    return removed.value
  }

  /// Appends a member unless its key exists; false if it does.
  @discardableResult
  package mutating func append(_ key: String, _ value: JSONValue) -> Bool {
    if members.count < Self.scanned {
      guard position(of: key) == nil else { return false }
      members.append((key, value))
      return true
    }
    if table.count < 2 * (members.count + 1) {
      rebuildTable(capacity: 4 * (members.count + 1))
    }
    guard case .free(let slot) = probe(key) else { return false }
    table[slot] = Int32(members.count)
    members.append((key, value))
    return true
  }

  package mutating func reserveCapacity(_ count: Int) {
    members.reserveCapacity(count)
  }

  private func position(of key: String) -> Int? {
    if table.isEmpty {
      return members.firstIndex { $0.key.hasSameBytes(as: key) }
    }
    if case .member(let position) = probe(key) { return position }
    return nil
  }

  private enum Probe {
    case free(Int)
    case member(Int)
  }

  private func probe(_ key: String) -> Probe {
    // Seeded per process, so that no file can be made to collide.
    var hasher = Hasher()
    key.hashBytes(into: &hasher)
    let mask = table.count - 1
    var slot = hasher.finalize() & mask
    while true {
      let position = Int(table[slot])
      if position < 0 { return .free(slot) }
      if members[position].key.hasSameBytes(as: key) { return .member(position) }
      slot = (slot + 1) & mask
    }
  }

  private mutating func rebuildTable(capacity: Int? = nil) {
    guard members.count >= Self.scanned else {
      table = []
      return
    }
    var size = 32
    while size < capacity ?? (4 * members.count) { size *= 2 }
    table = [Int32](repeating: -1, count: size)
    for position in members.indices {
      guard case .free(let slot) = probe(members[position].key) else { continue }
      table[slot] = Int32(position)
    }
  }
}

extension JSONObject: RandomAccessCollection {
  package var startIndex: Int { 0 }
  package var endIndex: Int { members.count }
  package subscript(position: Int) -> Element { members[position] }
  package func makeIterator() -> IndexingIterator<[Element]> { members.makeIterator() }
}

extension JSONObject: Hashable {
  /// The same pairs in the same order.
  package static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.members.elementsEqual(right.members) {
      $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value
    }
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(members.count)
    for (key, value) in members {
      key.hashBytes(into: &hasher)
      hasher.combine(value)
    }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self.init(elements)
  }
}
