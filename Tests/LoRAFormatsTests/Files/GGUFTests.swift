import Foundation
import LoRAFiles
import LoRATensor
import Testing

@Suite("GGUF")
struct GGUFTests {
  private static let types = Fixtures.path("gguf/types.gguf")

  @Test(
    "every type of key-value has what gguf-py wrote", arguments: [GGUFFile.Access.mapped, .copied])
  func keyValues(access: GGUFFile.Access) throws {
    let file = try GGUFFile(path: Self.types, access: access)
    #expect(file.version == 3)
    #expect(file.alignment == 64)
    #expect(try file.architecture() == "test")
    let expected: [(String, GGUFValue)] = [
      ("general.architecture", .string("test")), ("general.alignment", .uint32(64)),
      ("test.uint8", .uint8(255)), ("test.int8", .int8(-128)), ("test.uint16", .uint16(65535)),
      ("test.int16", .int16(-32768)), ("test.uint32", .uint32(.max)), ("test.int32", .int32(.min)),
      ("test.float32", .float32(-0.15625)), ("test.bool", .bool(true)),
      ("test.string", .string("naïve 漢字 \"\\\n")), ("test.uint64", .uint64(.max)),
      ("test.int64", .int64(.min)), ("test.float64", .float64(0.1)),
      ("test.empty string", .string("")),
      ("test.array.uint8", .array(.uint8([0, 255]))),
      ("test.array.int8", .array(.int8([-128, 127]))),
      ("test.array.uint16", .array(.uint16([0, 65535]))),
      ("test.array.int16", .array(.int16([-32768, 5]))),
      ("test.array.uint32", .array(.uint32([.max]))),
      ("test.array.int32", .array(.int32([-7, 7, 8]))),
      ("test.array.float32", .array(.float32([0.5, -2]))),
      ("test.array.bool", .array(.bool([true, false]))),
      ("test.array.string", .strings(["", "a", "▁the"])),
      ("test.array.uint64", .array(.uint64([.max]))), ("test.array.int64", .array(.int64([.min]))),
      ("test.array.float64", .array(.float64([0.1]))),
      ("test.array.array", .array(.array([.int32([1, 2]), .int32([3])]))),
    ]
    #expect(file.keyValues.map(\.key) == expected.map(\.0))
    for (key, value) in expected { #expect(file[key] == value) }
    #expect(file["test.array.int32"]?.ints == [-7, 7, 8])
    #expect(file["test.array.uint64"]?.ints == nil)
    #expect(file["test.uint64"]?.intValue == nil)
    #expect(try file.int("test.int64") == .min)
    #expect(try file.double("test.float32") == -0.15625)
    #expect(try file.bool("test.bool") == true)
    #expect(try file.strings("test.array.string") == ["", "a", "▁the"])
    #expect(try file.strings("test.none") == nil)
    expectError(.typeMismatch, "'test.array.int8'", "expected a string", "array of type int8") {
      _ = try file.string("test.array.int8")
    }
    expectError(.typeMismatch, "'test.uint64'", "expected a whole number", "uint64") {
      _ = try file.int("test.uint64")
    }
  }

  @Test(
    "every type of tensor has what gguf-py wrote", arguments: [GGUFFile.Access.mapped, .copied])
  func tensors(access: GGUFFile.Access) throws {
    let file = try GGUFFile(path: Self.types, access: access)
    let plain: [(String, GGUFTensorType, DType)] = [
      ("f32", .f32, .float32), ("f16", .f16, .float16), ("f64", .f64, .float64),
      ("i8", .i8, .int8), ("i16", .i16, .int16), ("i32", .i32, .int32), ("i64", .i64, .int64),
      ("bf16", .bf16, .bfloat16),
    ]
    #expect(
      file.names == plain.map { "values.\($0.0)" } + ["values.q8_0", "values.q4_K", "values.four"])
    for (name, type, dtype) in plain {
      let tensor = try file.tensor(named: "values.\(name)")
      #expect(tensor.dtype == dtype)
      #expect(tensor.shape == [2, 3])
      #expect(tensor.isMapped == (access == .mapped))
      #expect(
        tensor.converted(to: .float32).scalars()
          == (1...6).map { Float($0) * (dtype.isFloatingPoint ? 0.25 : -1) }, "\(name)")
      #expect(file.entry(named: "values.\(name)")?.type == type)
    }
    let four = try file.tensor(named: "values.four")
    #expect(four.shape == [1, 2, 3, 4])
    #expect(four.scalars() == (0..<24).map { Float($0) })

    let blocks = try file.blockBytes(named: "values.q8_0")
    #expect(blocks.type == .q8_0)
    #expect(blocks.shape == [2, 256])
    #expect(blocks.rowByteCount == 272)
    #expect(blocks.byteCount == 544)
    #expect(blocks.withUnsafeBytes { $0.contains { $0 != 0 } })
    #expect(try file.blockBytes(named: "values.q4_K").byteCount == 288)
    for (name, dtype) in [("values.q8_0", DType.q8_0), ("values.q4_K", .q4K)] {
      let tensor = try file.tensor(named: name)
      #expect(tensor.dtype == dtype && tensor.shape == [2, 256])
      #expect(tensor.isMapped == (access == .mapped))
      #expect(
        try file.blockBytes(named: name).withUnsafeBytes { Array($0) }
          == tensor.withUnsafeBytes { Array($0) })
    }
    expectError(.missingTensor, "tensor 'none'", "'values.f32'") {
      _ = try file.tensor(named: "none")
    }
    expectError(.missingTensor, "tensor 'none'") { _ = try file.blockBytes(named: "none") }
  }

  @Test("types that nothing here can read are refused by name")
  func unknownBlocks() throws {
    let scratch = try Scratch()
    let blocks = GGUFBlocks(
      name: "w", type: .iq4_xs, shape: [2, 256],
      storage: Tensor.zeros([272], dtype: .uint8).storage,
      offset: 0, byteCount: 272)
    try GGUFWriter.write(
      [], tensors: [GGUFWriter.Item(name: "w", blocks: blocks)], to: scratch.file("x.gguf"))
    let file = try GGUFFile(path: scratch.file("x.gguf"))
    expectError(.unsupported, "tensor 'w'", "IQ4_XS", "supported are F32, F16, Q4_0", "Q6_K") {
      _ = try file.tensor(named: "w")
    }
  }

  @Test("what is written is what gguf-py writes, byte for byte")
  func sameBytes() throws {
    let scratch = try Scratch()
    let file = try GGUFFile(path: Self.types)
    let items = try file.entries.map { entry in
      entry.type.dtype == nil
        ? GGUFWriter.Item(name: entry.name, blocks: try file.blockBytes(named: entry.name))
        : GGUFWriter.Item(name: entry.name, tensor: try file.tensor(named: entry.name))
    }
    try GGUFWriter.write(file.keyValues, tensors: items, to: scratch.file("out.gguf"))
    #expect(try bytes(of: scratch.file("out.gguf")) == bytes(of: Self.types))
    #expect(scratch.names == ["out.gguf"])
  }

  @Test(
    "gguf-py reads what is written",
    .enabled(if: Fixtures.python != nil, "needs a Python with PEFT: LORA_PYTHON"))
  func readByPython() throws {
    let scratch = try Scratch()
    let file = try GGUFFile(path: Self.types, access: .copied)
    try GGUFWriter.write(
      file.keyValues,
      tensors: try file.names.map {
        GGUFWriter.Item(name: $0, blocks: try file.blockBytes(named: $0))
      }, to: scratch.file("out.gguf"))
    let process = Process()
    process.executableURL = URL(filePath: try #require(Fixtures.python))
    process.arguments = [
      Fixtures.tests.appending(path: "Reference/gguf_container.py").path, "check",
      scratch.file("out.gguf"),
    ]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  @Test("files without tensors, scalars, no elements; version 2")
  func smallFiles() throws {
    let scratch = try Scratch()
    try GGUFWriter.write([], tensors: [], to: scratch.file("a"))
    #expect(try GGUFFile(path: scratch.file("a")).names.isEmpty)
    try GGUFWriter.write(
      [.init(key: "k", value: .array(.string([])))],
      tensors: [
        .init(name: "scalar", tensor: Tensor(scalar: 2.5)),
        .init(name: "empty", tensor: .zeros([0, 3])), .init(name: "x", tensor: Tensor([1, 2])),
      ], to: scratch.file("b"))
    var content = try bytes(of: scratch.file("b"))
    content[4] = 2
    try scratch.write("c", content)
    for name in ["b", "c"] {
      let file = try GGUFFile(path: scratch.file(name))
      #expect(file.version == (name == "b" ? 3 : 2))
      #expect(try file.tensor(named: "scalar").item() == 2.5)
      #expect(try file.tensor(named: "scalar").shape == [])
      #expect(try file.tensor(named: "empty").shape == [0, 3])
      #expect(try file.tensor(named: "x").scalars() == [1, 2])
      #expect(file["k"] == .strings([]))
    }
  }

  @Test("small alignments: misaligned tensors are copied")
  func alignment() throws {
    let scratch = try Scratch()
    try GGUFWriter.write(
      [.init(key: "general.alignment", value: .uint32(1))],
      tensors: [
        .init(name: "a", tensor: Tensor([Int8(7)])), .init(name: "b", tensor: Tensor([1.5, -2])),
        .init(name: "c", tensor: Tensor([Int8(8), 9, 10])), .init(name: "d", tensor: Tensor([3])),
        .init(name: "e", tensor: Tensor([4])), .init(name: "ff", tensor: Tensor([Int8(8), 9, 10])),
        .init(name: "ggg", tensor: Tensor([5])),
      ], to: scratch.file("a"))
    var mapped = 0
    for access in [GGUFFile.Access.mapped, .copied] {
      let file = try GGUFFile(path: scratch.file("a"), access: access)
      #expect(try file.tensor(named: "b").scalars() == [1.5, -2])
      #expect(try file.tensor(named: "c").scalars(as: Int8.self) == [8, 9, 10])
      for (name, value) in [("d", Float(3)), ("e", 4), ("ggg", 5)] {
        #expect(try file.tensor(named: name).item() == value)
      }
      mapped += try file.names.count { try file.tensor(named: $0).isMapped }
    }
    #expect((3..<7).contains(mapped))
  }

  @Test("what cannot be written is refused before anything is touched")
  func unwritable() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    let x = Tensor([1])
    func write(_ keyValues: [(String, GGUFValue)], _ tensors: [(String, Tensor)]) throws {
      try GGUFWriter.write(
        keyValues.map { .init(key: $0.0, value: $0.1) },
        tensors: tensors.map { .init(name: $0.0, tensor: $0.1) }, to: path)
    }
    expectError(.duplicate, "tensor 'x'") { try write([], [("x", x), ("x", x)]) }
    expectError(.duplicate, "'k'") { try write([("k", .bool(true)), ("k", .uint8(1))], []) }
    expectError(.invalidValue, "empty") { try write([("", .bool(true))], []) }
    expectError(.invalidValue, "64 bytes") {
      try write([], [(String(repeating: "x", count: 64), x)])
    }
    expectError(.invalidValue, "5 dimensions") { try write([], [("x", .zeros([1, 1, 1, 1, 1]))]) }
    expectError(.unsupported, "uint8") { try write([], [("x", Tensor([UInt8(1)]))]) }
    expectError(.invalidValue, "24 is not a power of two") {
      try write([("general.alignment", .uint32(24))], [])
    }
    expectError(.typeMismatch, "general.alignment", "uint64") {
      try write([("general.alignment", .uint64(32))], [])
    }
    #expect(scratch.names.isEmpty)
  }

  @Test(
    "a model of others",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let file = try GGUFFile(path: try #require(Fixtures.shared) + "/models/stories260k.gguf")
    #expect(try file.architecture() == "llama")
    #expect(try file.int("llama.block_count") == 5)
    #expect(file["tokenizer.ggml.tokens"]?.strings?.count == 512)
    #expect(file.entry(named: "token_embd.weight")?.shape == [512, 64])
    for entry in file.entries where entry.type.dtype != nil {
      #expect(try file.tensor(named: entry.name).firstNonFiniteIndex() == nil)
    }
  }
}
