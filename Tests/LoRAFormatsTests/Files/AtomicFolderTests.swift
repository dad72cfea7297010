import Foundation
import LoRATensor
import Testing

@testable import LoRAFiles
@testable import LoRAFormats

@Suite("Atomic folders")
struct AtomicFolderTests {
  private func parts(_ path: String, _ content: String) -> [AtomicFile.Part] {
    ["adapter_model.safetensors", "adapter_config.json"].map {
      AtomicFile.Part(FileSystem.join(path, $0), Array((content + $0).utf8))
    }
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test("a new folder, and those above it")
  func new() throws {
    let scratch = try Scratch()
    let path = scratch.file("a/b/c")
    try AtomicFolder.write(parts(path, "1"), as: FolderResult.adapter(.peft), to: path)
    #expect(FileSystem.names(in: path) == ["adapter_config.json", "adapter_model.safetensors"])
    #expect(try text(path + "/adapter_config.json") == "1adapter_config.json")
    #expect(FileSystem.names(in: scratch.file("a/b")) == ["c"])
  }

  @Test("a replacement keeps what is somebody else's, and permissions")
  func replacement() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    try AtomicFolder.write(parts(path, "1"), as: FolderResult.adapter(.peft), to: path)
    try scratch.write("a/notes.txt", "mine")
    try scratch.write("a/adapter_model.bin", "old weights")
    try FileManager.default.createSymbolicLink(
      atPath: path + "/link", withDestinationPath: "notes.txt")
    chmod(path, 0o750)
    chmod(path + "/adapter_config.json", 0o640)
    try AtomicFolder.write(parts(path, "2"), as: FolderResult.adapter(.peft), to: path)
    #expect(
      FileSystem.names(in: path) == [
        "adapter_config.json", "adapter_model.safetensors", "link", "notes.txt",
      ])
    #expect(try text(path + "/adapter_model.safetensors") == "2adapter_model.safetensors")
    #expect(try text(path + "/link") == "mine")
    #expect(try permissions(path) == 0o750)
    #expect(try permissions(path + "/adapter_config.json") == 0o640)
    #expect(scratch.names == ["a"])
  }

  @Test("an error, or a check that fails, changes nothing")
  func failure() throws {
    struct Stop: Error {}
    let scratch = try Scratch()
    let path = scratch.file("a")
    for exists in [false, true] {
      if exists {
        try AtomicFolder.write(parts(path, "1"), as: FolderResult.adapter(.peft), to: path)
      }
      let before = scratch.names
      #expect(throws: Stop.self) {
        try AtomicFolder.write(parts(path, "2"), as: FolderResult.adapter(.peft), to: path) { _ in
          throw Stop()
        }
      }
      let failing = parts(path, "2") + [AtomicFile.Part(path + "/c") { _ in throw Stop() }]
      #expect(throws: Stop.self) {
        try AtomicFolder.write(failing, as: FolderResult.adapter(.peft), to: path)
      }
      #expect(scratch.names == before)
    }
    #expect(try text(path + "/adapter_config.json") == "1adapter_config.json")
  }

  @Test(
    "a folder that holds another kind is refused",
    arguments: ["config.json", "adapters.safetensors"])
  func mixture(name: String) throws {
    let scratch = try Scratch()
    try scratch.write("a/\(name)", "x")
    let error = #expect(throws: FileError.self) {
      try AtomicFolder.write(
        parts(scratch.file("a"), "1"), as: FolderResult.adapter(.peft), to: scratch.file("a"))
    }
    #expect(error?.reason.contains("would be mixed") == true)
    #expect(FileSystem.names(in: scratch.file("a")) == [name])
  }

  /// A folder with others' folders in it stays where it is; its files are exchanged.
  @Test("in place: replaced, added and dropped files")
  func inPlace() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    try AtomicFolder.write(parts(path, "1"), as: FolderResult.adapter(.peft), to: path)
    try scratch.write("a/checkpoint-1/x", "mine")
    try scratch.write("a/adapter_model.bin", "old")
    try AtomicFolder.write(
      [AtomicFile.Part(path + "/README.md", [])] + parts(path, "2"),
      as: FolderResult.adapter(.peft), to: path)
    #expect(
      FileSystem.names(in: path) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "checkpoint-1",
      ])
    #expect(try text(path + "/adapter_config.json") == "2adapter_config.json")
    #expect(try text(path + "/checkpoint-1/x") == "mine")
  }

  /// What another process puts in the place while a result is made stays, unless it may be replaced.
  @Test("a result that appears meanwhile", arguments: ["", "empty", "in place"])
  func appeared(before: String) throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    if before != "" {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    // A folder in the folder: its files have to be exchanged one by one.
    if before == "in place" { try scratch.write("a/checkpoint-1/x", "mine") }
    let names = scratch.names
    func write(_ policy: ExistingResult) throws {
      try ExistingResult.$policy.withValue(policy) {
        try AtomicFolder.write(parts(path, "mine"), as: FolderResult.adapter(.peft), to: path) {
          _ in
          for part in parts(path, "") {
            try scratch.write("a/" + FileSystem.name(of: part.path), "theirs")
          }
        }
      }
    }
    let error = #expect(throws: ResultAppeared.self) { try write(.kept) }
    #expect(error?.description.contains("\(path): another result has appeared") == true)
    #expect(try text(path + "/adapter_config.json") == "theirs")
    #expect(try text(path + "/adapter_model.safetensors") == "theirs")
    #expect(scratch.names == (names.isEmpty ? ["a"] : names))
    try write(.replaced)
    #expect(try text(path + "/adapter_config.json") == "mineadapter_config.json")
  }

  /// Every state that a kill can leave an exchange in, made by hand: recovery gives the old set or
  /// the new one.
  @Test("an exchange that was stopped", arguments: 0...9)
  func stopped(moves: Int) throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    let names = ["b", "c", "head"]
    for name in ["b", "head", "gone"] { try scratch.write("a/\(name)", "old") }
    try scratch.write("a/.lora-write", "-gone\n*b\n+c\n*head\n")
    var steps: [() throws -> Void] = []
    func move(_ source: String, _ target: String) {
      steps.append {
        try FileManager.default.moveItem(
          atPath: path + "/" + source, toPath: path + "/" + target)
      }
    }
    for name in ["head", "b", "gone"] { move(name, ".\(name).lora-old") }
    for name in names { steps.append { try scratch.write("a/\(name)", "new") } }
    for name in ["gone", "b", "head"] {
      steps.append { try FileManager.default.removeItem(atPath: path + "/.\(name).lora-old") }
    }
    for step in steps.prefix(moves) { try step() }
    try AtomicFolder.recover(path)
    let isNew = moves >= 6
    #expect(FileSystem.names(in: path) == (isNew ? names : ["b", "gone", "head"]))
    for name in FileSystem.names(in: path) {
      #expect(try text(path + "/" + name) == (isNew ? "new" : "old"))
    }
  }

  @Test("names in a list that lead elsewhere are not followed")
  func hostileList() throws {
    let scratch = try Scratch()
    try scratch.write("precious", "mine")
    try scratch.write("a/x", "x")
    try scratch.write("a/.lora-write", "+../precious\n+./x\n+/etc/none\n*head\n")
    try AtomicFolder.recover(scratch.file("a"))
    #expect(try text(scratch.file("precious")) == "mine")
    #expect(FileSystem.names(in: scratch.file("a")) == ["x"])
  }

  @Test("a reader of a folder whose exchange was stopped says so")
  func reader() throws {
    let scratch = try Scratch()
    try scratch.write("a/.lora-write", "*adapter_config.json\n")
    try scratch.write("a/adapter_model.safetensors", "x")
    let error = #expect(throws: FormatError.self) {
      _ = try AdapterFile(path: scratch.file("a"))
    }
    #expect(error?.description.contains("stopped while it wrote") == true)
  }

  @Test("drafts of killed processes go, those of living ones stay")
  func leftovers() throws {
    let scratch = try Scratch()
    let path = scratch.file("a")
    try scratch.write(".lora-tmp.1.a/adapter_config.json", "part")
    try scratch.write(".lora-tmp.2.b/x", "another target's")
    let living = try FolderDraft(for: path)
    try AtomicFolder.write(parts(path, "1"), as: FolderResult.adapter(.peft), to: path)
    #expect(!scratch.names.contains(".lora-tmp.1.a"))
    #expect(scratch.names.contains(".lora-tmp.2.b"))
    #expect(FileSystem.exists(living.path))
    #expect(try permissions(living.path) == 0o700)
    living.remove()
  }

  private func permissions(_ path: String) throws -> Int {
    let value = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
    return (value as? Int) ?? -1
  }
}
