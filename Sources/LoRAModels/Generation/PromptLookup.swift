/// Guesses of what comes next: what came behind the same tokens before.
///
/// Source: Saxena, *Prompt lookup decoding*, 2023.
enum PromptLookup {
  /// The longest run of tokens that is looked for, and the shortest.
  static let runs = (longest: 4, shortest: 2)

  /// At most `most` tokens that came behind the last place where the text's end stood before; of a longer
  /// run rather than of a shorter one. Empty if there is none.
  static func guesses(behind tokens: [Int], most: Int) -> [Int] {
    tokens.withUnsafeBufferPointer { tokens in
      for length in stride(from: runs.longest, through: runs.shortest, by: -1)
      where tokens.count > length {
        let end = tokens[(tokens.count - length)...]
        for start in stride(from: tokens.count - length - 1, through: 0, by: -1)
        where tokens[start] == end[end.startIndex]
          && tokens[start..<start + length].elementsEqual(end)
        {
          return Array(tokens[(start + length)...].prefix(most))
        }
      }
      return []
    }
  }
}
