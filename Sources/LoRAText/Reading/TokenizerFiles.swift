import Foundation
import LoRAJSON

/// Reading of a tokenizer's files.
enum TokenizerFiles {
  static func read(_ path: String) throws(TokenizerError) -> [UInt8] {
    let bytes: [UInt8]
    switch PlainFile.read(path) {
    case .success(let content): bytes = content
    case .failure(let reason):
      throw TokenizerError(
        .unreadable, file: path, expected: "a file that can be read", found: reason.text,
        advice: "check the path and its permissions")
    }
    if let size = LFSPointer.size(of: bytes) {
      throw TokenizerError(
        .unreadable, file: path, expected: "the tokenizer's own file",
        found: "something else: \(LFSPointer.problem(size: size))", advice: LFSPointer.remedy)
    }
    return bytes
  }

  static func readIfPresent(_ path: String) throws(TokenizerError) -> [UInt8]? {
    FileManager.default.fileExists(atPath: path) ? try read(path) : nil
  }

  static func readObject(_ path: String) throws(TokenizerError) -> JSONObject? {
    guard let bytes = try readIfPresent(path) else { return nil }
    let value = try parse(bytes, file: path)
    guard case .object(let object) = value else {
      throw TokenizerError(
        .malformed, file: path, expected: "an object", found: value.kind,
        advice: "restore the file")
    }
    return object
  }

  static func parse(_ bytes: [UInt8], file: String) throws(TokenizerError) -> JSONValue {
    do {
      return try JSONValue(parsing: bytes)
    } catch {
      throw TokenizerError(
        .malformed, file: file, expected: "JSON", found: error.description,
        advice: "the file may be truncated: fetch or save it again")
    }
  }
}
