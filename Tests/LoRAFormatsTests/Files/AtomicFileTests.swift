import Foundation
import LoRAFiles
import LoRATensor
import Testing

@Suite("Atomic files", .serialized)
struct AtomicFileTests {
  @Test("a new file, then its replacement, with the old one's permissions")
  func replace() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    try AtomicFile.write([1, 2, 3], to: path)
    #expect(try bytes(of: path) == [1, 2, 3])
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
    try AtomicFile.write(to: path) { writer in
      try writer.write("ab")
      try writer.write([0x63])
      #expect(try bytes(of: path) == [1, 2, 3])
    }
    #expect(try bytes(of: path) == Array("abc".utf8))
    let permissions = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
    #expect(permissions as? Int == 0o640)
    #expect(scratch.names == ["a"])
  }

  @Test("a link stays, what it leads to is replaced")
  func link() throws {
    let scratch = try Scratch()
    try scratch.write("target", "old")
    try FileManager.default.createSymbolicLink(
      atPath: scratch.file("link"), withDestinationPath: scratch.file("target"))
    try AtomicFile.write(Array("new".utf8), to: scratch.file("link"))
    #expect(try bytes(of: scratch.file("target")) == Array("new".utf8))
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: scratch.file("link"))
        == scratch.file("target"))
  }

  @Test("an error in the middle leaves the old files and nothing else")
  func failure() throws {
    struct Stop: Error {}
    let scratch = try Scratch()
    try scratch.write("a", "old a")
    try scratch.write("b", "old b")
    #expect(throws: Stop.self) {
      try AtomicFile.writeAll([
        AtomicFile.Part(scratch.file("a"), Array("new".utf8)),
        AtomicFile.Part(scratch.file("b")) { writer in
          try writer.write("part")
          throw Stop()
        },
      ])
    }
    #expect(try bytes(of: scratch.file("a")) == Array("old a".utf8))
    #expect(scratch.names == ["a", "b"])
  }

  @Test("targets that are folders or lie nowhere")
  func targets() throws {
    let scratch = try Scratch()
    try scratch.write("a", "old")
    try scratch.write("folder/x", "x")
    for bad in [scratch.file("folder"), scratch.file("none/b"), scratch.file("a/b")] {
      let error = #expect(throws: FileError.self) {
        try AtomicFile.writeAll([
          AtomicFile.Part(scratch.file("a"), [1]), AtomicFile.Part(bad, [2]),
        ])
      }
      #expect(error?.path == bad)
      #expect(scratch.names == ["a", "folder"])
    }
    #expect(try bytes(of: scratch.file("a")) == Array("old".utf8))
  }

  @Test("a file that appears meanwhile stays, unless it may be replaced")
  func appeared() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    func write(_ policy: ExistingResult, meanwhile: String?) throws {
      try ExistingResult.$policy.withValue(policy) {
        try AtomicFile.writeAll([AtomicFile.Part(path, Array("mine".utf8))]) { _ in
          if let meanwhile { try scratch.write("a", meanwhile) }
        }
      }
    }
    let error = #expect(throws: ResultAppeared.self) { try write(.kept, meanwhile: "theirs") }
    #expect(error?.path == path)
    #expect(try bytes(of: path) == Array("theirs".utf8))
    #expect(scratch.names == ["a"])
    try write(.replaced, meanwhile: "theirs")
    #expect(try bytes(of: path) == Array("mine".utf8))
    // An empty file is no result.
    try scratch.write("a", "")
    try write(.kept, meanwhile: nil)
    #expect(try bytes(of: path) == Array("mine".utf8))
  }

  @Test(
    "a folder that may not be written to", .enabled(if: geteuid() != 0, "root may write everywhere")
  )
  func readOnlyFolder() throws {
    let scratch = try Scratch()
    try scratch.write("folder/a", "old")
    chmod(scratch.file("folder"), 0o500)
    defer { chmod(scratch.file("folder"), 0o700) }
    let error = #expect(throws: FileError.self) {
      try AtomicFile.write([1], to: scratch.file("folder/a"))
    }
    #expect(error?.reason.contains("denied") == true)
    #expect(try bytes(of: scratch.file("folder/a")) == Array("old".utf8))
  }

  // A full disk and a file-size limit end in the same place, a write that is refused after others
  // have succeeded; the limit needs no device of its own. It holds for the whole process, so it is
  // far above what other tests write.
  @Test("a write that the system refuses in the middle, as on a full disk")
  func refusedWrite() throws {
    let scratch = try Scratch()
    try scratch.write("a", "old")
    signal(SIGXFSZ, SIG_IGN)
    var old = rlimit()
    #if canImport(Glibc)
      let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #else
      let resource = RLIMIT_FSIZE
    #endif
    try #require(getrlimit(resource, &old) == 0)
    var limited = old
    limited.rlim_cur = 24 << 20
    try #require(setrlimit(resource, &limited) == 0)
    defer { setrlimit(resource, &old) }
    let tensor = Tensor.zeros([7 << 20])
    let error = #expect(throws: FileError.self) {
      try SafetensorsWriter.write([("x", tensor)], to: scratch.file("a"))
    }
    #expect(error?.operation == "write")
    #expect(error?.path == scratch.file("a"))
    #expect(try bytes(of: scratch.file("a")) == Array("old".utf8))
    #expect(scratch.names == ["a"])
  }
}
