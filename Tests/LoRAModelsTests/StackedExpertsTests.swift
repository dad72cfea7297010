import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// gpt-oss's experts: one tensor for all of a layer, or its blocks and scales in MXFP4.
@Suite struct StackedExpertsTests {
  private static let quantized = Fixtures.path("models/gpt-oss-mxfp4-v4")
  private static let plain = Fixtures.path("models/gpt-oss")

  /// A copy of the quantized model, whose tensors `body` changes.
  private func damaged(
    _ body: (inout [(name: String, tensor: Tensor)]) throws -> Void
  ) throws -> String {
    let folder = try Fixtures.temporaryFolder()
    let directory = try ModelDirectory(path: Self.quantized)
    var tensors = try directory.tensorNames.map {
      (name: $0, tensor: try directory.tensor(named: $0))
    }
    try body(&tensors)
    try SafetensorsWriter.write(tensors, to: folder + "/model.safetensors")
    try FileManager.default.copyItem(
      atPath: Self.quantized + "/config.json", toPath: folder + "/config.json")
    return folder
  }

  private static let blocks = "model.layers.1.mlp.experts.down_proj_blocks"
  private static let scales = "model.layers.1.mlp.experts.down_proj_scales"

  @Test func numbersOfBlocks() throws {
    // Every code with two scales; the low half of a byte comes first.
    let folder = try damaged { tensors in
      for index in tensors.indices where tensors[index].name == Self.scales {
        let count = tensors[index].tensor.elementCount
        tensors[index].tensor = Tensor(
          [UInt8](repeating: 128, count: count), shape: tensors[index].tensor.shape)
      }
      for index in tensors.indices where tensors[index].name == Self.blocks {
        let count = tensors[index].tensor.elementCount
        let bytes = (0..<count).map { (place: Int) -> UInt8 in
          let even = place % 8 * 2
          return UInt8(even + (even + 1) * 16)
        }
        tensors[index].tensor = Tensor(bytes, shape: tensors[index].tensor.shape)
      }
    }
    let model = try PretrainedModel(path: folder).model
    let found = try #require(
      model.namedParameters().first { $0.path == "model.layers.1.mlp.experts.down_proj.0" })
    let expected: [Float] = [0, 1, 2, 3, 4, 6, 8, 12, -0, -1, -2, -3, -4, -6, -8, -12]
    #expect(found.parameter.value.dtype == .bfloat16)
    #expect(
      Array(found.parameter.value.converted(to: .float32).scalars().prefix(32)) == expected
        + expected)
  }

  @Test func wrongSizesAreNamed() throws {
    let short = try damaged { tensors in
      for index in tensors.indices where tensors[index].name == Self.scales {
        tensors[index].tensor = tensors[index].tensor[rows: 0..<2]
      }
    }
    #expect { _ = try PretrainedModel(path: short) } throws: {
      "\($0)".contains("down_proj_scales") && "\($0)".contains("config.json makes it")
    }
    let missing = try damaged { $0.removeAll { $0.name == Self.scales } }
    #expect { _ = try PretrainedModel(path: missing) } throws: {
      "\($0)".contains("down_proj_scales")
    }
    let broken = try damaged { tensors in
      for index in tensors.indices where tensors[index].name == Self.scales {
        let count = tensors[index].tensor.elementCount
        tensors[index].tensor = Tensor(
          [UInt8](repeating: 255, count: count), shape: tensors[index].tensor.shape)
      }
    }
    #expect { _ = try PretrainedModel(path: broken) } throws: {
      "\($0)".contains("not a finite number")
    }
  }

  @Test func trainedWeightsAreNotQuantized() throws {
    let pretrained = try PretrainedModel(path: Self.quantized)
    pretrained.model.setTrainable(true)
    let path = try Fixtures.temporaryFolder() + "/saved"
    #expect { try pretrained.save(to: path) } throws: { "\($0)".contains("MXFP4") }
    #expect { try pretrained.checkWholeIsWritable() } throws: { "\($0)".contains("_blocks") }
    let other = try PretrainedModel(path: Self.plain)
    try other.checkWholeIsWritable()
    other.model.setTrainable(true)
    try other.save(to: path)
    let (old, new) = (try ModelDirectory(path: Self.plain), try ModelDirectory(path: path))
    for name in old.tensorNames {
      #expect(try old.tensor(named: name) == new.tensor(named: name), "\(name)")
    }
  }

  @Test func expertsAreNoLayersOfAdapters() throws {
    let model = try PretrainedModel(path: Self.plain).model
    let names = Set(model.linearLayers().map { $0.path.split(separator: ".").last ?? "" })
    #expect(names == ["q_proj", "k_proj", "v_proj", "o_proj", "lm_head"])
  }
}
