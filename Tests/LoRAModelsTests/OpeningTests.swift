import Foundation
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// What is at a path decides how it is opened, its name does not.
@Suite struct OpeningTests {
  @Test func aGGUFFileWithoutItsSuffixOpens() throws {
    let source = Fixtures.path("gguf/models/qwen2-float16.gguf")
    for name in ["sha256-0123abc", "model.bin", "x.safetensors", "MODEL.GGUF"] {
      let path = try Fixtures.temporaryFolder() + "/" + name
      try FileManager.default.copyItem(atPath: source, toPath: path)
      #expect(try PathContent(path) == .gguf)
      #expect(try PretrainedModel(path: path).file?.names == GGUFFile(path: source).names)
      #expect(try AdapterBase(path: path).weight(ofLayer: "model.layers.0.mlp.up_proj") != nil)
    }
  }

  @Test(
    arguments: [
      ("zip", [0x50, 0x4B, 3, 4] + Array("abc".utf8), "a zip archive"),
      ("pickle", [0x80, 2, 0x7D] + Array("q".utf8), "a Python pickle"),
      ("parquet", Array("PAR1....".utf8), "a Parquet file"),
      ("json", Array(" {\"a\": 1}".utf8), "a JSON file"),
      ("text", Array("hello".utf8), "a text file"),
      ("empty", [], "an empty file"), ("bytes", [0, 1, 2], "a kind that is not known"),
    ] as [(String, [UInt8], String)])
  func whatIsNoModelIsCalledByItsName(name: String, bytes: [UInt8], found: String) throws {
    let path = try Fixtures.temporaryFolder() + "/" + name + ".gguf"
    try Data(bytes).write(to: URL(filePath: path))
    let error = #expect(throws: FormatError.self) { try PretrainedModel(path: path) }
    #expect(error?.description.contains("expected a model, found") == true)
    #expect(error?.description.contains(found) == true, "\(error?.description ?? "")")
    #expect(throws: FormatError.self) { try AdapterBase(path: path) }
  }

  @Test func aPointerOfGitLFSStandsForTheFile() throws {
    let path = try Fixtures.temporaryFolder() + "/model.gguf"
    try Data("version https://git-lfs.github.com/spec/v1\n".utf8).write(to: URL(filePath: path))
    let error = #expect(throws: FormatError.self) { try PretrainedModel(path: path) }
    #expect(error?.kind == .missingFile)
    #expect(error?.description.contains("git lfs pull") == true, "\(error?.description ?? "")")
  }

  @Test func foldersAndLinksAreToldApart() throws {
    let adapter = Fixtures.path("models/llama-grouped/adapter")
    let error = #expect(throws: FormatError.self) { try PretrainedModel(path: adapter) }
    #expect(error?.description.contains("the folder of an adapter") == true)
    let circle = try Fixtures.temporaryFolder() + "/circle"
    try FileManager.default.createSymbolicLink(atPath: circle, withDestinationPath: circle)
    let link = #expect(throws: FormatError.self) { try PretrainedModel(path: circle) }
    #expect(link?.kind == .unreadable)
    let device = #expect(throws: FormatError.self) { try PretrainedModel(path: "/dev/null") }
    #expect(device?.description.contains("neither a file nor a folder") == true)
  }
}
