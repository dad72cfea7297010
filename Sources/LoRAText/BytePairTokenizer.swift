import Foundation
import LoRAPatterns

/// Byte-pair encoding with everything round it that a Hugging Face `tokenizer.json` can ask for.
///
/// It gives the ids and the text that the package `tokenizers` (0.23) gives, for Llama's kind (byte
/// fallback, "▁" for spaces) and for GPT-2's, Qwen's and Llama 3's (bytes as characters, a pattern
/// that cuts words):
///
/// - model: `BPE`, with `byte_fallback`, `fuse_unk`, `ignore_merges`, affixes; no `dropout`
/// - normalizers: `NFC` `NFD` `NFKC` `NFKD` `Lowercase` `Strip` `Prepend` `Replace` `Sequence`
/// - pre-tokenizers: `ByteLevel` `Split` `Digits` `Metaspace` `Sequence`
/// - post-processors: `TemplateProcessing` `ByteLevel` `Sequence`
/// - decoders: `ByteLevel` `ByteFallback` `Fuse` `Strip` `Replace` `Metaspace` `Sequence`
///
/// Anything else throws a ``TokenizerError`` that names it; nothing is skipped. The entries
/// `truncation` and `padding` are the exception: they belong to batches, not to text (the published
/// GPT-2 file cuts at 128 tokens), and are ignored.
///
/// ```swift
/// let tokenizer = try BytePairTokenizer(contentsOf: "tokenizers/qwen3")
/// tokenizer.encode("Hello, world!")        // [9707, 11, 1879, 0]
/// tokenizer.id(of: "<|im_end|>")           // 151645
/// ```
///
/// Encoding costs about a microsecond a word, less for words met before; a text without any place to
/// cut costs O(n log n). A tokenizer is immutable and may be used from many tasks at once.
public final class BytePairTokenizer: Tokenizer {
  let model: BytePairModel
  let added: AddedTokens
  let normalizer: Normalizer?
  let preTokenizer: PreTokenizer?
  let templates: [[TemplatePiece]]
  /// What the post-processors put round a text.
  public let template: SequenceTemplate
  let decoderPipeline: DecoderPipeline

  /// The highest id plus one, added tokens included.
  public let vocabularySize: Int
  /// `bos_token` of `tokenizer_config.json` or `special_tokens_map.json`, else the token that the
  /// template starts with, if any.
  public let beginningOfSequence: Int?
  /// `eos_token` of `tokenizer_config.json` or `special_tokens_map.json`, else the token that the
  /// template ends with, if any.
  public let endOfSequence: Int?

  /// Working memory: who encodes takes one, or makes one if others have them all.
  ///
  /// Unsafe only to the compiler: it is read and written nowhere but in ``takeState()`` and
  /// ``putBack(_:)``, under `lock`. That is not a `Mutex` because ThreadSanitizer, which users run on
  /// their programs, sees races in a contended one where there are none.
  private nonisolated(unsafe) var idleStates: [EncodingState] = []
  private let lock = NSLock()

  /// Reads a tokenizer.
  ///
  /// - Parameters:
  ///   - path: A `tokenizer.json`, or a directory with one (and with
  ///     `tokenizer_config.json` and `special_tokens_map.json`, if they are there), or a directory
  ///     with `vocab.json`, `merges.txt` and a `tokenizer_config.json` whose `tokenizer_class` is
  ///     Qwen2's or GPT-2's. `add_bos_token` and `add_eos_token` count where no `tokenizer.json` has a
  ///     post-processor.
  ///   - endOfSequence: The id that ends a sequence where the tokenizer's files name none, as a
  ///     model's configuration says it.
  /// - Throws: ``TokenizerError``. Reading 150,000 tokens takes some tenths of a second.
  public convenience init(
    contentsOf path: String, endOfSequence: Int? = nil
  ) throws(TokenizerError) {
    var definition = try TokenizerDefinition(contentsOf: path)
    definition.endOfSequence = definition.endOfSequence ?? endOfSequence
    self.init(definition)
  }

  /// Reads a tokenizer from the text of a `tokenizer.json`.
  public convenience init(json: String) throws(TokenizerError) {
    self.init(try TokenizerDefinition(json: json))
  }

  init(_ definition: TokenizerDefinition) {
    model = definition.model
    added = definition.added
    normalizer = definition.normalizer
    preTokenizer = definition.preTokenizer
    templates = definition.templates
    template = SequenceTemplate(definition.templates)
    decoderPipeline = DecoderPipeline(definition.decoders)
    vocabularySize = max(model.vocabulary.idCount, added.highestID + 1)
    beginningOfSequence = definition.beginningOfSequence
    endOfSequence = definition.endOfSequence
  }

  func takeState() -> EncodingState {
    lock.withLock { idleStates.popLast() } ?? EncodingState(model, preTokenizer)
  }

  func putBack(_ state: EncodingState) {
    state.trim()
    lock.withLock {
      if idleStates.count < Self.mostIdleStates { idleStates.append(state) }
    }
  }

  private static let mostIdleStates = 8

  /// The text of `ids`; see ``Tokenizer/decode(_:skipSpecialTokens:)``.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
    var pipeline = decoderPipeline
    var text = ""
    for id in ids {
      guard let token = spelling(of: id, skippingSpecial: skipSpecialTokens) else { continue }
      text += pipeline.append(token)
    }
    return text + pipeline.finish()
  }

  /// The id of a token as the vocabulary or the added tokens spell it; nil if there is none.
  public func id(of token: String) -> Int? {
    let bytes = Array(token.utf8)
    if let id = added.id(of: bytes) { return id }
    let id = model.vocabulary.id(of: bytes)
    return id < 0 ? nil : Int(id)
  }

  /// The token of an id, an added one in its normalized form; nil if there is none.
  public func token(of id: Int) -> String? {
    spelling(of: id, skippingSpecial: false).map { String(decoding: $0, as: UTF8.self) }
  }

  /// A decoder whose cost for an id does not depend on how many came before.
  public func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder {
    StreamingDecoder(pipeline: decoderPipeline, of: self, skipSpecialTokens: skipSpecialTokens)
  }

  /// The token of an id; nil if there is none or if it is left out.
  func spelling(of id: Int, skippingSpecial: Bool) -> [UInt8]? {
    guard let token = added.spelling(of: id) ?? model.vocabulary.spelling(of: id).map(Array.init)
    else { return nil }
    return skippingSpecial && added.isSpecial(token) ? nil : token
  }
}

/// What a template puts into a sequence: the text's ids, or special tokens.
enum TemplatePiece: Sendable, Hashable {
  case sequence
  case tokens([Int])
}
