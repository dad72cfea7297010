import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

/// Causal attention against its definition, over shapes that end within, at and behind tiles and
/// blocks.
@Suite struct AttentionTests {
  static let cases: [AttentionCase] = [
    AttentionCase(queries: 7, keys: 7).causal(window: nil),
    AttentionCase(queries: 8, keys: 8).causal(window: nil),
    AttentionCase(batch: 2, queries: 9, keys: 11).causal(window: nil),
    AttentionCase(queries: 64, keys: 64, size: 33).causal(window: nil),
    AttentionCase(queries: 65, keys: 65).causal(window: 33),
    AttentionCase(queries: 129, keys: 129, heads: 3, keyHeads: 3, size: 5).causal(window: nil),
    AttentionCase(queries: 130, keys: 300, heads: 4, keyHeads: 2, size: 40).causal(window: nil),
    AttentionCase(queries: 20, keys: 270).causal(window: 200),
    AttentionCase(queries: 300, keys: 300).causal(window: 64),
    AttentionCase(queries: 300, keys: 300).causal(window: Int.max),
    AttentionCase(batch: 3, queries: 70, keys: 70, heads: 6, keyHeads: 2, size: 16)
      .causal(window: 2),
    AttentionCase(batch: 20, queries: 10, keys: 10).causal(window: nil),
    AttentionCase(queries: 600, keys: 600, size: 4).causal(window: nil),
    // With ALiBi.
    AttentionCase(batch: 2, queries: 5, keys: 9).causal(window: nil).sloped([0.5, 0.0625]),
    AttentionCase(queries: 129, keys: 129, heads: 4, keyHeads: 2, size: 5)
      .causal(window: nil).sloped([0.25, 0.0625, 0.015625, 0]),
    AttentionCase(queries: 300, keys: 310).causal(window: 64).sloped([0.5, 0.004]),
    AttentionCase(queries: 70, keys: 300).causal(window: nil).capped(3).sloped([0.1, 0.01]),
    AttentionCase(batch: 2, queries: 90, keys: 90)
      .packed([[40, 30, 9], [90]], isCausal: true).sloped([0.5, 0.05]),
    // Sinks: few queries and tiles of them, some with most of the sum.
    AttentionCase(batch: 2, queries: 5, keys: 9).causal(window: nil).sinking([0.5, -3]),
    AttentionCase(queries: 300, keys: 310).causal(window: 64).sinking([9, 0.1]),
    AttentionCase(queries: 70, keys: 300).causal(window: nil).capped(3).sinking([2, 1]),
  ]

  @Test(arguments: cases) func isWhatItsDefinitionSays(attention: AttentionCase) throws {
    try attention.check()
  }

  /// The short form is the mask's.
  @Test(arguments: [nil, 3]) func theWindowIsAMask(window: Int?) {
    let (q, k, v, _) = AttentionCase(queries: 90, keys: 100).inputs()
    let short = Variable(q).attention(
      keys: Variable(k), values: Variable(v), scale: 0.5, window: window)
    let long = Variable(q).attention(
      keys: Variable(k), values: Variable(v), mask: .causal(window: window), scale: 0.5)
    #expect(short.value == long.value)
  }
}
