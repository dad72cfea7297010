import LoRAFiles

/// What the name of a tensor in a PEFT file says: `base_model.model.<path>.<part>`, where older
/// files keep the adapter's name in the part, as in `lora_A.default.weight`.
struct PEFTTensorName {
  /// What the tensor is to the module at ``path``.
  enum Role {
    /// A part of the adapter itself, by its canonical name: "lora_A", "lora_B.bias",
    /// "lora_magnitude_vector", "hada_w1_a", "ia3_l", "trainable_tokens_delta", ...
    case part(String)
    /// The base's own parameter of a module with an adapter (`base_layer.weight`).
    case baseLayer(String)
    /// The base's own parameter of a module that was saved whole (`original_module.weight`).
    case originalModule(String)
    /// A parameter of a module that was saved whole, under the name that it has while training
    /// (`modules_to_save.weight`, or with the adapter's name before the parameter's).
    case savedModule(String)
    /// A parameter under the name that it has in the base.
    case parameter(String)
  }

  static let prefix = "base_model.model."
  /// What the names of parameters saved beside virtual tokens begin with: PEFT puts nothing around the
  /// model then.
  static let promptedPrefix = "base_model."

  /// The module's path in the base model.
  let path: String
  /// What the tensor is to it.
  let role: Role
  /// The adapter's name, where the file keeps it.
  let adapter: String?

  /// Reads the name of a tensor, beside virtual tokens or in a file of layers; `file` is for errors.
  init(parsing name: String, ofPromptedModel: Bool, file: String) throws(FormatError) {
    guard ofPromptedModel, name.hasPrefix(Self.promptedPrefix) else {
      self = try Self(parsing: name, file: file)
      return
    }
    self = try Self(
      parsing: Self.prefix + name.dropFirst(Self.promptedPrefix.count), file: file)
  }

  /// Reads the tensor's name `name`; `file` is for errors.
  init(parsing name: String, file: String) throws(FormatError) {
    let rest = try Self.withoutPrefix(name, file)
    let parts = rest.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 2, !parts.contains("") else { throw Self.unknown(name, file) }
    for wrapper in ["_orig_mod", "_fsdp_wrapped_module"] where parts.contains(wrapper) {
      throw FormatError(
        .unexpectedTensor, file: file, tensor: name,
        "its path goes through '\(wrapper)', a wrapper that PyTorch puts around modules",
        remedy: "save the adapter of the module that is wrapped, or rename the tensors without it")
    }
    if let marker = parts.lastIndex(where: { Self.markers.contains($0) }), marker > 0 {
      guard
        let (role, adapter) = Self.role(of: parts[marker], Array(parts[(marker + 1)...]))
      else { throw Self.unknown(name, file) }
      var path = parts[..<marker]
      // Trained token vectors sit in a module of their own.
      if path.last == "token_adapter" { path = path.dropLast() }
      guard !path.isEmpty else { throw Self.unknown(name, file) }
      self.path = path.joined(separator: ".")
      self.role = role
      self.adapter = adapter
    } else {
      let last = parts.count - 1
      guard !Self.markers.contains(parts[0]) else { throw Self.unknown(name, file) }
      path = parts[..<last].joined(separator: ".")
      role = .parameter(parts[last])
      adapter = nil
    }
  }

  private static let tokenVectors = "trainable_tokens_delta"
  private static let parts = Dictionary(
    PEFTAdapterConfiguration.Method.all.flatMap { $0.parts }.map { ($0.name, $0) },
    uniquingKeysWith: { first, _ in first })
  private static let markers = Set(parts.keys).union([
    tokenVectors, "base_layer", "original_module", "modules_to_save",
  ])

  /// The role of what follows the component `marker`, and the adapter's name if it is there.
  private static func role(
    of marker: String, _ rest: [String]
  ) -> (role: Role, adapter: String?)? {
    switch marker {
    case "base_layer", "original_module":
      guard rest.count == 1 || marker == "original_module", !rest.isEmpty else { return nil }
      let parameter = rest.joined(separator: ".")
      return (marker == "base_layer" ? .baseLayer(parameter) : .originalModule(parameter), nil)
    case "modules_to_save":
      return rest.isEmpty ? nil : (.savedModule(rest.joined(separator: ".")), nil)
    default:
      let part = parts[marker] ?? PEFTPart(marker)
      return part.part(followedBy: rest).map { (.part($0.part), $0.adapter) }
    }
  }

  private static func unknown(_ name: String, _ file: String) -> FormatError {
    FormatError(
      .unexpectedTensor, file: file, tensor: name,
      "it is no part of an adapter that PEFT would write, such as '<path>.lora_A.weight'")
  }

  private static func withoutPrefix(
    _ name: String, _ file: String
  ) throws(FormatError) -> Substring {
    let rename = "rename the tensors, or save them again with PeftModel.save_pretrained"
    guard name.hasPrefix(prefix) else {
      let dialects: [(isIt: Bool, what: String)] = [
        (name.hasPrefix("lora_unet_") || name.hasPrefix("lora_te"), "kohya's names"),
        (name.hasSuffix(".lora_a") || name.hasSuffix(".lora_b"), "MLX's names"),
        (
          ["unet.", "transformer.", "text_encoder"].contains { name.hasPrefix($0) },
          "the names of diffusers"
        ),
      ]
      let dialect = dialects.first { $0.isIt }.map { ", these look like \($0.what)" } ?? ""
      throw FormatError(
        .unexpectedTensor, file: file, tensor: name,
        "names in PEFT's adapters begin with '\(prefix)'\(dialect); PEFT would skip it silently",
        remedy: dialect.isEmpty ? rename : "open the file as what it is")
    }
    let rest = name.dropFirst(prefix.count)
    guard !rest.hasPrefix(prefix) else {
      throw FormatError(
        .unexpectedTensor, file: file, tensor: name,
        "the prefix '\(prefix)' occurs twice; PEFT would skip it silently", remedy: rename)
    }
    return rest
  }
}
