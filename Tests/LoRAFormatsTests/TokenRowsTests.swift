import LoRAFormats
import LoRATensor
import Testing

@Suite("Token files")
struct TokenRowsTests {
  @Test("JSON rows of any length")
  func json() throws {
    let scratch = try Scratch()
    let path = try scratch.write("a#1.json", "[[1, 2, 3], [4]]\n")
    let rows = try TokenRows(path, defaultName: "train")
    #expect(rows.rows == [[1, 2, 3], [4]])
    #expect(rows.largestID == 4)
    #expect(rows.source == path)
    #expect(try TokenRows.ifPresent("eval", in: path) == nil)
  }

  @Test("tensors by name, by default and alone")
  func tensors() throws {
    let scratch = try Scratch()
    let path = scratch.file("a.safetensors")
    let train = Tensor([Int64(1), 2, 3, 4], shape: [2, 2])
    let eval = Tensor([Int32(7), 8], shape: [1, 2])
    try SafetensorsWriter.write([("train", train), ("eval", eval)], to: path)
    #expect(try TokenRows(path, defaultName: "train").rows == [[1, 2], [3, 4]])
    #expect(try TokenRows("\(path)#eval", defaultName: "train").rows == [[7, 8]])
    #expect(try TokenRows("\(path)#eval").source == "\(path)#eval")
    #expect(try TokenRows.ifPresent("eval", in: "\(path)#train")?.rows == [[7, 8]])
    #expect(try TokenRows.ifPresent("test", in: path) == nil)
    expectError(.missingTensor, "2 tensors, none named 'test'", "'eval'", "'train'") {
      _ = try TokenRows(path, defaultName: "test")
    }
    expectError(.missingTensor, "2 tensors", "#NAME") { _ = try TokenRows(path) }
    expectError(.missingTensor, "tensor 'test'") { _ = try TokenRows("\(path)#test") }
    let single = scratch.file("b.safetensors")
    try SafetensorsWriter.write([("anything", train)], to: single)
    #expect(try TokenRows(single, defaultName: "train").rows == [[1, 2], [3, 4]])
    expectError(.missingFile) { _ = try TokenRows(scratch.file("c.safetensors#train")) }
  }

  @Test("tensors that are no token rows")
  func badTensors() throws {
    let scratch = try Scratch()
    let path = scratch.file("a.safetensors")
    let bad: [(Tensor, FormatError.Kind, String)] = [
      (Tensor([Float(1)], shape: [1, 1]), .typeMismatch, "found float32"),
      (Tensor([Int64(1), 2]), .shapeMismatch, "[rows, length], found [2]"),
      (Tensor([Int](), shape: [0, 4]), .invalidValue, "empty"),
      (Tensor([Int64(1), 2, 3, -4], shape: [2, 2]), .invalidValue, "the id -4 at [1, 1]"),
    ]
    for (tensor, kind, text) in bad {
      try SafetensorsWriter.write([("train", tensor)], to: path)
      expectError(kind, "tensor 'train'", text) { _ = try TokenRows(path) }
    }
    try SafetensorsWriter.write([], to: path)
    expectError(.missingTensor, "no tensors") { _ = try TokenRows(path) }
  }

  @Test(
    "JSON that is no token rows",
    arguments: [
      ("", FormatError.Kind.malformed, "not JSON"),
      ("[]", .invalidValue, "no rows"),
      ("[[1], []]", .invalidValue, "row 2 (line 1): it is empty"),
      ("{}", .typeMismatch, "found an object"),
      ("[1, 2]", .typeMismatch, "row 1"),
      ("[[1, -2]]", .invalidValue, "position 1, found -2"),
      ("[[1, 2.0]]", .typeMismatch, "found 2.0"),
      ("[[1, \"2\"]]", .typeMismatch, "found \"2\""),
      ("[[1, 2]", .malformed, "not JSON"),
    ])
  func badJSON(text: String, kind: FormatError.Kind, problem: String) throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.json", text)
    expectError(kind, path, problem) { _ = try TokenRows(path) }
  }

  @Test("a name for a file that has none")
  func nameForJSON() throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.json", "[[1]]")
    expectError(.invalidValue, "only .safetensors") { _ = try TokenRows("\(path)#train") }
  }

  @Test(
    "the reference run's rows",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let path = try #require(Fixtures.shared) + "/reference/stories260k-lora/inputs.safetensors"
    let train = try TokenRows(path, defaultName: "train")
    #expect(train.rows.count == 1600 && train.rows.allSatisfy { $0.count == 128 })
    #expect(train.largestID < 512)
    #expect(try TokenRows.ifPresent("eval", in: path)?.rows.count == 32)
  }
}
