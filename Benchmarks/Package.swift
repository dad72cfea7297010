// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that what it depends on never reaches a user of the library.
let package = Package(
  name: "lora-kit-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    // The name, because a package at a path is otherwise called after the checkout's folder.
    .package(name: "lora-kit", path: ".."),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.0", traits: []),
  ],
  targets: [
    // The system's OpenBLAS, called directly: what the library's own products are compared with.
    .systemLibrary(
      name: "PlainOpenBLAS", path: "PlainOpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    // What is timed and counted.
    .target(
      name: "Workloads",
      dependencies: ["PlainOpenBLAS", .product(name: "LoRAKit", package: "lora-kit")],
      path: "Sources/Workloads"),
    // Not in a folder called Benchmarks: what is there is timed.
    .executableTarget(
      name: "Counts",
      dependencies: ["Workloads", .product(name: "LoRAKit", package: "lora-kit")],
      path: "Sources/Counts"),
    // One method of adaptation on a classification task; run by Classification/compare.py.
    .executableTarget(
      name: "Methods", dependencies: [.product(name: "LoRAKit", package: "lora-kit")],
      path: "Sources/Methods"),
    .executableTarget(
      name: "Library",
      dependencies: [
        "Workloads",
        .product(name: "LoRAKit", package: "lora-kit"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Library",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ]
)
