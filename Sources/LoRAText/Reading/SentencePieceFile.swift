/// What a SentencePiece model file says: its pieces, and how texts are normalized.
///
/// Source: `sentencepiece_model.proto` of sentencepiece 0.2.
struct SentencePieceFile {
  struct Piece {
    var spelling: [UInt8] = []
    var score: Float = 0
    /// The number of ``SentencePieces/Kind``.
    var kind = 1
  }

  var pieces: [Piece] = []
  /// 1: unigrams, 2: byte pairs, 3: words, 4: characters.
  var type = 1
  var spaceIsSuffix = false
  var fallsBackToBytes = false
  var unknownSurface: [UInt8] = Array(" \u{2047} ".utf8)
  var unknownPiece = "<unk>"
  var firstPiece = "<s>"
  var lastPiece = "</s>"
  var characterMap: [UInt8] = []
  var addsSpace = true
  var removesExtraSpaces = true
  var escapesSpaces = true
  /// Whether decoded texts are normalized once more.
  var denormalizes = false

  /// Reads the bytes of a `.model`. Throws ``TokenizerError`` where they are none.
  init(_ bytes: [UInt8], file: String) throws(TokenizerError) {
    do {
      var reader = ProtobufReader(bytes[...])
      while let field = try reader.next() {
        guard case .bytes(let message) = field.value else { continue }
        switch field.number {
        case 1: pieces.append(try Piece(message))
        case 2: try readTrainer(message)
        case 3: try readNormalizer(message)
        case 5: denormalizes = try Self.hasMap(message)
        default: break
        }
      }
    } catch {
      throw TokenizerError(
        .malformed, file: file, expected: "a model of SentencePiece (Protocol Buffers)",
        found: error.text, advice: "the file may be truncated: fetch or save it again")
    }
    guard !pieces.isEmpty else {
      throw TokenizerError(
        .malformed, file: file, expected: "a model of SentencePiece with pieces", found: "none",
        advice: "the file may be something else: fetch or save it again")
    }
  }

  private mutating func readTrainer(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Problem) {
    var reader = ProtobufReader(message)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (3, .integer(let value)): type = Int(truncatingIfNeeded: value)
      case (24, .integer(let value)): spaceIsSuffix = value != 0
      case (35, .integer(let value)): fallsBackToBytes = value != 0
      case (44, .bytes(let value)): unknownSurface = Array(value)
      case (45, .bytes(let value)) where !value.isEmpty: unknownPiece = Self.text(value)
      case (46, .bytes(let value)) where !value.isEmpty: firstPiece = Self.text(value)
      case (47, .bytes(let value)) where !value.isEmpty: lastPiece = Self.text(value)
      default: break
      }
    }
  }

  private mutating func readNormalizer(
    _ message: ArraySlice<UInt8>
  ) throws(ProtobufReader.Problem) {
    var reader = ProtobufReader(message)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (2, .bytes(let value)): characterMap = Array(value)
      case (3, .integer(let value)): addsSpace = value != 0
      case (4, .integer(let value)): removesExtraSpaces = value != 0
      case (5, .integer(let value)): escapesSpaces = value != 0
      default: break
      }
    }
  }

  private static func hasMap(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Problem) -> Bool {
    var reader = ProtobufReader(message)
    while let field = try reader.next() {
      if field.number == 2, case .bytes(let value) = field.value, !value.isEmpty { return true }
    }
    return false
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes, as: UTF8.self)
  }
}

extension SentencePieceFile.Piece {
  fileprivate init(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Problem) {
    self.init()
    var reader = ProtobufReader(message)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let value)): spelling = Array(value)
      case (2, .fixed32(let value)): score = Float(bitPattern: value)
      case (3, .integer(let value)): kind = Int(truncatingIfNeeded: value)
      default: break
      }
    }
  }
}
