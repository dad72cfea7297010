import LoRAAutograd
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
  /// All tokens so far, the prompt's first.
  private(set) var tokens: [Int]

  /// Prepares a generation; nothing is computed yet.
  ///
  /// - Parameters:
  ///   - model: what predicts the next token.
  ///   - prompt: the ids to continue, at least one.
  ///   - options: how tokens are chosen, and when to end.
  ///   - adapters: what applies, whatever happens to the model meanwhile; nil for what applies in
  ///     the scope of this call, or else is enabled on the model now.
  public init(
    _ model: any LanguageModel, prompt: [Int], options: GenerationOptions = GenerationOptions(),
    adapters: AdapterSelection? = nil
  ) throws {
    try options.validate()
    self.model = model
    self.options = options
    snapshot = try model.passSnapshot(adapters)
    // What applies decides how much room there is beside virtual tokens.
    func limits() throws(SequenceError) -> (virtual: Int, positions: Int) {
      try model.validate([prompt])
      return (model.virtualTokenCount, model.maximumPositions)
    }
    let (virtual, positions) =
      try snapshot.map { try AdapterScope.$current.withValue($0) { try limits() } } ?? limits()
    virtualTokenCount = virtual
    sampler = Sampler(options)
    pending = prompt
    tokens = prompt
    cache = KeyValueCache(
      layerCount: model.layerCount,
      // The prompt fits: it was checked. The sum may not even be a number.
      capacity: virtual + prompt.count + min(options.maximumTokens, positions - prompt.count))
  }

  /// The next token; nil once the limit, a stop token or the model's last position is reached.
  ///
  /// Throws ``NonFiniteOutput`` if the logits are not finite numbers: no token follows from them.
  public func next() throws(NonFiniteOutput) -> Int? {
    canContinue ? try choose(from: logits()) : nil
  }

  /// Whether there is room for another token.
  var canContinue: Bool {
    guard generated < options.maximumTokens else { return false }
    return (cache.count == 0 ? virtualTokenCount : cache.count) + pending.count <= cache.capacity
  }

  /// The token that the cache does not hold yet, once the prompt has passed.
  var lastToken: Int { pending[pending.count - 1] }

  /// The token that `logits`, `[1, vocabulary]`, lead to; nil if that is the end.
  func choose(from logits: Tensor) throws(NonFiniteOutput) -> Int? {
    if logits.firstNonFiniteIndex() != nil { throw failure() }
    let token = sampler.next(logits)
    if options.stopTokens.contains(token) {
      generated = options.maximumTokens
      return nil
    }
    pending = [token]
    tokens.append(token)
    generated += 1
    return token
  }

  /// Where the logits of what comes next stop being finite.
  private func failure() -> NonFiniteOutput {
    let sequence = Tensor(tokens, shape: [1, tokens.count])
    guard let snapshot else { return NonFiniteOutput(of: model, TokenBatch(sequence)) }
    return AdapterScope.$current.withValue(snapshot) {
      NonFiniteOutput(of: model, TokenBatch(sequence))
    }
  }

  /// Runs the tokens that the cache does not hold yet, and returns the last one's logits.
  private func logits() -> Tensor {
    withoutGradients {
      let tokens = Tensor(pending, shape: [1, pending.count])
      func run() -> Tensor {
        let hidden = model.hiddenStates(tokens, cache: cache).value
        let last = hidden.reshaped(to: [hidden.shape.rowCount, hidden.shape.innermost])
        return model.logits(of: Variable(last[rows: last.shape[0] - 1..<last.shape[0]])).value
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
    private enum State {
      case notStarted(@Sendable () throws -> GenerationSession)
      case running(GenerationSession)
    }
    private var state: State

    init(_ start: @escaping @Sendable () throws -> GenerationSession) { state = .notStarted(start) }

    /// The next token; nil at the end.
    public mutating func next() async throws -> Int? {
      if Task.isCancelled { return nil }
      // Long generations must not keep other tasks of the same thread from running.
      await Task.yield()
      switch state {
      case .notStarted(let start):
        let session = try start()
        state = .running(session)
        return try session.next()
      case .running(let session):
        return try session.next()
      }
    }
  }

  /// Starts at the prompt. Each iterator generates by itself.
  public func makeAsyncIterator() -> Iterator { Iterator(start) }
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
    try options.validate()
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
