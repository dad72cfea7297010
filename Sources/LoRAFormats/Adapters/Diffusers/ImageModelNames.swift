import LoRAFiles

/// The structure of a Stable Diffusion UNet, from which the paths of its modules follow, in
/// diffusers' names and in those of the original code (`input_blocks`, ...), which kohya's SDXL files
/// use.
///
/// Tests compare the paths with those of diffusers' own models.
struct ImageUNet: Sendable {
  /// A stage of the UNet.
  struct Stage: Sendable {
    /// Transformer blocks of each of its attentions; 0 where it has none.
    var depth: Int
    /// Whether its first residual block changes the number of channels.
    var widens = false
    /// Whether it ends with a change of resolution.
    var resamples = true
  }

  /// The stages downwards, with two residual blocks each.
  var down: [Stage]
  /// Transformer blocks in the middle.
  var middleDepth: Int
  /// The stages upwards, with three residual blocks each.
  var up: [Stage]
  /// Whether sizes and crops are embedded too.
  var hasAddedEmbedding = false

  /// Stable Diffusion 1 and 2.
  static let stableDiffusion1 = ImageUNet(
    down: [
      Stage(depth: 1), Stage(depth: 1, widens: true), Stage(depth: 1, widens: true),
      Stage(depth: 0, resamples: false),
    ],
    middleDepth: 1,
    up: [
      Stage(depth: 0), Stage(depth: 1), Stage(depth: 1), Stage(depth: 1, resamples: false),
    ])

  /// Stable Diffusion XL.
  static let stableDiffusionXL = ImageUNet(
    down: [
      Stage(depth: 0), Stage(depth: 2, widens: true),
      Stage(depth: 10, widens: true, resamples: false),
    ],
    middleDepth: 10,
    up: [Stage(depth: 10), Stage(depth: 2), Stage(depth: 0, resamples: false)],
    hasAddedEmbedding: true)

  /// A module by its two names.
  struct Name: Sendable, Hashable {
    /// As in "down_blocks.1.attentions.0.proj_in".
    var diffusers: String
    /// As in "input_blocks.4.1.proj_in".
    var original: String
  }

  /// Every linear layer and convolution.
  var modules: [Name] {
    var names = [
      Name(diffusers: "conv_in", original: "input_blocks.0.0"),
      Name(diffusers: "conv_out", original: "out.2"),
      Name(diffusers: "time_embedding.linear_1", original: "time_embed.0"),
      Name(diffusers: "time_embedding.linear_2", original: "time_embed.2"),
    ]
    if hasAddedEmbedding {
      names.append(Name(diffusers: "add_embedding.linear_1", original: "label_emb.0.0"))
      names.append(Name(diffusers: "add_embedding.linear_2", original: "label_emb.0.2"))
    }
    for (i, stage) in down.enumerated() {
      for j in 0..<2 {
        let block = Name(
          diffusers: "down_blocks.\(i)", original: "input_blocks.\(1 + 3 * i + j)")
        names += residual(block, j, part: 0, hasShortcut: j == 0 && stage.widens)
        names += attention(block, j, depth: stage.depth)
      }
      if stage.resamples {
        names.append(
          Name(
            diffusers: "down_blocks.\(i).downsamplers.0.conv",
            original: "input_blocks.\(3 + 3 * i).0.op"))
      }
    }
    let middle = Name(diffusers: "mid_block", original: "middle_block")
    names += residual(middle, 0, part: 0, hasShortcut: false)
    names += attention(middle, 0, depth: middleDepth)
    names += residual(middle, 1, part: 2, hasShortcut: false)
    for (i, stage) in up.enumerated() {
      for j in 0..<3 {
        let block = Name(diffusers: "up_blocks.\(i)", original: "output_blocks.\(3 * i + j)")
        names += residual(block, j, part: 0, hasShortcut: true)
        names += attention(block, j, depth: stage.depth)
      }
      if stage.resamples {
        names.append(
          Name(
            diffusers: "up_blocks.\(i).upsamplers.0.conv",
            original: "output_blocks.\(3 * i + 2).\(stage.depth > 0 ? 2 : 1).conv"))
      }
    }
    return names
  }

  private func residual(_ block: Name, _ j: Int, part: Int, hasShortcut: Bool) -> [Name] {
    let parts =
      [
        ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("conv2", "out_layers.3"),
      ] + (hasShortcut ? [("conv_shortcut", "skip_connection")] : [])
    return parts.map { diffusers, original in
      Name(
        diffusers: "\(block.diffusers).resnets.\(j).\(diffusers)",
        original: "\(block.original).\(part).\(original)")
    }
  }

  private func attention(_ block: Name, _ j: Int, depth: Int) -> [Name] {
    guard depth > 0 else { return [] }
    var parts = ["proj_in", "proj_out"]
    for k in 0..<depth {
      for attention in ["attn1", "attn2"] {
        for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
          parts.append("transformer_blocks.\(k).\(attention).\(projection)")
        }
      }
      parts.append("transformer_blocks.\(k).ff.net.0.proj")
      parts.append("transformer_blocks.\(k).ff.net.2")
    }
    return parts.map {
      Name(
        diffusers: "\(block.diffusers).attentions.\(j).\($0)",
        original: "\(block.original).1.\($0)")
    }
  }
}

/// The names of image adapters' layers: paths such as "unet.mid_block.attentions.0.proj_in", and
/// kohya's, where dots are underscores and cannot be told from those within a word.
enum ImageModuleNames {
  /// The parts of an image model, as diffusers calls them.
  static let components = ["unet", "transformer", "text_encoder", "text_encoder_2"]

  /// The part that `path` lies in; nil if it is no image adapter's path.
  static func component(of path: String) -> String? {
    // GPT-2 calls its body "transformer" too.
    if languageModelParts.contains(where: path.hasPrefix) { return nil }
    return components.first { path.hasPrefix($0 + ".") }
  }

  /// The part that the PEFT adapter in the folder at `path` is of, by the folder's name and the
  /// layers'; nil if it is no part of an image model.
  static func component(ofFolder path: String, _ description: AdapterDescription) -> String? {
    let paths = description.layers.map(\.path)
    func begin(_ starts: [String]) -> Bool {
      !paths.isEmpty && paths.allSatisfy { path in starts.contains(where: path.hasPrefix) }
    }
    let folder = FileSystem.isFolder(path) ? path : FileSystem.folder(of: path)
    let name = FileSystem.name(of: FileSystem.absolute(folder))
    let ofUNet = [
      "down_blocks.", "mid_block.", "up_blocks.", "conv_in", "conv_out", "time_embedding.",
      "add_embedding.",
    ]
    if begin(ofUNet),
      paths.contains(where: { path in ofUNet.prefix(3).contains(where: path.hasPrefix) })
    {
      return "unet"
    }
    switch name {
    case "text_encoder", "text_encoder_2": return begin(["text_model.", "encoder."]) ? name : nil
    case "transformer":
      return begin(["transformer_blocks.", "single_transformer_blocks."]) ? name : nil
    default: return nil
    }
  }

  private static let languageModelParts = ["h.", "wte", "wpe", "ln_f", "word_embeddings"]
    .map { "transformer." + $0 }

  /// The linear layers of a CLIP text encoder of up to 32 blocks.
  static let textEncoder: [String] =
    (0..<32).flatMap { block in
      [
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1",
        "mlp.fc2",
      ].map { "text_model.encoder.layers.\(block).\($0)" }
    } + ["text_projection"]

  /// Paths within the UNet by kohya's names, of every model and both naming schemes.
  private static let unet: [String: String] = {
    var table: [String: String] = [:]
    for model in [ImageUNet.stableDiffusion1, .stableDiffusionXL] {
      for name in model.modules {
        table[underscored(name.diffusers)] = name.diffusers
        table[underscored(name.original)] = name.diffusers
      }
    }
    return table
  }()

  private static let text: [String: String] = Dictionary(
    uniqueKeysWithValues: textEncoder.map { (underscored($0), $0) })

  /// The original names of SDXL's UNet.
  private static let original: [String: String] = Dictionary(
    uniqueKeysWithValues: ImageUNet.stableDiffusionXL.modules.map { ($0.diffusers, $0.original) })

  /// What only SDXL's UNet has.
  private static let onlyXL: Set<String> = Set(ImageUNet.stableDiffusionXL.modules.map(\.diffusers))
    .subtracting(ImageUNet.stableDiffusion1.modules.map(\.diffusers))

  private static let onlyStableDiffusion1: Set<String> = Set(
    ImageUNet.stableDiffusion1.modules.map(\.diffusers)
  ).subtracting(ImageUNet.stableDiffusionXL.modules.map(\.diffusers))

  static func underscored(_ path: String) -> String { path.replacing(".", with: "_") }

  /// kohya's prefixes and the parts they stand for.
  static let prefixes: [(prefix: String, component: String)] = [
    ("lora_unet_", "unet"), ("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2"),
    ("lora_te_", "text_encoder"),
  ]
  /// The prefix of LyCORIS outside of kohya's scripts.
  static let genericPrefix = "lycoris_"

  /// The path that kohya's name for a layer stands for; nil if no known module is called so.
  /// `modules` are the paths of another model's, for names that begin with `lycoris_`.
  static func path(ofKohya name: String, modules: [String: String]) -> String? {
    if name.hasPrefix(genericPrefix) { return modules[String(name.dropFirst(genericPrefix.count))] }
    for (prefix, component) in prefixes where name.hasPrefix(prefix) {
      let rest = String(name.dropFirst(prefix.count))
      return (component == "unet" ? unet : text)[rest].map { "\(component).\($0)" }
    }
    return nil
  }

  /// kohya's name for the layer at `path`; nil if it has none.
  static func kohya(_ path: String, isXL: Bool) -> String? {
    guard let component = component(of: path) else { return nil }
    let rest = String(path.dropFirst(component.count + 1))
    switch component {
    case "unet":
      if isXL { return original[rest].map { "lora_unet_" + underscored($0) } }
      return unet[underscored(rest)] == rest ? "lora_unet_" + underscored(rest) : nil
    case "text_encoder", "text_encoder_2":
      guard text[underscored(rest)] == rest else { return nil }
      let prefix = isXL ? (component == "text_encoder" ? "lora_te1_" : "lora_te2_") : "lora_te_"
      return isXL || component == "text_encoder" ? prefix + underscored(rest) : nil
    default:
      return nil
    }
  }

  /// Whether an adapter is one for SDXL: it names a layer that only SDXL has, its attention reads a
  /// text of SDXL's width, or its metadata says so.
  static func isXL(_ description: AdapterDescription) -> Bool {
    var paths = Set<String>()
    for layer in description.layers {
      if layer.path.hasPrefix("text_encoder_2.") { return true }
      if layer.path.hasPrefix("unet.") { paths.insert(String(layer.path.dropFirst(5))) }
      if layer.path.hasPrefix("unet."), let change = layer.lowRank,
        layer.path.hasSuffix(".attn2.to_k"), change.inputSize == 2048
      {
        return true
      }
    }
    if !paths.isDisjoint(with: onlyXL) { return true }
    if !paths.isDisjoint(with: onlyStableDiffusion1) { return false }
    let keys = ["modelspec.architecture", "ss_base_model_version"]
    return keys.contains { key in
      let value = description.metadata[key] ?? ""
      return value.contains("xl")
    }
  }
}
