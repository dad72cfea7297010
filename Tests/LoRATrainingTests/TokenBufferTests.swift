import Testing

@testable import LoRATraining

@Suite struct TokenBufferTests {
  /// Lengths about the size of a piece, and above it, where a first text stays where it is.
  @Test(arguments: [1, 1 << 20, (1 << 20) + 1, (1 << 20) + 5])
  func whatIsAppendedIsThere(count: Int) {
    let first = (0..<count).map { Int32($0 % 1000) }
    let second: [Int32] = [7, -1, 2000]
    var buffer = TokenBuffer()
    buffer.append(contentsOf: first)
    buffer.append(contentsOf: second)
    buffer.append(5)
    let all = (first + second + [5]).map(Int64.init)
    #expect(buffer.count == all.count)
    #expect((buffer.least, buffer.greatest) == (-1, 2000))
    for range in [0..<1, (count - 1)..<(count + 4), count..<(count + 2), 0..<all.count] {
      var output: [Int64] = []
      buffer.copy(range, to: &output)
      #expect(output == Array(all[range]))
    }
    for index in [0, count - 1, count, count + 3] { #expect(Int64(buffer[index]) == all[index]) }
  }
}
