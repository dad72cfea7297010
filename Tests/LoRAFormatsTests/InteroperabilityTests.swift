import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRATensor
import TestSupport
import Testing

/// Python reads what this library wrote. Needs a Python with safetensors, transformers and PEFT in
/// `.venv` or named by LORA_PYTHON.
@Suite(
  "Python reads what is written",
  .enabled(if: Fixtures.python != nil, "needs a Python with PEFT: LORA_PYTHON"))
struct InteroperabilityTests {
  @Test("tensors, a Llama with its generation configuration, an adapter")
  func check() throws {
    let scratch = try Scratch()
    let types = try SafetensorsFile(path: Fixtures.path("formats/types.safetensors"))
    try SafetensorsWriter.write(
      types.names.map { ($0, try types.tensor(named: $0)) }, metadata: types.metadata,
      to: scratch.file("types.safetensors"))
    try writeModel(scratch)

    let process = Process()
    process.executableURL = URL(filePath: try #require(Fixtures.python))
    process.arguments = [
      Fixtures.tests.appending(path: "Reference/formats.py").path, "check", scratch.path,
    ]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  @Test("PEFT loads adapters of every kind, with their configuration and with one made for them")
  func peft() throws {
    let scratch = try Scratch()
    for name in PEFTFormatTests.names {
      let file = try PEFTAdapterFile(path: Fixtures.path("\(PEFTFormatTests.folder)/\(name)"))
      try file.write(to: scratch.file(name))
      // Flattened convolutions do not say what their kernel was.
      if name.hasPrefix("lokr-conv") || name == "lokr-tucker" { continue }
      var described = try PEFTAdapterFile(describing: file.description)
      described.configuration.taskType = file.configuration.taskType
      try described.write(to: scratch.file(name + "-described"))
    }
    let process = Process()
    process.executableURL = URL(filePath: try #require(Fixtures.python))
    process.arguments = [
      Fixtures.tests.appending(path: "Reference/peft_formats.py").path, "check", scratch.path,
    ]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  private func writeModel(_ scratch: Scratch) throws {
    var configuration = ModelConfiguration(
      hiddenSize: 16, intermediateSize: 24, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      headSize: 8, vocabularySize: 32, normEpsilon: 1e-5, tiesWordEmbeddings: true,
      maximumPositions: 64,
      rotary: RotaryConfiguration(
        base: 5000,
        scaling: .llama3(
          factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPositions: 32)),
      storedType: .float32, bosTokenID: 1, eosTokenIDs: [2, 3])
    configuration.padTokenID = 0
    var random = SplitMix(state: 1)
    func tensor(_ shape: Shape) -> Tensor {
      Tensor(
        (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &random) }, shape: shape
      )
    }
    var tensors: [(name: String, tensor: Tensor)] = [
      ("model.embed_tokens.weight", tensor([32, 16])), ("model.norm.weight", tensor([16])),
    ]
    for layer in 0..<2 {
      let shapes: [(String, Shape)] = [
        ("self_attn.q_proj", [32, 16]), ("self_attn.k_proj", [16, 16]),
        ("self_attn.v_proj", [16, 16]), ("self_attn.o_proj", [16, 32]),
        ("mlp.gate_proj", [24, 16]), ("mlp.up_proj", [24, 16]), ("mlp.down_proj", [16, 24]),
        ("input_layernorm", [16]), ("post_attention_layernorm", [16]),
      ]
      for (name, shape) in shapes {
        tensors.append(("model.layers.\(layer).\(name).weight", tensor(shape)))
      }
    }
    try ModelDirectory.write(
      tensors, configuration: configuration.encoded(),
      generation: GenerationConfiguration(
        bosTokenID: 1, eosTokenIDs: [2, 3], maximumNewTokens: 7
      ).encoded(),
      to: scratch.file("model"))
    try scratch.write(
      "expected.json",
      """
      {"hiddenSize": 16, "layerCount": 2, "headSize": 8, "keyValueHeadCount": 2, "eos": [2, 3],
       "vocabularySize": 32, "normEpsilon": 1e-05, "tiesWordEmbeddings": true, "base": 5000.0,
       "kind": "llama3", "factor": 8.0, "original": 32, "maximumPositions": 64, "bos": 1,
       "pad": 0, "storedType": "float32", "intermediateSize": 24, "attentionBias": false}
      """)

    let recipe = PEFTAdapterConfiguration(
      rank: 3, alpha: 6, targets: .names(["q_proj", "down_proj"]), usesRankStabilizedScale: true)
    let sizes = [("self_attn.q_proj", 16, 32), ("mlp.down_proj", 24, 16)]
    let layers = (0..<2).flatMap { layer in
      sizes.map { name, inputs, outputs in
        let path = "model.layers.\(layer).\(name)"
        return AdapterDescription.Layer(
          path: path, a: tensor([3, inputs]), b: tensor([outputs, 3]), alpha: 6,
          scale: recipe.scale(forPath: path))
      }
    }
    try PEFTAdapterFile(configuration: recipe, description: AdapterDescription(layers: layers))
      .write(to: scratch.file("adapter"))
  }
}
