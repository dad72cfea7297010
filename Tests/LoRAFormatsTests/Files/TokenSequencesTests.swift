import LoRAFiles
import LoRATensor
import Testing

@Suite("Token files")
struct TokenSequencesTests {
  @Test("JSON sequences of any length")
  func json() throws {
    let scratch = try Scratch()
    let path = try scratch.write("a#1.json", "[[1, 2, 3], [4]]\n")
    let file = try TokenSequences(path, defaultName: "train")
    #expect(file.sequences == [[1, 2, 3], [4]])
    #expect(file.largestID == 4)
    #expect(file.source == path)
    #expect(try TokenSequences.ifPresent("eval", in: path) == nil)
  }

  @Test("tensors by name, by default and alone")
  func tensors() throws {
    let scratch = try Scratch()
    let path = scratch.file("a.safetensors")
    let train = Tensor([Int64(1), 2, 3, 4], shape: [2, 2])
    let eval = Tensor([Int32(7), 8], shape: [1, 2])
    try SafetensorsWriter.write([("train", train), ("eval", eval)], to: path)
    #expect(try TokenSequences(path, defaultName: "train").sequences == [[1, 2], [3, 4]])
    #expect(try TokenSequences("\(path)#eval", defaultName: "train").sequences == [[7, 8]])
    #expect(try TokenSequences("\(path)#eval").source == "\(path)#eval")
    #expect(try TokenSequences.ifPresent("eval", in: "\(path)#train")?.sequences == [[7, 8]])
    #expect(try TokenSequences.ifPresent("test", in: path) == nil)
    expectError(.missingTensor, "2 tensors, none named 'test'", "'eval'", "'train'") {
      _ = try TokenSequences(path, defaultName: "test")
    }
    expectError(.missingTensor, "2 tensors", "#NAME") { _ = try TokenSequences(path) }
    expectError(.missingTensor, "tensor 'test'") { _ = try TokenSequences("\(path)#test") }
    let single = scratch.file("b.safetensors")
    try SafetensorsWriter.write([("anything", train)], to: single)
    #expect(try TokenSequences(single, defaultName: "train").sequences == [[1, 2], [3, 4]])
    expectError(.missingFile) { _ = try TokenSequences(scratch.file("c.safetensors#train")) }
  }

  @Test("tensors that are no token sequences")
  func badTensors() throws {
    let scratch = try Scratch()
    let path = scratch.file("a.safetensors")
    let bad: [(Tensor, FormatError.Kind, String)] = [
      (Tensor([Float(1)], shape: [1, 1]), .typeMismatch, "found float32"),
      (Tensor([Int64(1), 2]), .shapeMismatch, "[sequences, length], found [2]"),
      (Tensor([Int](), shape: [0, 4]), .invalidValue, "empty"),
      (Tensor([Int64(1), 2, 3, -4], shape: [2, 2]), .invalidValue, "the id -4 at [1, 1]"),
    ]
    for (tensor, kind, text) in bad {
      try SafetensorsWriter.write([("train", tensor)], to: path)
      expectError(kind, "tensor 'train'", text) { _ = try TokenSequences(path) }
    }
    try SafetensorsWriter.write([], to: path)
    expectError(.missingTensor, "no tensors") { _ = try TokenSequences(path) }
  }

  @Test(
    "JSON that is no token sequences",
    arguments: [
      ("", FormatError.Kind.malformed, "not JSON"),
      ("[]", .invalidValue, "no sequences"),
      ("[[1], []]", .invalidValue, "sequence 2 (line 1): it is empty"),
      ("{}", .typeMismatch, "found an object"),
      ("[1, 2]", .typeMismatch, "sequence 1"),
      ("[[1, -2]]", .invalidValue, "position 1, found -2"),
      ("[[1, 2.0]]", .typeMismatch, "found 2.0"),
      ("[[1, \"2\"]]", .typeMismatch, "found \"2\""),
      ("[[1, 2]", .malformed, "not JSON"),
    ])
  func badJSON(text: String, kind: FormatError.Kind, problem: String) throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.json", text)
    expectError(kind, path, problem) { _ = try TokenSequences(path) }
  }

  @Test("a name for a file that has none")
  func nameForJSON() throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.json", "[[1]]")
    expectError(.invalidValue, "only .safetensors") { _ = try TokenSequences("\(path)#train") }
  }

  @Test(
    "the reference run's sequences",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let path = try #require(Fixtures.shared) + "/reference/stories260k-lora/inputs.safetensors"
    let train = try TokenSequences(path, defaultName: "train")
    #expect(train.sequences.count == 1600 && train.sequences.allSatisfy { $0.count == 128 })
    #expect(train.largestID < 512)
    #expect(try TokenSequences.ifPresent("eval", in: path)?.sequences.count == 32)
  }
}
