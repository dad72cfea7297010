public import LoRAGrammars
public import LoRAText

/// One text in progress: a ``GenerationSession``, its tokenizer, and strings that end it.
///
/// ```swift
/// let session = try TextSession(model, tokenizer: tokenizer, prompt: "Q: What is LoRA?\nA:", stopStrings: ["\nQ:"])
/// while let piece = try session.next() { print(piece, terminator: "") }
/// ```
///
/// Not Sendable: it belongs to the task that asks it for text.
public final class TextSession {
  private let session: GenerationSession
  private var decoder: StreamingDecoder
  private var stops: StopStrings
  /// The tokens of the prompt.
  public let prompt: [Int]
  /// The tokens that were generated so far, those of a stop string too, as they were chosen.
  public private(set) var choices: [TokenChoice] = []
  /// Why the text ended; nil before it has.
  public private(set) var end: GenerationEnd?

  /// Prepares a text behind `prompt`, which is read as training reads a prompt.
  ///
  /// The tokenizer's end-of-sequence token ends it beside the stop tokens of `options`. Parameters as
  /// ``GenerationSession/init(_:prompt:options:adapters:promptCache:constraint:)``.
  /// `stopStrings` end the text too, of which they are no part.
  public convenience init(
    _ model: any LanguageModel, tokenizer: some Tokenizer, prompt: String,
    options: GenerationOptions = GenerationOptions(), stopStrings: [String] = [],
    adapters: AdapterSelection? = nil, promptCache: PromptCache? = nil,
    constraint: ConstraintMatcher? = nil
  ) throws {
    try self.init(
      model, tokenizer: tokenizer, prompt: tokenizer.encodePrompt(prompt), options: options,
      stopStrings: stopStrings, adapters: adapters, promptCache: promptCache,
      constraint: constraint)
  }

  /// Prepares a text behind a prompt of ids.
  public convenience init(
    _ model: any LanguageModel, tokenizer: some Tokenizer, prompt: [Int],
    options: GenerationOptions = GenerationOptions(), stopStrings: [String] = [],
    adapters: AdapterSelection? = nil, promptCache: PromptCache? = nil,
    constraint: ConstraintMatcher? = nil
  ) throws {
    try self.init(
      model, tokenizer: tokenizer, prompt: prompt, options: options, stopStrings: stopStrings,
      adapters: adapters, promptCache: promptCache, constraint: constraint, remembering: nil)
  }

  /// The same, with a rule of what is remembered; see ``GenerationSession``.
  init(
    _ model: any LanguageModel, tokenizer: some Tokenizer, prompt: [Int],
    options: GenerationOptions, stopStrings: [String], adapters: AdapterSelection?,
    promptCache: PromptCache?, constraint: ConstraintMatcher?,
    remembering rule: ((_ tokens: [Int], _ generated: Int) -> [Int]?)?
  ) throws {
    var options = options
    if let end = tokenizer.endOfSequence { options.stopTokens.insert(end) }
    session = try GenerationSession(
      model, prompt: prompt, options: options, adapters: adapters, promptCache: promptCache,
      constraint: constraint, remembering: rule)
    self.prompt = prompt
    decoder = tokenizer.streamingDecoder(after: prompt)
    stops = StopStrings(stopStrings)
  }

  /// How many of the prompt's tokens a ``PromptCache`` had passed before.
  public var cachedTokenCount: Int { session.cachedTokenCount }

  /// The tokens that the model sees now: those of the prompt and the text, without the forgotten ones.
  public var contextTokens: [Int] { session.tokens }
  /// How many tokens were forgotten so far; see ``GenerationOptions/context``.
  public var forgottenTokenCount: Int { session.forgottenTokenCount }

  /// The next piece of the text, never an empty one and only whole characters; nil at the end.
  ///
  /// Throws ``NonFiniteOutput`` if logits are not finite numbers.
  public func next() throws(NonFiniteOutput) -> String? {
    while end == nil {
      let piece: String
      if try session.next() != nil, let choice = session.lastChoice {
        choices.append(choice)
        piece = stops.append(decoder.append(choice.token))
      } else {
        piece = stops.append(decoder.finish()) + stops.finish()
        end = session.end
      }
      if let found = stops.found { end = .stopString(found) }
      if !piece.isEmpty { return piece }
    }
    return nil
  }

  /// All of the text that is still to come.
  public func rest() throws(NonFiniteOutput) -> String {
    var text = ""
    while let piece = try next() { text += piece }
    return text
  }
}
