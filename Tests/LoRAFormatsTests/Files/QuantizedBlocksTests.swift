import LoRAFiles
import LoRATensor
import Testing

/// Bit for bit what gguf-py computes; see Tests/Reference/quantized.py.
@Suite struct QuantizedBlocksTests {
  private static func file() throws -> SafetensorsFile {
    try SafetensorsFile(path: Fixtures.path("quantized/blocks.safetensors"))
  }

  @Test(arguments: DType.quantized) func dequantizes(type: DType) throws {
    let file = try Self.file()
    let values = try file.tensor(named: "\(type).values")
    let bytes = try file.tensor(named: "\(type).blocks").scalars(as: UInt8.self)
    let matrix = Tensor(blocks: bytes, shape: values.shape, dtype: type)
    #expect(matrix.converted(to: .float32) == values)
    #expect(matrix[rows: 1..<3].converted(to: .float32) == values[rows: 1..<3])
    #expect(matrix.converted(to: .bfloat16) == values.converted(to: .bfloat16))
    #expect(matrix.firstNonFiniteIndex() == nil)
    let rows = matrix.reshaped(to: [2, 2, values.shape[1]]).permuted([1, 0, 2])
    #expect(rows.dtype == type)
    #expect(
      rows.converted(to: .float32)
        == values.reshaped(to: [2, 2, values.shape[1]]).permuted([1, 0, 2]))
  }

  @Test(arguments: DType.quantized.filter(\.isQuantizable)) func quantizes(type: DType) throws {
    let file = try Self.file()
    let source = try file.tensor(named: "\(type).source")
    let stored = try file.tensor(named: "\(type).stored").scalars(as: UInt8.self)
    #expect(source.converted(to: type) == Tensor(blocks: stored, shape: source.shape, dtype: type))
  }

  @Test func safetensorsFilesHaveNone() throws {
    let scratch = try Scratch()
    let blocks = Tensor.zeros([2, 32], dtype: .q8_0)
    expectError(.unsupported, "'w'", "q8_0", "float16") {
      try SafetensorsWriter.write([("w", blocks)], to: scratch.file("x.safetensors"))
    }
  }
}
