public import LoRAKit

/// One model that answers many requests at the same time, each with its tenant's adapter.
///
/// There is no actor and no lock here: the model is Sendable and holds no state of a request. What
/// applies to a request is resolved when it begins, so a swap never mixes two versions in an answer.
///
/// ```swift
/// // In a handler of your web framework:
/// let tokens = tokenizer.encodePrompt(text)
/// let answer = try await service.answer(Question(tokens: tokens, tenant: "bakery"))
/// let reply = tokenizer.decode(answer, after: tokens)
/// ```
public struct AnswerService: Sendable {
  /// What a client asks.
  public struct Question: Sendable, Hashable {
    /// The tokens to continue.
    public var tokens: [Int]
    /// Whose adapter answers; nil for the base.
    public var tenant: String?
    /// How strongly the adapter applies.
    public var strength: Float

    /// Creates a question.
    public init(tokens: [Int], tenant: String? = nil, strength: Float = 1) {
      self.tokens = tokens
      self.tenant = tenant
      self.strength = strength
    }

    var adapters: AdapterSelection { tenant.map { [$0: strength] } ?? [:] }
  }

  private let model: any PretrainedLanguageModel
  private let options: GenerationOptions

  /// Creates a service of `model`, whose answers end as `options` say.
  public init(_ model: any PretrainedLanguageModel, options: GenerationOptions) {
    self.model = model
    self.options = options
  }

  /// The tenants that have an adapter.
  public var tenants: [String] { model.adapterNames }

  /// Gives a tenant an adapter, or a new version of the one it has. Requests that run go on with
  /// the version that they began with.
  ///
  /// Throws what is wrong with the adapter; then the tenant keeps what it had.
  public func install(_ adapter: AdapterDescription, for tenant: String) throws {
    if model.adapterNames.contains(tenant) {
      try model.swapAdapter(tenant, for: adapter)
    } else {
      // Not enabled: it applies to the requests that name it, to no other.
      try model.attach(adapter, named: tenant, enabled: false)
    }
  }

  /// Takes a tenant's adapter away.
  public func remove(_ tenant: String) throws { try model.detach(tenant) }

  /// Answers one question, token by token, so that other tasks run in between. Ends early if the
  /// task is cancelled, as when a client hangs up.
  public func answer(_ question: Question) async throws -> [Int] {
    var answer: [Int] = []
    let stream = try model.tokens(
      after: question.tokens, options: options, adapters: question.adapters)
    for try await token in stream { answer.append(token) }
    return answer
  }

  /// Answers several questions in one pass a token: the base's weights are read once for all of
  /// them. What a queue in front of the service would call with what has come together.
  public func answer(together questions: [Question]) throws -> [[Int]] {
    try model.generate(
      questions.map {
        GenerationRequest(prompt: $0.tokens, options: options, adapters: $0.adapters)
      })
  }
}
