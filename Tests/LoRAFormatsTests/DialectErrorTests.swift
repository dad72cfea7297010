import Foundation
import LoRAJSON
import LoRATensor
import TestSupport
import Testing
@testable import LoRAFiles
@testable import LoRAFormats

/// What is wrong with a file, and what the error has to say.
struct WrongAdapter: Sendable, CustomTestStringConvertible {
  var name: String
  /// Tensors by name and shape, all ones; a shape of -1 in front means a NaN at the end.
  var tensors: [(String, [Int])]
  var kind: FormatError.Kind
  var texts: [String]
  var metadata: [String: String] = [:]
  var configuration: String?
  var options = AdapterFile.Options()
  var testDescription: String { name }

  /// Writes it; the path to open.
  func write(in scratch: Scratch) throws -> String {
    let values = tensors.map { name, extents -> (name: String, tensor: Tensor) in
      let isDamaged = extents.first == -1
      let shape = Shape(isDamaged ? Array(extents.dropFirst()) : extents)
      var numbers = [Float](repeating: 1, count: shape.elementCount)
      if isDamaged { numbers[numbers.count - 1] = Self.placeholder }
      return (name, Tensor(numbers, shape: shape))
    }
    let isFolder = configuration != nil
    let file = scratch.file(isFolder ? "adapters.safetensors" : "adapter.safetensors")
    try SafetensorsWriter.write(values, metadata: isFolder ? [:] : metadata, to: file)
    try Self.damage(file)
    guard let configuration else { return file }
    try scratch.write("adapter_config.json", configuration)
    return scratch.path
  }

  /// What becomes a NaN in the file: the writer refuses one.
  private static let placeholder: Float = 12345.5

  private static func damage(_ path: String) throws {
    func bytes(_ number: Float) -> Data { withUnsafeBytes(of: number.bitPattern) { Data($0) } }
    var data = try Data(contentsOf: URL(filePath: path))
    guard let place = data.range(of: bytes(placeholder)) else { return }
    data.replaceSubrange(place, with: bytes(.nan))
    try data.write(to: URL(filePath: path))
  }
}

extension WrongAdapter {
  private static let mlxConfiguration =
    #"{"fine_tune_type":"lora","num_layers":1,"lora_parameters":{"rank":2,"scale":1.0}}"#
  private static let q = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
  private static let path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"

  static let all: [WrongAdapter] = kohya + lycoris + diffusers + mlx + loralib + unknown

  private static let kohya = [
    WrongAdapter(
      name: "kohya: transposed",
      tensors: [("\(q).lora_down.weight", [4, 2]), ("\(q).lora_up.weight", [2, 5])],
      kind: .shapeMismatch, texts: ["\(q).lora_down.weight", "are transposed", "transpose both"]),
    WrongAdapter(
      name: "kohya: mixed-up ranks",
      tensors: [("\(q).lora_down.weight", [4, 6]), ("\(q).lora_up.weight", [5, 2])],
      kind: .shapeMismatch, texts: ["\(q).lora_down.weight", "rank 4", "rank 2"]),
    WrongAdapter(
      name: "kohya: mixed-up ranks on a square layer",
      tensors: [("\(q).lora_down.weight", [2, 9]), ("\(q).lora_up.weight", [9, 4])],
      kind: .shapeMismatch,
      texts: ["\(q).lora_down.weight", "rank 2", "rank 4", "[4, inputs], found [2, 9]"]),
    WrongAdapter(
      name: "kohya: a deep A beside a matrix",
      tensors: [("\(q).lora_down.weight", [2, 9, 1]), ("\(q).lora_up.weight", [9, 2])],
      kind: .shapeMismatch,
      texts: ["tensor '\(q).lora_down.weight': expected [rank, inputs], found [2, 9, 1]"]),
    WrongAdapter(
      name: "kohya: a deep B beside a matrix",
      tensors: [("\(q).lora_down.weight", [2, 9]), ("\(q).lora_up.weight", [9, 2, 1])],
      kind: .shapeMismatch,
      texts: ["tensor '\(q).lora_up.weight': expected [outputs, rank], found [9, 2, 1]"]),
    WrongAdapter(
      name: "kohya: missing partner", tensors: [("\(q).lora_down.weight", [2, 3])],
      kind: .missingTensor, texts: ["tensor '\(q).lora_up.weight'", "lora_down.weight' is there"]),
    WrongAdapter(
      name: "kohya: alpha alone", tensors: [("\(q).alpha", [])],
      kind: .missingTensor, texts: ["\(q).alpha", "no factors"]),
    WrongAdapter(
      name: "kohya: alpha of two numbers",
      tensors: [
        ("\(q).alpha", [2]), ("\(q).lora_down.weight", [2, 3]), ("\(q).lora_up.weight", [3, 2]),
      ], kind: .shapeMismatch, texts: ["\(q).alpha", "one floating-point number"]),
    WrongAdapter(
      name: "kohya: NaN",
      tensors: [("\(q).lora_down.weight", [-1, 2, 3]), ("\(q).lora_up.weight", [3, 2])],
      kind: .nonFinite, texts: ["\(q).lora_down.weight", "[1, 2]"]),
    WrongAdapter(
      name: "kohya: no module of this name",
      tensors: [("lora_unet_mid_block_attn.lora_down.weight", [2, 3])],
      kind: .unexpectedTensor, texts: ["'lora_unet_mid_block_attn'", "diffusers' format"]),
    WrongAdapter(
      name: "kohya: another model's prefix",
      tensors: [("lora_transformer_q.lora_down.weight", [2, 3])],
      kind: .unexpectedTensor, texts: ["'lora_transformer_q'"]),
    WrongAdapter(
      name: "kohya: one layer under two names",
      tensors: [
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", [2, 3]),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", [2, 3]),
      ], kind: .duplicate, texts: ["text_encoder.text_model.encoder.layers.0.mlp.fc1"]),
    WrongAdapter(
      name: "kohya: a kernel in B",
      tensors: [("\(q).lora_down.weight", [2, 3, 3, 3]), ("\(q).lora_up.weight", [3, 2, 3, 3])],
      kind: .shapeMismatch, texts: ["\(q).lora_up.weight", "extent 1"]),
    WrongAdapter(
      name: "kohya: a stranger",
      tensors: [("\(q).lora_down.weight", [2, 3]), ("\(q).lora_sideways.weight", [3, 2])],
      kind: .unexpectedTensor, texts: ["\(q).lora_sideways.weight"]),
  ]

  private static let lycoris = [
    WrongAdapter(
      name: "LyCORIS: a method that is not supported",
      tensors: [("\(q).oft_blocks", [2, 3, 3]), ("\(q).alpha", [])],
      kind: .unsupported, texts: ["OFT or BOFT", "supported are LoRA, LoCon, LoHa and LoKr"]),
    WrongAdapter(
      name: "LoHa: mixed-up ranks",
      tensors: [
        ("\(q).hada_w1_a", [4, 2]), ("\(q).hada_w1_b", [2, 3]), ("\(q).hada_w2_a", [4, 3]),
        ("\(q).hada_w2_b", [2, 3]),
      ], kind: .shapeMismatch, texts: ["\(q).hada_w2_a", "[4, 2]", "the rank 2"]),
    WrongAdapter(
      name: "LoHa: one core",
      tensors: [
        ("\(q).hada_w1_a", [2, 4]), ("\(q).hada_w1_b", [2, 3]), ("\(q).hada_w2_a", [2, 4]),
        ("\(q).hada_w2_b", [2, 3]), ("\(q).hada_t1", [2, 2, 3, 3]),
      ], kind: .missingTensor, texts: ["hada_t2"]),
    WrongAdapter(
      name: "LoKr: whole and product",
      tensors: [("\(q).lokr_w1", [2, 2]), ("\(q).lokr_w1_a", [2, 1])],
      kind: .duplicate, texts: ["lokr_w1_a", "'lokr_w1' whole"]),
    WrongAdapter(
      name: "LoKr: ranks of its products",
      tensors: [
        ("\(q).lokr_w1_a", [2, 1]), ("\(q).lokr_w1_b", [1, 2]), ("\(q).lokr_w2_a", [4, 2]),
        ("\(q).lokr_w2_b", [2, 4]),
      ], kind: .shapeMismatch, texts: ["lokr_w2_b", "rank 2"]),
    WrongAdapter(
      name: "LyCORIS: two methods in a layer",
      tensors: [
        ("\(q).lokr_w1", [2, 2]), ("\(q).lokr_w2", [2, 2]), ("\(q).lora_down.weight", [2, 3]),
      ], kind: .unexpectedTensor, texts: ["several methods"]),
    WrongAdapter(
      name: "LyCORIS: magnitudes of another shape",
      tensors: [
        ("\(q).lora_down.weight", [2, 3]), ("\(q).lora_up.weight", [4, 2]),
        ("\(q).dora_scale", [5, 1]),
      ], kind: .shapeMismatch, texts: ["\(q).dora_scale", "[4, 1] or [1, 3]"]),
  ]

  private static let diffusers = [
    WrongAdapter(
      name: "diffusers: transposed",
      tensors: [("\(path).lora_A.weight", [4, 2]), ("\(path).lora_B.weight", [2, 5])],
      kind: .shapeMismatch, texts: ["are transposed"]),
    WrongAdapter(
      name: "diffusers: missing partner", tensors: [("\(path).lora_B.weight", [4, 2])],
      kind: .missingTensor, texts: ["\(path).lora_A"]),
    WrongAdapter(
      name: "diffusers: one factor in two spellings",
      tensors: [("\(path).lora_A.weight", [2, 4]), ("\(path).lora.down.weight", [2, 4])],
      kind: .duplicate, texts: [path]),
    WrongAdapter(
      name: "diffusers: the metadata's rank",
      tensors: [("\(path).lora_A.weight", [2, 4]), ("\(path).lora_B.weight", [5, 2])],
      kind: .shapeMismatch, texts: ["its rank is 2", "says 4"],
      metadata: ["lora_adapter_metadata": #"{"unet.r":4,"unet.lora_alpha":4}"#]),
    WrongAdapter(
      name: "diffusers: metadata that is no JSON",
      tensors: [("\(path).lora_A.weight", [2, 4]), ("\(path).lora_B.weight", [5, 2])],
      kind: .malformed, texts: ["lora_adapter_metadata"],
      metadata: ["lora_adapter_metadata": "{"]),
    WrongAdapter(
      name: "diffusers: a stranger",
      tensors: [("\(path).lora_A.weight", [2, 4]), ("unet.conv_in.weight", [5, 2])],
      kind: .unexpectedTensor, texts: ["unet.conv_in.weight"]),
  ]

  private static let mlx = [
    WrongAdapter(
      name: "MLX: PEFT's orientation",
      tensors: [("l.q.lora_a", [2, 4]), ("l.q.lora_b", [5, 2])], kind: .shapeMismatch,
      texts: ["l.q.lora_a", "transposed"], configuration: mlxConfiguration),
    WrongAdapter(
      name: "MLX: another rank", tensors: [("l.q.lora_a", [4, 3]), ("l.q.lora_b", [3, 5])],
      kind: .shapeMismatch, texts: ["l.q.lora_a", "configured rank 2"],
      configuration: mlxConfiguration),
    WrongAdapter(
      name: "MLX: missing partner", tensors: [("l.q.lora_a", [4, 2])], kind: .missingTensor,
      texts: ["l.q.lora_b"], configuration: mlxConfiguration),
    WrongAdapter(
      name: "MLX: PEFT's names", tensors: [("l.q.lora_A.weight", [2, 4])],
      kind: .unexpectedTensor, texts: ["PEFT's"], configuration: mlxConfiguration),
    WrongAdapter(
      name: "MLX: magnitudes in LoRA",
      tensors: [("l.q.lora_a", [4, 2]), ("l.q.lora_b", [2, 5]), ("l.q.m", [5])],
      kind: .unexpectedTensor, texts: ["l.q.m"], configuration: mlxConfiguration),
    WrongAdapter(
      name: "MLX: no scale", tensors: [("l.q.lora_a", [4, 2])], kind: .missingKey,
      texts: ["lora_parameters.scale"],
      configuration: #"{"fine_tune_type":"lora","lora_parameters":{"rank":2}}"#),
    WrongAdapter(
      name: "MLX: a whole model", tensors: [("l.q.weight", [4, 2])], kind: .unsupported,
      texts: ["whole fine-tuned model", "mlx_lm.fuse"],
      configuration: #"{"fine_tune_type":"full","lora_parameters":{"rank":2,"scale":1}}"#),
    WrongAdapter(
      name: "MLX: NaN", tensors: [("l.q.lora_a", [-1, 4, 2]), ("l.q.lora_b", [2, 5])],
      kind: .nonFinite, texts: ["l.q.lora_a", "[3, 1]"], configuration: mlxConfiguration),
    WrongAdapter(
      name: "a configuration of nobody", tensors: [("l.q.lora_a", [4, 2])], kind: .missingKey,
      texts: ["'peft_type'", "'lora_parameters'"], configuration: #"{"rank":2}"#),
    WrongAdapter(
      name: "a configuration of both", tensors: [("l.q.lora_a", [4, 2])], kind: .missingKey,
      texts: ["'lora_parameters.rank'"],
      configuration: #"{"peft_type":"LORA","lora_parameters":{}}"#),
  ]

  private static let loralib = [
    WrongAdapter(
      name: "loralib: a stranger", tensors: [("q.lora_A", [2, 3]), ("q.weight", [4, 3])],
      kind: .unexpectedTensor, texts: ["q.weight", "lora_state_dict"], options: .init(alpha: 1)),
    WrongAdapter(
      name: "loralib: missing partner", tensors: [("q.lora_A", [2, 3])],
      kind: .missingTensor, texts: ["q.lora_B"], options: .init(alpha: 1)),
    WrongAdapter(
      name: "loralib: transposed", tensors: [("q.lora_A", [3, 2]), ("q.lora_B", [2, 5])],
      kind: .shapeMismatch, texts: ["q.lora_A", "are transposed"], options: .init(alpha: 1)),
  ]

  private static let unknown = [
    WrongAdapter(
      name: "a model", tensors: [("model.embed_tokens.weight", [4, 2])], kind: .unexpectedTensor,
      texts: ["model.embed_tokens.weight", "looked for", "lora_unet_", "kohya", "loralib"]),
    WrongAdapter(
      name: "two formats", tensors: [("q.lora_A", [2, 3]), ("\(q).lora_down.weight", [2, 3])],
      kind: .invalidValue, texts: ["several formats", "kohya", "loralib"]),
    WrongAdapter(
      name: "PEFT without its configuration",
      tensors: [("base_model.model.q.lora_A.weight", [2, 3])],
      kind: .missingFile, texts: ["adapter_config.json"]),
  ]
}

@Suite struct DialectErrorTests {
  @Test("wrong adapters are refused by name", arguments: WrongAdapter.all)
  func refused(adapter: WrongAdapter) throws {
    let scratch = try Scratch()
    let path = try adapter.write(in: scratch)
    do throws(FormatError) {
      _ = try AdapterFile(path: path, options: adapter.options)
      Issue.record("nothing was thrown")
    } catch {
      #expect(error.kind == adapter.kind, "\(error)")
      for text in adapter.texts {
        #expect(error.description.contains(text), "'\(error)' lacks '\(text)'")
      }
    }
  }

  @Test("pickles, empty folders and folders of named adapters say what to do")
  func doors() throws {
    let scratch = try Scratch()
    for (name, content) in [
      ("adapter_model.bin", [UInt8](repeating: 1, count: 9)), ("x", [0x50, 0x4B, 3, 4, 0]),
      ("y", [0x80, 2]),
    ] {
      let path = try scratch.write("pickles/\(name)", content)
      expectError(.unsupported, "pickle", "torch.load") { _ = try AdapterFile(path: path) }
    }
    try scratch.write("named/support/adapter_config.json", "{}")
    expectError(.missingFile, "'support'") { _ = try AdapterFile(path: scratch.file("named")) }
    try scratch.write("files/a.safetensors", "")
    expectError(.missingFile, "give a file: 'a.safetensors'") {
      _ = try AdapterFile(path: scratch.file("files"))
    }
    expectError(.missingFile, "does not exist") { _ = try AdapterFile(path: scratch.file("none")) }
    try scratch.write("empty", "")
    expectError(.truncated, "0 bytes") { _ = try AdapterFile(path: scratch.file("empty")) }
    let peft = Fixtures.path("formats/adapter/adapter_model.safetensors")
    #expect(try AdapterFile(path: peft).format == .peft)
    let alone = scratch.file("alone.safetensors")
    try FileManager.default.copyItem(atPath: peft, toPath: alone)
    expectError(.missingFile, "put its adapter_config.json beside it") {
      _ = try AdapterFile(path: alone)
    }
  }

  @Test("what a format has no place for is refused by the layer's name")
  func inexpressible() throws {
    var description = DialectTests.description(["unet.conv_in", "unet.conv_out"])
    for format in AdapterFormat.allCases where format.isFolder {
      let scratch = try Scratch()
      let path = try scratch.write("file", "here")
      let file = try AdapterFile(path: DialectTests.fixture("diffusers-old"))
      expectError(.invalidValue, "is a folder") { _ = try file.write(as: format, to: path) }
    }
    expectError(.unsupported, "layer 'l.q'", "no part of an image pipeline") {
      _ = try DiffusersAdapterFile.fitting(DialectTests.description(["l.q"]))
    }
    expectError(.unsupported, "layer 'l.q'", "kohya has no name") {
      _ = try KohyaAdapterFile.fitting(DialectTests.description(["l.q"]))
    }
    expectError(.unsupported, "transformer.x", "kohya has no name") {
      _ = try KohyaAdapterFile.fitting(
        DialectTests.description(["transformer.x"]), isLyCORIS: true)
    }
    description.replacements = [.init(path: "unet.conv_in.bias", value: .zeros([3]))]
    expectError(.unsupported, "unet.conv_in.bias") {
      _ = try KohyaAdapterFile.fitting(description)
    }
    expectError(.unsupported, "unet.conv_in.bias") { _ = try MLXAdapterFile.fitting(description) }
    description.replacements = []
    guard var change = description.layers[0].lowRank else { return }
    change.magnitude = Tensor([1, 1, 1, 1])
    description.layers[0].change = change
    expectError(.unsupported, "unet.conv_in", "DoRA") {
      _ = try LoralibAdapterFile.fitting(description)
    }
    expectError(.unsupported, "unet.conv_out", "LoRA and DoRA together") {
      _ = try MLXAdapterFile.fitting(description)
    }
  }

  @Test("600 damaged files: an error or an adapter, never a crash")
  func fuzz() throws {
    let scratch = try Scratch()
    let names = ["kohya-sd15", "lycoris", "diffusers-sdxl", "diffusers-old"]
    let files = try names.map { try bytes(of: DialectTests.fixture($0)) }
    var random = SplitMix(state: 17)
    var opened = 0
    for round in 0..<600 {
      // Headers are where damage matters: the length stays what it was.
      var damaged = files[round % files.count]
      let header = 8 + Int(damaged.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) })
      if round % 3 == 0 {
        damaged = mutated(damaged, using: &random)
      } else {
        let from = Int.random(in: 8..<header - 30, using: &random)
        let to = Int.random(in: 8..<header - 30, using: &random)
        let piece = Array(damaged[from..<from + Int.random(in: 1...12, using: &random)])
        damaged.replaceSubrange(to..<to + piece.count, with: piece)
      }
      let path = try scratch.write("damaged.safetensors", damaged)
      do throws(FormatError) {
        let file = try AdapterFile(path: path, options: .init(alpha: 1))
        opened += 1
        #expect(file.description.layers.allSatisfy { $0.change.measured.norm?.isNaN == false })
      } catch {}
    }
    #expect(opened > 0)
  }
}
