import Foundation
import LoRAFiles
import LoRATensor

/// Where the committed reference files and, if it lies beside the checkout, the shared folder are.
enum Fixtures {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func path(_ name: String) -> String { root.appending(path: "Tests/Fixtures/\(name)").path }

  /// The shared folder beside the checkout, or where `LORA_SHARED` says; nil if there is none.
  static let shared: String? = {
    let named = ProcessInfo.processInfo.environment["LORA_SHARED"]
    let path = named ?? root.deletingLastPathComponent().appending(path: "shared").path
    return FileManager.default.fileExists(atPath: path + "/README.md") ? path : nil
  }()
}

/// A file that Tests/Reference/training.py wrote: tensors, and JSON in its metadata.
struct ReferenceFile {
  let file: SafetensorsFile

  init(_ name: String) throws {
    file = try SafetensorsFile(path: Fixtures.path("training/\(name)"))
  }

  init(file: SafetensorsFile) { self.file = file }

  func tensor(_ name: String) throws -> Tensor { try file.tensor(named: name) }

  func numbers(_ name: String) throws -> [Double] {
    try tensor(name).converted(to: .float64).scalars(as: Double.self)
  }

  func metadata<Value: Decodable>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data((file.metadata[key] ?? "").utf8))
  }
}

/// The largest absolute difference of two float32 tensors of one shape.
func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
  precondition(a.shape == b.shape, "\(a.shape) and \(b.shape)")
  return (a - b).scalars().map(abs).max() ?? 0
}

/// The largest relative difference of two lists of one length.
func largestRelativeDifference(_ a: [Double], _ b: [Double]) -> Double {
  precondition(a.count == b.count, "\(a.count) and \(b.count) numbers")
  return zip(a, b).map { abs($0 - $1) / max(abs($1), 1e-30) }.max() ?? 0
}

/// Token ids of a safetensors file.
struct SafetensorsIDs {
  let file: SafetensorsFile

  init(path: String) throws { file = try SafetensorsFile(path: path) }

  /// What the tiny model of this name was measured on.
  init(model: String) throws {
    try self.init(path: Fixtures.path("models/\(model)/expected.safetensors"))
  }

  func tensor(_ name: String) throws -> Tensor { try file.tensor(named: name) }

  var ids: Tensor { get throws { try tensor("ids") } }
}
