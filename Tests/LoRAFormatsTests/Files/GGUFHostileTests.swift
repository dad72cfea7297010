import Foundation
import LoRAFiles
import LoRATensor
import TestSupport
import Testing

/// A GGUF file built byte by byte, so that it can say anything.
private struct Draft {
  var bytes: [UInt8] = []

  init(version: UInt32 = 3, tensors: UInt64 = 0, keyValues: UInt64 = 0) {
    bytes = Array("GGUF".utf8)
    number(version)
    number(tensors)
    number(keyValues)
  }

  mutating func number<T: BitwiseCopyable>(_ value: T) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  mutating func text(_ value: String, length: UInt64? = nil) {
    number(length ?? UInt64(value.utf8.count))
    bytes.append(contentsOf: value.utf8)
  }

  /// A key with the type `code` and the bytes of a value.
  func with(_ key: String, _ code: UInt32, _ value: [UInt8]) -> Draft {
    var copy = self
    copy.text(key)
    copy.number(code)
    copy.bytes += value
    return copy
  }

  /// An array's type and length.
  func array(_ key: String, of code: UInt32, count: UInt64, _ value: [UInt8] = []) -> Draft {
    var copy = Draft()
    copy.bytes = []
    copy.number(code)
    copy.number(count)
    return with(key, 9, copy.bytes + value)
  }

  /// A tensor; extents innermost first, as the format has them.
  func tensor(
    _ name: String, _ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0,
    dimensions: UInt32? = nil
  ) -> Draft {
    var copy = self
    copy.text(name)
    copy.number(dimensions ?? UInt32(extents.count))
    for extent in extents { copy.number(extent) }
    copy.number(type)
    copy.number(offset)
    return copy
  }

  func data(_ count: Int) -> Draft {
    var copy = self
    while copy.bytes.count % 32 != 0 { copy.bytes.append(0) }
    copy.bytes += [UInt8](repeating: 0, count: count)
    return copy
  }
}

/// A file that must be refused, and with what.
struct HostileGGUF: Sendable, CustomTestStringConvertible {
  var content: [UInt8]
  var kind: FormatError.Kind
  var texts: [String]
  var testDescription: String { texts.joined(separator: ", ") }

  fileprivate init(_ draft: Draft, _ kind: FormatError.Kind, _ texts: String...) {
    (content, self.kind, self.texts) = (draft.bytes, kind, texts)
  }

  private init(_ content: [UInt8], _ kind: FormatError.Kind, _ texts: String...) {
    (self.content, self.kind, self.texts) = (content, kind, texts)
  }

  private static let one = Draft(keyValues: 1)
  private static let tensor = Draft(tensors: 1)
  private static let two = Draft(tensors: 2)

  static let all: [HostileGGUF] = [
    .init([], .malformed, "does not begin with 'GGUF'"),
    .init(Array("GGU".utf8), .malformed, "does not begin with 'GGUF'"),
    .init(Array("GGML0000".utf8), .malformed, "does not begin with 'GGUF'"),
    .init(Array("GGUF".utf8), .truncated, "version", "4 bytes are expected"),
    .init(Draft(version: 1), .unsupported, "version 1", "convert the model again"),
    .init(Draft(version: 4), .unsupported, "version 4"),
    .init(Draft(version: 0), .unsupported, "version 0"),
    .init(Draft(version: 0x0300_0000), .unsupported, "big-endian"),
    .init(Draft(tensors: .max), .truncated, "number of tensors", "18446744073709551615"),
    .init(Draft(tensors: 1 << 40).data(48), .truncated, "number of tensors", "at most 2"),
    .init(Draft(keyValues: .max), .truncated, "number of key-values"),
    .init(Draft(tensors: 1 << 62, keyValues: 1 << 62), .truncated, "number of tensors"),
    .init(one.data(13), .malformed, "key-value 0", "its key is empty"),
    .init(
      {
        var d = one; d.text("abc", length: .max); return d.data(10)
      }(), .truncated,
      "key of key-value 0", "18446744073709551615 bytes"),
    .init(
      {
        var d = one; d.text("abc", length: 1 << 63); return d.data(10)
      }(), .truncated,
      "key of key-value 0"),
    .init(
      {
        var d = one; d.number(UInt64(2)); d.bytes += [0xFF, 0xFE]; return d.data(10)
      }(),
      .malformed, "key of key-value 0", "not UTF-8"),
    .init(one.with("k", 13, [0, 0]), .unsupported, "'k'", "type number 13"),
    .init(one.with("k", .max, [0, 0]), .unsupported, "'k'", "type number 4294967295"),
    .init(one.with("k", 4, [0, 0, 0]), .truncated, "k", "4 bytes are expected", "3 left"),
    .init(one.with("k", 7, [2]), .invalidValue, "'k'", "a truth value is 2"),
    .init(one.with("k", 8, [9, 0, 0, 0, 0, 0, 0, 0, 65]), .truncated, "k", "9 bytes", "1 left"),
    .init(
      one.array("k", of: 13, count: 1, [0]), .unsupported, "'k'", "array of the type number 13"),
    .init(one.array("k", of: 4, count: .max), .truncated, "length of 'k'", "at most 0"),
    .init(one.array("k", of: 12, count: 1 << 61).data(64), .truncated, "length of 'k'"),
    .init(one.array("k", of: 8, count: 1 << 60).data(64), .truncated, "length of 'k'"),
    .init(one.array("k", of: 9, count: 1 << 60).data(64), .truncated, "length of 'k'"),
    .init(one.array("k", of: 7, count: 2, [1, 5]), .invalidValue, "'k'", "a truth value is 5"),
    .init(
      (0..<5000).reversed().reduce(one.with("k", 9, [])) { draft, _ in
        var copy = draft
        copy.number(UInt32(9))
        copy.number(UInt64(1))
        return copy
      }, .malformed, "'k'", "nested deeper than 8"),
    .init(
      Draft(keyValues: 2).with("k", 0, [1]).with("k", 0, [1]), .duplicate, "'k'", "occurs twice"),
    .init(
      one.with("general.alignment", 4, [24, 0, 0, 0]), .invalidValue, "general.alignment",
      "24 is not a power of two"),
    .init(
      one.with("general.alignment", 4, [0, 0, 0, 0]), .invalidValue, "0 is not a power of two"),
    .init(one.with("general.alignment", 0, [32]), .typeMismatch, "general.alignment", "uint8"),
    .init(tensor.tensor("x", [2], type: 4).data(32), .unsupported, "tensor 'x'", "type number 4"),
    .init(tensor.tensor("x", [2], type: 99).data(32), .unsupported, "tensor 'x'", "number 99"),
    .init(
      tensor.tensor("x", [1, 1, 1, 1, 1]).data(32), .malformed, "tensor 'x'", "5 dimensions"),
    .init(
      tensor.tensor("x", [1], dimensions: .max).data(32), .malformed, "tensor 'x'",
      "4294967295 dimensions"),
    .init(
      tensor.tensor("x", [1 << 32, 1 << 32]).data(32), .malformed, "tensor 'x'", "overflows"),
    .init(
      tensor.tensor("x", [0, 1 << 62, 1 << 62]).data(32), .malformed, "tensor 'x'", "overflows"),
    .init(tensor.tensor("x", [.max]).data(32), .malformed, "tensor 'x'", "too large"),
    .init(
      tensor.tensor("x", [31], type: 8).data(64), .shapeMismatch, "tensor 'x'",
      "rows of 31 elements", "Q8_0 blocks of 32"),
    .init(
      tensor.tensor("x", [2], offset: 8).data(64), .malformed, "tensor 'x'",
      "not a multiple of the alignment 32"),
    .init(
      tensor.tensor("x", [2], offset: .max - 31).data(64), .malformed, "tensor 'x'", "too large"),
    .init(
      tensor.tensor("x", [2], offset: UInt64(Int.max) - 31).data(64), .truncated, "tensor 'x'",
      "beyond the 64 bytes"),
    .init(
      tensor.tensor("x", [1 << 58], offset: UInt64(Int.max) - 31).data(64), .malformed,
      "tensor 'x'", "too large"),
    .init(tensor.tensor("x", [9]).data(32), .truncated, "tensor 'x'", "beyond the 32 bytes"),
    .init(tensor.tensor("x", [1]), .truncated, "tensor 'x'", "beyond the 0 bytes"),
    .init(
      two.tensor("x", [2]).tensor("x", [2], offset: 32).data(64), .duplicate, "tensor 'x'",
      "occurs twice"),
    .init(
      two.tensor("x", [2]).tensor("y", [2]).data(64), .malformed, "tensor 'y'",
      "inside those of 'x'"),
    .init(
      two.tensor("x", [9]).tensor("y", [2], offset: 32).data(64), .malformed, "tensor 'y'",
      "begin at 32, inside those of 'x', which end at 36"),
    .init(two.tensor("x", [2]).data(20), .malformed, "tensor 1", "its name is empty"),
    .init(
      two.tensor("x", [2]).tensor("y", [2]).bytes.dropLast(1) + [], .truncated,
      "description of tensor 'y'", "8 bytes are expected, the file has 7 left"),
  ]
}

@Suite("hostile GGUF files")
struct GGUFHostileTests {
  @Test("end in an error that says what is wrong", arguments: HostileGGUF.all)
  func hostile(_ hostile: HostileGGUF) throws {
    let scratch = try Scratch()
    let path = try scratch.write("a.gguf", hostile.content)
    for access in [GGUFFile.Access.mapped, .copied] {
      do {
        _ = try GGUFFile(path: path, access: access)
        Issue.record("nothing was thrown, expected \(hostile.kind)")
      } catch {
        #expect(error.kind == hostile.kind, "\(error)")
        for text in hostile.texts + [path] {
          #expect(error.description.contains(text), "'\(error)' lacks '\(text)'")
        }
      }
    }
  }

  @Test("missing files, folders and devices")
  func noFile() throws {
    let scratch = try Scratch()
    for access in [GGUFFile.Access.mapped, .copied] {
      expectError(.missingFile, "does not exist") {
        _ = try GGUFFile(path: scratch.file("none"), access: access)
      }
      expectError(.unreadable, "found a folder") {
        _ = try GGUFFile(path: scratch.path, access: access)
      }
      expectError(.unreadable, "not a plain file") {
        _ = try GGUFFile(path: "/dev/null", access: access)
      }
    }
  }

  @Test("names and keys that differ only in how they are composed stay apart")
  func exactNames() throws {
    let scratch = try Scratch()
    let names = ["caf\u{E9}", "cafe\u{301}"]
    try GGUFWriter.write(
      names.enumerated().map { .init(key: $1, value: .int32(Int32($0))) },
      tensors: names.enumerated().map { .init(name: $1, tensor: Tensor([Float($0)])) },
      to: scratch.file("a"))
    let file = try GGUFFile(path: scratch.file("a"))
    #expect(try names.map { try file.tensor(named: $0).item() } == [0, 1])
    #expect(names.map { file[$0]?.intValue } == [0, 1])
  }

  @Test("4,000 damaged files: an error or tensors, never a crash")
  func fuzz() throws {
    let scratch = try Scratch()
    let original = try bytes(of: Fixtures.path("gguf/types.gguf"))
    let path = scratch.file("fuzz")
    var random = SplitMix(state: 11)
    var (opened, refused) = (0, 0)
    for round in 0..<4000 {
      try Data(mutated(original, using: &random)).write(to: URL(filePath: path))
      do {
        let file = try GGUFFile(path: path, access: round % 2 == 0 ? .mapped : .copied)
        for name in file.names {
          _ = try? file.tensor(named: name).withUnsafeBytes { $0.reduce(0) { $0 &+ Int($1) } }
          _ = try file.blockBytes(named: name).withUnsafeBytes { $0.reduce(0) { $0 &+ Int($1) } }
        }
        opened += 1
      } catch {
        refused += 1
      }
    }
    #expect(opened > 0)
    #expect(refused > 0)
  }
}
