import LoRAFiles

/// kohya's scripts and LyCORIS: one file, with the names of the former.
struct KohyaCodec: AdapterCodec {
  /// One of the two.
  let format: AdapterFormat

  var example: String? {
    format == .kohya
      ? "lora_unet_<path>.lora_down.weight" : "lora_unet_<path>.hada_w1_a, .lokr_w1, .dora_scale"
  }

  func hasTensor(named name: String) -> Bool { Self.format(ofTensor: name) == format }

  /// Which of the two has tensors of this name; nil if neither has.
  private static func format(ofTensor name: String) -> AdapterFormat? {
    let pieces = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard pieces.count == 2 else { return nil }
    let part = String(pieces[1])
    let isLyCORIS =
      pieces[0].hasPrefix(ImageModuleNames.genericPrefix) || part.hasPrefix("hada_")
      || part.hasPrefix("lokr_") || part == "lora_mid.weight" || part == "dora_scale"
      || KohyaAdapterFile.unsupportedParts.contains { $0.part == part }
    let isPrefixed =
      pieces[0].hasPrefix("lora_") || pieces[0].hasPrefix(ImageModuleNames.genericPrefix)
    if isLyCORIS, isPrefixed { return .lycoris }
    return KohyaAdapterFile.parts.contains(part) ? (isLyCORIS ? .lycoris : .kohya) : nil
  }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let modules = try options.basePath.map { path throws(FormatError) in
      try AdapterFile.modules(ofModel: path)
    }
    let description = try KohyaAdapterFile(path: path, modules: modules ?? []).description
    return AdapterContent(description)
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    var description = adapter.description
    description.metadata = adapter.provenance.added(to: description.metadata, for: format)
    let (file, notes) = try KohyaAdapterFile.fitting(
      description, isLyCORIS: format == .lycoris, file: path)
    return AdapterFile.Fitted(file.description, notes, parts: [try file.part(path: path)])
  }
}
