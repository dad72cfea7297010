package import LoRATensor

/// The modules of an architecture, by the names that Hugging Face's models and GGUF files have for
/// them.
///
/// ```swift
/// let names = GGUFTensorNames(architecture: "llama")
/// names?.tensorName(ofParameter: "model.layers.3.mlp.up_proj.weight")  // "blk.3.ffn_up.weight"
/// names?.parameterPath(ofTensor: "token_embd.weight")          // "model.embed_tokens.weight"
/// ```
///
/// Source: `gguf.tensor_mapping` of gguf-py and llama.cpp's `convert_hf_to_gguf.py`.
package struct GGUFTensorNames: Sendable, Hashable {
  /// The architecture as GGUF files name it.
  package let architecture: String
  /// The architecture; of several that share the name the first, or the one that is meant.
  package let known: Architecture

  /// Whether the model's networks have gates, where checkpoints call the layer that raises without one
  /// otherwise and files do not (T5).
  private let hasGates: Bool

  /// The names of the model that `base` is of; nil if its architecture is not known.
  package init?(_ base: GGUFBase) {
    self.init(
      architecture: base.architecture, hasGates: base.hasGates, hasExperts: base.hasExperts)
  }

  /// The names of an architecture that `general.architecture` names; nil if it is not known.
  ///
  /// - Parameters:
  ///   - architecture: the name.
  ///   - hasGates: whether the model's networks have gates.
  ///   - hasExperts: whether the model is a mixture of experts; nil: not known.
  package init?(architecture: String, hasGates: Bool = false, hasExperts: Bool? = nil) {
    guard
      let known = Architecture(ggufName: architecture, hasExperts: hasExperts)
        ?? Architecture(ggufName: architecture)
    else { return nil }
    self.init(architecture, known, hasGates: hasGates)
  }

  private init(_ architecture: String, _ known: Architecture, hasGates: Bool) {
    self.architecture = architecture
    self.known = known
    self.hasGates = hasGates
    let sharing = Architecture.all.filter { $0.ggufName == architecture && $0 != known }
    modules = sharing.reduce(known.tensors) { all, other in
      all + other.tensors.filter { new in !all.contains { $0.path == new.path } }
    }
  }

  /// The modules: of all architectures that share the name, as Llama and Mixtral do, those of the one that
  /// is meant first.
  package let modules: [TensorName]

  /// The same names, first those of the architecture that has the most of `paths`, of modules or blocks: a
  /// file can't say whether it is of a text model or of one that also reads images, where both have one
  /// name in files, but what an adapter calls its layers does.
  package func preferring(_ paths: [String]) -> GGUFTensorNames {
    func count(_ architecture: Architecture) -> Int {
      let blocks = Set(architecture.tensors.compactMap(\.pathInBlock?.list)).map { $0 + ".{}" }
      let patterns = architecture.tensors.map(\.path) + blocks
      return paths.count { path in
        patterns.contains { TensorName.translated(path, from: $0, to: $0) != nil }
      }
    }
    var best = (known: known, count: count(known))
    for other in Architecture.all where other.ggufName == architecture && other != known {
      let count = count(other)
      if count > best.count { best = (other, count) }
    }
    return best.known == known
      ? self : GGUFTensorNames(architecture, best.known, hasGates: hasGates)
  }
}

// MARK: - Looking up

extension GGUFTensorNames {
  /// The module at `path` in Hugging Face's model, and its name in files; nil if it has none.
  package func module(atPath path: String) -> (module: TensorName, name: String)? {
    known.module(atPath: path, inBodyAlone: known.isPublishedWithoutHead)
      ?? modules.dropFirst(known.tensors.count).lazy.compactMap { module in
        TensorName.translated(path, from: module.path, to: module.name).map { (module, $0) }
      }.first
  }

  /// The module that files call `name` (without ".weight" and ".bias"), and its path in Hugging
  /// Face's model; nil if there is none. Of what files have one tensor of for all experts, "{}" stands
  /// for an expert's number.
  package func module(named name: String) -> (module: TensorName, path: String)? {
    candidates(named: name).first
  }

  /// The paths of all modules that files call `name`, of every architecture that shares the file's.
  package func paths(ofModuleNamed name: String) -> [String] { candidates(named: name).map(\.path) }

  private func candidates(
    named name: String
  ) -> some Collection<(module: TensorName, path: String)> {
    modules.lazy.filter { !(hasGates && $0.role.hasSuffix(TensorName.ungatedRole)) }
      .compactMap { module in
        TensorName.translated(name, from: module.name, to: module.path).map { (module, $0) }
      }
  }

  /// The name in files of the parameter at `path`, as in "model.norm.weight"; nil if it has none.
  package func tensorName(ofParameter path: String) -> String? {
    if let (module, name) = module(atPath: path), module.isParameter { return name + ".weight" }
    guard let (stem, leaf) = Self.split(path), let name = module(atPath: stem)?.name else {
      return nil
    }
    return name + leaf
  }

  /// The path in Hugging Face's model of what files call `name`; nil if there is none.
  package func parameterPath(ofTensor name: String) -> String? {
    guard let (stem, leaf) = Self.split(name), let (module, path) = module(named: stem) else {
      return nil
    }
    return module.isParameter ? path : path + leaf
  }

  /// The expert that the layer or the parameter at `path` belongs to; nil for one of none.
  package func expert(_ path: String) -> Int? {
    let stem = Self.split(path)?.stem ?? path
    for module in modules where module.kind == .expert || module.kind == .expertPair {
      if let numbers = TensorName.numbers(in: stem, of: module.path) { return numbers.last }
    }
    return nil
  }

  private static func split(_ name: String) -> (stem: String, leaf: String)? {
    for leaf in [".weight", ".bias"] where name.hasSuffix(leaf) {
      return (String(name.dropLast(leaf.count)), leaf)
    }
    return nil
  }
}

extension Tensor {
  /// The slices along the outermost dimension in another order, or some of them: slice i of the
  /// result is slice `sources[i]`. Traps where there is no such slice.
  package func gatheringRows(_ sources: [Int]) -> Tensor {
    require(
      !shape.isEmpty && sources.allSatisfy { (0..<shape[0]).contains($0) },
      "reordering the rows of a tensor of shape \(shape) by \(sources.count) numbers, not all of which "
        + "are rows")
    let size = shape[0] == 0 ? 0 : byteCount / shape[0]
    return withUnsafeBytes { source in
      Tensor(shape: Shape([sources.count] + shape.dimensions.dropFirst()), dtype: dtype) { bytes in
        for (row, from) in sources.enumerated() {
          UnsafeMutableRawBufferPointer(rebasing: bytes[row * size..<(row + 1) * size])
            .copyMemory(
              from: UnsafeRawBufferPointer(rebasing: source[from * size..<(from + 1) * size]))
        }
      }
    }
  }
}
