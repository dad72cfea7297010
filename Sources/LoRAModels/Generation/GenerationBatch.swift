import LoRAAutograd
public import LoRAGrammars
import LoRATensor

/// One text to continue among others: what a ``GenerationBatch`` works on.
public struct GenerationRequest: Sendable, Hashable {
  /// The ids to continue, at least one.
  public var prompt: [Int]
  /// How tokens are chosen, and when to end.
  public var options: GenerationOptions
  /// What applies to this request alone; `[:]` for the base.
  public var adapters: AdapterSelection

  /// Creates a request.
  public init(
    prompt: [Int], options: GenerationOptions = GenerationOptions(),
    adapters: AdapterSelection = [:]
  ) {
    self.prompt = prompt
    self.options = options
    self.adapters = adapters
  }
}

/// Generations that advance together, each with its own prompt, options and adapters.
///
/// A step reads the base's weights once for all of them: sixteen texts cost little more than one.
/// Requests may join and end at any step; the tokens of each are what it would get alone, up
/// to the rounding of sums (see *Numerics*).
///
/// ```swift
/// let batch = GenerationBatch(model)
/// let a = try batch.add(GenerationRequest(prompt: p, adapters: ["support": 1]))
/// let b = try batch.add(GenerationRequest(prompt: q, adapters: ["polite": 0.5]))
/// while !batch.isFinished {
///   for (id, token) in try batch.step() { ... }
/// }
/// ```
///
/// Not Sendable: it belongs to the task that steps it.
public final class GenerationBatch {
  private struct Member {
    let id: Int
    let session: GenerationSession
  }

  private let model: any LanguageModel
  private let promptCache: PromptCache?
  private var waiting: [Member] = []
  private var running: [Member] = []
  private var nextID = 0
  /// The results of a step that threw.
  private var undelivered: [(id: Int, token: Int?)] = []
  /// What the running ones share, until one of them ends or another joins.
  private var shared: (cache: KeyValueCache, snapshot: AdapterSnapshot?)?

  /// Creates a batch without requests. A prompt cache has what earlier generations have passed, and requests
  /// are added to it.
  public init(_ model: any LanguageModel, promptCache: PromptCache? = nil) {
    self.model = model
    self.promptCache = promptCache
  }

  /// Whether no request is waiting or running.
  public var isFinished: Bool { waiting.isEmpty && running.isEmpty && undelivered.isEmpty }

  /// Adds a request, which begins with the next step. Its adapters are resolved now: a swap that
  /// comes later does not reach it.
  ///
  /// The output is what `constraint`, of the model's vocabulary, allows.
  ///
  /// - Returns: what names it in the results of ``step()``.
  @discardableResult
  public func add(_ request: GenerationRequest, constraint: ConstraintMatcher? = nil) throws -> Int
  {
    // While adapters are merged the base is one that already has them; only it can be asked for.
    let selection = request.adapters.strengths.isEmpty && model.isMerged ? nil : request.adapters
    // All advance by one token.
    var options = request.options
    options.guesses = 0
    let session = try GenerationSession(
      model, prompt: request.prompt, options: options, adapters: selection,
      promptCache: promptCache, constraint: constraint)
    let others = (waiting + running).map(\.session.snapshot)
    guard others.allSatisfy({ ($0 == nil) == (session.snapshot == nil) }) else {
      throw AdapterError.invalidValue(
        parameter: "merged adapters", value: "merged or unmerged since the batch began",
        expected: "the same for all requests that run together")
    }
    defer { nextID += 1 }
    waiting.append(Member(id: nextID, session: session))
    return nextID
  }

  /// The last token of a request that runs, with the probabilities that its options ask for; nil for one
  /// that has not begun, or has ended.
  public func lastChoice(of id: Int) -> TokenChoice? {
    running.first { $0.id == id }?.session.lastChoice
  }

  /// Takes a request out before it has ended.
  public func remove(_ id: Int) {
    waiting.removeAll { $0.id == id }
    if running.contains(where: { $0.id == id }) {
      running.removeAll { $0.id == id }
      shared = nil
    }
  }

  /// The next token of every request, in the order in which they were added; nil for one that has
  /// ended with this step.
  ///
  /// Throws ``RequestFailure`` for the first request whose logits are not finite numbers, and takes it
  /// out. The others are not touched by that: the next call gives the tokens that this one computed
  /// for them.
  public func step() throws(RequestFailure) -> [(id: Int, token: Int?)] {
    if !undelivered.isEmpty {
      defer { undelivered = [] }
      return undelivered
    }
    var results: [(id: Int, token: Int?)] = []
    var failure: RequestFailure?
    var stillRunning: [Member] = []
    func take(
      _ member: Member, _ next: (GenerationSession) throws(NonFiniteOutput) -> Int?
    ) {
      do throws(NonFiniteOutput) {
        let token = try next(member.session)
        results.append((member.id, token))
        if token != nil { stillRunning.append(member) }
      } catch {
        failure = failure ?? RequestFailure(id: member.id, error: error)
      }
    }
    let ready = running.map(\.session.canContinue)
    let advancing = zip(running, ready).filter(\.1).map(\.0)
    if advancing.count != running.count { shared = nil }
    let logits = advancing.isEmpty ? nil : self.logits(of: advancing)
    for member in advancing { member.session.keep() }
    var row = 0
    for (member, isReady) in zip(running, ready) {
      guard isReady, let logits else {
        // One that has to forget passes what it remembers alone; the others end.
        take(member) { session throws(NonFiniteOutput) in
          session.isFull ? try session.next() : nil
        }
        continue
      }
      take(member) { session throws(NonFiniteOutput) in
        try session.choose(from: logits[rows: row..<row + 1])
      }
      row += 1
    }
    // A prompt is a pass of its own; its last position gives the first token.
    for member in waiting {
      take(member) { session throws(NonFiniteOutput) in try session.next() }
    }
    if stillRunning.count != running.count || advancing.count != running.count || !waiting.isEmpty {
      shared = nil
    }
    waiting = []
    running = stillRunning
    guard let failure else { return results }
    undelivered = results
    throw failure
  }

  /// The logits of the next token of `members`, `[members, vocabulary]`.
  private func logits(of members: [Member]) -> Tensor {
    let (cache, snapshot) = shared ?? join(members)
    shared = (cache, snapshot)
    let tokens = Tensor(members.map { $0.session.lastToken }, shape: [members.count, 1])
    return withoutGradients {
      func run() -> Tensor {
        let hidden = model.hiddenStates(tokens, cache: cache)
        return model.logits(of: hidden).value.reshaped(to: [members.count, model.vocabularySize])
      }
      guard let snapshot else { return run() }
      return AdapterScope.$current.withValue(snapshot, operation: run)
    }
  }

  private func join(_ members: [Member]) -> (KeyValueCache, AdapterSnapshot?) {
    let snapshots = members.compactMap(\.session.snapshot)
    require(
      snapshots.isEmpty || snapshots.count == members.count,
      "adapters were merged or unmerged while requests were running")
    return (
      KeyValueCache(joining: members.map(\.session.cache)),
      snapshots.isEmpty ? nil : AdapterSnapshot(joining: snapshots)
    )
  }
}

extension GenerationBatch {
  /// Why one request of a batch can't go on.
  public struct RequestFailure: Error, Sendable, CustomStringConvertible {
    /// The request.
    public let id: Int
    /// Where its numbers stop being finite.
    public let error: NonFiniteOutput

    /// The request, the layer and the likely cause.
    public var description: String { "request \(id): \(error)" }
  }
}

extension LanguageModel {
  /// Generates the tokens that continue each of `requests`, all of them together, without the stop
  /// tokens. See ``GenerationBatch``.
  public func generate(_ requests: [GenerationRequest]) throws -> [[Int]] {
    let batch = GenerationBatch(self)
    for request in requests { try batch.add(request) }
    var results = requests.map { _ in [Int]() }
    while !batch.isFinished {
      for (id, token) in try batch.step() {
        if let token { results[id].append(token) }
      }
    }
    return results
  }
}
