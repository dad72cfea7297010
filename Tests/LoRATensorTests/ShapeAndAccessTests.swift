import LoRATensor
import Testing

@Suite struct ShapeTests {
  @Test func elementsRowsAndIndices() {
    let shape: Shape = [2, 3, 4]
    #expect(shape.count == 3 && shape.elementCount == 24)
    #expect(shape.innermost == 4 && shape.rowCount == 6)
    #expect(shape[0] == 2 && shape[-1] == 4 && shape[-3] == 2)
    #expect(shape.replacingInnermost(with: 7) == [2, 3, 7])
    #expect(Array(shape) == [2, 3, 4] && shape.description == "[2, 3, 4]")
  }

  @Test func scalarsAndEmptyShapes() {
    let scalar: Shape = []
    #expect(scalar.elementCount == 1 && scalar.innermost == 1 && scalar.rowCount == 1)
    let empty: Shape = [3, 0, 2]
    #expect(empty.elementCount == 0)
    #expect(([4, 0] as Shape).rowCount == 0)
  }

  @Test func hostileExtentsGiveNoShape() {
    #expect(Shape(checking: [-1]) == nil)
    #expect(Shape(checking: [3, -2, 0]) == nil)
    #expect(Shape(checking: [Int.max, 2]) == nil)
    #expect(Shape(checking: [1 << 32, 1 << 31]) == nil)
    #expect(Shape(checking: [Int.max / 8]) == nil)
    // A zero does not hide what the others overflow.
    #expect(Shape(checking: [0, Int.max, Int.max]) == nil)
    #expect(Shape(checking: [0, 5])?.elementCount == 0)
  }
}

@Suite struct TensorAccessTests {
  @Test func elementsComeBack() {
    #expect(Tensor([1, 2, 3] as [Float]).scalars() == [1, 2, 3])
    #expect(Tensor([1, -2] as [Int64], shape: [2, 1]).scalars(as: Int64.self) == [1, -2])
    #expect(Tensor([true, false]).scalars(as: Bool.self) == [true, false])
    #expect(Tensor(scalar: Float(2.5)).item() == 2.5)
    #expect(Tensor(scalar: Float(2.5)).shape == [])
    #expect(Tensor.zeros([2, 2]).scalars() == [0, 0, 0, 0])
    #expect(Tensor.zeros([2, 0]).scalars() == [])
    for type in DType.allCases where !type.isQuantized {
      let zeros = Tensor.zeros([3], dtype: type)
      #expect(zeros.dtype == type && zeros.byteCount == 3 * type.stride)
    }
  }

  @Test func viewsShareBytes() {
    let x = Tensor((0..<24).map { Float($0) }, shape: [4, 3, 2])
    #expect(x[rows: 1..<3].scalars() == (6..<18).map { Float($0) })
    #expect(x[row: 3].shape == [3, 2] && x[row: 3].scalars() == (18..<24).map { Float($0) })
    #expect(x[rows: 2..<2].shape == [0, 3, 2])
    #expect(x.reshaped(to: [6, 4])[row: 5].scalars() == [20, 21, 22, 23])
    #expect(x[rows: 1..<3][row: 1].scalars() == (12..<18).map { Float($0) })
    let (a, b) = (x.storage, x[rows: 1..<3].reshaped(to: [12]).storage)
    #expect(a === b)
  }

  @Test func writingCopiesWhatOthersSee() {
    var x = Tensor([1, 2, 3] as [Float])
    let copy = x
    x.withUnsafeMutableBytes { $0.storeBytes(of: Float(9), as: Float.self) }
    #expect(x.scalars() == [9, 2, 3] && copy.scalars() == [1, 2, 3])
  }

  @Test func writingAViewLeavesTheWhole() {
    let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    var row = x[row: 1]
    row.withUnsafeMutableBytes { $0.storeBytes(of: Float(9), as: Float.self) }
    #expect(row.scalars() == [9, 4] && x.scalars() == [1, 2, 3, 4])
  }

  @Test func writingAloneCopiesNothing() {
    var x = Tensor([1, 2, 3] as [Float])
    let before = x.storage.base
    x.withUnsafeMutableBytes { $0.storeBytes(of: Float(9), as: Float.self) }
    #expect(x.storage.base == before)
    x.add(Tensor([1, 1, 1] as [Float]), times: 2)
    #expect(x.storage.base == before && x.scalars() == [11, 4, 5])
  }

  @Test func addingATensorToItselfDoublesIt() {
    var x = Tensor([1, 2, 3] as [Float])
    x.add(x)
    #expect(x.scalars() == [2, 4, 6])
  }

  @Test func equalityIsOfBits() {
    let x = Tensor([0, .nan] as [Float])
    #expect(x == Tensor([0, .nan] as [Float]))
    #expect(Tensor([0] as [Float]) != Tensor([-0.0] as [Float]))
    #expect(Tensor.zeros([2, 3]) != Tensor.zeros([3, 2]))
    #expect(Tensor.zeros([2]) != Tensor.zeros([2], dtype: .int32))
    #expect(Tensor.zeros([0]) == Tensor.zeros([0]))
  }

  @Test func whatIsNotFiniteIsFound() {
    for type in [DType.float32, .bfloat16, .float16, .float64] {
      for bad in [Float.nan, .infinity, -.infinity] {
        for position in [0, 1, 15, 16, 17, 36] {
          var values = [Float](repeating: 1, count: 37)
          values[position] = bad
          #expect(Tensor(values).converted(to: type).firstNonFiniteIndex() == position)
        }
      }
      #expect(Tensor.zeros([37], dtype: type).firstNonFiniteIndex() == nil)
    }
    #expect(Tensor([Int64.max]).firstNonFiniteIndex() == nil)
    #expect(Tensor.zeros([0]).firstNonFiniteIndex() == nil)
  }

  @Test func descriptionsShowTypeAndShape() {
    #expect(Tensor([1, 2] as [Float]).description == "Tensor(float32, [2]: 1.0, 2.0)")
    #expect(Tensor.zeros([9], dtype: .bfloat16).description.hasSuffix(", ...)"))
    #expect(Tensor.zeros([3], dtype: .int64).description == "Tensor(int64, [3])")
    #expect(Tensor(scalar: Float(3)).description.contains("3.0"))
  }
}
