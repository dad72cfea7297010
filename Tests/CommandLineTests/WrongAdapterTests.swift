import Foundation
import LoRAFiles
import LoRATensor
import Testing

/// Adapters that are wrong in the ways that people meet: each is refused with one line that names the
/// tensor, the layer or the key, and says what to do.
@Suite struct WrongAdapterTests {
  private static let model = Fixtures.path("conformance/llama/model")
  private static let prefix = "base_model.model.model.layers"

  /// A copy of a good adapter whose tensors went through `change`, and whose configuration had
  /// `text` replaced.
  private func adapter(
    replacing text: (String, String)? = nil,
    _ change: ([(name: String, tensor: Tensor)]) -> [(name: String, tensor: Tensor)] = { $0 }
  ) throws -> String {
    let folder = try Command.temporaryFolder() + "/adapter"
    try FileManager.default.copyItem(
      atPath: Fixtures.path("conformance/llama/target-list"), toPath: folder)
    let path = folder + "/adapter_model.safetensors"
    let file = try SafetensorsFile(path: path, access: .copied)
    let tensors = try file.names.map { (name: $0, tensor: try file.tensor(named: $0)) }
    let changed = change(tensors)
    try SafetensorsWriter.write(
      changed, metadata: ["format": "pt"], copies: Set(changed.map(\.name)), to: path)
    if let text {
      let path = folder + "/adapter_config.json"
      let old = try String(contentsOfFile: path, encoding: .utf8)
      #expect(old.contains(text.0))
      try Fixtures.write(old.replacing(text.0, with: text.1), to: path)
    }
    return folder
  }

  /// The one line that refuses `adapter` on the tiny Llama.
  private func refusal(_ adapter: String, on model: String = model) throws -> String {
    try FailureTests().score(model, "--adapter", adapter)
  }

  /// As it is, the adapter is a good one.
  @Test func theUnchangedAdapterIsAccepted() throws {
    let ids = try Fixtures.file("ids.json", "[[3,4,5]]")
    _ = try Command.succeed(
      "score", "--model", Self.model, "--ids", ids, "--json", "--adapter", adapter())
  }

  @Test func wrongBase() throws {
    let other = Fixtures.path("conformance/gpt2/target-list")
    let message = try refusal(other)
    #expect(message.contains("'transformer.h.0.attn.c_attn', which the model lacks"))
    let wide = try refusal(
      adapter { tensors in
        tensors.map { name, tensor in
          let axis = name.contains("lora_A") ? 1 : 0
          return (name, .concatenated([tensor, tensor], axis: axis))
        }
      })
    #expect(wide.contains("layers.0.mlp.down_proj: expected 24 inputs and 16 outputs, found 48"))
  }

  @Test func transposedFactors() throws {
    let all = try refusal(adapter { $0.map { ($0.name, $0.tensor.transposed()) } })
    #expect(all.contains("down_proj.lora_A.weight': both factors lie transposed"))
    // Also where inputs and outputs are as many.
    let square = try refusal(
      adapter { tensors in
        tensors.map { ($0.name, $0.name.contains("q_proj") ? $0.tensor.transposed() : $0.tensor) }
      })
    #expect(
      square.contains("layers.0.self_attn.q_proj.lora_A.weight': both factors lie transposed"))
  }

  @Test(arguments: [
    ("base_model.model.", "", "'model.layers.0.mlp.down_proj.lora_A.weight'"),
    (
      "base_model.model.model.", "base_model.model.language_model.model.",
      "'language_model.model.layers.0.mlp.down_proj'"
    ),
    (".lora_A.", ".lora_down.", "lora_A.weight': it is missing"),
  ])
  func prefixesThatDiffer(old: String, new: String, named: String) throws {
    let message = try refusal(
      adapter { tensors in
        tensors.map { ($0.name.replacing(old, with: new), $0.tensor) }
      })
    #expect(message.contains(named))
  }

  @Test func tensorsThatOccurTwice() throws {
    // A header with one key twice.
    let folder = try adapter()
    let url = URL(filePath: folder + "/adapter_model.safetensors")
    let bytes = try Data(contentsOf: url)
    let length = bytes.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
    let name = "\(Self.prefix).0.mlp.down_proj.lora_A.weight"
    let start = try #require(header.range(of: "\"\(name)\""))
    let end = try #require(header.range(of: "}", range: start.upperBound..<header.endIndex))
    let again = header[start.lowerBound..<end.upperBound]
    let twice = header.replacingCharacters(
      in: start.lowerBound..<start.lowerBound, with: again + ",")
    let size = withUnsafeBytes(of: UInt64(twice.utf8.count).littleEndian) { Data($0) }
    try (size + Data(twice.utf8) + bytes.dropFirst(8 + length)).write(to: url)
    let message = try refusal(folder)
    #expect(message.contains(name) && message.contains("a second time"))

    // One tensor by two names.
    let spelled = try refusal(
      adapter { tensors in
        tensors + [
          (name: tensors[0].name.replacing("base_model.model.", with: ""), tensors[0].tensor)
        ]
      })
    #expect(spelled.contains("'model.layers.0.mlp.down_proj.lora_A.weight'"))
  }

  @Test(arguments: [Float.nan, .infinity]) func numbersThatAreNone(value: Float) throws {
    let message = try refusal(
      adapter { tensors in
        tensors.map { name, tensor in
          guard name == "\(Self.prefix).1.self_attn.q_proj.lora_B.weight" else {
            return (name, tensor)
          }
          var elements = tensor.scalars()
          elements[5] = value
          return (name, Tensor(elements, shape: tensor.shape))
        }
      })
    #expect(message.contains("layers.1.self_attn.q_proj.lora_B.weight': the element at [2, 1]"))
  }

  @Test func adaptersWithoutEffect() throws {
    let folder = try adapter { tensors in
      tensors.map { ($0.name, $0.name.contains("lora_B") ? .zeros($0.tensor.shape) : $0.tensor) }
    }
    #expect(try refusal(folder).contains("every contribution of the adapter is zero"))
    // One layer without is no mistake of the file's, but is said.
    let partly = try adapter { tensors in
      tensors.map { name, tensor in
        (name, name.contains("1.mlp.down_proj.lora_B") ? .zeros(tensor.shape) : tensor)
      }
    }
    let inspected = try Command.succeed("inspect", partly)
    #expect(inspected.output.contains("1 of 4 layers have no effect"))
  }

  @Test func ranksThatAreMixedUp() throws {
    let factor = try refusal(
      adapter { tensors in
        tensors.map { name, tensor in
          guard name.contains("1.mlp.down_proj.lora_A") else { return (name, tensor) }
          return (name, .concatenated([tensor, tensor], axis: 0))
        }
      })
    #expect(factor.contains("layers.1.mlp.down_proj.lora_A.weight'"))
    #expect(factor.contains("have different ranks"))
    let configured = try refusal(adapter(replacing: ("\"r\": 2", "\"r\": 4")))
    #expect(configured.contains("expected [4, inputs] for the configured rank 4, found [2, 24]"))
    let pattern = try refusal(
      adapter(replacing: ("\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 1}")))
    #expect(pattern.contains("self_attn.q_proj.lora_A.weight': expected [1, inputs]"))
  }

  @Test func alphaOfZero() throws {
    let rule = try refusal(adapter(replacing: ("\"lora_alpha\": 6", "\"lora_alpha\": 0")))
    #expect(rule.contains("'lora_alpha': an alpha of 0"))
    let pattern = try refusal(
      adapter(replacing: ("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"q_proj\": 0}")))
    #expect(pattern.contains("'alpha_pattern.q_proj': an alpha of 0"))
  }

  /// Every method of PEFT's that is not built, and one that PEFT does not know either.
  @Test(arguments: [
    "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADALORA",
    "ADAPTION_PROMPT", "OFT", "BOFT", "FOURIERFT", "XLORA", "HRA", "LN_TUNING", "POLY", "VBLORA",
    "CPT", "BONE", "MISS", "SHIRA", "TRAINABLE_TOKENS", "RANDLORA", "NO_SUCH_TYPE",
  ])
  func methodsThatAreNotBuilt(type: String) throws {
    let message = try refusal(adapter(replacing: ("\"LORA\"", "\"\(type)\"")))
    #expect(message.contains("adapters of type '\(type)' are not supported"))
    #expect(message.contains("supported are 'LORA', 'LOHA', 'LOKR', 'IA3'"))
  }
}
