package import LoRAFiles
import LoRATensor

extension KohyaAdapterFile {
  /// The adapter as kohya's scripts or, with `isLyCORIS`, LyCORIS can hold it, and what had to be
  /// done for that. Throws `FormatError` for what has no place there, by the layer's name.
  ///
  /// Every layer has its own alpha, so factors stay as they are. Exceptions: a scale of 0, since an
  /// alpha of 0 means the rank, and a scale on two whole factors of LoKr, whose alpha LyCORIS
  /// ignores; these go into a factor.
  package static func fitting(
    _ description: AdapterDescription, isLyCORIS: Bool = false, file: String = "adapter"
  ) throws(FormatError) -> (file: KohyaAdapterFile, notes: [AdapterNote]) {
    let format = isLyCORIS ? AdapterFormat.lycoris : .kohya
    try description.refuseReplacements(for: format, file)
    var result = description
    var notes: [AdapterNote] = []
    let isXL = ImageModuleNames.isXL(description)
    for index in description.layers.indices {
      let layer = description.layers[index]
      guard name(of: layer.path, isXL: isXL, isLyCORIS: isLyCORIS) != nil else {
        throw description.refusal(
          layer.path, format, file, "it: kohya has no name for this layer",
          remedy: isLyCORIS
            ? "give the factors of one image model, with paths as diffusers has them"
            : "its names are those of Stable Diffusion 1, 2 and XL; write another format")
      }
      if !isLyCORIS,
        layer.lowRank?.middle != nil || layer.lowRank?.magnitude != nil
          || layer.lowRank == nil
      {
        throw description.refusal(
          layer.path, format, file,
          layer.lowRank?.middle != nil ? "cores (LoCon)" : layer.change.methodName,
          remedy: "write it as lycoris")
      }
      switch layer.change {
      case let change as LowRankChange:
        if change.bias != nil || change.isEmbedding {
          throw description.refusal(
            layer.path, format, file, change.isEmbedding ? "embeddings" : "biases of B")
        }
        if change.scale == 0 {
          let (folded, _) = change.folded(toScale: 1, alpha: Double(change.rank))
          result.layers[index].change = folded
          notes.append(
            AdapterNote(
              layer: layer.path,
              text: "its scale 0 is folded into B, which becomes 0: an alpha of 0 means the rank"))
        }
      case var change as KroneckerChange:
        if change.rank == nil || change.isWhole, change.scale != 1 {
          change = change.scalingSecond()
          notes.append(
            AdapterNote(
              layer: layer.path,
              text: "its scale is folded into w2 with one float32 rounding: LyCORIS does not scale "
                + "two whole factors"))
          result.layers[index].change = change
          result.layers[index].storedType = .float32
        }
      case let change as HadamardChange:
        if change.scale == 0 {
          throw description.refusal(
            layer.path, format, file, "a scale of 0: an alpha of 0 means the rank",
            remedy: "leave the layer out, it has no effect")
        }
      default:
        throw description.refusal(layer.path, format, file, layer.change.methodName)
      }
      let alpha = result.layers[index].change.kohyaAlpha
      if Double(Float(alpha)) != alpha {
        notes.append(
          AdapterNote(layer: layer.path, text: "its alpha \(alpha) is rounded to float32"))
      }
    }
    result.metadata["lora_adapter_metadata"] = nil
    if result.metadata["format"] != nil { result.metadata["format"] = "pt" }
    return (KohyaAdapterFile(description: result), notes)
  }

  private static func name(of path: String, isXL: Bool, isLyCORIS: Bool) -> String? {
    if let name = ImageModuleNames.kohya(path, isXL: isXL) { return name }
    guard isLyCORIS, ImageModuleNames.component(of: path) == nil else { return nil }
    return ImageModuleNames.genericPrefix + ImageModuleNames.underscored(path)
  }

  /// Writes the file at `path`, atomically. Names are kohya's: those of the original code for the
  /// UNet of SDXL, diffusers' otherwise, `lycoris_` and the path for layers of other models.
  ///
  /// Throws `FormatError` for what ``fitting(_:isLyCORIS:file:)`` refuses or would change, and
  /// `FileError` if writing fails.
  package func write(to path: String) throws {
    try AtomicFile.writeAll([try part(path: path)])
  }

  func part(path: String) throws(FormatError) -> AtomicFile.Part {
    let isXL = ImageModuleNames.isXL(description)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in description.layers {
      guard let name = Self.name(of: layer.path, isXL: isXL, isLyCORIS: true) else {
        throw description.refusal(
          layer.path, .kohya, path, "it: kohya has no name for this layer")
      }
      for (part, tensor) in try parts(of: layer, path) {
        let part = "\(name).\(part)"
        tensors.append((part, try tensor.stored(as: layer.storedType, named: part, file: path)))
      }
      let alpha = Tensor(scalar: Float(layer.change.kohyaAlpha))
      let narrow = alpha.converted(to: layer.storedType)
      tensors.append(
        ("\(name).alpha", narrow.converted(to: .float32) == alpha ? narrow : alpha))
    }
    return try SafetensorsWriter.part(tensors, metadata: description.metadata, path: path)
  }

  private func parts(
    of layer: AdapterDescription.Layer, _ file: String
  ) throws(FormatError) -> [(String, Tensor)] {
    func optional(_ part: String, _ tensor: Tensor?) -> [(String, Tensor)] {
      tensor.map { [(part, $0)] } ?? []
    }
    func magnitude(_ tensor: Tensor?, dimensions: Int) -> [(String, Tensor)] {
      // [out] lies as [out, 1, ...], [1, in] as [1, in, ...].
      let last = layer.path.split(separator: ".").last ?? ""
      let count = max(2, last.hasPrefix("conv") ? max(4, dimensions) : dimensions)
      return optional(
        "dora_scale",
        tensor.map { tensor in
          let shape = tensor.shape.dimensions
          return tensor.reshaped(
            to: Shape(shape + Array(repeating: 1, count: max(0, count - shape.count))))
        })
    }
    switch layer.change {
    case let change as LowRankChange:
      return [("lora_down.weight", change.a), ("lora_up.weight", change.b)]
        + optional("lora_mid.weight", change.middle)
        + magnitude(change.magnitude, dimensions: change.a.shape.count)
    case let change as HadamardChange:
      return [
        ("hada_w1_a", change.b1), ("hada_w1_b", change.a1), ("hada_w2_a", change.b2),
        ("hada_w2_b", change.a2),
      ] + optional("hada_t1", change.t1) + optional("hada_t2", change.t2)
        + magnitude(change.magnitude, dimensions: change.t1?.shape.count ?? 2)
    case let change as KroneckerChange:
      var dimensions = 2
      var result: [(String, Tensor)] = []
      for (name, factor) in [("w1", change.first), ("w2", change.second)] {
        switch factor {
        case .whole(let c):
          result.append(("lokr_\(name)", c))
          dimensions = max(dimensions, c.shape.count)
        case .product(let a, let b):
          result += [("lokr_\(name)_a", a), ("lokr_\(name)_b", b)]
        case .tucker(let a, let b, let core):
          guard name == "w2" else {
            throw description.refusal(layer.path, .lycoris, file, "a core of LoKr's first factor")
          }
          result += [("lokr_w2_a", a), ("lokr_w2_b", b), ("lokr_t2", core)]
          dimensions = core.shape.count
        }
      }
      return result + magnitude(change.magnitude, dimensions: dimensions)
    default:
      throw description.refusal(layer.path, .lycoris, file, layer.change.methodName)
    }
  }
}

extension LayerChange {
  /// The alpha that gives kohya's readers the scale: alpha / rank.
  fileprivate var kohyaAlpha: Double {
    func alpha(_ alpha: Double, _ scale: Double, _ rank: Int) -> Double {
      alpha / Double(rank) == scale ? alpha : scale * Double(rank)
    }
    guard let (rank, given) = measured.rankAndAlpha else { return 1 }
    let isWhole = (self as? KroneckerChange)?.isWhole ?? false
    guard let rank, !isWhole else { return given }
    return alpha(given, measured.scale, rank)
  }
}

extension KroneckerChange {
  /// Whether neither factor is a product.
  var isWhole: Bool {
    if case .whole = first, case .whole = second { true } else { false }
  }

  /// The same change with its scale in the second factor.
  fileprivate func scalingSecond() -> KroneckerChange {
    func scaled(_ tensor: Tensor) -> Tensor {
      tensor.withUnsafeElements(of: Float.self) { x in
        Tensor(shape: tensor.shape) { y in
          for i in x.indices { y[i] = Float(Double(x[i]) * scale) }
        }
      }
    }
    var result = self
    switch second {
    case .whole(let c): result.second = .whole(scaled(c))
    case .product(let a, let b): result.second = .product(scaled(a), b)
    case .tucker(let a, let b, let core): result.second = .tucker(scaled(a), b, core: core)
    }
    result.scale = 1
    return result
  }
}
