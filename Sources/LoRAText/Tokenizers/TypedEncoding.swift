/// The ids of a text, or of two that belong together, with the type of each token: what encoders
/// read (`TokenBatch(sequences:types:)`).
///
/// ```swift
/// let encoding = tokenizer.encode("How are you?", pairedWith: "Fine.")
/// encoding.ids       // [101, 2129, 2024, 2017, 1029, 102, 2986, 1012, 102]
/// encoding.types     // [0, 0, 0, 0, 0, 0, 1, 1, 1]
/// ```
public struct TypedEncoding: Sendable, Hashable {
  /// The token ids.
  public var ids: [Int]
  /// The type of each token: as a rule 0 for those of the first text and 1 for those of the second.
  public var types: [Int]

  /// Creates an encoding.
  public init(ids: [Int], types: [Int]) {
    self.ids = ids
    self.types = types
  }
}

extension Tokenizer {
  /// The ids and types of `text`, or of it and `second`, with the special tokens of the template.
  public func encode(_ text: String, pairedWith second: String?) -> TypedEncoding {
    encode(text, pairedWith: second, addSpecialTokens: true)
  }

  /// The ids and types of one text or two: the first with the template's tokens round it and the type
  /// 0, then the second and the tokens behind a text with the type 1.
  public func encode(
    _ text: String, pairedWith second: String?, addSpecialTokens: Bool
  ) -> TypedEncoding {
    let first = encode(text, addSpecialTokens: addSpecialTokens)
    let rest = second.map {
      encode($0, addSpecialTokens: false) + (addSpecialTokens ? template.after : [])
    }
    return TypedEncoding(
      ids: first + (rest ?? []),
      types: Array(repeating: 0, count: first.count)
        + Array(repeating: 1, count: rest?.count ?? 0))
  }
}
