// swift-tools-version: 6.2
import PackageDescription

// A package as a user of the library writes it: it sees public API only.
let package = Package(
  name: "OwnArchitecture",
  platforms: [.macOS(.v15)],
  products: [.library(name: "OwnArchitecture", targets: ["OwnArchitecture"])],
  dependencies: [
    // The name makes this work whatever the checkout's folder is called.
    .package(name: "lora-kit", path: "../..")
  ],
  targets: [
    .target(
      name: "OwnArchitecture", dependencies: [.product(name: "LoRAKit", package: "lora-kit")]),
    .testTarget(
      name: "OwnArchitectureTests",
      dependencies: ["OwnArchitecture", .product(name: "LoRAKit", package: "lora-kit")]),
  ]
)
