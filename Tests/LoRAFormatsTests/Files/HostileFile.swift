import LoRAFiles
import Testing

/// A file that must be refused, and with what.
struct HostileFile: Sendable, CustomTestStringConvertible {
  var content: [UInt8]
  var kind: FormatError.Kind
  var text: String
  var testDescription: String { text }

  init(_ content: [UInt8], _ kind: FormatError.Kind, _ text: String) {
    (self.content, self.kind, self.text) = (content, kind, text)
  }

  init(_ header: String, _ data: Int, _ kind: FormatError.Kind, _ text: String) {
    self.init(safetensors(header, data: data), kind, text)
  }

  init(_ header: String, _ kind: FormatError.Kind, _ text: String) {
    self.init(header, 0, kind, text)
  }
}

extension HostileFile {

  private static func entry(
    _ name: String, _ offsets: String, shape: String = "[2]", dtype: String = "\"F32\""
  ) -> String {
    #""\#(name)":{"dtype":\#(dtype),"shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  static let all: [HostileFile] = [
    HostileFile([], .truncated, "it has 0 bytes"),
    HostileFile([1, 2, 3], .truncated, "it has 3 bytes"),
    HostileFile(safetensors("{}", length: 1 << 63), .malformed, "9223372036854775808 bytes"),
    HostileFile(safetensors("{}", length: .max), .malformed, "18446744073709551615 bytes"),
    HostileFile(safetensors("{}", length: 100_000_001), .malformed, "allowed are 100000000"),
    HostileFile(safetensors("{}", length: 3), .truncated, "given as 3 bytes, the file has 2 left"),
    HostileFile(safetensors("", length: 0), .malformed, "header"),
    HostileFile(safetensors("{}") + [0xFF], .malformed, "end at byte 0 of the data, which has 1"),
    HostileFile(
      withUnsafeBytes(of: UInt64(4).littleEndian) { Array($0) } + [0x7B, 0x22, 0xFF, 0x7D],
      .malformed, "invalid UTF-8"),
    HostileFile("[]", .malformed, "expected a JSON object, found an array"),
    HostileFile("{", .malformed, "header"),
    HostileFile(String(repeating: "[", count: 100_000), .malformed, "nested deeper"),
    HostileFile(
      #"{"a":"# + String(repeating: "{\"a\":", count: 100_000), .malformed, "nested deeper"),
    HostileFile(#"{"x":1}"#, .malformed, "tensor 'x'"),
    HostileFile("{\(entry("x", "[0,8]")),\(entry("x", "[0,8]"))}", 8, .malformed, "second time"),
    HostileFile(
      "{\(entry("x", "[0,8]")),\(entry("y", "[4,12]"))}", 12, .malformed, "inside those of 'x'"),
    HostileFile("{\(entry("x", "[0,8]")),\(entry("y", "[0,8]"))}", 8, .malformed, "inside those"),
    HostileFile(
      "{\(entry("x", "[0,8]")),\(entry("y", "[12,20]"))}", 20, .malformed, "a hole from 8"),
    HostileFile("{\(entry("x", "[4,12]"))}", 12, .malformed, "a hole from 0"),
    HostileFile("{\(entry("x", "[0,8]"))}", 4, .truncated, "lie beyond the 4 bytes"),
    HostileFile("{\(entry("x", "[8,0]"))}", 8, .malformed, "end at 0, before they begin at 8"),
    HostileFile("{\(entry("x", "[0,8]", shape: "[3]"))}", 8, .shapeMismatch, "needs 12 bytes"),
    HostileFile("{\(entry("x", "[0,1]", shape: "[3]", dtype: "\"F4\""))}", 1, .shapeMismatch, "F4"),
    HostileFile("{\(entry("x", "[0,8]", shape: "[-2]"))}", 8, .malformed, "found -2"),
    HostileFile("{\(entry("x", "[0,8]", shape: "[2.0]"))}", 8, .malformed, "found 2.0"),
    HostileFile("{\(entry("x", "[0,8.5]"))}", 8, .malformed, "found 8.5"),
    HostileFile("{\(entry("x", "[-8,0]"))}", 8, .malformed, "found -8"),
    HostileFile("{\(entry("x", "[0,8,9]"))}", 8, .malformed, "must be two numbers, found 3"),
    HostileFile("{\(entry("x", "\"0\""))}", 8, .malformed, "must be a list, found a string"),
    HostileFile("{\(entry("x", "[0,8]", dtype: "5"))}", 8, .malformed, "'dtype' must be a string"),
    HostileFile(
      "{\(entry("x", "[0,8]", shape: "[4294967296,4294967296]"))}", 8, .malformed, "overflows"),
    HostileFile(
      "{\(entry("x", "[0,8]", shape: "[9223372036854775807,2]"))}", 8, .malformed, "overflows"),
    HostileFile(
      "{\(entry("x", "[0,99999999999999999999999]"))}", 8, .malformed, "must hold whole numbers"),
    HostileFile(
      "{\(entry("x", "[0,9223372036854775807]"))}", 8, .truncated, "lie beyond the 8 bytes"),
    HostileFile(#"{"x":{"dtype":"F32","shape":[2]}}"#, 8, .malformed, "'data_offsets'"),
    HostileFile(
      #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"scale":2}}"#, 8, .malformed,
      "unknown member 'scale'"),
    HostileFile(#"{"__metadata__":{"a":1}}"#, .malformed, "expected a string, found an integer"),
    HostileFile(#"{"__metadata__":[]}"#, .malformed, "expected an object"),
  ]
}
