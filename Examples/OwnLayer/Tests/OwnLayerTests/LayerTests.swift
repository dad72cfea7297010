import Foundation
import LoRAKit
import LoRATesting
import OwnLayer
import Testing

/// The layer of this package against its definition, and with every method.
@Suite struct LayerTests {
  func layer(_ inputs: Int = 6, _ outputs: Int = 9, blocks: Int = 3) -> BlockDiagonal {
    var random = SeededRandom(seed: 7, path: "layer")
    return BlockDiagonal(
      inputSize: inputs, outputSize: outputs, blockCount: blocks, using: &random)
  }

  func batch(_ shape: Shape) -> Tensor {
    var random = SeededRandom(seed: 8, path: "batch")
    return random.normal(shape)
  }

  @Test(arguments: [(6, 9, 3), (4, 4, 1), (5, 5, 5), (8, 2, 2)])
  func outputIsThatOfTheDenseWeight(inputs: Int, outputs: Int, blocks: Int) {
    let layer = layer(inputs, outputs, blocks: blocks)
    let x = batch([2, 3, inputs])
    let dense = Variable(x).linear(
      weight: Variable(layer.denseWeight()), bias: layer.bias.map { Variable($0) })
    let comparison = compare(layer(Variable(x)).value, to: dense.value)
    #expect(comparison.isWithin(roundings: 8), "\(comparison)")
  }

  @Test func denseWeightIsZeroOutsideOfTheBlocks() {
    let layer = layer()
    let weight = layer.denseWeight()
    let blocks = layer.blocks.value.scalars()
    for row in 0..<9 {
      for column in 0..<6 {
        let inside = row / 3 == column / 2
        let expected = inside ? blocks[(row / 3) * 6 + (row % 3) * 2 + column % 2] : 0
        #expect(weight[row: row].scalars()[column] == expected)
      }
    }
  }

  @Test func gradientsMatchFiniteDifferences() {
    let layer = layer()
    let ofInput = checkGradients(at: [batch([4, 6])]) { layer($0[0]) }
    #expect(ofInput.isCorrect, "\(ofInput)")
    let ofParameters = checkGradients(of: [layer.blocks] + [layer.bias].compactMap { $0 }) {
      layer(Variable(batch([4, 6])))
    }
    #expect(ofParameters.isCorrect, "\(ofParameters)")
  }

  @Test func everyMethodKeepsTheLawsOnIt() throws {
    let layer = layer()
    var failures = try checkAdapter(LoRA(rank: 2, alpha: 6), on: layer)
    failures += try checkAdapter(LoRA(rank: 3, alpha: 2, isRankStabilized: true), on: layer)
    failures += try checkAdapter(RowScaling(), on: layer)
    failures += try checkAdapter(Shift(), on: layer)
    failures += try checkAdapter(HalfLoRA(rank: 2, alpha: 6), on: layer)
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test func ownMethodsKeepTheLawsOnTheLibrarysLayer() throws {
    var random = SeededRandom(seed: 9, path: "linear")
    let layer = Linear(inputSize: 6, outputSize: 5, using: &random)
    var failures = try checkAdapter(RowScaling(), on: layer)
    failures += try checkAdapter(HalfLoRA(rank: 2, alpha: 6), on: layer)
    #expect(failures.isEmpty, "\(failures)")
  }
}
