import LoRAAutograd
public import LoRATensor

/// The search for texts by their vectors.
public enum Retrieval {
  /// The share of rows of `vectors`, `[texts, size]`, whose nearest other row by the cosine has the same
  /// label, of those whose label occurs twice at least: recall@1. Nil if no label does.
  ///
  /// Time: the product of all pairs of rows.
  public static func recallAtOne(of vectors: Tensor, labels: [Int]) -> Double? {
    require(
      vectors.shape.count == 2 && vectors.shape[0] == labels.count,
      "\(labels.count) labels of \(vectors.shape)")
    let counts = Dictionary(labels.map { ($0, 1) }, uniquingKeysWith: +)
    let (count, size) = (vectors.shape[0], vectors.shape[1])
    let weight = Variable(Tensor(Array(repeating: 1 / Float(size).squareRoot(), count: size)))
    return withoutGradients {
      let rows = Variable(vectors).rmsNorm(weight: weight, epsilon: 1e-24)
      var (right, asked) = (0, 0)
      // A few rows at a time: the table of all pairs may be large.
      for start in stride(from: 0, to: count, by: 256) {
        let range = start..<min(start + 256, count)
        let scores = rows.sliced(axis: 0, range).linear(weight: rows).value
        for row in range where counts[labels[row], default: 0] > 1 {
          let values = scores[row: row - start].scalars(as: Float.self)
          var best: Int?
          for (other, value) in values.enumerated() where other != row {
            if best.map({ value > values[$0] }) ?? true { best = other }
          }
          asked += 1
          if let best, labels[best] == labels[row] { right += 1 }
        }
      }
      return asked == 0 ? nil : Double(right) / Double(asked)
    }
  }
}
