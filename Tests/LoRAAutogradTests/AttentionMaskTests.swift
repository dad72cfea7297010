import LoRATensor
import LoRATesting
import Testing

@testable import LoRAAutograd

/// Every mask against a definition that knows nothing of intervals, tiles and blocks.
@Suite struct AttentionMaskTests {
  /// Of few queries, of one tile, of several tiles and blocks; with and without grouped heads.
  static let cases: [AttentionCase] = [
    // Bidirectional: whole, padded (items of nothing, of one key, of all), windows.
    AttentionCase(batch: 2, queries: 5, keys: 5).bidirectional(),
    AttentionCase(batch: 2, queries: 70, keys: 70, heads: 4, keyHeads: 2).bidirectional(),
    AttentionCase(batch: 4, queries: 6, keys: 6).bidirectional(lengths: [0, 1, 4, 6]),
    AttentionCase(batch: 4, queries: 150, keys: 150).bidirectional(lengths: [70, 0, 1, 150]),
    AttentionCase(batch: 2, queries: 300, keys: 300, size: 20).bidirectional(lengths: [257, 300]),
    AttentionCase(queries: 5, keys: 5).bidirectional(window: 2),
    AttentionCase(queries: 300, keys: 300).bidirectional(window: 40),
    AttentionCase(batch: 2, queries: 200, keys: 200, heads: 6, keyHeads: 3, size: 5)
      .bidirectional(window: 33, lengths: [130, 200]),
    AttentionCase(queries: 40, keys: 100).bidirectional(window: 1),
    AttentionCase(batch: 2, queries: 20, keys: 90).bidirectional(window: 30, lengths: [75, 90]),
    // Packed: sequences of one and of no position, ends inside of tiles and at their ends, padding.
    AttentionCase(batch: 2, queries: 7, keys: 7)
      .packed([[3, 4], [1, 0, 5]], isCausal: true),
    AttentionCase(batch: 3, queries: 200, keys: 200, heads: 4, keyHeads: 2)
      .packed([[64, 1, 100, 35], [200], [33, 31, 0, 90]], isCausal: true),
    AttentionCase(batch: 3, queries: 200, keys: 200, heads: 4, keyHeads: 2)
      .packed([[64, 1, 100, 35], [], [33, 31, 0, 90]], isCausal: false),
    AttentionCase(queries: 700, keys: 700).packed([[10, 300, 290, 60]], isCausal: true),
    AttentionCase(queries: 320, keys: 320).packed([[100, 220]], isCausal: true, window: 50),
    AttentionCase(queries: 320, keys: 320).packed([[100, 200]], isCausal: false, window: 50),
    AttentionCase(queries: 50, keys: 120).packed([[60, 50]], isCausal: true),
    // Cross: more and fewer keys than queries, items of no key.
    AttentionCase(batch: 2, queries: 3, keys: 9).cross(),
    AttentionCase(batch: 3, queries: 5, keys: 3).cross(lengths: [0, 3, 2]),
    AttentionCase(batch: 2, queries: 130, keys: 20, heads: 4, keyHeads: 2).cross(),
    AttentionCase(batch: 4, queries: 70, keys: 300).cross(lengths: [300, 0, 257, 31]),
    AttentionCase(batch: 2, queries: 10, keys: 1).cross(lengths: [1, 0]),
    // Soft caps, which bend scores of this size a little and much.
    AttentionCase(queries: 5, keys: 9).causal(window: nil).capped(2),
    AttentionCase(batch: 2, queries: 130, keys: 300, heads: 4, keyHeads: 2)
      .causal(window: nil).capped(1),
    AttentionCase(queries: 300, keys: 300).causal(window: 100).capped(30),
    AttentionCase(batch: 2, queries: 150, keys: 150).bidirectional(lengths: [99, 0]).capped(3),
    AttentionCase(queries: 150, keys: 150).packed([[70, 50]], isCausal: true).capped(3),
    AttentionCase(batch: 2, queries: 90, keys: 40).cross(lengths: [7, 40]).capped(3),
    // A bias by distance: of few queries, of several tiles and blocks, behind earlier keys, of grouped
    // heads, with slopes.
    AttentionCase(queries: 5, keys: 5).bidirectional().biased(),
    AttentionCase(queries: 1, keys: 9).causal(window: nil).biased(),
    AttentionCase(batch: 2, queries: 130, keys: 300, heads: 4, keyHeads: 2)
      .causal(window: nil).biased(),
    AttentionCase(batch: 4, queries: 150, keys: 150).bidirectional(lengths: [70, 0, 1, 150])
      .biased(),
    AttentionCase(queries: 300, keys: 300).bidirectional(window: 40).biased(),
    AttentionCase(batch: 2, queries: 700, keys: 700, heads: 3, keyHeads: 3)
      .packed([[10, 300, 290, 60], [700]], isCausal: true).biased(),
    AttentionCase(queries: 300, keys: 300).causal(window: nil).sloped([0.1, 0.02]).biased(),
  ]

  @Test(arguments: cases) func isWhatItsDefinitionSays(attention: AttentionCase) throws {
    try attention.check()
  }

  /// The intervals that the kernels take hold the keys that the definition names, and no others.
  @Test(arguments: cases + AttentionTests.cases)
  func intervalsHoldWhatIsSeen(attention: AttentionCase) {
    let (T, S) = (attention.queries, attention.keys)
    let intervals = attention.mask.intervals(batch: attention.batch, queries: T, keys: S)
    for b in 0..<attention.batch {
      let seen = intervals.withVisible(b, 0..<T) { visible in
        (0..<T).map { visible.isEmpty($0) ? [] : Array(visible.first[$0]..<visible.end[$0]) }
      }
      let expected = (0..<T).map { t in
        (0..<S).filter { attention.sees(b, t, $0) }.map(Int32.init)
      }
      #expect(seen == expected, "item \(b)")
    }
  }

  /// Small enough to take every derivative, in tiles and for few queries.
  @Test(arguments: [
    AttentionCase(batch: 2, queries: 3, keys: 5, size: 3).causal(window: 2),
    AttentionCase(batch: 3, queries: 9, keys: 9, heads: 4, keyHeads: 2, size: 2)
      .bidirectional(window: 4, lengths: [9, 0, 5]),
    AttentionCase(batch: 2, queries: 10, keys: 10, size: 3)
      .packed([[4, 1, 5], [3, 3]], isCausal: true),
    AttentionCase(batch: 2, queries: 66, keys: 66, size: 2)
      .packed([[40, 26], [65]], isCausal: false),
    AttentionCase(batch: 3, queries: 8, keys: 5, size: 3).cross(lengths: [5, 0, 2]),
    AttentionCase(batch: 2, queries: 9, keys: 12, heads: 4, keyHeads: 2, size: 2)
      .causal(window: nil).capped(1.5),
    AttentionCase(batch: 2, queries: 9, keys: 9, size: 3).bidirectional(lengths: [6, 9]).capped(2),
    AttentionCase(batch: 2, queries: 9, keys: 12, heads: 4, keyHeads: 2, size: 2)
      .causal(window: nil).biased(),
    AttentionCase(batch: 2, queries: 9, keys: 9, size: 3).bidirectional(lengths: [6, 9]).biased(),
  ])
  func gradientsAreFiniteDifferences(attention: AttentionCase) {
    let (q, k, v, _) = attention.inputs()
    let report = checkGradients(at: [q, k, v] + (attention.bias.map { [$0] } ?? [])) {
      attention.attention($0[0], $0[1], $0[2], bias: $0.count > 3 ? $0[3] : nil)
    }
    #expect(report.isCorrect, "\(report)")
  }

  /// A packed row gives each of its sequences what it gets in a row of its own.
  @Test(arguments: [true, false], [nil, 20] as [Int?])
  func packedSequencesAreSeparateRows(isCausal: Bool, window: Int?) throws {
    let lengths = [[5, 70, 128, 1], [64, 0, 32, 100]]
    let count = 210
    let packed = AttentionCase(batch: 2, queries: count, keys: count, heads: 4, keyHeads: 2)
      .packed(lengths, isCausal: isCausal, window: window).capped(20)
    let (q, k, v, dy) = packed.inputs()
    let whole = try packed.computed(q, k, v, dy)
    for (b, lengths) in lengths.enumerated() {
      var start = 0
      for length in lengths where length > 0 {
        func part(_ x: Tensor) -> Tensor {
          x.sliced(axis: 0, b..<b + 1).sliced(axis: 1, start..<start + length)
        }
        var alone = AttentionCase(queries: length, keys: length, heads: 4, keyHeads: 2)
        alone.mask = isCausal ? .causal(window: window) : .bidirectional(window: window)
        alone.softCap = 20
        let expected = try alone.computed(part(q), part(k), part(v), part(dy))
        for (index, name) in ["y", "dq", "dk", "dv"].enumerated() {
          let comparison = compare(part(whole[index]), to: expected[index])
          #expect(
            comparison.isWithin(relative: 1e-6), "\(name) of \(length) from \(start): \(comparison)"
          )
        }
        start += length
      }
    }
  }

  /// A batch of padded texts gives each what it gets alone, without padding; what padding holds
  /// reaches nothing, NaN included, and gets zeros.
  @Test(arguments: [6, 150]) func paddingReachesNothing(count: Int) throws {
    let lengths = [count, 0, count / 2, 1]
    let padded = AttentionCase(batch: 4, queries: count, keys: count, heads: 4, keyHeads: 2)
      .bidirectional(lengths: lengths)
    let (q, k, v, dy) = padded.inputs()
    func spoiled(_ x: Tensor) -> Tensor {
      let width = x.shape[2] * x.shape[3]
      var scalars = x.scalars()
      for (b, length) in lengths.enumerated() {
        for index in (b * count + length) * width..<(b + 1) * count * width {
          scalars[index] = .nan
        }
      }
      return Tensor(scalars, shape: x.shape)
    }
    let got = try padded.computed(spoiled(q), spoiled(k), spoiled(v), spoiled(dy))
    #expect(try padded.computed(q, k, v, dy) == got)
    for (index, x) in got.enumerated() {
      for (b, length) in lengths.enumerated() {
        let padding = x[row: b].sliced(axis: 0, length..<count).scalars()
        #expect(padding.allSatisfy { $0 == 0 }, "tensor \(index), item \(b)")
      }
    }
    for (b, length) in lengths.enumerated() where length > 0 {
      func part(_ x: Tensor) -> Tensor {
        x.sliced(axis: 0, b..<b + 1).sliced(axis: 1, 0..<length)
      }
      let alone = AttentionCase(queries: length, keys: length, heads: 4, keyHeads: 2)
        .bidirectional()
      let expected = try alone.computed(part(q), part(k), part(v), part(dy))
      for (index, name) in ["y", "dq", "dk", "dv"].enumerated() {
        let comparison = compare(part(got[index]), to: expected[index])
        #expect(comparison.isWithin(relative: 1e-6), "\(name) of item \(b): \(comparison)")
      }
    }
  }

  /// A cap that no score comes near changes next to nothing.
  @Test func aHighCapIsNone() throws {
    var attention = AttentionCase(queries: 100, keys: 100).causal(window: nil)
    let (q, k, v, dy) = attention.inputs()
    let plain = try attention.computed(q, k, v, dy)
    attention.softCap = 1e5
    for (capped, plain) in zip(try attention.computed(q, k, v, dy), plain) {
      let comparison = compare(capped, to: plain)
      #expect(comparison.isWithin(relative: 4e-6), "\(comparison)")
    }
  }

  @Test func onlyCausalMasksAllowCaching() {
    #expect(AttentionMask.causal().allowsCaching && AttentionMask.causal(window: 3).allowsCaching)
    #expect(!AttentionMask.bidirectional().allowsCaching && !AttentionMask.cross().allowsCaching)
    #expect(!AttentionMask.packed([[2]], isCausal: true).allowsCaching)
    #expect(AttentionMask.causal().visibleKeys(at: 5, of: 6) == 0..<6)
    #expect(AttentionMask.causal(window: 2).visibleKeys(at: 5, of: 6) == 4..<6)
  }

  @Test func aMaskOfAnotherBatch() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let x = Variable(Tensor.zeros([2, 5, 1, 4]))
      _ = x.attention(keys: x, values: x, mask: .bidirectional(lengths: [6, 5]))
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("[6, 5]") && text.contains("5 keys"), "\(text.prefix(400))")
  }
}
