import Foundation
import LoRAJSON
import LoRATensor
@testable import LoRAFiles
import TestSupport

/// Small files as other programs write them, made in the tests.
extension Scratch {
  /// A safetensors file of the given tensors, each filled with numbers of its own.
  @discardableResult
  func weights(
    _ name: String, _ shapes: KeyValuePairs<String, [Int]>, metadata: [String: String] = [:]
  ) throws -> [String: Tensor] {
    var random = SplitMix(state: 11)
    let tensors = shapes.map { name, extents in
      let shape = Shape(extents)
      return (
        name: name,
        tensor: Tensor(
          (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &random) },
          shape: shape)
      )
    }
    try FileManager.default.createDirectory(
      at: URL(filePath: file(name)).deletingLastPathComponent(), withIntermediateDirectories: true)
    try SafetensorsWriter.write(tensors, metadata: metadata, to: file(name))
    return Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
  }

  /// A PEFT folder. `fields` is the inside of its configuration's object, without r and peft_type.
  @discardableResult
  func peft(
    _ name: String, _ fields: String, rank: Int = 2, layers: [String],
    others: KeyValuePairs<String, [Int]> = [:]
  ) throws -> String {
    try write(
      "\(name)/adapter_config.json",
      #"{"peft_type": "LORA", "r": \#(rank), "lora_alpha": 8\#(fields.isEmpty ? "" : ", ")\#(fields)}"#
    )
    var shapes: [(String, [Int])] = []
    for layer in layers {
      shapes.append(("base_model.model.\(layer).lora_A.weight", [rank, 4]))
      shapes.append(("base_model.model.\(layer).lora_B.weight", [4, rank]))
    }
    for (name, shape) in others { shapes.append((name, shape)) }
    var random = SplitMix(state: 5)
    try SafetensorsWriter.write(
      shapes.map { name, extents in
        let shape = Shape(extents)
        return (
          name,
          Tensor(
            (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &random) },
            shape: shape)
        )
      }, to: file("\(name)/adapter_model.safetensors"))
    return file(name)
  }

  /// A model's folder of the given weights.
  func model(
    _ name: String, type: String = "llama", _ shapes: [(String, [Int])], extra: String = ""
  ) throws -> String {
    try write("\(name)/config.json", #"{"model_type": "\#(type)"\#(extra)}"#)
    try SafetensorsWriter.write(
      shapes.map { ($0.0, Tensor.zeros(Shape($0.1))) }, to: file("\(name)/model.safetensors"))
    return file(name)
  }
}

/// The file of `name` beside the checkout's cases; nil where they are not.
func fieldCase(_ name: String) -> String? {
  guard let shared = Fixtures.shared else { return nil }
  let path = "\(shared)/cases/\(name)"
  return FileManager.default.fileExists(atPath: path) ? path : nil
}
