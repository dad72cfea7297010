import LoRATensor
import Testing

@testable import LoRAFormats

/// What a configuration names that applies to nothing, and what is written in place of expressions.
@Suite struct UnmatchedTests {
  private static let paths = (0..<3).flatMap { layer in
    ["self_attn.q_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.down_proj"].map {
      "model.layers.\(layer).\($0)"
    }
  }

  private func unmatched(
    _ targets: PEFTAdapterConfiguration.Modules, _ change: (inout PEFTAdapterConfiguration) -> Void
  ) -> [String] {
    var configuration = PEFTAdapterConfiguration(rank: 4, alpha: 8, targets: targets)
    change(&configuration)
    return configuration.unmatched(
      layers: Self.paths.filter(configuration.matches), among: Self.paths)
  }

  @Test func namesWhatMatchesNothing() {
    #expect(
      unmatched(.names(["q_proj", "v_porj", "lm_head"])) { _ in } == [
        "target_modules: 'lm_head' matches no layer", "target_modules: 'v_porj' matches no layer",
      ])
    #expect(
      unmatched(.names(["q_proj", "v_proj"])) { $0.excluded = .names(["v_proj", "k_proj"]) } == [
        "target_modules: 'v_proj' names no layer that is adapted: what else is given leaves all of "
          + "them out", "exclude_modules: 'k_proj' excludes nothing",
      ])
    #expect(
      unmatched(.names(["q_proj"])) { $0.excluded = .pattern(#".*\bk_proj"#) } == [
        #"exclude_modules: '.*\bk_proj' excludes nothing"#
      ])
    #expect(
      unmatched(.names(["q_proj"])) {
        $0.rankPattern = [.init(key: "^q_proj", value: 2), .init(key: #"\bq_proj"#, value: 3)]
        $0.alphaPattern = [.init(key: "typo_proj", value: 99), .init(key: "down_proj", value: 1)]
      } == [
        "rank_pattern: the key '^q_proj' matches no adapted layer and is ignored",
        "alpha_pattern: the key 'typo_proj' matches no adapted layer and is ignored",
        "alpha_pattern: the key 'down_proj' matches no adapted layer and is ignored",
      ])
    #expect(
      unmatched(.names(["q_proj"])) {
        $0.layersToTransform = [1, 9]
        $0.layersPattern = ["layers", "h"]
      } == [
        "layers_to_transform: 9 is the index of no adapted layer",
        "layers_pattern: 'h' matches no adapted layer",
      ])
    #expect(
      unmatched(.pattern(".*_proj")) {
        $0.method = .ia3(.init(feedForward: .names(["down_proj", "up_proj"])))
      } == ["feedforward_modules: 'up_proj' matches no adapted layer"])
    #expect(unmatched(.pattern(#".*\b(q|v)_proj"#)) { _ in } == [])
  }

  /// The numbers of PEFT: `\b` stands between a dot and a letter, `&&` in a set is two characters.
  @Test func readsKeysAsPythonDoes() {
    var configuration = PEFTAdapterConfiguration(rank: 4, alpha: 8, targets: .names(["q_proj"]))
    let path = "model.layers.0.self_attn.q_proj"
    for (key, isMeant) in [
      (#"\bq_proj"#, true), (#".*\bq_proj\b"#, true), (#"self_attn\b.q_proj"#, true),
      (#"self_attn\B.q_proj"#, false), ("[a-z_&&q]+", true), ("[&&]_proj", false),
      ("q_proj|k_proj", true), ("(?:q|k)_proj", true), (#"layers\.[0-1]\..*"#, true),
      ("(?<=attn.)q_proj", true), ("(?<!attn.)q_proj", false), ("(?!q)._proj", false),
      ("q_pro", false), ("proj", false), (".*", true), ("q_proj$", true), (#"(?i:Q_PROJ)"#, true),
      ("((a|q)*_?)+proj", true),
    ] {
      configuration.alphaPattern = [.init(key: key, value: 32)]
      #expect((configuration.alpha(forPath: path) == 32) == isMeant, "\(key)")
      #expect(configuration.invalidExpression == nil, "\(key)")
    }
    configuration.alphaPattern = [.init(key: #"(q)_\1"#, value: 32)]
    #expect(configuration.invalidExpression?.field == "alpha_pattern")
    #expect(
      configuration.invalidExpression?.problem
        == "a reference to a group, \\1, at character 4, in Python's syntax")
  }

  /// A block or an activation that an expression also matches would make PEFT refuse the adapter.
  @Test(arguments: [
    (PEFTAdapterConfiguration.Modules.pattern(".*mlp.*"), ["down_proj", "gate_proj"]),
    (.pattern(#".*mlp\..*"#), ["down_proj", "gate_proj"]),
    (
      .pattern(#".*\.1\.self_attn.*"#),
      [
        "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj",
      ]
    ),
    (.names(["q_proj", "mlp"]), ["q_proj"]),
    (.names(["q_proj", "v_proj"]), ["q_proj", "v_proj"]),
  ])
  func writesNamesForExpressions(
    _ targets: PEFTAdapterConfiguration.Modules, _ expected: [String]
  ) throws {
    var kept = PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: targets)
    kept.excluded = .names(["k_proj"])
    let layers = Self.paths.filter(kept.matches)
    let description = AdapterDescription(
      layers: layers.map {
        AdapterDescription.Layer(
          path: $0,
          change: LowRankChange(
            a: Tensor([1, 1], shape: [1, 2]), b: Tensor([1, 1], shape: [2, 1]), alpha: 1, scale: 1
          ))
      })
    let written = try PEFTAdapterConfiguration(
      describing: description, among: Self.paths, keeping: kept)
    #expect(written.targets == .names(expected))
    #expect(Self.paths.filter(written.matches) == layers)
    let alone = try PEFTAdapterConfiguration(describing: description, keeping: kept)
    #expect(Self.paths.filter(alone.matches) == layers)
    if case .pattern = alone.targets { Issue.record("an expression was written") }
  }
}
