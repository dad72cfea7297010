import LoRATensor
import LoRATesting
import Testing

@Suite struct ComparisonTests {
  @Test func equalTensorsDifferByNothing() {
    let x = Tensor([1, -2, .infinity, .nan] as [Float])
    let comparison = compare(x, to: x)
    #expect(comparison.difference == 0 && comparison.relativeError == 0)
    #expect(comparison.isWithin(absolute: 0) && comparison.isWithin(roundings: 0))
    #expect(comparison.description == "equal")
  }

  @Test func theWorstElementIsNamed() {
    let expected = Tensor([1, 2, 3, 4, 5, 8] as [Float], shape: [2, 3])
    let found = Tensor([1, 2, 3.5, 4, 5.25, 8] as [Float], shape: [2, 3])
    let comparison = compare(found, to: expected)
    #expect(comparison.index == [0, 2])
    #expect(comparison.found == 3.5 && comparison.expected == 3)
    #expect(comparison.difference == 0.5)
    #expect(comparison.relativeError == 0.0625)
    #expect(comparison.roundings == 0x1p20)
    #expect(maximumDifference(found, expected) == 0.5)
    #expect(comparison.isWithin(relative: 0.0625) && !comparison.isWithin(relative: 0.06))
  }

  @Test func typesMayDiffer() {
    let x = Tensor([0.5, 2] as [Float])
    #expect(compare(x.converted(to: .bfloat16), to: x).difference == 0)
  }

  @Test func whatIsNotFiniteIsInfinitelyFar() {
    let x = Tensor([1, 2] as [Float])
    for bad in [Float.nan, .infinity, -.infinity] {
      #expect(maximumDifference(Tensor([1, bad]), x) == .infinity)
      #expect(maximumDifference(x, Tensor([1, bad])) == .infinity)
    }
    #expect(maximumDifference(Tensor([Float.infinity]), Tensor([-Float.infinity])) == .infinity)
  }

  @Test func shapesMustAgree() {
    let comparison = compare(.zeros([2, 3]), to: .zeros([3, 2]))
    #expect(comparison.difference == .infinity)
    #expect(comparison.description.contains("[2, 3]") && comparison.description.contains("[3, 2]"))
    #expect(compare(.zeros([0, 3]), to: .zeros([0, 3])).difference == 0)
  }
}
