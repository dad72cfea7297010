import Foundation
import LoRAFiles
import TestSupport
import Testing

/// What the tests of this target share: fixtures, scratch folders, hostile files.
enum Fixtures {
  static let tests = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The path of a file below Tests/Fixtures.
  static func path(_ name: String) -> String {
    tests.appending(path: "Fixtures").appending(path: name).path
  }

  /// The folder with models and reference runs that lies beside the checkout where there is one.
  static let shared: String? = {
    let path =
      ProcessInfo.processInfo.environment["LORA_SHARED"]
      ?? tests.deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared")
      .path
    return FileManager.default.fileExists(atPath: path + "/models") ? path : nil
  }()

  /// A Python with safetensors, transformers and PEFT.
  static let python: String? = {
    let path =
      ProcessInfo.processInfo.environment["LORA_PYTHON"]
      ?? tests.deletingLastPathComponent().appending(path: ".venv/bin/python").path
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()
}

/// An empty folder that disappears with the object.
final class Scratch {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "lora-formats-\(UUID())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let url = URL(filePath: file(name))
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
    return url.path
  }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try write(name, Array(text.utf8))
  }

  /// Copies a folder of the fixtures here, to be damaged.
  func copy(fixture: String, as name: String) throws -> String {
    try FileManager.default.copyItem(atPath: Fixtures.path(fixture), toPath: file(name))
    return file(name)
  }

  var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }
}

func bytes(of path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(filePath: path)))
}

/// A safetensors file with any header and any length field.
func safetensors(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
  withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Array($0) }
    + Array(header.utf8) + [UInt8](repeating: 0, count: data)
}

/// Runs `body`, which must throw a `FormatError` of the given kind whose description contains every
/// given text.
func expectError(
  _ kind: FormatError.Kind, _ texts: String..., sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown, expected \(kind)", sourceLocation: sourceLocation)
  } catch let error as FormatError {
    #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    for text in texts {
      #expect(
        error.description.contains(text), "'\(error)' lacks '\(text)'",
        sourceLocation: sourceLocation)
    }
  } catch {
    Issue.record("expected a FormatError, got \(error)", sourceLocation: sourceLocation)
  }
}

/// `bytes` with a few bytes changed, removed, repeated or cut off.
func mutated(_ bytes: [UInt8], using random: inout SplitMix) -> [UInt8] {
  var result = bytes
  for _ in 0..<Int.random(in: 1...4, using: &random) where !result.isEmpty {
    let place = Int.random(in: 0..<result.count, using: &random)
    switch Int.random(in: 0..<7, using: &random) {
    case 0: result[place] = UInt8.random(in: 0...255, using: &random)
    case 1: result[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 2: result.removeSubrange(place..<min(result.count, place + 3))
    case 3: result.removeSubrange(place...)
    case 4:
      let end = min(result.count, place + Int.random(in: 1...12, using: &random))
      result.insert(contentsOf: result[place..<end], at: place)
    case 5:
      let digits = Array("\(Int64.random(in: -3...(.max), using: &random))".utf8)
      result.replaceSubrange(place..<min(result.count, place + 1), with: digits)
    default:
      result[place] =
        Array("0123456789{}[]\",:.-*+?()|nulltrue".utf8).randomElement(using: &random) ?? 0
    }
  }
  return result
}
