import LoRAFormats
import LoRATensor
import Testing

/// Bit for bit what gguf-py computes; see Tests/Reference/quantized.py.
@Suite struct QuantizedBlocksTests {
  private static func file() throws -> SafetensorsFile {
    try SafetensorsFile(path: Fixtures.path("quantized/blocks.safetensors"))
  }

  @Test(arguments: BlockFormat.allCases) func dequantizes(format: BlockFormat) throws {
    let file = try Self.file()
    let matrix = QuantizedMatrix(format: format, blocks: try file.tensor(named: "\(format).blocks"))
    let values = try file.tensor(named: "\(format).values")
    #expect(matrix.shape == values.shape)
    #expect(matrix.dequantized() == values)
    #expect(matrix.dequantized(rows: 1..<3) == values[rows: 1..<3])
    #expect(matrix.firstNonFiniteRow() == nil)
    let ids = Tensor([3, 0, 3] as [Int64], shape: [3, 1])
    #expect(
      matrix.gathered(ids)
        == Tensor.concatenated([values[rows: 3..<4], values[rows: 0..<1], values[rows: 3..<4]])
        .reshaped(to: [3, 1, values.shape[1]]))
  }

  @Test(arguments: BlockFormat.allCases.filter(\.isQuantizable))
  func quantizes(format: BlockFormat) throws {
    let file = try Self.file()
    let matrix = QuantizedMatrix(
      quantizing: try file.tensor(named: "\(format).source"), as: format)
    #expect(matrix.blocks == (try file.tensor(named: "\(format).stored")))
  }
}
