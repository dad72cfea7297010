import LoRAAutograd
import LoRATensor

/// The keys and values of texts that have passed through models, kept for texts that begin alike: the next
/// turn of a conversation, or another question behind the same instructions.
///
/// A text is found again only under what filled it: the same model and the same adapters, at the same
/// strengths and with the same numbers. While adapters are merged, and for models of a source and a target,
/// nothing is kept.
///
/// Keeping texts costs the memory of their keys and values, up to a limit; the texts that were used longest
/// ago make room. A model's own weights are copied if they are trained while texts of it are kept: empty the
/// cache first.
///
/// ```swift
/// let cache = PromptCache()
/// let first = try GenerationSession(model, prompt: question, promptCache: cache)
/// ```
///
/// Not Sendable: it belongs to the task that generates with it.
public final class PromptCache {
  /// The most bytes that texts of the past may take, beside the last one.
  public let maximumBytes: Int
  private var texts: [Text] = []

  /// Creates an empty cache.
  public init(maximumBytes: Int = 1 << 30) { self.maximumBytes = maximumBytes }

  /// The number of texts that are kept.
  public var count: Int { texts.count }
  /// The memory of their keys and values, in bytes.
  public var byteCount: Int { texts.reduce(0) { $0 + $1.sequence.byteCount } }

  /// Forgets all texts.
  public func removeAll() { texts = [] }

  /// What makes keys and values of tokens.
  struct Filling {
    private let model: any LanguageModel
    private let snapshot: AdapterSnapshot
    /// All numbers of the model and of the adapters. A tensor that is held is not changed in place.
    private let values: [Tensor]

    /// Nil where it can't be told what fills.
    init?(_ model: any LanguageModel, _ snapshot: AdapterSnapshot?) {
      guard let snapshot, snapshot.groupOfItem == nil, model.targetStart == nil else { return nil }
      self.model = model
      self.snapshot = snapshot
      values =
        model.namedParameters().map(\.parameter.value)
        + snapshot.adapters.flatMap { $0.namedParameters().map(\.parameter.value) }
    }

    func isSame(as other: Filling) -> Bool {
      model === other.model && snapshot.isSame(as: other.snapshot)
        && values.count == other.values.count
        && zip(values, other.values).allSatisfy { $0.isSame(as: $1) }
    }
  }

  /// A text whose keys and values are kept. The generation that fills the sequence tells how far it is.
  final class Text {
    let filling: Filling
    let sequence: CachedSequence
    /// The tokens whose positions the sequence holds.
    var tokens: [Int] = []

    init(_ filling: Filling, _ sequence: CachedSequence) {
      self.filling = filling
      self.sequence = sequence
    }
  }

  /// A sequence that begins as the kept text that has most in common with `prompt`, as far as it does; nil
  /// if none begins like it, or layers with a window have dropped what is needed. The last token is left
  /// out: its logits are what is asked for.
  func begin(
    _ prompt: [Int], _ filling: Filling, virtualTokens: Int, capacity: Int
  ) -> (sequence: CachedSequence, count: Int)? {
    var best: (text: Text, count: Int)?
    for text in texts where text.filling.isSame(as: filling) {
      let count = zip(text.tokens, prompt.dropLast()).prefix { $0 == $1 }.count
      guard count > best?.count ?? 0, text.sequence.canGoOn(behind: virtualTokens + count) else {
        continue
      }
      best = (text, count)
    }
    guard let best else { return nil }
    use(best.text)
    let sequence = CachedSequence(
      copying: best.text.sequence, count: virtualTokens + best.count, capacity: capacity)
    return (sequence, best.count)
  }

  /// Keeps `text`, in the place of those that it begins with.
  func add(_ text: Text) {
    if texts.last !== text { use(text) }
    texts.removeAll {
      $0 !== text && $0.tokens.count <= text.tokens.count && text.tokens.starts(with: $0.tokens)
        && $0.filling.isSame(as: text.filling)
    }
    while texts.count > 1, byteCount > maximumBytes { texts.removeFirst() }
  }

  /// Moves `text` to those that were used last.
  private func use(_ text: Text) {
    texts.removeAll { $0 === text }
    texts.append(text)
  }
}
