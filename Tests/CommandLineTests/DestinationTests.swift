import Foundation
import LoRATensor
import Testing

/// The rule for what commands write: never over an input, never over something else, over an
/// existing result only with `--force`.
@Suite struct DestinationTests {
  private static let model = Fixtures.model("llama-grouped")
  private static let adapter = model + "/adapter"

  /// A folder with copies of a model and an adapter, and the bytes of all files in it.
  private struct Place {
    let path: String
    var model: String { path + "/model" }
    var adapter: String { path + "/adapter" }

    init() throws {
      path = try Command.temporaryFolder()
      try FileManager.default.copyItem(atPath: DestinationTests.model, toPath: path + "/model")
      try FileManager.default.removeItem(atPath: path + "/model/adapter")
      try FileManager.default.copyItem(atPath: DestinationTests.adapter, toPath: path + "/adapter")
    }

    /// The content of every file, by its path within the folder.
    func contents() throws -> [String: Data] {
      var result: [String: Data] = [:]
      for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
        var isFolder: ObjCBool = false
        let file = path + "/" + name
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else { continue }
        if !isFolder.boolValue, Fixtures.isPlainFile(file) {
          result[name] = try Data(contentsOf: URL(filePath: file))
        }
      }
      return result
    }

    func link(_ name: String, to target: String) throws {
      try FileManager.default.createSymbolicLink(
        atPath: path + "/" + name, withDestinationPath: target)
    }
  }

  /// Runs a command that must be refused with these words, and change nothing.
  private func refused(_ place: Place, _ words: String, _ arguments: [String]) throws {
    let before = try place.contents()
    for force in [[], ["--force"]] {
      let outcome = try Command.start(arguments + force).outcome()
      #expect(outcome.status == 1, "\(arguments)")
      #expect(outcome.errors.contains(words), "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
      #expect(try place.contents() == before, "\(arguments)")
    }
  }

  private func merge(_ place: Place, _ output: String) -> [String] {
    ["merge", "--model", place.model, "--adapter", place.adapter, "--output", output]
  }

  private func train(_ place: Place, _ rest: String...) throws -> [String] {
    ["train", "--model", place.model, "--data", try Fixtures.sequences(), "--steps", "1"] + rest
  }

  @Test func neverAnInputByAnyName() throws {
    let place = try Place()
    try place.link("link", to: "model")
    try place.link("far", to: "link/../link")
    for name in ["model", "model/", "model/.", "adapter/../model", "link", "far", "link/."] {
      try refused(place, "the output is the input", merge(place, place.path + "/" + name))
    }
    try refused(place, "the output is the input", merge(place, place.adapter))
    try refused(place, "holds the input", merge(place, place.path))
    try refused(place, "--output is empty", merge(place, ""))
    try refused(
      place, "the output is the input",
      try train(place, "--init-adapter", place.adapter, "--output", place.adapter))
  }

  @Test func neverAFileOfAnInput() throws {
    let place = try Place()
    let weights = place.model + "/model.safetensors"
    try FileManager.default.linkItem(atPath: weights, toPath: place.path + "/hard.jsonl")
    try place.link("soft.jsonl", to: "model/config.json")
    let new = place.path + "/new"
    for log in ["model/model.safetensors", "hard.jsonl", "soft.jsonl", "model/config.json"] {
      try refused(
        place, "the output is a file of the input",
        try train(place, "--output", new, "--log", place.path + "/" + log))
    }
    let ids = place.path + "/rows.json"
    try Fixtures.write("[[1,2,3]]", to: ids)
    try refused(
      place, "the output is the input",
      ["train", "--model", place.model, "--data", ids, "--output", new, "--log", ids])
    try place.link("rows.svg", to: "rows.json")
    try refused(
      place, "the output is the input",
      [
        "sweep", "--model", place.model, "--adapter", place.adapter, "--data", ids, "--plot",
        place.path + "/../" + (place.path as NSString).lastPathComponent + "/rows.svg",
      ])
  }

  /// A copy of a folder of links, as `cp -a` makes of a model in Hugging Face's cache: what the links
  /// lead to is not written to, with `--force` neither.
  @Test func neverThroughALinkIntoTheBase() throws {
    let place = try Place()
    let blobs = place.path + "/blobs"
    try FileManager.default.moveItem(atPath: place.model, toPath: blobs)
    for folder in ["model", "copy"] {
      try FileManager.default.createDirectory(
        atPath: place.path + "/" + folder, withIntermediateDirectories: false)
      for name in Fixtures.names(in: blobs) {
        try place.link("\(folder)/\(name)", to: "../blobs/\(name)")
      }
    }
    let before = try place.contents().filter { $0.key.hasPrefix("blobs/") }
    let copy = place.path + "/copy"
    let asked = try Command.start(merge(place, copy)).outcome()
    #expect(asked.status == 1 && asked.errors.contains("--force"))
    _ = try Command.start(merge(place, copy) + ["--force"]).outcome()
    #expect(try place.contents().filter { $0.key.hasPrefix("blobs/") } == before)
  }

  @Test func neverSomethingElse() throws {
    let place = try Place()
    mkfifo(place.path + "/pipe", 0o600)
    try FileManager.default.createDirectory(
      atPath: place.path + "/notes", withIntermediateDirectories: false)
    try Fixtures.write("remember", to: place.path + "/notes/a.txt")
    try place.link("lost", to: "nowhere")
    for name in ["pipe", "notes", "notes/a.txt", "lost", "gone/../x"] {
      let words =
        ["pipe": "FIFO", "notes": "holds 'a.txt'", "notes/a.txt": "it is a file"][name]
        ?? (name == "lost" ? "leads nowhere" : "does not exist, and back")
      try refused(place, words, merge(place, place.path + "/" + name))
      try refused(
        place, words,
        ["convert", "--input", place.adapter, "--to", "mlx", "--output", place.path + "/" + name])
    }
    for name in ["pipe", "notes", "notes/a.txt", "lost"] {
      let words = [
        "pipe": "FIFO", "notes": "it is a folder", "notes/a.txt": "is no training log",
        "lost": "leads nowhere",
      ]
      try refused(
        place, words[name] ?? "",
        try train(place, "--output", place.path + "/new", "--log", place.path + "/" + name))
    }
    // A device of the test's own, where it may make one.
    let device = place.path + "/device"
    if mknod(device, S_IFCHR | 0o600, dev_t(1 << 8 | 3)) == 0 {
      try refused(
        place, "a device",
        ["convert", "--input", place.adapter, "--to", "kohya", "--output", device])
      #expect(!Fixtures.isPlainFile(device))
    }
  }

  @Test func neverAMixture() throws {
    let place = try Place()
    let merged = place.path + "/merged"
    _ = try Command.succeed(
      "merge", "--model", place.model, "--adapter", place.adapter, "--output", merged)
    try refused(
      place, "holds a model", try train(place, "--output", merged))
    let mlx = place.path + "/mlx"
    _ = try Command.succeed("convert", "--input", place.adapter, "--to", "mlx", "--output", mlx)
    try refused(place, "holds an MLX adapter", merge(place, mlx))
    try refused(
      place, "holds an MLX adapter",
      ["reduce", "--adapter", place.adapter, "--rank", "1", "--output", mlx])
    let file = place.path + "/a.safetensors"
    try Fixtures.write("hello", to: file)
    try refused(
      place, "is no loralib adapter",
      ["convert", "--input", place.adapter, "--to", "loralib", "--output", file])
    try refused(
      place, "name the same place",
      try train(
        place, "--output", place.path + "/x", "--log", place.path + "/x/adapter_config.json"))
  }

  /// Each kind of result replaces its own, all of it, when it may; what lies beside it stays.
  @Test func forceReplacesTheWholeResult() throws {
    let place = try Place()
    let output = place.path + "/out"
    func merge(_ adapter: String, _ force: [String]) throws -> Command.Outcome {
      try Command.start(
        ["merge", "--model", place.model, "--adapter", adapter, "--output", output] + force
      ).outcome()
    }
    #expect(try merge(place.adapter, []).status == 0)
    let first = try place.contents()
    let again = try merge(place.adapter + ":0.5", [])
    #expect(again.status == 1 && again.errors.contains("--force"))
    #expect(try place.contents() == first)
    // Of an older model in shards, and with somebody's notes beside it.
    try Fixtures.write("{}", to: output + "/model.safetensors.index.json")
    try Fixtures.write("old", to: output + "/model-00001-of-00002.safetensors")
    try Fixtures.write("mine", to: output + "/notes.txt")
    #expect(try merge(place.adapter + ":0.5", ["--force"]).status == 0)
    let names = Set(try FileManager.default.contentsOfDirectory(atPath: output))
    #expect(names.contains("notes.txt") && names.contains("model.safetensors"))
    #expect(!names.contains { $0.hasPrefix("model-") || $0.hasPrefix(".") || $0.contains("index") })
    #expect(try place.contents()["out/model.safetensors"] != first["out/model.safetensors"])
  }

  /// Folders above a result are made for it, and go again where there is none.
  @Test func foldersAboveAResult() throws {
    let place = try Place()
    let deep = place.path + "/x/y/z"
    let gguf = ["convert", "--input", place.adapter, "--to", "gguf", "--output", deep + "/a.gguf"]
    #expect(try Command.start(gguf).outcome().status == 1, "it needs --base")
    #expect(Fixtures.names(in: place.path) == ["adapter", "model"])
    #expect(try Command.start(gguf + ["--base", place.model]).outcome().status == 0)
    #expect(Fixtures.names(in: deep) == ["a.gguf"])
  }

  /// What a killed run left is removed by the next one.
  @Test func leftoversAreRemoved() throws {
    let place = try Place()
    let output = place.path + "/out"
    for name in [".lora-tmp.abc.out", ".lora-tmp.abc.other"] {
      try FileManager.default.createDirectory(
        atPath: place.path + "/" + name, withIntermediateDirectories: false)
      try Fixtures.write("x", to: place.path + "/" + name + "/part")
    }
    _ = try Command.succeed(
      "merge", "--model", place.model, "--adapter", place.adapter, "--output", output)
    let names = Fixtures.names(in: place.path)
    #expect(!names.contains(".lora-tmp.abc.out"))
    #expect(names.contains(".lora-tmp.abc.other"), "another target's")
  }
}
