// swift-tools-version: 6.2
import PackageDescription

// A package as a user of the library writes it: it sees public API only.
let package = Package(
  name: "OwnLayer",
  platforms: [.macOS(.v15)],
  products: [.library(name: "OwnLayer", targets: ["OwnLayer"])],
  dependencies: [
    // The name makes this work whatever the checkout's folder is called.
    .package(name: "lora-kit", path: "../..")
  ],
  targets: [
    .target(name: "OwnLayer", dependencies: [.product(name: "LoRAKit", package: "lora-kit")]),
    .executableTarget(
      name: "own-layer",
      dependencies: ["OwnLayer", .product(name: "LoRAKit", package: "lora-kit")]),
    .testTarget(
      name: "OwnLayerTests",
      dependencies: [
        "OwnLayer",
        .product(name: "LoRAKit", package: "lora-kit"),
        .product(name: "LoRATesting", package: "lora-kit"),
      ]),
  ]
)
