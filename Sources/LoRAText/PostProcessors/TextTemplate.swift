/// What a template puts into a sequence, with the type of its tokens.
enum TemplatePiece: Sendable, Hashable {
  /// The ids of the first text (0) or of the second (1).
  case text(Int, type: Int)
  case tokens([Int], type: Int)
}

/// What goes round a text, and round two that belong together.
struct TextTemplate: Sendable, Hashable {
  var single: [TemplatePiece]
  var pair: [TemplatePiece]

  /// Where nothing goes round texts.
  static let none = TextTemplate(
    single: [.text(0, type: 0)], pair: [.text(0, type: 0), .text(1, type: 1)])

  init(single: [TemplatePiece], pair: [TemplatePiece]) {
    self.single = single
    self.pair = pair
  }

  /// A template of the tokens before and after each text.
  init(before: [Int], after: [Int]) {
    func whole(_ text: Int) -> [TemplatePiece] {
      [.tokens(before, type: text), .text(text, type: text), .tokens(after, type: text)].filter {
        if case .tokens(let ids, _) = $0 { !ids.isEmpty } else { true }
      }
    }
    self.init(single: whole(0), pair: whole(0) + whole(1))
  }

  /// BERT's: `[CLS] A [SEP] B [SEP]`, of the types 0 up to the first `[SEP]` and 1 behind it.
  static func bert(first: Int, separator: Int) -> TextTemplate {
    let single: [TemplatePiece] = [
      .tokens([first], type: 0), .text(0, type: 0), .tokens([separator], type: 0),
    ]
    return TextTemplate(
      single: single, pair: single + [.text(1, type: 1), .tokens([separator], type: 1)])
  }

  /// RoBERTa's: `<s> A </s></s> B </s>`, all of the type 0.
  static func roberta(first: Int, separator: Int) -> TextTemplate {
    let single: [TemplatePiece] = [
      .tokens([first], type: 0), .text(0, type: 0), .tokens([separator], type: 0),
    ]
    return TextTemplate(
      single: single,
      pair: single + [
        .tokens([separator], type: 0), .text(1, type: 0), .tokens([separator], type: 0),
      ])
  }
}

extension SequenceTemplate {
  /// The template that templates one round the other make together. Of one that repeats the text the
  /// tokens before its first and after its last occurrence count.
  init(_ templates: [TextTemplate]) {
    self.init()
    for template in templates.map(\.single) {
      let first = template.firstIndex { $0.isText } ?? template.endIndex
      let last = template.lastIndex { $0.isText }.map { $0 + 1 } ?? template.endIndex
      before = template[..<first].flatMap(\.tokens) + before
      after += template[last...].flatMap(\.tokens)
    }
  }
}

extension TemplatePiece {
  var isText: Bool { if case .text = self { true } else { false } }

  /// The special tokens; none of a text.
  var tokens: [Int] { if case .tokens(let ids, _) = self { ids } else { [] } }
}
