import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

@Suite struct TinyModelsTests {
  private static let architectures = TinyModels.languageModels

  @Test(arguments: architectures)
  func seedsAreModels(_ architecture: Architecture) throws {
    let tokens = TinyModels.tokens([2, 7])
    #expect(tokens == TinyModels.tokens([2, 7]) && tokens != TinyModels.tokens([2, 7], seed: 1))
    func logits(seed: UInt64 = 0) throws -> Tensor {
      let model = try TinyModels.make(architecture, seed: seed)
      return model(tokens).value
    }
    let first = try logits()
    #expect(first.shape == [2, 7, TinyModels.vocabularySize])
    #expect(first.firstNonFiniteIndex() == nil)
    #expect(try logits() == first)
    #expect(try logits(seed: 1) != first)
  }

  /// Gradients through a whole model: of its own parameters, and of adapters on a frozen base. The
  /// step is larger than usual because a loss is one number, whose rounding does not average out.
  @Test(arguments: architectures)
  func gradientsAgreeWithFiniteDifferences(
    _ architecture: Architecture
  ) throws {
    var configuration = TinyModels.configuration(architecture)
    // It has no derivative at zero.
    if configuration.hiddenActivation == "relu" { configuration.hiddenActivation = "gelu" }
    // Small logits have small gradients, of which rounding is a large part.
    if configuration[number: "logit_scale"] != nil { configuration[number: "logit_scale"] = 1 }
    // Nothing depends on a bias of keys: its gradient is noise.
    if architecture == .opt { configuration[flag: "enable_bias"] = false }
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 0)
    let (tokens, targets) = (TinyModels.tokens([2, 6]), TinyModels.tokens([2, 6], seed: 1))
    let base = model.namedParameters()
    // The last norm undoes the factor of the last block: its gradient is noise.
    let felt = base.filter { !$0.path.hasSuffix("layers.1.layer_scalar") }
    let isGemma4 = [.gemma4, .gemma4Vision].contains(architecture)
    let whole = checkGradients(
      of: felt.map(\.parameter), step: isGemma4 ? 0x1p-7 : 0x1p-5, maximumElements: 4
    ) {
      model.loss(tokens: tokens, targets: targets, scale: 0.25)
    }
    // Norms of queries and keys bend more; scores without a scale more still, and a small step leaves
    // small gradients to rounding.
    let tolerance: Double =
      isGemma4 ? 3e-2 : architecture == .gemma3 ? 1e-2 : architecture == .gemma3Vision ? 2e-2 : 5e-3
    #expect(
      whole.isWithin(tolerance),
      "\(whole)")

    model.setTrainable(false)
    try model.inject(LoRA(rank: 2, alpha: 6))
    let adapter = model.adapterParameters(named: "default")
    for (path, parameter) in adapter {
      var random = SeededRandom(seed: 2, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
    }
    let bends = [.qwen3, .qwen3MoE].contains(architecture) || isGemma4
    let step = bends ? 0x1p-8 : 0x1p-5
    let adapted = checkGradients(of: adapter.map(\.parameter), step: step, maximumElements: 4) {
      model.loss(tokens: tokens, targets: targets, scale: 0.25)
    }
    #expect(adapted.isWithin(5e-3), "\(adapted)")
    let gradients = model.loss(tokens: tokens, targets: targets, scale: 1).gradients()
    #expect(gradients.parameters.count == adapter.count)
    for (path, parameter) in base { #expect(gradients[parameter] == nil, "\(path)") }
  }
}
