import LoRATensor
import Testing

@Suite struct SeededRandomTests {
  /// Philox 4x32-10 as its authors publish known answers with Random123: counter and key all
  /// zeros, all ones, and the digits of pi. `next()` gives the first two of a block's four words.
  @Test func agreesWithItsAuthors() {
    var zeros = SeededRandom(seed: 0, stream: 0)
    #expect(zeros.next() == 0xe169_c58d_6627_e8d5)
    var ones = SeededRandom(seed: .max, stream: .max, block: .max)
    #expect(ones.next() == 0x41c8_3b0e_408f_276d)
    var pi = SeededRandom(
      seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e, block: 0x85a3_08d3_243f_6a88)
    #expect(pi.next() == 0x94fd_cceb_d16c_fe09)
  }

  /// Numbers that an independent Philox (ten lines of Python) gave. Whoever changes them changes
  /// every adapter that is made from a seed.
  @Test func namedStreamsArePinned() {
    var random = SeededRandom(seed: 7, path: "layers.3.q_proj.lora_A")
    #expect(random.stream == 0x6741_d728_f912_6cd9)
    let uniform = random.uniform([2, 4], in: -0.125..<0.125)
    let expected: [Float] = [
      -0.06201760470867157, -0.07568524777889252, -0.03847979009151459, 0.030408382415771484,
      0.1093926876783371, 0.07942892611026764, -0.08679099380970001, 0.037289634346961975,
    ]
    #expect(uniform == Tensor(expected, shape: [2, 4]))
    #expect(random.block == 2)
    random = SeededRandom(seed: 7, path: "layers.3.q_proj.lora_A")
    #expect(random.next() == 0x327f_91a3_407e_75d8)
    #expect(random.next() == 0xd155_d115_f004_a3cb)
  }

  @Test func drawsContinueWhereTheLastStopped() {
    var whole = SeededRandom(seed: 1, path: "a")
    var parts = whole
    let all = whole.normal([12])
    let (first, second) = (parts.normal([4]), parts.normal([8]))
    #expect(Tensor.concatenated([first, second]) == all)
    #expect(parts == whole)
    var resumed = SeededRandom(seed: 1, stream: whole.stream, block: 1)
    #expect(resumed.normal([8]) == second)
  }

  @Test func seedsAndPathsAreDifferentStreams() {
    var tensors: [Tensor] = []
    for seed: UInt64 in [0, 1, 1 << 40] {
      for path in ["", "a", "b", "layers.0", "layers.1"] {
        var random = SeededRandom(seed: seed, path: path)
        tensors.append(random.uniform([8], in: 0..<1))
      }
    }
    for (i, a) in tensors.enumerated() {
      for b in tensors[..<i] { #expect(a != b) }
    }
  }

  @Test func distributionsHaveTheirMoments() {
    var random = SeededRandom(seed: 5, path: "moments")
    let n = 200_000
    func moments(_ x: Tensor) -> (mean: Double, deviation: Double) {
      let mean = x.sum() / Double(n)
      return (mean, (x.sumOfSquares() / Double(n) - mean * mean).squareRoot())
    }
    // Five standard errors.
    let normal = moments(random.normal([n], mean: 2, standardDeviation: 3))
    #expect(abs(normal.mean - 2) < 5 * 3 / 447 && abs(normal.deviation - 3) < 5 * 3 / 632)
    let draws = random.uniform([n], in: -1..<3)
    let uniform = moments(draws)
    #expect(abs(uniform.mean - 1) < 5 * 1.155 / 447 && abs(uniform.deviation - 1.1547) < 0.01)
    #expect(draws.scalars().allSatisfy { $0 >= -1 && $0 < 3 })
    let double = (0..<1000).map { _ in random.nextUniform() }
    #expect(double.allSatisfy { $0 >= 0 && $0 < 1 } && Set(double).count == 1000)
  }
}
