import LoRAAutograd
import LoRATensor

/// Two linear layers of one input as one, whose outputs are first the first's: what an adapter is
/// attached to that transformers holds as one parameter, while checkpoints have two.
///
/// It has no parameters of its own. While adapters are merged, the layers themselves hold the sums.
final class PairedLinear: LinearLayer {
  let first: any LinearLayer
  let second: any LinearLayer
  let slot = AdapterSlot()

  init(_ first: any LinearLayer, _ second: any LinearLayer) {
    self.first = first
    self.second = second
  }

  var inputSize: Int { first.inputSize }
  var outputSize: Int { first.outputSize + second.outputSize }

  /// Whether an adapter of the pair applies to the pass that runs now.
  var isUsed: Bool {
    switch slot.contribution() {
    case .none, .merged: false
    case .adapters, .items: true
    }
  }

  /// The outputs of both with their own adapters, side by side.
  func project(_ x: Variable) -> Variable { .concatenated([first(x), second(x)], axis: -1) }

  func denseWeight() -> Tensor { .concatenated([first.denseWeight(), second.denseWeight()]) }
}
