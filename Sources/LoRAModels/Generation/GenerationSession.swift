import LoRAAutograd
public import LoRAGrammars
import LoRATensor

/// One generation in progress: a sequence, its cache, and the adapters that it was started with.
///
/// Not Sendable: it belongs to the task that asks it for tokens.
public final class GenerationSession {
  private let model: any LanguageModel
  private let options: GenerationOptions
  private let virtualTokenCount: Int
  let snapshot: AdapterSnapshot?
  let cache: KeyValueCache
  private var sampler: Sampler
  private var pending: [Int]
  private var generated = 0
  /// How often the model was asked.
  private(set) var passCount = 0
  /// The end, once it is known.
  private var reached: GenerationEnd?
  /// What a pass with guesses has chosen beyond the token that it was asked for.
  private var chosen: [TokenChoice] = []
  /// What the prompt cache knows of this sequence; nil without one.
  private let kept: PromptCache.Text?
  private let promptCache: PromptCache?
  /// The tokens that the model sees, those of the prompt first: all so far, without the forgotten ones.
  private(set) var tokens: [Int]
  /// What remains of `tokens` where no other has room; nil, or all of them, if the text ends there.
  private let remembered: (_ tokens: [Int], _ generated: Int) -> [Int]?
  /// How many tokens were forgotten so far, the prompt's included; see ``GenerationOptions/context``.
  public private(set) var forgottenTokenCount = 0
  /// How many of the prompt's tokens a ``PromptCache`` had passed before.
  public let cachedTokenCount: Int
  /// Why it ended; nil before ``next()`` has given all tokens.
  public var end: GenerationEnd? { chosen.isEmpty ? reached : nil }
  /// The token that ``next()`` gave last, with the probabilities that the options ask for; nil before the
  /// first.
  public private(set) var lastChoice: TokenChoice?

  /// Prepares a generation; nothing is computed yet.
  ///
  /// - Parameters:
  ///   - model: what predicts the next token.
  ///   - prompt: the ids to continue, at least one; of a longer one than a context of `options` has, what
  ///     it remembers.
  ///   - options: how tokens are chosen, and when to end.
  ///   - adapters: what applies, whatever happens to the model meanwhile; nil for what applies in
  ///     the scope of this call, or else is enabled on the model now.
  ///   - promptCache: what earlier generations have passed, to which this one is added; nil for none.
  ///   - constraint: what the output must be, of the model's vocabulary; nil for anything. Its end tokens
  ///     should be among the stop tokens.
  public convenience init(
    _ model: any LanguageModel, prompt: [Int], options: GenerationOptions = GenerationOptions(),
    adapters: AdapterSelection? = nil, promptCache: PromptCache? = nil,
    constraint: ConstraintMatcher? = nil
  ) throws {
    try self.init(
      model, prompt: prompt, options: options, adapters: adapters, promptCache: promptCache,
      constraint: constraint, remembering: nil)
  }

  /// The same, with another rule of what is remembered than that of `options`, which say how much fits.
  init(
    _ model: any LanguageModel, prompt: [Int], options: GenerationOptions,
    adapters: AdapterSelection?, promptCache: PromptCache?, constraint: ConstraintMatcher?,
    remembering rule: ((_ tokens: [Int], _ generated: Int) -> [Int]?)?
  ) throws {
    try options.validate(vocabularySize: model.vocabularySize)
    self.model = model
    self.options = options
    let snapshot = try model.passSnapshot(adapters)
    self.snapshot = snapshot
    // What applies decides how much room there is beside virtual tokens.
    func limits() throws(SequenceError) -> (virtual: Int, most: Int, prompt: [Int]) {
      let positions = model.maximumPositions
      let most = try options.context?.length(within: positions, of: model) ?? positions
      let seen =
        prompt.count > most ? options.context?.remembered(of: prompt, most: most) : nil
      try model.validate([seen ?? prompt])
      return (model.virtualTokenCount, most, seen ?? prompt)
    }
    let (virtual, most, seen) =
      try snapshot.map { try AdapterScope.$current.withValue($0) { try limits() } } ?? limits()
    virtualTokenCount = virtual
    sampler = Sampler(options, behind: seen, matcher: constraint)
    tokens = seen
    forgottenTokenCount = prompt.count - seen.count
    remembered = rule ?? { tokens, _ in options.context?.remembered(of: tokens, most: most) }
    // The prompt fits: it was checked. The sum may not even be a number.
    let capacity = virtual + seen.count + min(options.maximumTokens, most - seen.count)
    let filling = promptCache == nil ? nil : PromptCache.Filling(model, snapshot)
    let begun = filling.flatMap {
      promptCache?.begin(seen, $0, virtualTokens: virtual, capacity: capacity)
    }
    let sequence =
      begun?.sequence ?? CachedSequence(layerCount: model.layerCount, capacity: capacity)
    cache = KeyValueCache(sequences: [sequence])
    cachedTokenCount = begun?.count ?? 0
    pending = Array(seen.dropFirst(cachedTokenCount))
    kept = filling.map { PromptCache.Text($0, sequence) }
    self.promptCache = promptCache
  }

  /// The next token; nil once the limit, a stop token or, without a context that forgets, the model's last
  /// position is reached.
  ///
  /// Throws ``NonFiniteOutput`` if the logits are not finite numbers: no token follows from them.
  public func next() throws(NonFiniteOutput) -> Int? {
    if chosen.isEmpty {
      if isFull { forget() }
      if canContinue { try pass() }
    }
    guard !chosen.isEmpty else {
      reached = reached ?? .length
      return nil
    }
    lastChoice = chosen.removeFirst()
    return lastChoice?.token
  }

  /// Whether there is room for another token.
  var canContinue: Bool {
    reached == nil && generated < options.maximumTokens && room > 0
  }

  /// Whether another token is wanted, and there is no room for it.
  var isFull: Bool { reached == nil && generated < options.maximumTokens && room <= 0 }

  /// Makes room: the tokens that are remembered are what the model sees from now on. They pass again behind
  /// those that stay where they were.
  private func forget() {
    guard let remembered = remembered(tokens, generated), remembered.count < tokens.count else {
      return
    }
    var same = zip(tokens, remembered.dropLast()).prefix { $0 == $1 }.count
    let sequence = cache.sequences[0]
    same = sequence.canGoOn(behind: virtualTokenCount + same) ? same : 0
    sequence.truncate(to: same == 0 ? 0 : virtualTokenCount + same)
    forgottenTokenCount += tokens.count - remembered.count
    tokens = remembered
    pending = Array(remembered.dropFirst(same))
    keep()
  }

  /// How many tokens fit behind those that are pending, and one more: the last needs no place.
  private var room: Int {
    cache.capacity + 1 - (cache.count == 0 ? virtualTokenCount : cache.count) - pending.count
  }

  /// The token that the cache does not hold yet, once the prompt has passed.
  var lastToken: Int { pending[pending.count - 1] }

  /// The token that `logits`, `[1, vocabulary]`, lead to; nil if that is the end.
  func choose(from logits: Tensor) throws(NonFiniteOutput) -> Int? {
    if logits.firstNonFiniteIndex() != nil { throw failure() }
    guard let choice = sampler.next(logits) else {
      reached = .noAllowedToken
      return nil
    }
    if options.stopTokens.contains(choice.token) {
      reached = .stopToken(choice.token)
      return nil
    }
    pending = [choice.token]
    tokens.append(choice.token)
    generated += 1
    lastChoice = choice
    if sampler.isFinished { reached = .complete }
    return choice.token
  }

  /// Where the logits of what comes next stop being finite.
  private func failure() -> NonFiniteOutput {
    let sequence = Tensor(tokens, shape: [1, tokens.count])
    guard let snapshot else { return NonFiniteOutput(of: model, TokenBatch(sequence)) }
    return AdapterScope.$current.withValue(snapshot) {
      NonFiniteOutput(of: model, TokenBatch(sequence))
    }
  }

  /// Chooses the next token, and those behind it as far as guesses were right.
  private func pass() throws(NonFiniteOutput) {
    let guesses = guessed()
    let logits = self.logits(with: guesses)
    passCount += 1
    let held = cache.count - guesses.count
    var right = 0
    for (row, guess) in (guesses + [nil]).enumerated() {
      let row = logits[rows: row..<row + 1]
      // What follows from a guess is asked for again: this pass has a token to give.
      if right > 0, row.firstNonFiniteIndex() != nil { break }
      guard let token = try choose(from: row), let choice = lastChoice else { break }
      chosen.append(choice)
      guard token == guess, reached == nil else { break }
      right += 1
    }
    cache.sequences[0].truncate(to: held + min(right, guesses.count))
    keep()
  }

  /// Tells the prompt cache how far the sequence is.
  func keep() {
    guard let kept, let promptCache else { return }
    kept.tokens = Array(tokens.prefix(max(0, cache.count - virtualTokenCount)))
    promptCache.add(kept)
  }

  /// What may come next, by what came behind the same tokens before.
  private func guessed() -> [Int?] {
    let most = min(options.guesses, options.maximumTokens - generated - 1, room - 1)
    return most > 0 ? PromptLookup.guesses(behind: tokens, most: most) : []
  }

  /// Runs the tokens that the cache does not hold yet and `guesses`, and returns the logits of the last
  /// pending one and of each guess, `[1 + guesses, vocabulary]`.
  private func logits(with guesses: [Int?]) -> Tensor {
    withoutGradients {
      let ids = pending + guesses.compactMap(\.self)
      let tokens = Tensor(ids, shape: [1, ids.count])
      func run() -> Tensor {
        let hidden = model.hiddenStates(tokens, cache: cache).value
        let rows = hidden.reshaped(to: [hidden.shape.rowCount, hidden.shape.innermost])
        let count = rows.shape[0]
        return model.logits(of: Variable(rows[rows: count - 1 - guesses.count..<count])).value
      }
      guard let snapshot else { return run() }
      return AdapterScope.$current.withValue(snapshot, operation: run)
    }
  }
}

/// The tokens of a generation, computed one by one as they are asked for.
///
/// Ends early, without an error, when the task that iterates is cancelled. Throws ``NonFiniteOutput``
/// where the logits are not finite numbers.
public struct TokenStream: AsyncSequence, Sendable {
  let start: @Sendable () throws -> GenerationSession

  /// What the stream's iteration computes with.
  public struct Iterator: AsyncIteratorProtocol {
    var start: StreamStart<GenerationSession>

    /// The next token; nil at the end.
    public mutating func next() async throws -> Int? { try await start.session()?.next() }
  }

  /// Starts at the prompt. Each iterator generates by itself.
  public func makeAsyncIterator() -> Iterator { Iterator(start: .notStarted(start)) }
}

extension LanguageModel {
  /// Generates tokens that continue `prompt`, as an asynchronous sequence.
  ///
  /// ```swift
  /// for try await token in try model.tokens(after: prompt, options: options) { ... }
  /// ```
  ///
  /// The prompt, the options and the choice of adapters are checked and fixed by this call.
  public func tokens(
    after prompt: [Int], options: GenerationOptions = GenerationOptions(),
    adapters: AdapterSelection? = nil
  ) throws -> TokenStream {
    try validate([prompt])
    try options.validate(vocabularySize: vocabularySize)
    let snapshot = try passSnapshot(adapters)
    return TokenStream { [self] in
      try AdapterScope.$current.withValue(snapshot) {
        try GenerationSession(self, prompt: prompt, options: options)
      }
    }
  }

  /// Generates all tokens that continue `prompt`, without the stop token.
  public func generate(
    after prompt: [Int], options: GenerationOptions = GenerationOptions(),
    adapters: AdapterSelection? = nil
  ) throws -> [Int] {
    let session = try GenerationSession(
      self, prompt: prompt, options: options, adapters: adapters)
    var tokens: [Int] = []
    while let token = try session.next() { tokens.append(token) }
    return tokens
  }

  /// The snapshot that a pass of several steps keeps: of `selection`, or of the scope of the call,
  /// or of what is enabled now. Nil while adapters are merged and none are chosen: then the merged
  /// weights apply.
  func passSnapshot(_ selection: AdapterSelection?) throws(AdapterError) -> AdapterSnapshot? {
    if let selection { return try snapshot(selection) }
    if let current = AdapterScope.current {
      guard current.groupOfItem == nil else {
        throw .invalidValue(
          parameter: "the adapters of this scope", value: "a choice for each item of a batch",
          expected: "one choice: a generation is one sequence (GenerationBatch has several)")
      }
      return current
    }
    return isMerged ? nil : try snapshot(enabledAdapters)
  }
}
