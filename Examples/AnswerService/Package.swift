// swift-tools-version: 6.2
import PackageDescription

// A back end's package: it sees the library's public interface only.
let package = Package(
  name: "AnswerService",
  platforms: [.macOS(.v15)],
  products: [.library(name: "AnswerService", targets: ["AnswerService"])],
  dependencies: [
    // The name makes this work whatever the checkout's folder is called.
    .package(name: "lora-kit", path: "../..")
  ],
  targets: [
    .target(name: "AnswerService", dependencies: [.product(name: "LoRAKit", package: "lora-kit")]),
    .executableTarget(
      name: "answer-service",
      dependencies: ["AnswerService", .product(name: "LoRAKit", package: "lora-kit")]),
    .testTarget(
      name: "AnswerServiceTests",
      dependencies: ["AnswerService", .product(name: "LoRAKit", package: "lora-kit")]),
  ]
)
