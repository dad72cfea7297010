import LoRAAutograd

/// What stands behind a block's attention: one feed-forward network, or several that share the work.
protocol BlockNetwork: Sendable {
  /// The output of `x`, `[B, T, C]`.
  func callAsFunction(_ x: Variable) -> Variable
  /// Adds the output of `x`, `[rows, C]`, to `y`.
  func decode(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    addingTo y: UnsafeMutablePointer<Float>)

  /// The layers that read the block's normed input.
  var inputLayers: [any LinearLayer] { get }
  /// The layers that project back to the hidden size.
  var outputLayers: [any LinearLayer] { get }
  /// The buffers that are kept for the backward pass, each in numbers a token, without what adapters
  /// keep.
  ///
  /// - Parameters:
  ///   - isEntered: whether a gradient reaches what is between input and output layers.
  ///   - training: what is trained.
  func keptWidths(isEntered: Bool, _ training: TrainedLayers) -> [Int]
  /// What the adapters of the layers keep, in numbers a token of the block.
  func adapterWidths(_ training: TrainedLayers) -> [Int]
  /// The buffers of the widest moment of the backward pass.
  var scratchWidths: [Int] { get }
}

extension BlockNetwork {
  /// Every layer sees every token.
  func adapterWidths(_ training: TrainedLayers) -> [Int] {
    (inputLayers + outputLayers).flatMap { training.keptWidths(of: $0) }
  }
}
