/// The ids of words met before: most words of a text are repeated ones. Bounded; when full it starts
/// anew.
struct WordCache {
  static let longestWord = 64
  private static let mostEntries = 1 << 16

  private struct Entry {
    var hash: UInt64
    var keyStart: Int32
    var keyCount: Int32
    var idStart: Int32
    var idCount: Int32
  }

  private var table = [Int32](repeating: -1, count: 1 << 12)
  private var entries: [Entry] = []
  private var keys: [UInt8] = []
  private var ids: [Int32] = []

  /// Appends the ids of `word` if it is known.
  func appendIDs(
    of word: UnsafeBufferPointer<UInt8>, hash: UInt64, to output: inout [Int32]
  ) -> Bool {
    let position = table[slot(of: word, hash: hash)]
    guard position >= 0 else { return false }
    let entry = entries[Int(position)]
    for i in Int(entry.idStart)..<Int(entry.idStart + entry.idCount) { output.append(ids[i]) }
    return true
  }

  /// Remembers the ids of a word that is not known yet.
  mutating func insert(
    _ word: UnsafeBufferPointer<UInt8>, hash: UInt64, ids wordIDs: ArraySlice<Int32>
  ) {
    if entries.count == Self.mostEntries {
      entries.removeAll(keepingCapacity: true)
      keys.removeAll(keepingCapacity: true)
      ids.removeAll(keepingCapacity: true)
      for i in table.indices { table[i] = -1 }
    }
    if 2 * (entries.count + 1) > table.count {
      table = [Int32](repeating: -1, count: 2 * table.count)
      for (position, entry) in entries.enumerated() {
        var slot = Int(truncatingIfNeeded: entry.hash) & (table.count - 1)
        while table[slot] >= 0 { slot = (slot + 1) & (table.count - 1) }
        table[slot] = Int32(position)
      }
    }
    table[slot(of: word, hash: hash)] = Int32(entries.count)
    entries.append(
      Entry(
        hash: hash, keyStart: Int32(keys.count), keyCount: Int32(word.count),
        idStart: Int32(ids.count), idCount: Int32(wordIDs.count)))
    keys.append(contentsOf: word)
    ids.append(contentsOf: wordIDs)
  }

  private func slot(of word: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int {
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while table[slot] >= 0 {
      let entry = entries[Int(table[slot])]
      if entry.hash == hash, Int(entry.keyCount) == word.count {
        let start = Int(entry.keyStart)
        var i = 0
        while i < word.count, keys[start + i] == word[i] { i += 1 }
        if i == word.count { break }
      }
      slot = (slot + 1) & mask
    }
    return slot
  }
}
