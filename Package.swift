// swift-tools-version: 6.2
import PackageDescription

/// Set where the package itself is checked. A user's newer compiler may know more warnings.
let warningsAreErrors = Context.environment["LORA_WARNINGS_AS_ERRORS"] != nil

/// Settings of every Swift target: Swift 6 mode comes with the tools version, these add the
/// upcoming features that the code is written for.
let features: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The settings of what ships. Tests have the features only: the macros of Swift Testing expand to
/// code that warns.
let strict = features + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])

/// What only the commands need.
let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser",
  condition: .when(traits: ["CommandLine"]))

/// What only the bridge to metrics needs.
func metrics(_ name: String) -> Target.Dependency {
  .product(name: name, package: "swift-metrics", condition: .when(traits: ["Metrics"]))
}

/// A library target and its unit tests, which share their settings.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: features)
}

let package = Package(
  name: "lora-kit",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "LoRAKit", targets: ["LoRAKit"]),
    .library(name: "LoRATensor", targets: ["LoRATensor"]),
    .library(name: "LoRAAutograd", targets: ["LoRAAutograd"]),
    .library(name: "LoRAFiles", targets: ["LoRAFiles"]),
    .library(name: "LoRAArchitectures", targets: ["LoRAArchitectures"]),
    .library(name: "LoRAFormats", targets: ["LoRAFormats"]),
    .library(name: "LoRAGrammars", targets: ["LoRAGrammars"]),
    .library(name: "LoRAText", targets: ["LoRAText"]),
    .library(name: "LoRATemplates", targets: ["LoRATemplates"]),
    .library(name: "LoRAModels", targets: ["LoRAModels"]),
    .library(name: "LoRATraining", targets: ["LoRATraining"]),
    .library(name: "LoRADataChecks", targets: ["LoRADataChecks"]),
    .library(name: "LoRATesting", targets: ["LoRATesting"]),
    .library(name: "LoRAMetrics", targets: ["LoRAMetrics"]),
    .executable(name: "lora", targets: ["lora"]),
  ],
  // What only the commands or the bridge to metrics need is behind a trait: `traits: []` leaves it out of a
  // package that uses the library, which then fetches swift-log alone.
  traits: [
    .trait(name: "CommandLine", description: "The commands, and the packages that only they need."),
    .trait(name: "Metrics", description: "The product LoRAMetrics, which needs swift-metrics."),
    .default(enabledTraits: ["CommandLine", "Metrics"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0"),
  ],
  targets: [
    // Reading order is dependency order; nothing imports upward.
    .target(
      name: "CLoRAKernels",
      cSettings: [
        .enableWarning("all"), .enableWarning("extra"),
        // A kernel at -O0 is up to 30 times slower; a user's debug build stays usable this way.
        // Tools version 6.2 lets a package that does this still be a versioned dependency.
        .unsafeFlags(["-O3"], .when(configuration: .debug)),
      ] + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])),
    .target(
      name: "CLoRASystem",
      cSettings: [.enableWarning("all"), .enableWarning("extra")]
        + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    library("LoRAJSON"),
    library("LoRAPatterns"),
    library("LoRAPages"),
    library("LoRAGrammars", ["LoRAJSON", "LoRAPatterns"]),
    library("LoRATensor", ["CLoRAKernels", "CLoRASystem", "COpenBLAS"]),
    library("LoRAAutograd", ["LoRATensor", "CLoRAKernels"]),
    library("LoRAFiles", ["LoRATensor", "LoRAJSON", "CLoRASystem"]),
    library("LoRAArchitectures", ["LoRAFiles", "LoRATensor", "LoRAJSON"]),
    library("LoRAFormats", ["LoRAArchitectures", "LoRAPatterns"]),
    library("LoRAText", ["LoRAJSON", "LoRAPatterns"]),
    library("LoRATemplates", ["LoRAJSON"]),
    library(
      "LoRAModels",
      [
        "LoRAAutograd", "LoRAFormats", "LoRAText", "LoRATemplates", "LoRAGrammars", "LoRAJSON",
        "CLoRAKernels",
      ]),
    library(
      "LoRATraining",
      [
        "LoRAModels", "LoRAJSON", "LoRAPages", "CLoRAKernels",
        .product(name: "Logging", package: "swift-log"),
      ]),
    library(
      "LoRADataChecks",
      [
        "LoRATraining", "LoRAModels", "LoRAText", "LoRATemplates", "LoRAFiles", "LoRATensor",
        "LoRAJSON", "LoRAPages",
      ]),
    library("LoRATesting", ["LoRATraining"]),
    library("LoRAMetrics", ["LoRATraining", metrics("Metrics")]),
    library(
      "LoRAKit",
      [
        "LoRATensor", "LoRAAutograd", "LoRAFiles", "LoRAArchitectures", "LoRAFormats", "LoRAText",
        "LoRATemplates", "LoRAGrammars", "LoRAModels", "LoRATraining", "LoRADataChecks",
      ]),
    .target(
      name: "LoRAWorld", dependencies: ["LoRAKit"], resources: [.copy("Base")],
      swiftSettings: strict),
    .executableTarget(
      name: "lora",
      dependencies: [
        "LoRAKit", "LoRAWorld", "LoRAJSON", "CLoRAKernels", "CLoRASystem",
        argumentParser,
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "lora-world",
      dependencies: [
        "LoRAKit", "LoRAWorld", argumentParser,
      ],
      swiftSettings: strict),

    .target(name: "TestSupport", path: "Tests/Support", swiftSettings: features),
    tests("LoRAJSONTests", ["LoRAJSON"]),
    tests("LoRAPagesTests", ["LoRAPages"]),
    tests("LoRAPatternsTests", ["LoRAPatterns", "LoRAJSON"]),
    tests("LoRAGrammarsTests", ["LoRAGrammars", "LoRAJSON", "TestSupport"]),
    tests("LoRATensorTests", ["LoRATensor", "CLoRAKernels"]),
    tests("LoRAAutogradTests", ["LoRAAutograd", "LoRATesting", "LoRAFormats", "LoRAJSON"]),
    tests("LoRAFormatsTests", ["LoRAFormats", "LoRATesting", "LoRAJSON", "TestSupport"]),
    tests("LoRATextTests", ["LoRAText", "LoRAPatterns", "LoRAJSON"]),
    tests("LoRATemplatesTests", ["LoRATemplates", "LoRAJSON", "TestSupport"]),
    tests("LoRAModelsTests", ["LoRAModels", "LoRATesting", "LoRAJSON", "TestSupport"]),
    tests("LoRATrainingTests", ["LoRATraining", "LoRATesting", "LoRAJSON", "TestSupport"]),
    tests("LoRADataChecksTests", ["LoRADataChecks", "LoRATraining", "LoRAJSON", "TestSupport"]),
    tests("LoRATestingTests", ["LoRATesting"]),
    tests("LoRAMetricsTests", ["LoRAMetrics", "LoRATraining", metrics("MetricsTestKit")]),
    tests("LoRAWorldTests", ["LoRAWorld"]),
    tests("FuzzTests", ["LoRAModels", "LoRAText", "LoRAFormats", "LoRAJSON", "TestSupport"]),
    tests(
      "CommandLineTests",
      ["lora", "LoRAKit", "LoRAModels", "LoRAFormats", "LoRAJSON", "TestSupport"]),
  ]
)

// A build for a few tests leaves out the other tests and the commands:
// `LORA_ONLY_TESTS=FuzzTests swift test --sanitize=address`.
if let names = Context.environment["LORA_ONLY_TESTS"] {
  let kept = names.split(separator: ",").map(String.init)
  package.targets.removeAll { target in
    switch target.type {
    case .test: !kept.contains(target.name)
    case .executable: !kept.contains("CommandLineTests")
    default: false
    }
  }
  let left = Set(package.targets.map(\.name))
  package.products.removeAll { !left.contains($0.name) }
}
