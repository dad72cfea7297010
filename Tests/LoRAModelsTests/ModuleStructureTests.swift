import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// Modules that are legal Swift and can hardly be meant.
@Suite struct ModuleStructureTests {
  private static func linear() -> Linear {
    var random = SeededRandom(seed: 0, path: "layer")
    return Linear(inputSize: 4, outputSize: 4, using: &random)
  }

  final class Forgetful: Module {
    let up = ModuleStructureTests.linear()
    let many = [ModuleStructureTests.linear()]
    let perhaps: Linear? = ModuleStructureTests.linear()
    let named = ["x": ModuleStructureTests.linear()]
    let scale = Parameter(.zeros([4]))
  }

  final class Outer: Module {
    let inner = Forgetful()
    let listed = ModuleStructureTests.linear()
    var children: Named<any Module> { ["inner": inner, "listed": listed] }
  }

  @Test func whatIsStoredAndNotListedIsFound() {
    let problems = Outer().structureProblems()
    #expect(problems.count == 5)
    for name in ["up", "many", "perhaps", "named"] {
      #expect(
        problems.contains {
          $0.contains("'inner' (Forgetful) stores '\(name)'") && $0.contains("'children'")
        })
    }
    #expect(
      problems.contains { $0.contains("the parameter 'scale'") && $0.contains("'parameters'") })
  }

  @Test func anInjectionThatFindsNothingSaysWhy() {
    #expect {
      try Forgetful().inject(LoRA(), named: "a")
    } throws: { error in
      guard case .brokenModule(let problems)? = error as? AdapterError else { return false }
      return problems.count == 5 && "\(error)".contains("Forgetful stores 'up'")
    }
    final class Empty: Module {}
    #expect {
      try Empty().inject(LoRA(), named: "a")
    } throws: { error in
      "\(error)".contains("each of its modules lists its layers in 'children'")
    }
  }

  @Test func anInjectionThatFindsSomeWarns() throws {
    let report = try Outer().inject(LoRA(rank: 2), named: "a")
    #expect(report.layers == ["listed"])
    #expect(report.warnings.contains { $0.contains("stores 'up'") })
  }

  @Test func childrenMadeAnew() {
    final class Fresh: Module {
      var children: Named<any Module> { ["layer": ModuleStructureTests.linear()] }
    }
    let problems = Fresh().structureProblems()
    #expect(problems.count == 1 && problems[0].contains("children anew"))
  }

  @Test func aSlotMadeAnew() {
    final class Slotless: LinearLayer {
      let weightValue = Parameter(.zeros([4, 4]))
      var slot: AdapterSlot { AdapterSlot() }
      var inputSize: Int { 4 }
      var outputSize: Int { 4 }
      var parameters: Named<Parameter> { ["weight": weightValue] }
      func project(_ x: Variable) -> Variable { x.linear(weight: Variable(weightValue)) }
      func denseWeight() -> Tensor { weightValue.value }
    }
    final class Model: Module {
      let layer = Slotless()
      var children: Named<any Module> { ["layer": layer] }
    }
    #expect {
      try Model().inject(LoRA(rank: 1), named: "a")
    } throws: { error in
      "\(error)".contains("layer layer: Slotless makes its slot anew")
        && "\(error)".contains("let slot = AdapterSlot()")
    }
  }

  @Test func oneNameForTwo() {
    final class Twice: Module {
      let (a, b) = (ModuleStructureTests.linear(), ModuleStructureTests.linear())
      var children: Named<any Module> { ["x": a, "x": b] }
    }
    #expect(Twice().structureProblems().contains { $0.contains("two things called 'x'") })
  }

  @Test func ownModelsHaveNoProblems() throws {
    for architecture in [Architecture.llama, .qwen2, .gpt2] {
      #expect(try TinyModels.make(architecture).structureProblems() == [])
    }
  }

  @Test func anAdapterThatCannotBeSavedIsToldBeforeItLearns() throws {
    final class Shift: LinearAdapter {
      let shift: Parameter
      init(_ size: Int) { shift = Parameter(.zeros([size])) }
      var parameters: Named<Parameter> { ["shift": shift] }
      var effect: AdapterEffect {
        .computed(
          ComputedEffect { [shift] _, _, strength in
            Variable(shift).scaled(by: strength)
          } delta: { [shift] base in
            LinearWeights(weight: .zeros(base.weight.shape), bias: shift.value)
          })
      }
    }
    struct Shifting: AdapterMethod {
      func makeAdapter(
        for layer: any LinearLayer, using random: inout SeededRandom
      ) throws(AdapterError) -> Shift { Shift(layer.outputSize) }
    }
    let model = try TinyModels.make(.llama)
    let report = try model.inject(Shifting(), named: "a")
    #expect(report.warnings.count == 1)
    #expect(report.warnings.first?.contains("type Shift can't be saved") == true)
    #expect {
      try model.describeAdapter("a")
    } throws: { error in
      "\(error)".contains("Shift") && "\(error)".contains("'change'")
    }
  }

  @Test(
    arguments: [
      (AdapterSelection(), "none"), (AdapterSelection("support"), "support"),
      (["support": 0.7, "polite": 0.4], "support:0.7 + polite:0.4"),
      (["b": 1, "a": 1], "a + b"), (["a": -0.2, "b": 2], "b:2 + a:-0.2"), (["a": 0], "a:0"),
    ] as [(AdapterSelection, String)])
  func selectionsPrintWhatAPersonWouldWrite(_ selection: AdapterSelection, _ text: String) {
    #expect("\(selection)" == text)
  }
}

/// Hyperparameters that nothing can be learned with, and sizes that no machine has.
@Suite struct HyperparameterTests {
  @Test(arguments: [
    LoRA(rank: 0), LoRA(rank: -1), LoRA(rank: .min), LoRA(alpha: 0), LoRA(alpha: -8),
    LoRA(alpha: .nan), LoRA(alpha: .infinity), LoRA(alpha: 1e30),
    LoRA(alpha: .leastNonzeroMagnitude),
    LoRA(dropout: 1), LoRA(dropout: -0.1), LoRA(dropout: .nan), LoRA(dropout: 1.5),
  ]) func refused(_ recipe: LoRA) throws {
    let model = try TinyModels.make(.llama)
    func isRefused(_ method: some AdapterMethod) -> Bool {
      do {
        try model.inject(method, named: "a")
        return false
      } catch {
        if case .invalidValue = error { return true }
        return false
      }
    }
    #expect(isRefused(recipe))
    #expect(isRefused(DoRA(rank: recipe.rank, alpha: recipe.alpha, dropout: recipe.dropout)))
    if recipe.dropout == 0 {
      #expect(isRefused(LoHa(rank: recipe.rank, alpha: recipe.alpha)))
      #expect(isRefused(LoKr(rank: recipe.rank, alpha: recipe.alpha)))
    }
    #expect(model.adapterNames.isEmpty)
  }

  @Test(arguments: [1 << 40, 1 << 50, 1 << 62, .max - 1, .max]) func ranksThatNoMachineHolds(
    _ rank: Int
  ) throws {
    let model = try TinyModels.make(.llama)
    func isRefused(_ method: some AdapterMethod) -> Bool {
      do {
        try model.inject(method, named: "a")
        return false
      } catch {
        if case .notEnoughMemory(rank, let needed, let available) = error {
          return needed > available
        }
        return false
      }
    }
    #expect(isRefused(LoRA(rank: rank)))
    #expect(isRefused(DoRA(rank: rank)))
    #expect(isRefused(LoHa(rank: rank)))
    // Factors of that rank would be larger than what they factor: LoKr takes the whole, but its
    // configuration could not be read.
    #expect {
      try model.inject(LoKr(rank: rank), named: "b")
    } throws: { error in
      "\(error)".contains("1 to 1048576")
    }
  }

  @Test func aLimitIsKept() {
    #expect {
      try TinyModels.make(.llama).inject(LoRA(rank: 1_000_000), named: "a", memoryLimit: 1 << 20)
    } throws: { error in
      guard case .notEnoughMemory(1_000_000, _, 1 << 20)? = error as? AdapterError else {
        return false
      }
      return "\(error)".contains("1 MiB of memory are available; take a lower rank")
    }
  }

  @Test func theLargestNumbersOfGeneration() throws {
    let model = try TinyModels.make(.llama)
    let options = GenerationOptions(maximumTokens: .max, temperature: 1, topK: .max, seed: .max)
    let tokens = try model.generate(after: [1, 2], options: options)
    #expect(tokens.count == model.maximumPositions - 1)
  }
}
