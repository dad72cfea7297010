import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import TestSupport
import Testing

/// Configurations made for descriptions, and what PEFT cannot express.
@Suite("PEFT configurations of descriptions")
struct PEFTWritingTests {
  private static func random(_ shape: Shape, _ seed: UInt64) -> Tensor {
    var random = SplitMix(state: seed)
    return Tensor(
      (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &random) }, shape: shape)
  }

  private static func layer(
    _ path: String, rank: Int = 2, scale: Double = 2, alpha: Double? = nil, seed: UInt64 = 1
  ) -> AdapterDescription.Layer {
    AdapterDescription.Layer(
      path: path, a: random([rank, 6], seed), b: random([4, rank], seed + 1),
      alpha: alpha ?? scale * Double(rank), scale: scale)
  }

  private static func modelPaths(layers: Int) -> [String] {
    (0..<layers).flatMap { layer in
      ["q_proj", "k_proj", "v_proj"].map { "model.layers.\(layer).self_attn.\($0)" }
    } + ["model.embed_tokens", "lm_head"]
  }

  /// The description as it is after a round through the two files.
  private static func rewritten(_ file: PEFTAdapterFile) throws -> PEFTAdapterFile {
    let scratch = try Scratch()
    try file.write(to: scratch.path)
    return try PEFTAdapterFile(path: scratch.path)
  }

  @Test("ranks and scales are the commonest and patterns, targets names or whole paths")
  func rules() throws {
    let paths = Self.modelPaths(layers: 12)
    let targets = paths.filter { $0.hasSuffix("q_proj") || $0.hasSuffix("v_proj") }
    let layers = targets.map { path in
      switch path {
      case "model.layers.1.self_attn.q_proj": Self.layer(path, rank: 4, scale: 0.3)
      case "model.layers.11.self_attn.v_proj": Self.layer(path, rank: 2, scale: 1.0 / 3)
      default: Self.layer(path, rank: path.hasSuffix("v_proj") ? 3 : 2, scale: 2)
      }
    }
    let description = AdapterDescription(layers: layers)
    let recipe = try PEFTAdapterConfiguration(describing: description, among: paths)
    #expect(recipe.targets == .names(["q_proj", "v_proj"]))
    #expect(recipe.rankPattern.count <= 11 + 2)
    let read = try Self.rewritten(PEFTAdapterFile(configuration: recipe, description: description))
    for (x, y) in zip(read.description.layers, description.layers) {
      let (p, q) = (try #require(x.lowRank), try #require(y.lowRank))
      #expect(
        x.path == y.path && p.a == q.a && p.b == q.b && p.scale == q.scale && p.rank == q.rank)
    }
    // One name's layers agree: one key for all of them.
    let tidy = AdapterDescription(
      layers: targets.map { Self.layer($0, rank: $0.hasSuffix("v_proj") ? 3 : 2, scale: 2) })
    let short = try PEFTAdapterConfiguration(describing: tidy, among: paths)
    #expect(short.rank == 3 && short.rankPattern == [.init(key: "q_proj", value: 2)])
    #expect(short.alpha == 6 && short.alphaPattern == [.init(key: "q_proj", value: 4)])
    // Without a model, or where the name would match more, whole paths.
    #expect(
      try PEFTAdapterConfiguration(describing: tidy).targets == .names(tidy.layers.map(\.path)))
    let some = AdapterDescription(layers: Array(tidy.layers.prefix(5)))
    #expect(
      try PEFTAdapterConfiguration(describing: some, among: paths).targets
        == .names(some.layers.map(\.path)))
  }

  @Test("a scale that is a rounded float32 keeps its alpha, a strange one gets its own")
  func scales() throws {
    let rounded = Double(Float(2.0 / 3))
    let one = AdapterDescription(layers: [Self.layer("m.q", rank: 3, scale: rounded, alpha: 1)])
    let recipe = try PEFTAdapterConfiguration(describing: one)
    #expect(recipe.alpha == 2)
    try #expect(
      Self.rewritten(PEFTAdapterFile(configuration: recipe, description: one)).description.layers[0]
        .lowRank?.scale == 2.0 / 3)
    // In float32 alpha / √rank is rounded twice, and 0.3 is no float32.
    let stabilized = PEFTAdapterConfiguration(
      rank: 1, alpha: 1, targets: .unspecified, usesRankStabilizedScale: true)
    for (alpha, text) in [(16, 16.0), (0.3, 0.3)] as [(Float, Double)] {
      for rank in 1..<60 {
        let layer = Self.layer(
          "m.q", rank: rank, scale: Double(alpha / Float(rank).squareRoot()), alpha: 1)
        let made = try PEFTAdapterConfiguration(
          describing: AdapterDescription(layers: [layer]), keeping: stabilized)
        #expect(
          abs(made.alpha - text) <= text * 2e-7 && (text != 16 || made.alpha == 16), "\(rank)")
      }
    }
    for scale in [0.1234567, 1e-9, 20, -1.5, 7.0 / 11] {
      let description = AdapterDescription(layers: [Self.layer("m.q", rank: 7, scale: scale)])
      let file = try PEFTAdapterFile(describing: description)
      #expect(Float(file.configuration.scale(forPath: "m.q")) == Float(scale))
      #expect(abs(file.configuration.scale(forPath: "m.q") - scale) <= 1e-15 * abs(scale))
      _ = try Self.rewritten(file)
    }
    expectError(.unsupported, "layer 'm.q'", "scale is 0") {
      _ = try PEFTAdapterFile(
        describing: AdapterDescription(layers: [Self.layer("m.q", scale: 0)]))
    }
  }

  @Test("what is kept of a configuration: all if it fits, otherwise what is not of the layers")
  func kept() throws {
    var recipe = PEFTAdapterConfiguration(
      rank: 2, alpha: 4, dropout: 0.1, targets: .pattern(".*q"), usesRankStabilizedScale: true,
      baseModelName: "base")
    recipe.initialization = .named("gaussian")
    let scale = recipe.scale(alpha: 4, rank: 2)
    let same = AdapterDescription(layers: [Self.layer("m.q", scale: scale, alpha: 4)])
    // An expression might also match what PEFT can't adapt: names are written in its place.
    var expected = recipe
    expected.targets = .names(["m.q"])
    #expect(try PEFTAdapterConfiguration(describing: same, keeping: recipe) == expected)
    #expect(try PEFTAdapterConfiguration(describing: same, keeping: expected) == expected)
    let other = AdapterDescription(layers: [Self.layer("m.v", rank: 4, scale: 3, alpha: 6)])
    let made = try PEFTAdapterConfiguration(describing: other, keeping: recipe)
    #expect(made.usesRankStabilizedScale && made.dropout == 0.1 && made.baseModelName == "base")
    #expect(made.rank == 4 && made.alpha == 6 && made.targets == .names(["m.v"]))
    // Factors of the base itself: PEFT must not change the base when it loads them.
    recipe.initialization = .named("pissa")
    #expect(
      try PEFTAdapterConfiguration(describing: same, keeping: recipe).initialization == .standard)
    let scratch = try Scratch()
    expectError(.invalidValue, "'init_lora_weights'") {
      try PEFTAdapterFile(configuration: recipe, description: same).write(to: scratch.path)
    }
  }

  @Test("every fixture described without its configuration reads back the same")
  func fixtures() throws {
    for name in PEFTFormatTests.names {
      let source = try PEFTAdapterFile(path: Fixtures.path("\(PEFTFormatTests.folder)/\(name)"))
      guard !name.hasPrefix("lokr-conv"), name != "lokr-tucker" else { continue }
      let file = try PEFTAdapterFile(describing: source.description)
      let read = try Self.rewritten(file).description
      #expect(read.layers.map(\.path) == source.description.layers.map(\.path), "\(name)")
      for (x, y) in zip(read.layers, source.description.layers) {
        #expect(x.storedType == y.storedType)
        #expect(x.change.tensors.map(\.name) == y.change.tensors.map(\.name), "\(name) \(x.path)")
        #expect(
          zip(x.change.tensors, y.change.tensors).allSatisfy { $0.tensor == $1.tensor },
          "\(name) \(x.path)")
        #expect(x.change.measured.scale == y.change.measured.scale, "\(name) \(x.path)")
      }
      let (a, b) = (read, source.description)
      #expect(a.replacements.map(\.path) == b.replacements.map(\.path), "\(name)")
      #expect(zip(a.replacements, b.replacements).allSatisfy { $0.value == $1.value })
      #expect(a.baseCopies.map(\.path) == b.baseCopies.map(\.path), "\(name)")
      #expect(a.replacedTokens.map(\.path).sorted() == b.replacedTokens.map(\.path).sorted())
    }
  }

  @Test("what PEFT cannot express is refused by name")
  func refused() throws {
    func refuse(
      _ text: String, _ layers: [AdapterDescription.Layer],
      replacements: [AdapterDescription.Replacement] = [],
      tokens: [AdapterDescription.ReplacedTokens] = [],
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(.unsupported, text, sourceLocation: sourceLocation) {
        _ = try PEFTAdapterFile(
          describing: AdapterDescription(
            layers: layers, replacements: replacements, replacedTokens: tokens))
      }
    }
    func changed(_ path: String, _ edit: (inout LowRankChange) -> Void) -> AdapterDescription.Layer
    {
      var layer = Self.layer(path)
      if var change = layer.lowRank {
        edit(&change)
        layer.change = change
      }
      return layer
    }
    let plain = Self.layer("m.q")
    let scaling = AdapterDescription.Layer(
      path: "m.v",
      change: ScalingChange(vector: Self.random([4], 3), scalesInput: false))
    let magnitude = changed("m.o") { $0.magnitude = Self.random([4], 5) }
    refuse("one method for all layers", [plain, scaling])
    refuse("'use_dora' holds for all", [plain, magnitude])
    refuse("magnitudes [1, 6]", [changed("m.o") { $0.magnitude = Self.random([1, 6], 5) }])
    refuse(
      "'lora_bias'",
      [
        changed("m.o") {
          $0.magnitude = Self.random([4], 5)
          $0.bias = Self.random([4], 6)
        }
      ])
    let tucker = LowRankChange(
      a: Self.random([2, 6, 1, 1], 1), b: Self.random([4, 2, 1, 1], 2),
      middle: Self.random([2, 2, 3, 3], 3), alpha: 4, scale: 2)
    refuse("middle factor", [.init(path: "m.conv", change: tucker)])
    refuse("needs a layer with an adapter", [])
    let value = Self.random([4, 6], 9)
    refuse(
      "'m.q.weight'", [plain], replacements: [.init(path: "m.q.weight", value: value)])
    refuse(
      "saves no single biases", [scaling], replacements: [.init(path: "m.v.bias", value: value)])
    refuse("not of the model itself", [plain], replacements: [.init(path: "scale", value: value)])
    refuse(
      "replaced as a whole", [plain], replacements: [.init(path: "m.scale", value: value)])
    refuse(
      "has factors or is saved whole", [plain],
      tokens: [.init(path: "m.q", ids: [1, 2, 3, 4], vectors: value)])
    let odd = KroneckerChange(
      first: .whole(Self.random([3, 1], 1)), second: .whole(Self.random([4, 12], 2)), rank: 2,
      alpha: 2, scale: 1)
    let even = KroneckerChange(
      first: .whole(Self.random([2, 3], 1)), second: .whole(Self.random([6, 4], 2)), rank: 2,
      alpha: 2, scale: 1)
    refuse(
      "'decompose_factor'",
      [
        .init(path: "m.q", change: odd), .init(path: "m.v", change: even),
      ])
    var dora = even
    dora.magnitude = Self.random([12], 3)
    refuse("LoKr has no magnitudes", [.init(path: "m.q", change: dora)])
  }

  @Test("LyCORIS's LoKr, whose scale is 1 where both matrices are whole, keeps its function")
  func lycorisScale() throws {
    let change = KroneckerChange(
      first: .whole(Self.random([4, 4], 1)), second: .whole(Self.random([5, 7], 2)), rank: 1,
      alpha: 0.25, scale: 1)
    let file = try PEFTAdapterFile(
      describing: AdapterDescription(layers: [.init(path: "m.q", change: change)]))
    #expect(file.configuration.scale(forPath: "m.q") == 1)
    #expect(file.configuration.method == .lokr(.init()))
    #expect(file.configuration.rank >= 4)
  }

  @Test("PEFT's missing zero biases and IA3's sides are filled in")
  func completed() throws {
    var biased = Self.layer("m.q")
    if var change = biased.lowRank {
      change.bias = Self.random([4], 3)
      biased.change = change
    }
    let read = try Self.rewritten(
      PEFTAdapterFile(
        describing: AdapterDescription(layers: [biased, Self.layer("m.v", seed: 7)])))
    #expect(read.description.layers[1].lowRank?.bias == Tensor.zeros([4]))
    #expect(read.configuration.lora?.hasFactorBias == true)
    // A name whose layers differ: whole paths.
    let scaled = ["a.fc", "b.fc"].map { path in
      AdapterDescription.Layer(
        path: path,
        change: ScalingChange(vector: Self.random([3], 4), scalesInput: path == "a.fc"))
    }
    let file = try PEFTAdapterFile(
      describing: AdapterDescription(layers: scaled), among: ["a.fc", "b.fc", "c"])
    #expect(file.configuration.targets == .names(["a.fc", "b.fc"]))
    #expect(
      file.configuration.method == .ia3(.init(feedForward: .names(["a.fc"]))))
    #expect(try Self.rewritten(file).description.layers.count == 2)
  }
}

// MARK: - Wrong input

@Suite("wrong PEFT files")
struct WrongPEFTFileTests {
  private let a = Tensor([Float](repeating: 1, count: 6), shape: [2, 3])
  private let b = Tensor([Float](repeating: 2, count: 8), shape: [4, 2])
  private let m = "base_model.model.m."

  private func expect(
    _ kind: FormatError.Kind, _ texts: String, _ tensors: [(name: String, tensor: Tensor)],
    members: String = "", sourceLocation: SourceLocation = #_sourceLocation
  ) {
    expectError(kind, texts, sourceLocation: sourceLocation) {
      _ = try open(tensors, members)
    }
  }

  @discardableResult
  private func open(
    _ tensors: [(name: String, tensor: Tensor)], _ members: String = ""
  ) throws -> PEFTAdapterFile {
    let scratch = try Scratch()
    let type = members.contains("peft_type") ? "" : #""peft_type": "LORA", "#
    let more = members.isEmpty ? "" : ", " + members
    try scratch.write(
      "adapter_config.json", "{\(type)\"r\": 2, \"target_modules\": [\"q\", \"v\"]\(more)}")
    try SafetensorsWriter.write(
      tensors, copies: Set(tensors.map(\.name)), to: scratch.file("adapter_model.safetensors"))
    return try PEFTAdapterFile(path: scratch.path)
  }

  private var pair: [(name: String, tensor: Tensor)] {
    [(m + "q.lora_A.weight", a), (m + "q.lora_B.weight", b)]
  }

  @Test("prefixes that are missing, doubled, or of another dialect")
  func prefixes() {
    let doubled = "base_model.model." + m
    expect(.unexpectedTensor, "occurs twice", [(doubled + "q.lora_A.weight", a)])
    expect(
      .unexpectedTensor, "begin with 'base_model.model.'; PEFT would skip it silently",
      [("m.q.lora_A.weight", a)])
    expect(.unexpectedTensor, "kohya", [("lora_unet_q.lora_down.weight", a)])
    expect(.unexpectedTensor, "MLX", [("m.q.lora_a", a)])
    expect(.unexpectedTensor, "diffusers", [("unet.q.lora_A.weight", a)])
    expect(
      .unexpectedTensor, "'_orig_mod'", [("base_model.model._orig_mod.m.q.lora_A.weight", a)])
  }

  @Test("factors that lie transposed, or have another rank, and what to do")
  func factors() {
    let (turnedA, turnedB) = (Tensor.zeros([3, 2]), Tensor.zeros([2, 4]))
    expect(
      .shapeMismatch, "both factors lie transposed",
      [(m + "q.lora_A.weight", turnedA), (m + "q.lora_B.weight", turnedB)])
    expect(
      .shapeMismatch, "it lies transposed: transpose it",
      [(m + "q.lora_A.weight", turnedA), (m + "q.lora_B.weight", b)])
    expect(
      .shapeMismatch, "both factors have rank 3: set 'r'",
      [
        (m + "q.lora_A.weight", Tensor.zeros([3, 3])),
        (m + "q.lora_B.weight", Tensor.zeros([4, 3])),
      ])
    expect(
      .shapeMismatch, "different ranks",
      [(m + "q.lora_A.weight", a), (m + "q.lora_B.weight", Tensor.zeros([4, 5]))])
    expect(
      .shapeMismatch, "[outputs, 2, 1, 1]",
      [
        (m + "q.lora_A.weight", Tensor.zeros([2, 3, 3, 3])),
        (m + "q.lora_B.weight", Tensor.zeros([4, 2, 3, 3])),
      ])
  }

  @Test("parts that the configuration knows nothing of, lacks, or has in another size")
  func parts() {
    let four = Tensor.zeros([4])
    expect(
      .unexpectedTensor, "'use_dora': true", pair + [(m + "q.lora_magnitude_vector", four)])
    expect(
      .missingTensor, "m.q.lora_magnitude_vector'", pair, members: #""use_dora": true"#)
    expect(
      .shapeMismatch, "expected [4], one norm for each row of B, found [3]",
      pair + [(m + "q.lora_magnitude_vector", Tensor.zeros([3]))], members: #""use_dora": true"#)
    expect(
      .shapeMismatch, "LyCORIS keeps [4, 1]",
      pair + [(m + "q.lora_magnitude_vector", Tensor.zeros([4, 1]))],
      members: #""use_dora": true"#)
    expect(
      .duplicate, "is the same part",
      pair + [
        (m + "q.lora_magnitude_vector", four), (m + "q.lora_magnitude_vector.weight", four),
      ], members: #""use_dora": true"#)
    expect(.unexpectedTensor, "'lora_bias': true", pair + [(m + "q.lora_B.bias", four)])
    expect(.missingTensor, "m.q.lora_B.bias'", pair, members: #""lora_bias": true"#)
    expect(.unexpectedTensor, "no part 'hada_w1_a'", pair + [(m + "q.hada_w1_a", four)])
    expect(
      .unexpectedTensor, "'modules_to_save' nor 'bias'", pair + [(m + "v.base_layer.weight", four)])
    expect(
      .unexpectedTensor, "'modules_to_save' nor 'bias'", pair + [(m + "n.bias", four)],
      members: #""bias": "lora_only""#)
    expect(
      .missingTensor, "'modules_to_save' names 'head'", pair,
      members: #""modules_to_save": ["head"]"#)
    expect(
      .duplicate, "the same parameter with other values",
      pair + [
        (m + "head.weight", four), (m + "head.modules_to_save.weight", Tensor([1, 2, 3, 4])),
      ], members: #""modules_to_save": ["head"]"#)
    let nan = Tensor([0, .nan, 0, 0])
    expect(
      .nonFinite, "m.head.weight': the element at [1]", pair + [(m + "head.weight", nan)],
      members: #""modules_to_save": ["head"]"#)
    expect(
      .unsupported, "path_initial_model_for_weight_conversion", pair,
      members: #""init_lora_weights": "pissa_niter_4""#)
    expect(.unsupported, "merge it in PEFT", pair, members: #""init_lora_weights": "loftq""#)
  }

  @Test("trained vectors without tokens, of other tokens, without vectors")
  func trainedTokens() throws {
    let vectors = (
      name: m + "e.token_adapter.trainable_tokens_delta", tensor: Tensor.zeros([2, 5])
    )
    let other = (name: m + "h.token_adapter.trainable_tokens_delta", tensor: Tensor.zeros([2, 5]))
    let key = #""trainable_token_indices": "#
    expect(.unexpectedTensor, "names no tokens", pair + [vectors])
    expect(.missingTensor, "token_adapter", pair, members: key + "[1, 2]")
    expect(.shapeMismatch, "expected [3, size]", pair + [vectors], members: key + "[1, 2, 3]")
    expect(.unexpectedTensor, "is a list", pair + [vectors, other], members: key + "[1, 2]")
    expect(
      .unexpectedTensor, "no tokens for 'm.h'", pair + [other], members: key + #"{"e": [1, 2]}"#)
    expect(
      .missingTensor, "other.token_adapter",
      pair + [vectors], members: key + #"{"e": [1, 2], "other": [3]}"#)
    let both = [(m + "e.lora_embedding_A", Tensor.zeros([2, 9])), vectors]
    expect(.unexpectedTensor, "both factors and trained tokens", both, members: key + "[1, 2]")
    // Of two with the same tokens PEFT saves one where they share a weight.
    let tied = try open(pair + [vectors], key + #"{"e": [1, 2], "other": [1, 2]}"#)
    #expect(tied.description.replacedTokens.map(\.path) == ["m.e"])
  }

  @Test("older names: with the adapter's, magnitudes as a module, saved modules as while training")
  func older() throws {
    let dora = try open(
      [
        (m + "q.lora_A.mine.weight", a), (m + "q.lora_B.mine.weight", b),
        (m + "q.lora_magnitude_vector.mine.weight", Tensor.zeros([4])),
        (m + "head.modules_to_save.mine.weight", a), (m + "head.original_module.weight", b),
      ], #""use_dora": true, "modules_to_save": ["head"]"#)
    #expect(dora.description.layers[0].lowRank?.magnitude == Tensor.zeros([4]))
    #expect(dora.description.replacements.map(\.path) == ["m.head.weight"])
    #expect(dora.description.replacements[0].value == a)
    #expect(dora.description.baseCopies.map(\.path) == ["m.head.weight"])
    let named = try open(
      [
        (m + "q.lora_embedding_A.mine", a), (m + "q.lora_embedding_B.mine", b),
        (m + "v.lora_embedding_A.mine", a), (m + "v.lora_embedding_B.mine", b),
      ])
    #expect(named.description.layers.allSatisfy { $0.lowRank?.isEmbedding == true })
    expect(
      .unexpectedTensor, "several adapters",
      [(m + "q.lora_A.mine.weight", a), (m + "q.lora_B.weight", b)])
  }

  @Test("a float64 file is read as PEFT reads it, several types of one layer widened")
  func types() throws {
    let wide = try open(pair.map { ($0.name, $0.tensor.converted(to: .float64)) })
    #expect(wide.description.layers[0].storedType == .float32)
    let mixed = try open([pair[0], (pair[1].name, pair[1].tensor.converted(to: .float16))])
    #expect(mixed.description.layers[0].storedType == .float32)
    let narrow = try open(pair.map { ($0.name, $0.tensor.converted(to: .float16)) })
    #expect(narrow.description.layers[0].storedType == .float16)
    // What does not fit a narrow type is not written as infinity.
    var layer = narrow.description.layers[0]
    layer.change = LowRankChange(
      a: Tensor.zeros([2, 3]), b: Tensor([1e6, 0], shape: [1, 2]), alpha: 8, scale: 4)

    let scratch = try Scratch()
    expectError(.nonFinite, "beyond float16's 65504.0") {
      try PEFTAdapterFile(describing: AdapterDescription(layers: [layer])).write(to: scratch.path)
    }
  }

  @Test("LoHa, LoKr and IA3 with parts missing, of another rank or side")
  func otherMethods() {
    let loha = #""peft_type": "LOHA""#
    let lokr = #""peft_type": "LOKR""#
    let ia3 = #""peft_type": "IA3", "feedforward_modules": ["v"]"#
    let (out, into) = (Tensor.zeros([4, 2]), Tensor.zeros([2, 3]))
    let hada = [
      (m + "q.hada_w1_a", out), (m + "q.hada_w1_b", into), (m + "q.hada_w2_a", out),
      (m + "q.hada_w2_b", into),
    ]
    expect(.missingTensor, "m.q.hada_w2_b'", Array(hada.dropLast()), members: loha)
    expect(
      .shapeMismatch, "expected [2, inputs], found [3, 2]",
      hada.dropLast() + [(m + "q.hada_w2_b", Tensor.zeros([3, 2]))], members: loha)
    expect(
      .shapeMismatch, "the shape of",
      hada.dropLast() + [(m + "q.hada_w2_b", Tensor.zeros([2, 5]))], members: loha)
    expect(.missingTensor, "hada_t1", hada + [(m + "q.hada_t2", out)], members: loha)
    expect(.unexpectedTensor, "LOHA as", hada + [(m + "q.lora_A.weight", a)], members: loha)
    expect(.unexpectedTensor, "no part 'lora_A'", pair + hada, members: loha)
    expect(.missingTensor, "m.q.lokr_w2'", [(m + "q.lokr_w1", out)], members: lokr)
    expect(
      .missingTensor, "m.q.lokr_w2_b'", [(m + "q.lokr_w1", out), (m + "q.lokr_w2_a", out)],
      members: lokr)
    expect(
      .shapeMismatch, "expected [2, columns], found [4, 2]",
      [(m + "q.lokr_w1", out), (m + "q.lokr_w2_a", out), (m + "q.lokr_w2_b", out)], members: lokr)
    expect(
      .unexpectedTensor, "no part 'lokr_w2_a'",
      [(m + "q.lokr_w1", out), (m + "q.lokr_w2", out), (m + "q.lokr_w2_a", out)], members: lokr)
    expect(
      .shapeMismatch, "as 'feedforward_modules' names the module",
      [(m + "v.ia3_l", Tensor.zeros([4, 1]))], members: ia3)
    expect(
      .shapeMismatch, "does not name the module", [(m + "q.ia3_l", Tensor.zeros([1, 4]))],
      members: ia3)
    expect(
      .unsupported, "convolutions", [(m + "q.ia3_l", Tensor.zeros([1, 4, 1, 1]))], members: ia3)
    expect(.unexpectedTensor, "no part 'lora_A'", pair, members: ia3)
  }

  @Test("800 damaged adapters: an error or a valid one, never a crash")
  func fuzz() throws {
    var random = SplitMix(state: 5)
    var read = 0
    let scratch = try Scratch()
    for round in 0..<800 {
      let name = PEFTFormatTests.names[round % PEFTFormatTests.names.count]
      let source = Fixtures.path("\(PEFTFormatTests.folder)/\(name)")
      for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let content = try bytes(of: "\(source)/\(file)")
        let isDamaged = (file == "adapter_config.json") == (round % 2 == 0)
        // Numbers alone are not worth damaging: the header is.
        let header = min(content.count, file == "adapter_config.json" ? content.count : 600)
        try scratch.write(
          file,
          isDamaged
            ? mutated(Array(content[..<header]), using: &random)
              + content[header...] : content)
      }
      do throws(FormatError) {
        let adapter = try PEFTAdapterFile(path: scratch.path)
        _ = try? PEFTAdapterConfiguration(describing: adapter.description)
        read += 1
      } catch {}
    }
    #expect(read > 0)
  }
}
