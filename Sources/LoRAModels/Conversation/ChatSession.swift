public import LoRATemplates
import LoRAText

/// A conversation with a model: what was said, and the next answer.
///
/// Every answer is that of a fresh conversation with the same messages under the same adapters, token by
/// token: the template makes the text of all that was said anew. What of it has passed before is not
/// computed again, as long as the adapters are the same; see ``PromptCache``.
///
/// A conversation that leaves too little room for an answer goes on without its oldest exchanges, see
/// ``forgottenMessageCount``; answers are then those of a fresh conversation that begins there.
///
/// ```swift
/// let chat = try ChatSession(pretrained, system: "Answer in one sentence.")
/// let answer = try chat.answer(to: "Which light blinks?")
/// while let piece = try answer.next() { print(piece, terminator: "") }
/// ```
///
/// Not Sendable: it belongs to the task that talks.
public final class ChatSession {
  /// What answers.
  public let model: any LanguageModel
  /// What makes tokens of conversations.
  public let format: ChatFormat
  /// How tokens are chosen. Another answer to the same message has the next seed.
  public var options: GenerationOptions
  /// Strings that end an answer, of which they are no part.
  public var stopStrings: [String] = []
  /// What applies to the next answer; nil for what is enabled on the model.
  public var adapters: AdapterSelection?
  /// What the template is told before all messages; nil for nothing.
  public var system: String?
  /// Further variables of the template, an object, as `enable_thinking`.
  public var variables: TemplateValue = [:]
  /// The most tokens of the conversation and its answer that the model sees; nil for as many as it has
  /// positions.
  public var contextLimit: Int?
  /// What was said, without the system's message: objects with a `role` and a `content`.
  public private(set) var messages: [TemplateValue] = []
  /// How many of the first messages the model sees no more.
  ///
  /// Where the context has no room for an answer of the most tokens of ``options``, or of a quarter of the
  /// context if that is less, the oldest exchanges are forgotten until the others take half of it. That
  /// costs a pass of what remains. The system's message stays, and so does the last one.
  public private(set) var forgottenMessageCount = 0
  private let cache = PromptCache()
  /// The answer that may still be going on.
  private weak var current: ChatAnswer?
  /// How often the last message was answered.
  private var answerCount: UInt64 = 0

  /// Begins a conversation.
  public init(
    _ model: any LanguageModel, format: ChatFormat, system: String? = nil,
    options: GenerationOptions = GenerationOptions(), adapters: AdapterSelection? = nil
  ) {
    self.model = model
    self.format = format
    self.system = system
    self.options = options
    self.adapters = adapters
  }

  /// Begins a conversation with a model by its own tokenizer and template, or by `format`; its stop tokens
  /// end answers beside those of `options`.
  ///
  /// Throws where the model is no language model, and `TemplateError` where it has no chat template.
  public convenience init(
    _ pretrained: PretrainedModel, format: ChatFormat? = nil, system: String? = nil,
    options: GenerationOptions = GenerationOptions(), adapters: AdapterSelection? = nil
  ) throws {
    let format = try format ?? pretrained.chatFormat()
    var options = options
    options.stopTokens.formUnion(pretrained.stopTokens(with: format))
    self.init(
      try pretrained.languageModel, format: format, system: system, options: options,
      adapters: adapters)
  }

  /// Begins the answer to a message, which is said from now on.
  ///
  /// Throws, and nothing was said, where the template refuses the conversation or the message has no room.
  ///
  /// An answer that is still going on ends here.
  public func answer(to text: String) throws -> ChatAnswer {
    current?.stop()
    let message: TemplateValue = ["role": "user", "content": .string(text)]
    let session = try answerSession(to: messages + [message], seed: options.seed)
    messages.append(message)
    answerCount = 1
    return begun(session)
  }

  /// Begins another answer to the last message in the place of the one that was given; nil if nothing was
  /// asked.
  public func answerAgain() throws -> ChatAnswer? {
    current?.stop()
    let asked = messages.last?["role"] == "assistant" ? Array(messages.dropLast()) : messages
    guard asked.last?["role"] == "user" else { return nil }
    let session = try answerSession(to: asked, seed: options.seed &+ answerCount)
    messages = asked
    answerCount += 1
    return begun(session)
  }

  private func begun(_ session: TextSession) -> ChatAnswer {
    let answer = ChatAnswer(session, in: self)
    current = answer
    return answer
  }

  /// What the model would answer under `adapters` to a message, or to the last one, without saying it; nil if
  /// nothing was asked.
  public func text(
    answering text: String? = nil, under adapters: AdapterSelection?
  ) throws -> TextSession? {
    current?.stop()
    var asked = messages
    if let text {
      asked.append(["role": "user", "content": .string(text)])
    } else if asked.last?["role"] == "assistant" {
      asked.removeLast()
    }
    guard asked.last?["role"] == "user" else { return nil }
    return try session(for: asked, seed: options.seed, under: adapters) { _ in }
  }

  /// Forgets what was said; what the system was told stays.
  public func removeAll() {
    current?.stop()
    (messages, forgottenMessageCount) = ([], 0)
  }

  /// Adds what the model said.
  fileprivate func add(_ answer: String) {
    messages.append(["role": "assistant", "content": .string(answer)])
  }

  /// What answers the last of `messages`, and forgets for good.
  private func answerSession(to messages: [TemplateValue], seed: UInt64) throws -> TextSession {
    try session(for: messages, seed: seed, under: adapters) { [unowned self] in
      forgottenMessageCount = $0
    }
  }

  private func session(
    for messages: [TemplateValue], seed: UInt64, under adapters: AdapterSelection?,
    forgetting: @escaping (_ first: Int) -> Void
  ) throws -> TextSession {
    let most = try contextLength(under: adapters)
    var options = options
    (options.seed, options.context) = (seed, ContextWindow(limit: most, kept: 0))
    // What an exchange that is remembered can begin with.
    var starts = messages.indices.filter { messages[$0]["role"] == "user" }[...]
    starts = starts.drop { $0 < forgottenMessageCount }
    var first = starts.first ?? 0
    var ids = try tokens(of: messages[first...])
    var fitting = most - min(options.maximumTokens, most / 4)
    while ids.count > fitting, let next = starts.dropFirst().first {
      (first, fitting) = (next, most / 2)
      starts.removeFirst()
      ids = try tokens(of: messages[first...])
    }
    guard ids.count <= most else { throw tooLong(ids.count, most) }
    let session = try TextSession(
      model, tokenizer: format.tokenizer, prompt: ids, options: options, stopStrings: stopStrings,
      adapters: adapters, promptCache: cache, constraint: nil
    ) { [self] tokens, generated in
      // An answer that came to the end of the context: the same for what it answers.
      var remembered = tokens
      while remembered.count > most / 2, let next = starts.dropFirst().first {
        starts.removeFirst()
        guard let ids = try? self.tokens(of: messages[next...]) else { break }
        remembered = ids + tokens.suffix(generated)
        forgetting(next)
      }
      return remembered
    }
    forgetting(first)
    return session
  }

  /// The ids of the system's message, `messages` and what asks for an answer.
  private func tokens(of messages: ArraySlice<TemplateValue>) throws -> [Int] {
    let told = system.map { [["role": "system", "content": .string($0)] as TemplateValue] } ?? []
    return try format.prompt(Conversation(messages: told + messages, variables: variables))
  }

  /// The most tokens that the model sees beside virtual tokens of `adapters`.
  private func contextLength(under adapters: AdapterSelection?) throws -> Int {
    let snapshot = try model.passSnapshot(adapters)
    let positions = AdapterScope.$current.withValue(snapshot ?? AdapterScope.current) {
      model.maximumPositions
    }
    return min(contextLimit ?? positions, positions)
  }

  private func tooLong(_ count: Int, _ most: Int) -> SequenceError {
    most == contextLimit
      ? .invalidOption(
        name: "the context's limit", value: "\(most) tokens",
        expected: "at least the \(count) of the last message and the system's")
      : .tooLong(sequence: 0, count: count, limit: most)
  }
}

/// An answer as it is given. What came of it is said once it has ended, or was stopped.
///
/// Not Sendable: it belongs to the task that talks.
public final class ChatAnswer {
  private let session: TextSession
  private var chat: ChatSession?
  /// What came so far.
  public private(set) var text = ""

  fileprivate init(_ session: TextSession, in chat: ChatSession) {
    self.session = session
    self.chat = chat
  }

  /// The tokens of the conversation before the answer.
  public var prompt: [Int] { session.prompt }
  /// How many of them had passed before.
  public var cachedTokenCount: Int { session.cachedTokenCount }
  /// The tokens of the answer so far.
  public var tokens: [Int] { session.choices.map(\.token) }
  /// How many tokens the model sees now, those of the answer included.
  public var contextTokenCount: Int { session.contextTokens.count }
  /// Why the answer ended; nil before it has, and for one that was stopped.
  public var end: GenerationEnd? { session.end }

  /// The next piece, never an empty one and only whole characters; nil at the end.
  ///
  /// Throws ``NonFiniteOutput`` if logits are not finite numbers; what came is said.
  public func next() throws(NonFiniteOutput) -> String? {
    guard chat != nil else { return nil }
    do throws(NonFiniteOutput) {
      guard let piece = try session.next() else {
        stop()
        return nil
      }
      text += piece
      return piece
    } catch {
      stop()
      throw error
    }
  }

  /// Ends the answer here: what came is what was said.
  public func stop() {
    chat?.add(text)
    chat = nil
  }
}
