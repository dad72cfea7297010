import Foundation
public import LoRAKit

/// Points on the arms of a spiral: generated, so that the example needs no download.
public struct SpiralData: TrainingData {
  /// What the loss is computed from.
  public struct Batch: Sendable {
    /// `[examples, 2]`.
    public let points: Tensor
    /// Which arm each lies on, int64, `[examples]`.
    public let labels: Tensor
  }

  let points: Tensor
  let labels: Tensor

  /// Creates `count` points on `arms` arms that wind once round the origin.
  ///
  /// - Parameters:
  ///   - turn: by how much of a full circle the spiral is turned: 1 / `arms` puts each arm where
  ///     its neighbour was.
  ///   - seed: of the positions along the arms and of the noise.
  public init(count: Int, arms: Int = 3, turn: Float = 0, seed: UInt64) {
    var random = SeededRandom(seed: seed, path: "spiral")
    let noise = random.normal([count], standardDeviation: 0.12).scalars()
    var coordinates: [Float] = []
    for index in 0..<count {
      let radius = 0.15 + 0.85 * Float(random.nextUniform())
      let arm = Float(index % arms) / Float(arms)
      let angle = 2 * Float.pi * (arm + radius + turn) + noise[index]
      coordinates += [2 * radius * cos(angle), 2 * radius * sin(angle)]
    }
    points = Tensor(coordinates, shape: [count, 2])
    labels = Tensor((0..<count).map { Int64($0 % arms) })
  }

  /// The number of points.
  public var exampleCount: Int { labels.elementCount }

  /// The points of these indexes, in this order.
  public func batch(of examples: [Int]) -> Batch {
    Batch(
      points: .concatenated(examples.map { points[rows: $0..<$0 + 1] }),
      labels: .concatenated(examples.map { labels[rows: $0..<$0 + 1] }))
  }
}
