import LoRATensor
import Synchronization
import Testing
@testable import LoRAAutograd

private final class Counter: Sendable {
  let count = Atomic(0)
}

/// What is computed again instead of being kept.
@Suite struct SavedValueTests {
  private func tensor(_ shape: Shape, _ name: String) -> Tensor {
    var random = SeededRandom(seed: 12, path: name)
    return random.normal(shape)
  }

  @Test func whatCanBeComputedAgainIsNotKept() {
    let calls = Counter()
    let p = Parameter(tensor([4, 6], "p"))
    let w = Parameter(tensor([5, 6], "w"))
    weak var storage: Storage?
    func forward() -> Variable {
      let x = Variable(p).value
      let square = Variable.record(
        x * x, inputs: [Variable(p)],
        recompute: {
          calls.count.add(1, ordering: .relaxed)
          return x * x
        },
        backward: { dy, inputs in inputs.add((dy * x).scaled(by: 2), to: 0) })
      storage = square.value.storage
      // Three that want it for the gradient of w; one that does not.
      let y = square.linear(weight: Variable(w))
      return (y + square.linear(weight: Variable(w)) + square.linear(weight: Variable(w))).sum()
        + square.linear(weight: Variable(w.value)).sum()
    }
    let loss = forward()
    #expect(storage == nil)
    let gradients = loss.gradients()
    #expect(calls.count.load(ordering: .relaxed) == 1, "all share one recomputation")
    let x = p.value
    let expected = Variable(x * x).linear(weight: Variable(w)).scaled(by: 3).sum().gradients()
    #expect(gradients[w].map { largest($0, expected[w]) < 1e-4 } == true)
  }

  private func largest(_ a: Tensor, _ b: Tensor?) -> Float {
    guard let b else { return .infinity }
    return (a - b).scalars().map(abs).max() ?? 0
  }

  /// The recomputed values are the bits of the first computation, and gone after the pass.
  @Test func recomputationGivesTheSameBits() throws {
    let x = Parameter(tensor([37, 50], "x"))
    let up = Parameter(tensor([37, 50], "up"))
    let scale = Parameter(tensor([50], "scale"))
    let shift = Parameter(tensor([50], "shift"))
    let results = [
      Variable(x).rmsNorm(weight: Variable(scale), epsilon: 1e-6),
      Variable(x).layerNorm(weight: Variable(scale), bias: Variable(shift), epsilon: 1e-5),
      Variable(x).gated(.silu, by: Variable(up)), Variable(x).gated(.gelu, by: Variable(up)),
      Variable(x)(.gelu), Variable(x).dropout(rate: 0.3, random: SeededRandom(seed: 3)),
      Variable(x)(.tanh).rmsNorm(weight: Variable(scale), epsilon: 1e-6)
        .gated(.silu, by: Variable(up)).reshaped(to: [50, 37]),
    ]
    for (index, result) in results.enumerated() {
      let again = result.saved()
      #expect(again == result.value, "\(index)")
      #expect(result.saved().storage === again.storage, "\(index): computed once")
      #expect(again.storage !== result.value.storage, "\(index): not kept")
      result.node?.releaseValue()
      // Another shape of a value is released with that value.
      if index < 6 {
        #expect(result.saved().storage !== again.storage, "\(index): released")
      }
    }
  }

  /// A backward step that writes into its gradient does not change one that others see.
  @Test func aSharedGradientIsNotOverwritten() {
    let p = Parameter(tensor([8, 4], "a"))
    let q = Parameter(tensor([8, 4], "b"))
    let r = Parameter(tensor([8, 4], "c"))
    let product = Variable(p).gated(.silu, by: Variable(q))
    let seed = tensor([8, 4], "seed")
    let gradients = (Variable(r) + product).gradients(from: seed)
    #expect(gradients[r] == seed)
    let alone = product.node == nil ? nil : gradients[p]
    let reference = Variable(p).gated(.silu, by: Variable(q)).gradients(from: seed)
    #expect(alone == reference[p] && gradients[q] == reference[q])
    #expect(seed == tensor([8, 4], "seed"))
  }
}
