import Foundation
import LoRAFiles
import LoRATensor
import TestSupport
import Testing

@Suite("safetensors")
struct SafetensorsTests {
  @Test(
    "every element type has the values that Python wrote",
    arguments: [
      SafetensorsFile.Access.mapped, .copied,
    ])
  func types(access: SafetensorsFile.Access) throws {
    let file = try SafetensorsFile(path: Fixtures.path("formats/types.safetensors"), access: access)
    #expect(file.metadata == ["format": "pt"])
    #expect(file.names.count == 16)
    for dtype in DType.allCases where dtype != .bool && !dtype.isQuantized {
      let tensor = try file.tensor(named: "values.\(dtype)")
      #expect(tensor.dtype == dtype)
      #expect(tensor.shape == [2, 3])
      #expect(tensor.isMapped == (access == .mapped))
      let isSigned = "\(dtype)".hasPrefix("int")
      let expected = (1...6).map { Float($0) * (dtype.isFloatingPoint ? 0.25 : isSigned ? -1 : 1) }
      let values =
        dtype == .uint64
        ? tensor.scalars(as: UInt64.self).map { Float($0) }
        : tensor.converted(to: .float32).scalars()
      #expect(values == expected, "\(dtype)")
    }
    #expect(try file.tensor(named: "values.bool").scalars(as: Bool.self) == [true, false, true])
    #expect(try file.tensor(named: "scalar").shape == [])
    #expect(try file.tensor(named: "scalar").item() == 2.5)
    #expect(try file.tensor(named: "empty").shape == [0, 3])
    #expect(try file.tensor(named: "名前 \"quoted\" \\ \t").scalars(as: Int.self) == [7])
    let entry = try #require(file.entry(named: "values.bfloat16"))
    #expect(entry.typeName == "BF16")
    #expect(entry.byteRange.count == 12)
    expectError(.missingTensor, "tensor 'nothing'", "'scalar'") {
      _ = try file.tensor(named: "nothing")
    }
  }

  @Test("what is written is what the reference implementation writes, byte for byte")
  func sameBytes() throws {
    let scratch = try Scratch()
    let source = Fixtures.path("formats/types.safetensors")
    let file = try SafetensorsFile(path: source)
    let tensors = try file.names.reversed().map { (name: $0, tensor: try file.tensor(named: $0)) }
    try SafetensorsWriter.write(tensors, metadata: file.metadata, to: scratch.file("out"))
    #expect(try bytes(of: scratch.file("out")) == bytes(of: source))
    #expect(scratch.names == ["out"])
  }

  @Test("a file without tensors, and one with metadata alone")
  func noTensors() throws {
    let scratch = try Scratch()
    try SafetensorsWriter.write([], to: scratch.file("a"))
    #expect(try SafetensorsFile(path: scratch.file("a")).names.isEmpty)
    try SafetensorsWriter.write([], metadata: ["k": "é\n"], to: scratch.file("b"))
    #expect(try SafetensorsFile(path: scratch.file("b")).metadata == ["k": "é\n"])
  }

  @Test("misaligned data is copied, aligned data is not")
  func alignment() throws {
    let scratch = try Scratch()
    // The data begins at 8 + 58: even, not a multiple of 4.
    let header = #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}    "#
    #expect(header.utf8.count == 58)
    var content = safetensors(header)
    for value in [Float(1.5), -2] {
      withUnsafeBytes(of: value.bitPattern.littleEndian) { content.append(contentsOf: $0) }
    }
    let path = try scratch.write("misaligned", content)
    for access in [SafetensorsFile.Access.mapped, .copied] {
      let tensor = try SafetensorsFile(path: path, access: access).tensor(named: "x")
      #expect(tensor.scalars() == [1.5, -2])
      #expect(!tensor.isMapped)
    }
    try SafetensorsWriter.write([("x", Tensor([Float(1)]))], to: scratch.file("aligned"))
    #expect(try SafetensorsFile(path: scratch.file("aligned")).tensor(named: "x").isMapped)
  }

  @Test("a copied file may change or vanish")
  func copied() throws {
    let scratch = try Scratch()
    try SafetensorsWriter.write([("x", Tensor([Float(1), 2]))], to: scratch.file("a"))
    let file = try SafetensorsFile(path: scratch.file("a"), access: .copied)
    try FileManager.default.removeItem(atPath: scratch.file("a"))
    #expect(try file.tensor(named: "x").scalars() == [1, 2])
  }

  @Test("element types without a tensor of that type fail by name, the others stay readable")
  func unsupportedTypes() throws {
    let file = try SafetensorsFile(path: Fixtures.path("formats/float8.safetensors"))
    #expect(try file.tensor(named: "plain").scalars() == [1, 1])
    #expect(file.entry(named: "narrow")?.dtype == nil)
    expectError(.unsupported, "tensor 'narrow'", "F8_E4M3", "convert") {
      _ = try file.tensor(named: "narrow")
    }
    let scratch = try Scratch()
    let path = try scratch.write(
      "a", safetensors(#"{"x":{"dtype":"Q9","shape":[3],"data_offsets":[0,5]}}"#, data: 5))
    let unknown = try SafetensorsFile(path: path)
    expectError(.unsupported, "tensor 'x'", "Q9") { _ = try unknown.tensor(named: "x") }
  }

  @Test("a boolean that is neither 0 nor 1 is refused")
  func booleans() throws {
    let scratch = try Scratch()
    var content = safetensors(#"{"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}"#, data: 3)
    content[content.count - 1] = 2
    let file = try SafetensorsFile(path: try scratch.write("a", content))
    expectError(.invalidValue, "tensor 'x'", "element 2") { _ = try file.tensor(named: "x") }
  }

  @Test("hostile files end in an error that says what is wrong", arguments: HostileFile.all)
  func hostile(_ hostile: HostileFile) throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.safetensors", hostile.content)
    for access in [SafetensorsFile.Access.mapped, .copied] {
      expectError(hostile.kind, path, hostile.text) {
        _ = try SafetensorsFile(path: path, access: access)
      }
    }
  }

  @Test("missing files, folders and devices")
  func noFile() throws {
    let scratch = try Scratch()
    expectError(.missingFile, "does not exist") {
      _ = try SafetensorsFile(path: scratch.file("none"))
    }
    expectError(.missingFile) { _ = try SafetensorsFile(path: scratch.file("none/x")) }
    expectError(.unreadable, "found a folder") { _ = try SafetensorsFile(path: scratch.path) }
    expectError(.unreadable, "not a plain file") { _ = try SafetensorsFile(path: "/dev/null") }
  }

  @Test("tensors that differ only in how their names are composed stay apart")
  func exactNames() throws {
    let scratch = try Scratch()
    let names = ["caf\u{E9}", "cafe\u{301}"]
    try SafetensorsWriter.write(
      [(names[0], Tensor([Float(1)])), (names[1], Tensor([Float(2)]))], to: scratch.file("a"))
    let file = try SafetensorsFile(path: scratch.file("a"))
    #expect(try names.map { try file.tensor(named: $0).item() } == [1, 2])
  }

  @Test("what cannot be written is refused before anything is touched")
  func unwritable() throws {
    let scratch = try Scratch()
    let x = Tensor([Float(1)])
    expectError(.duplicate, "tensor 'x'") {
      try SafetensorsWriter.write([("x", x), ("x", x)], to: scratch.file("a"))
    }
    expectError(.invalidValue, "__metadata__") {
      try SafetensorsWriter.write([("__metadata__", x)], to: scratch.file("a"))
    }
    #expect(scratch.names.isEmpty)
  }

  @Test("4,000 damaged files: an error or tensors, never a crash")
  func fuzz() throws {
    let scratch = try Scratch()
    let original = try bytes(of: Fixtures.path("formats/types.safetensors"))
    let path = scratch.file("fuzz")
    var random = SplitMix(state: 7)
    var opened = 0
    for round in 0..<4000 {
      var damaged = mutated(original, using: &random)
      // Damage to the length would hide everything else: keep it right in most rounds.
      if round % 4 != 0, damaged.count > 16 {
        damaged.replaceSubrange(0..<8, with: original[0..<8])
      }
      try Data(damaged).write(to: URL(filePath: path))
      do {
        let file = try SafetensorsFile(path: path, access: round % 2 == 0 ? .mapped : .copied)
        for name in file.names {
          _ = try? file.tensor(named: name).withUnsafeBytes { $0.reduce(0) { $0 &+ Int($1) } }
        }
        opened += 1
      } catch {}

    }
    #expect(opened > 0)
  }

  @Test(
    "files of others",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let shared = try #require(Fixtures.shared)
    let mlx = try SafetensorsFile(path: shared + "/adapters/mlx-qwen2.5-0.5b/adapters.safetensors")
    for name in mlx.names { #expect(try mlx.tensor(named: name).firstNonFiniteIndex() == nil) }
    #expect(!mlx.names.isEmpty)
  }
}
