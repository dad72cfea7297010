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
    while let missing = table.walk(trie, from: &node, &path, into: &mask.words) {
      _ = try table.workOut(missing.place, missing.byteClass)
    }
    return mask
  }
}

extension PlaceTable {
  /// Walks on until the tree ends or a step is met that was not worked out yet, which it returns.
  fileprivate func walk(
    _ trie: TokenTrie, from node: inout Int, _ path: inout [Int32], into words: inout [UInt64]
  ) -> (place: Int32, byteClass: UInt8)? {
    withPointers(to: rows, grammar.classes, trie) { rows, classes, trie in
      path.withUnsafeMutableBufferPointer { path in
        words.withUnsafeMutableBufferPointer { words in
          while node < trie.bytes.count {
            let depth = Int(trie.depths[node])
            let place = path[depth - 1]
            let byteClass = classes[Int(trie.bytes[node])]
            let next = rows[Int(place) * classCount + Int(byteClass)]
            if next >= 0 {
              path[depth] = next
              for rank in trie.firsts[node]..<trie.firsts[node + 1] {
                let id = Int(trie.tokens[Int(rank)])
                words[id >> 6] |= 1 << UInt64(id & 63)
              }
              node += 1
            } else if next == Self.dead {
              node = Int(trie.skips[node])
            } else {
              return (place, byteClass)
            }
          }
          return nil
        }
      }
    }
  }

  private struct TriePointers {
    var bytes: UnsafeBufferPointer<UInt8>
    var depths: UnsafeBufferPointer<Int32>
    var skips: UnsafeBufferPointer<Int32>
    var firsts: UnsafeBufferPointer<Int32>
    var tokens: UnsafeBufferPointer<Int32>
  }

  /// The walk's arrays as pointers, which it reads for each node.
  private func withPointers<Result>(
    to rows: [Int32], _ classes: [UInt8], _ trie: TokenTrie,
    _ body: (UnsafeBufferPointer<Int32>, UnsafeBufferPointer<UInt8>, TriePointers) -> Result
  ) -> Result {
    rows.withUnsafeBufferPointer { rows in
      classes.withUnsafeBufferPointer { classes in
        trie.bytes.withUnsafeBufferPointer { bytes in
          trie.depths.withUnsafeBufferPointer { depths in
            trie.skips.withUnsafeBufferPointer { skips in
              trie.firsts.withUnsafeBufferPointer { firsts in
                trie.tokens.withUnsafeBufferPointer { tokens in
                  body(
                    rows, classes,
                    TriePointers(
                      bytes: bytes, depths: depths, skips: skips, firsts: firsts, tokens: tokens))
                }
              }
            }
          }
        }
      }
    }
  }
}
