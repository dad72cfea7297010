import ArgumentParser
import Foundation
import Testing

@testable import lora

/// `ADAPTER:SCALE`.
@Suite struct AdapterArgumentTests {
  @Test func pathsAndScales() throws {
    let folder = try Command.temporaryFolder()
    for name in ["a:0.5", "a:abc", "C:x"] {
      try FileManager.default.createDirectory(
        atPath: folder + "/" + name, withIntermediateDirectories: true)
    }
    for (text, path, strength) in [
      ("support", "support", 1), ("support:0.5", "support", 0.5), ("a:b:-2", "a:b", -2),
      ("support:1e-3", "support", 1e-3), ("support:+.25", "support", 0.25),
      ("support:0", "support", 0), ("support:-0.0", "support", 0), ("support:0e9", "support", 0),
      (folder + "/a:0.5", folder + "/a:0.5", 1), (folder + "/a:0.5:2", folder + "/a:0.5", 2),
      (folder + "/a:abc", folder + "/a:abc", 1), (folder + "/C:x", folder + "/C:x", 1),
      // Paths of other systems, addresses, folders with colons: whoever opens them says more.
      (#"C:\adapters\support"#, #"C:\adapters\support"#, 1), ("C:/support", "C:/support", 1),
      ("https://host/support", "https://host/support", 1), ("a:b/support", "a:b/support", 1),
      (#"C:\support:0.5"#, #"C:\support"#, 0.5), ("a:b/support:2", "a:b/support", 2),
    ] as [(String, String, Float)] {
      let argument = try AdapterArgument(text)
      #expect(argument.path == path && argument.strength == strength, "\(text): \(argument)")
    }
  }

  @Test(arguments: [
    ("shk:abc", "scale 'abc' is not a number"), ("shk:", "the scale behind the colon is missing"),
    ("shk:nan", "scale 'nan' is not a number"), ("shk:-nan", "scale '-nan' is not a number"),
    ("shk:1e999", "scale '1e999' is not a finite"), ("shk:inf", "scale 'inf' is not a finite"),
    ("shk:-1e39", "scale '-1e39' is not a finite"), ("shk:1e-60", "scale '1e-60' is too small"),
    ("shk:0,5", "scale '0,5' is not a number"), ("shk:50%", "scale '50%' is not a number"),
    ("shk: 0.5", "scale ' 0.5' is not a number"), ("shk:0.5 ", "scale '0.5 ' is not a number"),
    ("shk:1/2x", ""), ("C:support", "scale 'support' is not a number"),
    ("a:b:c", "scale 'c' is not a number, and there is no file 'a:b:c'"),
    (":1", "no adapter before the colon"), (":", "no adapter before the colon"),
    ("::", "the scale behind the colon is missing"), ("", "the adapter's path is empty"),
    ("shk:0.5:", "the scale behind the colon is missing"), ("shk:１", "scale '１' is not a number"),
  ])
  func badScales(text: String, message: String) throws {
    if message.isEmpty {
      #expect(try AdapterArgument(text).path == text)
      return
    }
    let error = #expect(throws: ValidationError.self) { try AdapterArgument(text) }
    #expect(error?.message.contains(message) == true, "\(text): \(error?.message ?? "")")
  }

  /// Every command that takes one says so, before it opens a model.
  @Test(arguments: [
    ["generate", "--model", "m", "--prompt", "x"], ["score", "--model", "m", "--text", "x"],
    ["merge", "--model", "m", "--output", "x"], ["sweep", "--model", "m", "--data", "x"],
    ["combine", "--output", "x"],
  ])
  func everyCommandRefusesThem(command: [String]) throws {
    let outcome = try Command.start(command + ["--adapter", "shk:abc"]).outcome()
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains("scale 'abc' is not a number"), "\(outcome.errors)")
    #expect(outcome.errors.contains("write shk:0.5 for half of it"))
    #expect(outcome.errors.split(separator: "\n").count == 1)
  }

  /// Commands that work on the adapter itself take no scale, and say so instead of missing a file.
  @Test(arguments: [
    ("--adapter", ["reduce", "--rank", "2", "--output", "x", "--adapter"]),
    ("--input", ["convert", "--to", "mlx", "--output", "x", "--input"]), ("PATH", ["inspect"]),
    (
      "--init-adapter",
      ["train", "--model", "m", "--data", "x", "--output", "x", "--init-adapter"]
    ),
  ])
  func othersTakeNone(option: String, command: [String]) throws {
    let adapter = Fixtures.model("llama-grouped") + "/adapter"
    let outcome = try Command.start(command + [adapter + ":0.5"]).outcome()
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains("\(option) takes no scale here: give '\(adapter)'"))
    #expect(outcome.errors.contains("lora combine --adapter \(adapter):0.5 --type cat"))
    let missing = try Command.start(command + ["/nowhere:0.5"]).outcome()
    #expect(!missing.errors.contains("takes no scale"), "\(missing.errors)")
  }
}
