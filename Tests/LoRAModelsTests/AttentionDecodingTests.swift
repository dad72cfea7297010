import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Models whose attention has a window, a soft cap or both directions.
@Suite struct AttentionDecodingTests {
  /// A Llama with other attention.
  private static func model(
    _ change: @escaping @Sendable (inout TransformerStructure.Attention) -> Void
  ) throws -> any PretrainedLanguageModel {
    let architecture = Architecture(
      "attention-test", className: "AttentionTestForCausalLM", keys: Architecture.llama.keys,
      tensors: Architecture.llama.tensors
    ) { configuration throws(FormatError) in
      var structure = try Architecture.llama.structure(configuration)
      for index in structure.blocks.indices { change(&structure.blocks[index].attention) }
      return structure
    }
    let model = try TinyModels.configuration(architecture).randomLanguageModel(
      standardDeviation: 0.4, seed: 3)
    model.setTrainable(false)
    return model
  }

  /// The hidden states of pieces of these lengths, over and over, behind a cache.
  private func states(_ model: any PretrainedLanguageModel, _ tokens: Tensor, lengths: [Int])
    -> Tensor
  {
    let (batch, count) = (tokens.shape[0], tokens.shape[1])
    let cache = KeyValueCache(
      layerCount: model.layerCount, capacity: count, sequenceCount: batch)
    var (position, turn) = (0, 0)
    var pieces: [Variable] = []
    while position < count {
      let end = min(count, position + lengths[turn % lengths.count])
      pieces.append(
        model.hiddenStates(tokens.sliced(axis: 1, position..<end), cache: cache))
      (position, turn) = (end, turn + 1)
    }
    return Variable.concatenated(pieces, axis: 1).value
  }

  /// One token after the other, a few, many; by the short way, which nothing is recorded on, and by the
  /// general one.
  @Test(arguments: [nil, 5] as [Int?], [nil, 0.5] as [Float?])
  func decodingEqualsOnePass(window: Int?, softCap: Float?) throws {
    let model = try Self.model {
      $0.window = window
      $0.softCap = softCap
    }
    let tokens = TinyModels.tokens([2, 40])
    let whole = withoutGradients { model.hiddenStates(tokens, cache: nil).value }
    for lengths in [[1], [3], [12, 1, 1]] {
      for (b, tokens) in [tokens.sliced(axis: 0, 0..<1), tokens].enumerated() {
        let expected = whole.sliced(axis: 0, 0..<b + 1)
        let short = withoutGradients { states(model, tokens, lengths: lengths) }
        let general = states(model, tokens, lengths: lengths)
        for (name, states) in [("short", short), ("general", general)] {
          let comparison = compare(states, to: expected)
          #expect(
            comparison.isWithin(relative: 1e-5),
            "the \(name) way, \(lengths), \(b + 1) sequences: \(comparison)")
        }
      }
    }
    // Window and cap are not without effect.
    if window != nil || softCap != nil {
      let plain = try Self.model { _ in }
      let states = withoutGradients { plain.hiddenStates(tokens, cache: nil).value }
      #expect(maximumDifference(states, whole) > 1e-3)
    }
  }

  /// The last token reaches the first one's hidden state in an encoder alone.
  @Test(arguments: [true, false]) func encodersSeeBothWays(isCausal: Bool) throws {
    let model = try Self.model { $0.isCausal = isCausal }
    var tokens = TinyModels.tokens([1, 9]).scalars(as: Int64.self)
    func first() -> Tensor {
      withoutGradients {
        model.hiddenStates(Tensor(tokens, shape: [1, 9]), cache: nil).value[row: 0][row: 0]
      }
    }
    let before = first()
    tokens[8] = (tokens[8] + 1) % Int64(TinyModels.vocabularySize)
    #expect((first() == before) == isCausal)
  }

  /// Pieces of a sequence that is to be seen both ways would be wrong without a word.
  @Test func encodersHaveNoCache() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let model = try Self.model { $0.isCausal = false }
      let cache = KeyValueCache(layerCount: model.layerCount, capacity: 4)
      _ = withoutGradients { model.hiddenStates(TinyModels.tokens([1, 3]), cache: cache) }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("behind a cache") && text.contains("causal"), "\(text.prefix(400))")
  }
}
