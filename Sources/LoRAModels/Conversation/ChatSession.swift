public import LoRATemplates
import LoRAText

/// A conversation with a model: what was said, and the next answer.
///
/// Every answer is that of a fresh conversation with the same messages under the same adapters, token by
/// token: the template makes the text of all that was said anew. What of it has passed before is not
/// computed again, as long as the adapters are the same; see ``PromptCache``.
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
  /// What was said, without the system's message: objects with a `role` and a `content`.
  public private(set) var messages: [TemplateValue] = []
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

  /// Begins a conversation with a model by its own tokenizer and template; its stop tokens end answers
  /// beside those of `options`.
  ///
  /// Throws where the model is no language model, and `TemplateError` where it has no chat template.
  public convenience init(
    _ pretrained: PretrainedModel, system: String? = nil,
    options: GenerationOptions = GenerationOptions(), adapters: AdapterSelection? = nil
  ) throws {
    let format = try pretrained.chatFormat()
    var options = options
    options.stopTokens.formUnion(pretrained.stopTokens(with: format.tokenizer))
    self.init(
      try pretrained.languageModel, format: format, system: system, options: options,
      adapters: adapters)
  }

  /// Begins the answer to a message, which is said from now on.
  ///
  /// Throws, and nothing was said, where the template refuses the conversation or it has no room.
  ///
  /// An answer that is still going on ends here.
  public func answer(to text: String) throws -> ChatAnswer {
    current?.stop()
    let message: TemplateValue = ["role": "user", "content": .string(text)]
    let session = try session(for: messages + [message], seed: options.seed)
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
    let session = try session(for: asked, seed: options.seed &+ answerCount)
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
    return try session(for: asked, seed: options.seed, under: adapters)
  }

  /// Forgets what was said; what the system was told stays.
  public func removeAll() {
    current?.stop()
    messages = []
  }

  /// Adds what the model said.
  fileprivate func add(_ answer: String) {
    messages.append(["role": "assistant", "content": .string(answer)])
  }

  private func session(for messages: [TemplateValue], seed: UInt64) throws -> TextSession {
    try session(for: messages, seed: seed, under: adapters)
  }

  private func session(
    for messages: [TemplateValue], seed: UInt64, under adapters: AdapterSelection?
  ) throws -> TextSession {
    let told = system.map { [["role": "system", "content": .string($0)] as TemplateValue] } ?? []
    let prompt = try format.prompt(Conversation(messages: told + messages, variables: variables))
    var options = options
    options.seed = seed
    return try TextSession(
      model, tokenizer: format.tokenizer, prompt: prompt, options: options,
      stopStrings: stopStrings, adapters: adapters, promptCache: cache)
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
