import Foundation
import LoRAKit
import LoRATesting
import Testing

/// What the documentation shows is what is compiled and run here.
@Suite(.serialized) struct DocumentationTests {
  static let package = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let texts: [String] = {
    let root = package.deletingLastPathComponent().deletingLastPathComponent()
    let catalog = root.appendingPathComponent("Sources/LoRAKit/LoRAKit.docc")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: catalog.path)) ?? []
    let articles = names.filter { $0.hasSuffix(".md") }.sorted()
    return [root.path + "/README.md", root.path + "/README.ja.md", package.path + "/README.md"]
      + articles.map { catalog.appendingPathComponent($0).path }
  }()

  /// Each Swift block but that of a package's manifest occurs, line by line, in this package.
  @Test(arguments: texts) func everySwiftBlockIsCompiled(path: String) throws {
    let sources = try sourceLines()
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for block in text.components(separatedBy: "```swift\n").dropFirst() {
      let code = block.components(separatedBy: "```")[0]
      if code.contains("import PackageDescription") { continue }
      let wanted = lines(of: code)
      let isFound = sources.contains { source in
        source.indices.contains { source[$0...].starts(with: wanted) }
      }
      #expect(isFound, "no file of this package holds this block:\n\(code)")
    }
  }

  @Test func theArticlesAreFound() { #expect(Self.texts.count >= 8) }

  /// Runs the snippets with a small random model in place of the one that they name.
  @Test func theSnippetsRun() async throws {
    // A program beside a clone, as README.md has it.
    let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    let folder = root.appendingPathComponent("my-app")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let before = FileManager.default.currentDirectoryPath
    defer {
      _ = FileManager.default.changeCurrentDirectoryPath(before)
      try? FileManager.default.removeItem(at: root)
    }
    let configuration = ModelConfiguration(
      hiddenSize: 16, intermediateSize: 24, layerCount: 2, headCount: 2, vocabularySize: 256,
      maximumPositions: 256)
    let model = try configuration.randomLanguageModel()
    for name in ["my-app/SmolLM2-135M", "lora-kit/Sources/LoRAWorld/Base"] {
      try model.save(
        to: root.path + "/" + name,
        otherFiles: [(name: "tokenizer.json", content: Array(byteTokenizer().utf8))])
    }
    #expect(FileManager.default.changeCurrentDirectoryPath(folder.path))
    try await readme()
    try FileManager.default.removeItem(atPath: folder.path + "/support-adapter")
    try await gettingStarted()
    // The encoder and the questions of the example Intents.
    let intents = Self.package.deletingLastPathComponent().appendingPathComponent(
      "Intents/Sources/Intents")
    try FileManager.default.copyItem(
      at: intents.appendingPathComponent("Model"), to: folder.appendingPathComponent("MiniLM"))
    try FileManager.default.createDirectory(
      at: folder.appendingPathComponent("data"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      at: intents.appendingPathComponent("questions.jsonl"),
      to: folder.appendingPathComponent("data/train.jsonl"))
    try await classifyingTexts()
    let tokens = Tensor([1, 2, 3].map { Int64($0) }, shape: [1, 3])
    try numerics(model: model, tokens: tokens)

    for name in ["style", "support"] {
      try model.inject(LoRA(rank: 2), named: name)
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: 1, path: name + path)
        parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
      }
      try model.saveAdapter(name, to: "adapters/\(name)")
    }
    try adaptersAsParts(
      Tensor([1, 2, 3, 4, 5, 6].map { Int64($0) }, shape: [3, 2]),
      try model.describeAdapter("style"))
  }

  @Test func theOperationOfTheArticleHasItsGradient() {
    let x = Tensor([-2, -0.7, 0.4, 3])
    let report = checkGradients(at: [x]) { cubed($0[0]) }
    #expect(report.isCorrect, "\(report)")
  }

  /// The Swift files of this package, as lines without indentation, comments and imports.
  private func sourceLines() throws -> [[String]] {
    var found: [[String]] = []
    for folder in ["Sources", "Tests"] {
      let root = Self.package.appendingPathComponent(folder)
      let files = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
      for case let file as URL in files ?? .init() where file.pathExtension == "swift" {
        found.append(lines(of: try String(contentsOf: file, encoding: .utf8)))
      }
    }
    return found
  }

  private func lines(of code: String) -> [String] {
    code.split(separator: "\n").compactMap { line in
      var text = String(line)
      if let comment = text.range(of: "//") { text = String(text[..<comment.lowerBound]) }
      text = text.trimmingCharacters(in: .whitespaces)
      return text.isEmpty || text.hasPrefix("import ") || text.hasPrefix("public import ")
        ? nil : text
    }
  }

  /// A `tokenizer.json` whose tokens are the 256 bytes.
  private func byteTokenizer() throws -> String {
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    let others = (0..<256).filter { !printable.contains($0) }
    let characters =
      printable.map { ($0, $0) } + others.enumerated().map { ($1, 256 + $0) }
    let vocabulary = Dictionary(
      uniqueKeysWithValues: characters.compactMap { byte, scalar in
        Unicode.Scalar(scalar).map { (String($0), byte) }
      })
    let content: [String: Any] = [
      "model": ["type": "BPE", "vocab": vocabulary, "merges": [String]()],
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true],
      "decoder": ["type": "ByteLevel"],
    ]
    return String(
      decoding: try JSONSerialization.data(withJSONObject: content), as: UTF8.self)
  }
}
