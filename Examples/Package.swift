// swift-tools-version: 6.2
import PackageDescription

// All examples in one workspace, so that CI builds the library once for them. Each is a package of
// its own as well, with the manifest in its folder: copy that.
let lora: Target.Dependency = .product(name: "LoRAKit", package: "lora-kit")
let testing: Target.Dependency = .product(name: "LoRATesting", package: "lora-kit")

func example(
  _ name: String, program: String? = nil, resources: [Resource] = [],
  testing: [Target.Dependency] = []
) -> [Target] {
  let own: Target.Dependency = .target(name: name)
  return [
    .target(
      name: name, dependencies: [lora], path: "\(name)/Sources/\(name)", resources: resources),
    .testTarget(
      name: "\(name)Tests", dependencies: [own, lora] + testing,
      path: "\(name)/Tests/\(name)Tests"),
  ]
    + (program.map {
      [.executableTarget(name: $0, dependencies: [own, lora], path: "\(name)/Sources/\($0)")]
    } ?? [])
}

let package = Package(
  name: "Examples",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "lora-kit", path: "..")],
  targets: example("OwnLayer", program: "own-layer", testing: [testing])
    + example("OwnArchitecture")
    + example("AnswerService", program: "answer-service")
    + example(
      "Intents", program: "intents-demo",
      resources: [.copy("Model"), .copy("questions.jsonl")])
)
