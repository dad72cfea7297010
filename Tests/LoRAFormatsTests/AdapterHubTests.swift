import Foundation
import LoRATensor
import Testing
@testable import LoRAFiles
@testable import LoRAFormats

/// Bottleneck adapters in the `adapters` package's files; what they compute is BottleneckTests' matter.
@Suite struct AdapterHubTests {
  private static func options(_ changes: [String: String]) -> String {
    var options = [
      "mh_adapter": "true", "output_adapter": "true", "reduction_factor": "2",
      "non_linearity": "\"relu\"", "original_ln_before": "false", "original_ln_after": "true",
      "scaling": "1.0", "leave_out": "[]",
    ]
    options.merge(changes) { _, new in new }
    return options.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
      .joined(separator: ", ")
  }

  private static func tensors(
    _ blocks: Range<Int>, places: [String] = ["attention_adapters", "output_adapters"]
  ) -> [(String, [Int])] {
    blocks.flatMap { block in
      places.flatMap { place in
        let prefix = "model.layers.\(block).\(place).adapters.task."
        return [
          (prefix + "adapter_down.0.weight", [2, 4]), (prefix + "adapter_down.0.bias", [2]),
          (prefix + "adapter_up.weight", [4, 2]), (prefix + "adapter_up.bias", [4]),
        ]
      }
    }
  }

  private static func write(
    _ scratch: Scratch, _ changes: [String: String] = [:],
    _ tensors: [(String, [Int])] = tensors(0..<2),
    head: [(String, [Int])] = []
  ) throws -> String {
    let folder = scratch.file("adapter")
    try scratch.write(
      "adapter/adapter_config.json",
      #"{"config": {\#(options(changes))}, "hidden_size": 4, "model_type": "llama", "name": "task"}"#
    )
    for (file, tensors) in [("adapter", tensors), ("model_head", head)] where !tensors.isEmpty {
      try SafetensorsWriter.write(
        tensors.map { name, extents in
          let shape = Shape(extents)
          return (name, Tensor((0..<shape.elementCount).map { Float($0 + 1) }, shape: shape))
        }, to: "\(folder)/\(file).safetensors")
    }
    return folder
  }

  private static func failure(_ path: String, base: String? = nil) -> FormatError? {
    do {
      _ = try AdapterFile(path: path, options: .init(basePath: base))
      return nil
    } catch { return error }
  }

  @Test func readsWhatItSays() throws {
    let scratch = try Scratch()
    let path = try Self.write(
      scratch, ["scaling": "0.5", "leave_out": "[2]", "dropout": "0.25", "is_parallel": "true"],
      head: [("classifier.weight", [3, 4]), ("classifier.bias", [3])])
    for place in [path, path + "/adapter.safetensors"] {
      let file = try AdapterFile(path: place)
      #expect(file.format == .adapters && file.provenance.dropout == 0.25)
      let change = try #require(file.description.layers[0].change as? BottleneckChange)
      #expect(change.scale == 0.5 && change.input == .residual && change.activation == "relu")
      #expect(change.attention?.width == 2 && change.feedForward?.width == 2)
      #expect(file.description.layers.map(\.path) == ["model.layers.0", "model.layers.1"])
      #expect(
        file.description.replacements.map(\.path) == ["classifier.bias", "classifier.weight"])
    }
    // And all of it comes back.
    let file = try AdapterFile(path: path)
    let output = scratch.file("again")
    try file.write(as: .adapters, to: output)
    let back = try AdapterFile(path: output)
    #expect(back.adapterHubConfiguration?.original == file.adapterHubConfiguration?.original)
    #expect(
      back.description.replacements.map(\.value) == file.description.replacements.map(\.value))
  }

  @Test(arguments: [
    ("ln_before", "true"), ("ln_after", "true"), ("use_gating", "true"), ("phm_layer", "true"),
    ("cross_adapter", "true"), ("original_ln_after", "false"), ("inv_adapter", "\"nice\""),
    ("scaling", "\"learned\""), ("stochastic_depth", "0.1"), ("dropout", "1.0"),
    ("leave_out", "[-1]"), ("leave_out", "[0.5]"), ("non_linearity", "3"),
    ("architecture", "\"lora\""),
  ])
  func refusesByName(key: String, value: String) throws {
    let scratch = try Scratch()
    let error = Self.failure(try Self.write(scratch, [key: value]))
    #expect(error?.subject.contains("config.\(key)") == true, "\(String(describing: error))")
  }

  @Test func refusesNetworksThatReplaceTheOutput() throws {
    let scratch = try Scratch()
    let changes = ["original_ln_before": "true", "residual_before_ln": "false"]
    let error = Self.failure(try Self.write(scratch, changes))
    #expect(error?.subject.contains("residual_before_ln") == true)
  }

  @Test func refusesWhatIsIncomplete() throws {
    let all = Self.tensors(0..<2)
    func refused(_ tensors: [(String, [Int])], _ text: String) throws {
      let scratch = try Scratch()
      let error = Self.failure(try Self.write(scratch, [:], tensors))
      #expect(error.map { "\($0)".contains(text) } == true, "\(text): \(String(describing: error))")
    }
    try refused(Array(all.dropLast()), "it is missing, although")
    try refused(Array(all.dropLast(4)), "'output_adapter'")
    try refused(all.filter { !$0.0.contains("attention") }, "'mh_adapter'")
    try refused(
      all + [("model.layers.0.output_adapters.adapters.other.adapter_up.bias", [4])], "other")
    try refused(all.map { ($0.0, $0.1 == [4, 2] ? [4, 3] : $0.1) }, "[width, hidden size]")
    try refused(all.map { ($0.0, $0.1 == [4] ? [3] : $0.1) }, "expected [4], found [3]")
    let wide = all.map { ($0.0, $0.1.map { $0 == 4 ? 5 : $0 }) }
    try refused(wide, "'hidden_size'")
  }

  @Test func isComparedWithItsBase() throws {
    let scratch = try Scratch()
    func base(_ count: Int, list: String = "layers") throws -> String {
      try scratch.model(
        "base\(count)\(list)",
        (0..<count).map { ("model.\(list).\($0).self_attn.q_proj.weight", [4, 4]) })
    }
    let path = try Self.write(scratch)
    #expect(Self.failure(path, base: try base(2)) == nil)
    let missing = try #require(Self.failure(path, base: try base(3)))
    #expect(missing.subject == "block 'model.layers.2'" && missing.kind == .missingTensor)
    let unknown = try #require(Self.failure(path, base: try base(1)))
    #expect(unknown.subject == "layer 'model.layers.1'")
    let left = try Self.write(scratch, ["leave_out": "[2]"])
    #expect(Self.failure(left, base: try base(3)) == nil)
  }

  @Test func picklesAreRefused() throws {
    let scratch = try Scratch()
    let path = try Self.write(scratch)
    try FileManager.default.moveItem(
      atPath: path + "/adapter.safetensors", toPath: path + "/pytorch_adapter.bin")
    let error = try #require(Self.failure(path))
    #expect("\(error)".contains("use_safetensors=True"))
  }

  @Test func headsOfThePackagesModelsAreSaid() throws {
    let scratch = try Scratch()
    let file = try AdapterFile(
      path: try Self.write(scratch, head: [("heads.task.1.weight", [4, 4])]))
    #expect(file.notes.count == 1 && file.notes[0].text.contains("model_head.safetensors"))
    #expect(file.description.replacements.isEmpty)
  }

  @Test func firstVersionsNamesAreRead() throws {
    let scratch = try Scratch()
    let tensors = Self.tensors(0..<1, places: ["output"]).map { name, shape in
      (name.replacing("output.adapters.", with: "output.layer_text_task_adapters."), shape)
    }
    let file = try AdapterFile(path: try Self.write(scratch, ["mh_adapter": "false"], tensors))
    #expect(file.description.layers.map(\.path) == ["model.layers.0"])
  }
}
