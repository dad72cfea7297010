extension TokenizerPipeline {
  /// The ids and types of one text or two, as the tokenizer's template for them says; see
  /// ``Tokenizer/encode(_:pairedWith:addSpecialTokens:)``.
  public func encode(
    _ text: String, pairedWith second: String?, addSpecialTokens: Bool
  ) -> TypedEncoding {
    let texts = [text] + (second.map { [$0] } ?? [])
    var parts = texts.enumerated().map { index, text in
      var ids: [Int32] = []
      encodeBare(text, into: &ids)
      return TypedEncoding(
        ids: ids.map(Int.init), types: Array(repeating: index, count: ids.count))
    }
    for template in templates {
      var whole = TypedEncoding(ids: [], types: [])
      for piece in parts.count == 2 ? template.pair : template.single {
        switch piece {
        case .text(let index, let type):
          whole.append(parts[index].ids, type: type)
        case .tokens(let ids, let type):
          if addSpecialTokens { whole.append(ids, type: type) }
        }
      }
      parts = [whole]
    }
    return parts.dropFirst().reduce(parts[0]) {
      TypedEncoding(ids: $0.ids + $1.ids, types: $0.types + $1.types)
    }
  }
}

extension TypedEncoding {
  fileprivate mutating func append(_ ids: [Int], type: Int) {
    self.ids += ids
    types += repeatElement(type, count: ids.count)
  }
}
