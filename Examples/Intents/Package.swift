// swift-tools-version: 6.2
import PackageDescription

// A package as yours would be: it sees the library's public interface only.
let package = Package(
  name: "Intents",
  platforms: [.macOS(.v15)],
  products: [.library(name: "Intents", targets: ["Intents"])],
  dependencies: [
    // The name makes this work whatever the checkout's folder is called.
    .package(name: "lora-kit", path: "../..", traits: [])
  ],
  targets: [
    .target(
      name: "Intents", dependencies: [.product(name: "LoRAKit", package: "lora-kit")],
      resources: [.copy("Model"), .copy("questions.jsonl")]),
    .executableTarget(name: "intents-demo", dependencies: ["Intents"]),
    .testTarget(name: "IntentsTests", dependencies: ["Intents"]),
  ]
)
