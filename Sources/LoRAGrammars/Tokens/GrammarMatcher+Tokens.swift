extension GrammarMatcher {
  /// The tokens whose bytes may follow.
  ///
  /// One walk through the tree of the vocabulary, some nanoseconds for each node that is reached.
  mutating func tokens(of vocabulary: TokenVocabulary) throws(ConstraintError) -> TokenMask {
    let trie = vocabulary.trie
    var mask = TokenMask(vocabularySize: vocabulary.count)
    // By depth, the place that the bytes above have led to.
    var path = [Int32](repeating: place, count: trie.mostDepth + 1)
    var node = 0
    let end = trie.bytes.count
    while node < end {
      let known = table.walk(trie, from: &node, &path, into: &mask)
      guard let (place, byteClass) = known else { break }
      _ = try table.workOut(place, byteClass)
    }
    return mask
  }
}

extension PlaceTable {
  /// Walks on until the tree ends or a step is met that was not worked out yet, which it returns.
  fileprivate func walk(
    _ trie: TokenTrie, from node: inout Int, _ path: inout [Int32], into mask: inout TokenMask
  ) -> (place: Int32, class: UInt8)? {
    let count = classCount
    return trie.bytes.withUnsafeBufferPointer { bytes in
      trie.depths.withUnsafeBufferPointer { depths in
        trie.skips.withUnsafeBufferPointer { skips in
          trie.firsts.withUnsafeBufferPointer { firsts in
            rows.withUnsafeBufferPointer { rows in
              grammar.classes.withUnsafeBufferPointer { classes in
                path.withUnsafeMutableBufferPointer { path in
                  while node < bytes.count {
                    let depth = Int(depths[node])
                    let place = path[depth - 1]
                    let byteClass = classes[Int(bytes[node])]
                    let next = rows[Int(place) * count + Int(byteClass)]
                    if next >= 0 {
                      path[depth] = next
                      for rank in firsts[node]..<firsts[node + 1] {
                        mask.insert(Int(trie.tokens[Int(rank)]))
                      }
                      node += 1
                    } else if next == Self.dead {
                      node = Int(skips[node])
                    } else {
                      return (place, byteClass)
                    }
                  }
                  return nil
                }
              }
            }
          }
        }
      }
    }
  }
}
