import Foundation
import LoRAFiles
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRAText

/// What happens to a door in a process of its own.
enum Fuzzing {
  /// How often each door is opened; `LORA_FUZZ_ROUNDS` asks for more.
  static var rounds: Int {
    ProcessInfo.processInfo.environment["LORA_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 3000
  }

  /// What a reader may take beside the files themselves, in bytes, over all rounds: nothing that it
  /// reads is larger than 200 KB.
  static let mostMemory = 256 << 20

  /// The errors that damage may lead to.
  private static func isTyped(_ error: any Error) -> Bool {
    error is FormatError || error is AdapterError || error is TokenizerError
      || error is FileError || error is JSONError || error is SequenceError
  }

  /// Opens damaged copies of the door's files, again and again. Ends the process with a word about
  /// the round if anything but a typed error comes of it, or too much memory was taken.
  static func run(_ door: Door) throws {
    let manager = FileManager.default
    let scratch = manager.temporaryDirectory.appending(path: "lora-fuzz-\(UUID().uuidString)").path
    log = Log(path: door.log)
    try manager.createDirectory(atPath: scratch, withIntermediateDirectories: true)
    defer { try? manager.removeItem(atPath: scratch) }
    let sources = try door.sources.map { try Source(Door.fixture($0), in: scratch) }
    guard !sources.isEmpty, sources.allSatisfy({ !$0.files.isEmpty }) else {
      fail("there is nothing to damage")
    }
    for source in sources {
      try source.restore()
      do { try door.open(source.path) } catch { fail("undamaged \(source.path): \(error)") }
    }
    let before = peakResidentBytes()
    var refused = 0
    for round in 0..<rounds {
      var mutator = Mutator(seed: UInt64(round))
      let source = sources[round % sources.count]
      let files = source.files.filter { door.damages($0.name) }
      let file = files[Int.random(in: 0..<files.count, using: &mutator.random)]
      log?.note("round \(round), \(file.path)")
      try Data(mutator.damage(file.content)).write(to: URL(filePath: file.path))
      do {
        try door.open(source.path)
      } catch  where isTyped(error) {
        refused += 1
        if "\(error)".isEmpty { fail("an error without a word") }
      } catch {
        fail("an error of type \(type(of: error)): \(error)")
      }
      try Data(file.content).write(to: URL(filePath: file.path))
    }
    let taken = peakResidentBytes() - before
    if taken > mostMemory { fail("\(taken >> 20) MiB were taken") }
    // Damage that is never noticed would mean that nothing was read.
    if refused < rounds / 20 { fail("only \(refused) of \(rounds) were refused") }
  }

  static func fail(_ problem: String) -> Never {
    log?.note("\(log?.last ?? ""): \(problem)")
    exit(1)
  }

  /// Where the process got to: what the test reads if it did not get to the end.
  private final class Log {
    private let descriptor: Int32
    private(set) var last = ""

    init(path: String) { descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600) }

    func note(_ text: String) {
      last = text
      let line = Array((text + "\n").utf8)
      ftruncate(descriptor, 0)
      pwrite(descriptor, line, line.count, 0)
    }
  }

  // One task writes and reads it, in a process of its own that does nothing else.
  nonisolated(unsafe) private static var log: Log?

  private static func peakResidentBytes() -> Int {
    var usage = rusage()
    #if canImport(Darwin)
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #else
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss << 10
    #endif
  }
}

/// A file or a folder of files in the scratch folder.
private struct Source {
  struct File {
    let name: String
    let path: String
    let content: [UInt8]
  }

  let path: String
  let files: [File]

  init(_ original: String, in scratch: String) throws {
    let manager = FileManager.default
    let url = URL(filePath: original)
    path = "\(scratch)/\(UUID().uuidString)-\(url.lastPathComponent)"
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: original, isDirectory: &isFolder) else {
      Fuzzing.fail("\(original) does not exist")
    }
    guard isFolder.boolValue else {
      files = [
        File(name: url.lastPathComponent, path: path, content: Array(try Data(contentsOf: url)))
      ]
      return
    }
    try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
    let path = path
    files = try manager.contentsOfDirectory(atPath: original).sorted().compactMap { name in
      let file = url.appending(path: name)
      var isFolder: ObjCBool = false
      _ = manager.fileExists(atPath: file.path, isDirectory: &isFolder)
      guard !isFolder.boolValue else { return nil }
      return File(
        name: name, path: "\(path)/\(name)", content: Array(try Data(contentsOf: file)))
    }
  }

  /// Writes the files as they were.
  func restore() throws {
    for file in files { try Data(file.content).write(to: URL(filePath: file.path)) }
  }
}
