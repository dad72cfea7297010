import LoRATensor
import Testing

/// Every shape of up to three dimensions with extents of `extents`.
private func shapes(_ extents: [Int], upTo count: Int = 3) -> [Shape] {
  var all: [[Int]] = [[]]
  var last = all
  for _ in 0..<count {
    last = last.flatMap { shape in extents.map { shape + [$0] } }
    all += last
  }
  return all.map { Shape($0) }
}

/// The elements 1, 2, ... in another order, so that no two are equal.
private func counted(_ shape: Shape, from start: Int = 1) -> Tensor {
  Tensor((0..<shape.elementCount).map { Float(start + ($0 * 7) % 101) }, shape: shape)
}

/// The element of `x` at `index`, whose outer dimensions may be missing in `x`, and whose extents
/// may be 1 there: NumPy's broadcasting, one element at a time.
private func element(_ x: [Float], _ shape: Shape, _ index: [Int]) -> Float {
  var position = 0
  for (axis, i) in index.suffix(shape.count).enumerated() {
    position = position * shape[axis] + (shape[axis] == 1 ? 0 : i)
  }
  return x[position]
}

private func indices(_ shape: Shape) -> [[Int]] {
  shape.dimensions.reduce([[]]) { prefixes, extent in
    prefixes.flatMap { prefix in (0..<extent).map { prefix + [$0] } }
  }
}

@Suite struct ArithmeticTests {
  private static func fits(_ a: Shape, _ b: Shape) -> Bool {
    zip(a.dimensions.reversed(), b.dimensions.reversed()).allSatisfy {
      $0 == $1 || $0 == 1 || $1 == 1
    }
  }

  @Test func broadcastingAgreesWithLoops() {
    let all = shapes([0, 1, 2, 3], upTo: 3)
    for p in all {
      for q in all where Self.fits(p, q) && (p.count == 3 || q.count == 3 || p.count == q.count) {
        let (a, b) = (counted(p), counted(q, from: 3))
        let (x, y) = (a.scalars(), b.scalars())
        let target = Tensor.broadcastShape(p, q)
        let sum = a + b
        #expect(sum.shape == target)
        let positions = indices(target)
        func expected(_ combine: (Float, Float) -> Float) -> [Float] {
          positions.map { combine(element(x, p, $0), element(y, q, $0)) }
        }
        guard sum.scalars() == expected(+), (a - b).scalars() == expected(-),
          (a * b).scalars() == expected(*), (a / b).scalars() == expected(/)
        else {
          Issue.record("\(p) with \(q)")
          continue
        }
        // The transpose of a broadcast: every element goes back where it came from.
        let expanded = a.expanded(to: target)
        #expect(expanded.scalars() == positions.map { element(x, p, $0) })
        var sums = [Int: Float]()
        let values = sum.scalars()
        for (value, index) in zip(values, positions) {
          var position = 0
          for (axis, i) in index.suffix(p.count).enumerated() {
            position = position * p[axis] + (p[axis] == 1 ? 0 : i)
          }
          sums[position, default: 0] += value
        }
        let back = sum.summed(to: p)
        #expect(back.shape == p)
        #expect(back.scalars() == (0..<p.elementCount).map { sums[$0] ?? 0 })
      }
    }
  }

  @Test func reductionsAgreeWithLoops() {
    for shape in shapes([0, 1, 2, 3, 5]) where shape.count > 0 {
      let x = counted(shape)
      #expect(x.sum() == x.scalars().reduce(0.0) { $0 + Double($1) })
      #expect(x.sumOfSquares() == x.scalars().reduce(0.0) { $0 + Double($1) * Double($1) })
      for axis in shape.indices {
        var dimensions = shape.dimensions
        dimensions[axis] = 1
        var expected = [Float](repeating: 0, count: Shape(dimensions).elementCount)
        for (value, index) in zip(x.scalars(), indices(shape)) {
          var position = 0
          for (i, extent) in zip(index.enumerated(), dimensions) {
            position = position * extent + (i.offset == axis ? 0 : i.element)
          }
          expected[position] += value
        }
        let sum = x.summed(axis: axis)
        #expect(sum.shape == Shape(dimensions) && sum.scalars() == expected, "\(shape), \(axis)")
      }
    }
  }

  @Test func sumsOfManyElementsDoNotLoseSmallOnes() {
    // 2^24 + 1 is no float32: a sum in single precision would stay at 2^24.
    var values = [Float](repeating: 1, count: 100_000)
    values[0] = 0x1p24
    #expect(Tensor(values).sum() == Double(0x1p24) + 99_999)
  }

  @Test func scalingAndAddingConstants() {
    for count in [0, 1, 7, 8, 9, 40_000] {
      let x = counted([count])
      #expect(x.scaled(by: -2.5).scalars() == x.scalars().map { $0 * -2.5 })
      #expect(x.adding(0.25).scalars() == x.scalars().map { $0 + 0.25 })
      var y = x
      y.add(x, times: 3)
      #expect(y.scalars() == x.scalars().map { $0 + 3 * $0 })
    }
  }

  @Test func permutingAgreesWithLoops() {
    for shape in shapes([0, 1, 2, 3], upTo: 4) {
      for order in permutations(Array(shape.indices)) {
        for type in [DType.float32, .int64, .bfloat16, .uint8] {
          let x = counted(shape).converted(to: type)
          let y = x.permuted(order)
          let target = Shape(order.map { shape[$0] })
          let source = x.converted(to: .float32).scalars()
          let expected = indices(target).map { index in
            var original = [Int](repeating: 0, count: index.count)
            for (position, axis) in order.enumerated() { original[axis] = index[position] }
            return element(source, shape, original)
          }
          guard y.shape == target, y.dtype == type, y.converted(to: .float32).scalars() == expected
          else {
            Issue.record("\(shape) permuted by \(order) as \(type)")
            continue
          }
        }
      }
    }
    let large = counted([70, 130])
    #expect(large.permuted([1, 0]).permuted([1, 0]) == large)
    #expect(large.transposed() == large.permuted([1, 0]))
  }

  @Test func slicesAndConcatenationsAgreeWithLoops() {
    for shape in shapes([0, 1, 3]) where shape.count > 0 {
      for type in [DType.float32, .int64, .uint8] {
        let x = counted(shape).converted(to: type)
        let source = x.converted(to: .float32).scalars()
        for axis in shape.indices {
          for lower in 0...shape[axis] {
            for upper in lower...shape[axis] {
              let part = x.sliced(axis: axis, lower..<upper)
              let expected = indices(part.shape).map { index in
                var original = index
                original[axis] += lower
                return source[zip(original, shape).reduce(0) { $0 * $1.1 + $1.0 }]
              }
              if part.converted(to: .float32).scalars() != expected {
                Issue.record("\(shape) sliced along \(axis) by \(lower)..<\(upper) as \(type)")
              }
            }
            let parts = [
              x.sliced(axis: axis, 0..<lower), x.sliced(axis: axis, lower..<shape[axis]),
            ]
            #expect(Tensor.concatenated(parts, axis: axis) == x)
          }
        }
      }
    }
  }

  private func permutations(_ items: [Int]) -> [[Int]] {
    if items.isEmpty { return [[]] }
    return items.indices.flatMap { index in
      var rest = items
      let first = rest.remove(at: index)
      return permutations(rest).map { [first] + $0 }
    }
  }
}
