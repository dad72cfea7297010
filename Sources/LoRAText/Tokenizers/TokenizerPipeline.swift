import Foundation
import LoRAPatterns

/// A tokenizer of Hugging Face's `tokenizer.json`, or of the files that came before it: a text goes
/// through a normalizer, a pre-tokenizer that cuts it into words, a model that makes ids of each, and
/// post-processors that put special tokens round them; decoders lead back.
///
/// It gives the same ids and text as the package `tokenizers` (0.23), for tokenizers like Llama's
/// (byte fallback, "▁" for spaces), GPT-2's, Qwen's and Llama 3's (bytes as characters, a pattern
/// that splits words), BERT's (word pieces), and T5's and XLM-RoBERTa's (unigrams):
///
/// - models: `BPE`, with `byte_fallback`, `fuse_unk`, `ignore_merges`, affixes, no `dropout`;
///   `WordPiece`; `Unigram`, with `byte_fallback`; `WordLevel`
/// - normalizers: `NFC` `NFD` `NFKC` `NFKD` `Lowercase` `Strip` `StripAccents` `Prepend` `Replace`
///   `BertNormalizer` `Precompiled` `Nmt` `ByteLevel` `Sequence`
/// - pre-tokenizers: `ByteLevel` `Split` `Digits` `Metaspace` `Whitespace` `WhitespaceSplit`
///   `Punctuation` `BertPreTokenizer` `CharDelimiterSplit` `UnicodeScripts` `FixedLength` `Sequence`
/// - post-processors: `TemplateProcessing` `BertProcessing` `RobertaProcessing` `ByteLevel`
///   `Sequence`
/// - decoders: `ByteLevel` `ByteFallback` `Fuse` `Strip` `Replace` `Metaspace` `WordPiece`
///   `BPEDecoder` `CTC` `Sequence`
///
/// SentencePiece's own models, which older tokenizers are, give the ids of the package
/// `sentencepiece` (0.2).
///
/// Anything else throws a ``TokenizerError`` that names it; nothing is skipped. The exceptions are
/// the entries `truncation` and `padding`, which are ignored: they concern batches, not text (the
/// published GPT-2 file truncates at 128 tokens).
///
/// ```swift
/// let tokenizer = try TokenizerPipeline(contentsOf: "tokenizers/qwen3")
/// tokenizer.encode("Hello, world!")        // [9707, 11, 1879, 0]
/// tokenizer.id(of: "<|im_end|>")           // 151645
/// ```
///
/// Encoding takes about a microsecond per word, less for repeated words; a text that cannot be
/// split takes O(n log n). A tokenizer is immutable and can be used from many tasks at once.
public final class TokenizerPipeline: Tokenizer {
  let model: any WordModel
  let added: AddedTokens
  let normalizer: Normalizer?
  let preTokenizer: PreTokenizer?
  let templates: [TextTemplate]
  let offsetTrims: [OffsetTrim]
  /// The special tokens that the post-processors put around a text.
  public let template: SequenceTemplate
  let decoderPipeline: DecoderPipeline
  private let marksSkippedTokens: Bool

  /// The highest id plus one, including added tokens.
  public let vocabularySize: Int
  /// The id of `bos_token` in `tokenizer_config.json` or `special_tokens_map.json`, or of the token
  /// that the template starts with, if any.
  public let beginningOfSequence: Int?
  /// The id of `eos_token` in `tokenizer_config.json` or `special_tokens_map.json`, or of the token
  /// that the template ends with, if any.
  public let endOfSequence: Int?

  /// The id that begins the target of an encoder-decoder; nil for other models.
  public let targetStart: Int?

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
  ///   - path: A `tokenizer.json`; or a directory with one (and with `tokenizer_config.json` and
  ///     `special_tokens_map.json`, if present); or a directory with `vocab.json`, `merges.txt` and
  ///     a `tokenizer_config.json` whose `tokenizer_class` is Qwen2's or GPT-2's; or a directory
  ///     with BERT's `vocab.txt`; or a SentencePiece `.model`, or a directory with it as
  ///     `tokenizer.model` or `spiece.model`. `add_bos_token` and `add_eos_token` apply if no
  ///     `tokenizer.json` has a post-processor.
  ///   - endOfSequence: The end-of-sequence id if the tokenizer's files name none, as in a model's
  ///     configuration.
  ///   - targetStart: The id that begins a target, of an encoder-decoder's tokenizer.
  /// - Throws: ``TokenizerError``. Reading 150,000 tokens takes a few tenths of a second.
  public convenience init(
    contentsOf path: String, endOfSequence: Int? = nil, targetStart: Int? = nil
  ) throws(TokenizerError) {
    var definition = try TokenizerDefinition(contentsOf: path)
    definition.endOfSequence = definition.endOfSequence ?? endOfSequence
    self.init(definition, targetStart: targetStart)
  }

  /// Reads a tokenizer from the text of a `tokenizer.json`.
  public convenience init(json: String) throws(TokenizerError) {
    self.init(try TokenizerDefinition(json: json))
  }

  init(_ definition: TokenizerDefinition, targetStart: Int? = nil) {
    self.targetStart = targetStart
    model = definition.model
    added = definition.added
    normalizer = definition.normalizer
    preTokenizer = definition.preTokenizer
    templates = definition.templates
    offsetTrims = definition.offsetTrims
    template = SequenceTemplate(definition.templates)
    decoderPipeline = DecoderPipeline(definition.decoders)
    marksSkippedTokens = definition.marksSkippedTokens
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

  /// The id of a token, spelled as in the vocabulary or the added tokens; nil if there is none.
  public func id(of token: String) -> Int? {
    let bytes = Array(token.utf8)
    if let id = added.id(of: bytes) { return id }
    let id = model.vocabulary.id(of: bytes)
    return id < 0 ? nil : Int(id)
  }

  /// The token with this id, an added token in its normalized form; nil if there is none.
  public func token(of id: Int) -> String? {
    spelling(of: id, skippingSpecial: false).map { String(decoding: $0, as: UTF8.self) }
  }

  /// A streaming decoder whose cost per id does not depend on the number of earlier ids.
  public func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder {
    StreamingDecoder(pipeline: decoderPipeline, of: self, skipSpecialTokens: skipSpecialTokens)
  }

  /// The token of an id; nil if there is none or if it is left out, which some decoders are told by
  /// an empty one.
  func spelling(of id: Int, skippingSpecial: Bool) -> [UInt8]? {
    guard let token = added.spelling(of: id) ?? model.vocabulary.spelling(of: id).map(Array.init)
    else { return nil }
    guard skippingSpecial, added.isSpecial(token) else { return token }
    return marksSkippedTokens ? [] : nil
  }
}
