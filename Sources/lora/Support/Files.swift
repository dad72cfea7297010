import Foundation
import LoRAFormats
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The text of the file at `path`, which must be UTF-8.
func readText(_ path: String) throws(FormatError) -> String {
  let bytes = try FileSystem.read(path)
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw FormatError(
      .malformed, file: path, problem: "it is not UTF-8 text", remedy: "convert it to UTF-8")
  }
  return text
}

/// Throws if `output` is one of `inputs`: what is being read must not be written over.
func refuseOverwriting(_ inputs: [String], with output: String) throws(CommandError) {
  for input in inputs {
    guard output == input || FileSystem.exists(output) && FileSystem.isSame(output, input) else {
      continue
    }
    throw CommandError(
      "\(output): the output is the input '\(input)'; give another one with --output")
  }
}

/// Calls `body` with a new folder among the system's temporary ones, which is gone afterwards.
func withTemporaryFolder<R>(_ body: (_ path: String) throws -> R) throws -> R {
  let folder = FileManager.default.temporaryDirectory.appending(path: "lora-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

/// A folder that results will be written to: made and tried before the work starts, so that a
/// training does not end with the news that there was no place for it. Nothing of it is left before
/// there are results.
struct OutputFolder {
  let path: String
  private let made: [String]

  /// Makes the folder where it is missing and tries to write to it.
  init(_ path: String) throws {
    self.path = path
    var missing: [String] = []
    var folder = path
    while !folder.isEmpty, !FileSystem.exists(folder) {
      missing.append(folder)
      while folder.hasSuffix("/") { folder.removeLast() }
      guard let slash = folder.lastIndex(of: "/") else { break }
      folder = String(folder[..<slash])
    }
    made = missing
    do {
      try FileSystem.makeFolder(path)
      let probe = FileSystem.join(path, ".lora-\(getpid()).tmp")
      try AtomicFile.write([UInt8](repeating: 0, count: 1), to: probe)
      unlink(probe)
    } catch {
      discard()
      throw error
    }
    discard()
  }

  /// Removes the folders that were made, as far as they are empty.
  func discard() {
    for folder in made { rmdir(folder) }
  }

  /// Throws if this is also the folder of the model at `other`.
  func check(isNot other: String) throws {
    guard FileSystem.exists(path), let here = realpath(path, nil), let there = realpath(other, nil)
    else { return }
    defer { free(here); free(there) }
    if strcmp(here, there) == 0 {
      throw CommandError(
        "\(path): the output folder is the model's own; give another one with --output")
    }
  }
}

extension ModelDirectory {
  /// What a model made from this one takes over unchanged: its tokenizer, its chat template and how
  /// it wants to be sampled.
  func companionFiles() throws(FormatError) -> [(name: String, content: [UInt8])] {
    let names = [
      "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
      "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
      "generation_config.json",
    ]
    var files: [(name: String, content: [UInt8])] = []
    for name in names where FileSystem.exists(FileSystem.join(path, name)) {
      files.append((name, try FileSystem.read(FileSystem.join(path, name))))
    }
    return files
  }
}
