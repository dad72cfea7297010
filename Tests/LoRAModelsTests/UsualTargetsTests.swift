import LoRAArchitectures
import LoRAFormats
import LoRATesting
import Testing

@testable import LoRAModels

/// What the methods of the command line adapt where nobody says it.
@Suite struct UsualTargetsTests {
  private static let ia3 = TrainingRecipe.all.first { $0.name == "ia3" }

  /// IA3's configuration for `model`.
  private func configuration(
    of model: any Module, targets: PEFTAdapterConfiguration.Modules? = nil
  ) throws -> PEFTAdapterConfiguration {
    let recipe = try #require(Self.ia3)
    var result = PEFTAdapterConfiguration(
      method: recipe.options(.init()), rank: 8, alpha: 16, targets: targets ?? recipe.targets(model)
    )
    recipe.complete(&result, model)
    return result
  }

  /// As PEFT has them, where its own are the paper's: keys, values, what leaves the network.
  @Test(
    arguments: [
      (Architecture.llama, ["k_proj", "v_proj", "down_proj"], "mlp.down_proj"),
      (.gpt2, ["c_attn", "mlp.c_proj"], "mlp.c_proj"),
      (.gptNeo, ["k_proj", "v_proj", "c_proj"], "mlp.c_proj"),
      (.gptNeoX, ["query_key_value", "dense_4h_to_h"], "mlp.dense_4h_to_h"),
      (.opt, ["k_proj", "v_proj", "fc2"], "fc2"),
      (.phi3, ["qkv_proj", "down_proj"], "mlp.down_proj"),
      (.bert, ["key", "value", "output.dense"], "output.dense"),
      (.distilBERT, ["k_lin", "v_lin", "lin2"], "ffn.lin2"),
      (.modernBERT, ["Wqkv", "mlp.Wo"], "mlp.Wo"),
      (.t5, ["k", "v", "wo"], "DenseReluDense.wo"),
      (.mixtral, ["k_proj", "v_proj"], nil),
    ] as [(Architecture, [String], String?)])
  func keysValuesAndWhatLeavesTheNetwork(
    architecture: Architecture, expected: [String], last: String?
  ) throws {
    let model = try TinyModels.configuration(architecture).randomModel()
    let configuration = try configuration(of: model)
    #expect(configuration.targets == .names(expected))
    for (path, _) in model.linearLayers() {
      let isLast = last.map { path.hasSuffix(".\($0)") } ?? false
      #expect(configuration.scalesInput(forPath: path) == isLast, "\(path)")
    }
  }

  /// Of every architecture there are some, and all of them are there.
  @Test func everyArchitectureHasSome() throws {
    for architecture in Architecture.all {
      let model = try TinyModels.configuration(architecture).randomModel()
      try model.inject(try configuration(of: model), named: "a")
      #expect(!model.adapterParameters(named: "a").isEmpty, "\(architecture)")
    }
  }

  /// Names of one's own scale inputs where they name what leaves the network.
  @Test func ownTargets() throws {
    let model = try TinyModels.configuration(.bert).randomModel()
    let configuration = try configuration(
      of: model, targets: .names(["query", "layer.1.output.dense"]))
    let scaled = model.linearLayers().map(\.path).filter { configuration.scalesInput(forPath: $0) }
    #expect(scaled == ["bert.encoder.layer.1.output.dense"])
  }
}
