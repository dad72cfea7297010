import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining

/// A little network of a user's own: two linear layers with a tanh between.
final class ToyNetwork: Module {
  let first: Linear
  let second: Linear

  init(seed: UInt64) {
    var random = SeededRandom(seed: seed, path: "toy")
    first = Linear(inputSize: 3, outputSize: 16, using: &random)
    second = Linear(inputSize: 16, outputSize: 1, using: &random)
  }

  var children: Named<any Module> { ["first": first, "second": second] }

  func callAsFunction(_ x: Variable) -> Variable { second(first(x)(.tanh)) }
}

/// Points of a function of three numbers.
struct Points: TrainingData {
  let x: Tensor
  let y: Tensor

  init(count: Int, seed: UInt64) {
    var random = SeededRandom(seed: seed, path: "points")
    let x = random.uniform([count, 3], in: -1..<1)
    self.x = x
    y = Tensor(
      (0..<count).map { index in
        let x = x[row: index].scalars()
        return x[0] * x[1] + 0.5 * x[2]
      }, shape: [count, 1])
  }

  var exampleCount: Int { x.shape[0] }

  func batch(of examples: [Int]) -> (x: Tensor, y: Tensor) {
    (
      .concatenated(examples.map { x[rows: $0..<$0 + 1] }),
      .concatenated(examples.map { y[rows: $0..<$0 + 1] })
    )
  }

  static func loss(
    _ model: ToyNetwork, _ batch: (x: Tensor, y: Tensor), _ scale: Float
  ) -> Variable {
    let difference = model(Variable(batch.x)) - Variable(batch.y)
    return (difference * difference).sum().scaled(by: scale)
  }
}

/// Sequences in which each token follows from the one before, with some noise.
func patternSequences(_ count: Int, length: Int, vocabulary: Int, seed: UInt64) -> [[Int]] {
  var random = SeededRandom(seed: seed, path: "rows")
  return (0..<count).map { _ in
    var sequence = [Int(random.next() % UInt64(vocabulary))]
    while sequence.count < length {
      let isNoise = random.nextUniform() < 0.2
      sequence.append(
        isNoise
          ? Int(random.next() % UInt64(vocabulary))
          : (sequence[sequence.count - 1] * 5 + 7) % vocabulary)
    }
    return sequence
  }
}

extension Module {
  /// The values of all parameters of the base.
  var values: [Tensor] { namedParameters().map(\.parameter.value) }

  /// The values of an adapter.
  func adapterValues(_ name: String) -> [Tensor] {
    adapterParameters(named: name).map(\.parameter.value)
  }
}
