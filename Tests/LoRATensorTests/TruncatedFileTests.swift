import Foundation
import Testing

@testable import LoRATensor

/// Mapped files that become shorter, in processes of their own: a check looks at all files of one.
@Suite struct TruncatedFileTests {
  fileprivate static func file(_ count: Int) throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "lora-\(UUID().uuidString)")
      .path
    try Data(repeating: 7, count: count).write(to: URL(filePath: path))
    return path
  }

  @Test func aFileThatBecameShorterIsAnError() async {
    await #expect(processExitsWith: .success) {
      let path = try TruncatedFileTests.file(1 << 16)
      let file = try MappedFile(path: path)
      try MappedFile.checkAll()
      #expect(truncate(path, 100) == 0)
      #expect {
        try MappedFile.checkAll()
      } throws: { error in
        let error = error as? FileError
        return error?.path == path
          && error?.reason.contains("100 bytes instead of 65536") == true
      }
      withExtendedLifetime(file) {}
    }
  }

  @Test func whatIsNotMappedAnyMoreIsNotChecked() async {
    await #expect(processExitsWith: .success) {
      let path = try TruncatedFileTests.file(1 << 16)
      do { _ = try MappedFile(path: path) }
      #expect(truncate(path, 0) == 0)
      try MappedFile.checkAll()
    }
  }

  @Test func aFileThatIsReplacedIsFine() async {
    await #expect(processExitsWith: .success) {
      let path = try TruncatedFileTests.file(1 << 12)
      let file = try MappedFile(path: path)
      let other = try TruncatedFileTests.file(3)
      #expect(rename(other, path) == 0)
      try MappedFile.checkAll()
      file.withUnsafeBytes { #expect($0.count == 1 << 12 && $0[4095] == 7) }
    }
  }

  @Test func readingBehindTheEndNamesTheFile() async {
    let result = await #expect(
      processExitsWith: .exitCode(1), observing: [\.standardErrorContent]
    ) {
      MappedFile.exitOnTruncation()
      let path = try TruncatedFileTests.file(1 << 20)
      let file = try MappedFile(path: path)
      _ = truncate(path, 0)
      file.withUnsafeBytes { bytes in
        print(bytes.reduce(0) { $0 &+ Int($1) })
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("became shorter") && text.contains("lora-"))
  }

  @Test func aFIFOIsRefusedAtOnce() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "lora-\(UUID().uuidString)")
      .path
    #expect(mkfifo(path, 0o600) == 0)
    #expect(throws: FileError(path: path, operation: "read", reason: "it is not a plain file")) {
      try MappedFile(path: path)
    }
    #expect(throws: FileError.self) { try MappedFile(path: "/dev/zero") }
    #expect(throws: FileError.self) { try MappedFile(path: "/") }
  }
}
