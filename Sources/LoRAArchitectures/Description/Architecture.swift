public import LoRAFiles
import LoRATensor

/// A kind of transformer: what `config.json` says of it, what files call its tensors, and what its
/// blocks are made of.
///
/// An architecture is one value in one file; see `Llama.swift`. A program adds one of its own, which
/// opening, saving, training, decoding, adapters and GGUF files then know:
///
/// ```swift
/// Architecture.register(
///   Architecture(
///     "mine", className: "MineForCausalLM",
///     keys: ConfigurationKey.decoder() + [.flag("attention_bias", default: false)],
///     tensors: .decoder()
///   ) { configuration in
///     TransformerStructure(configuration) { layer in
///       .init(
///         attention: .init(rotary: configuration.rotary),
///         feedForward: .gated(configuration.hiddenActivation), arrangement: .parallel)
///     }
///   })
/// ```
public struct Architecture: Sendable {
  /// `model_type` of `config.json`, as in "llama".
  public let modelType: String
  /// The class of transformers that has the output head, as in "LlamaForCausalLM".
  package let className: String
  /// `general.architecture` of GGUF files; nil if llama.cpp does not know the architecture.
  package let ggufName: String?
  /// What `config.json` says, read and written in this order.
  public let keys: [ConfigurationKey]
  /// The modules with parameters, in the model's order.
  public let tensors: [TensorName]
  /// What the names of tensors end in that follow from the configuration: old versions of
  /// transformers stored some.
  public let derivedTensors: [String]
  /// Whether published checkpoints are the body alone, so that adapters made on them name layers
  /// without what the whole model puts before them (GPT-2's "transformer.").
  package let isPublishedWithoutHead: Bool
  /// What the names of tensors begin with that belong to heads which the structure leaves out: those
  /// that pre-training had.
  package let otherHeads: [String]
  /// What the names of tensors ended in before, and what they end in now: both are read.
  package let formerNames: [String: String]
  /// Whether checkpoints may hold stacks of experts in MXFP4: blocks and scales in the place of one tensor.
  package var readsMXFP4 = false
  /// The layer that makes the logits of a decoder's classifier of tokens; nil for a decoder of which
  /// transformers has none, and for encoders, whose table has it.
  package let tokenHead: TensorName?
  /// The names of tensors that some checkpoints have beside the embedding's table, and that are the same
  /// numbers.
  package let embeddingCopies: [String]
  /// Whether a model has a head of its own where its checkpoint stores one, whatever `config.json` says.
  package let isHeadFoundInFile: Bool
  /// Set for models that also read images, of which the text part alone is computed.
  package var textPart: TextPart?
  /// What a model of a configuration is made of. Throws for what can't be computed.
  public let structure: @Sendable (ModelConfiguration) throws(FormatError) -> TransformerStructure

  /// Creates an architecture from its parts.
  ///
  /// A decoder of which transformers has a classifier of tokens says what its layer of logits is called
  /// (`tokenHead`); the class alone then decides which head a model has.
  public init(
    _ modelType: String, className: String, ggufName: String? = nil, keys: [ConfigurationKey],
    tensors: [TensorName], derivedTensors: [String] = [], isPublishedWithoutHead: Bool = false,
    otherHeads: [String] = [], formerNames: [String: String] = [:], tokenHead: String? = nil,
    embeddingCopies: [String] = [], isHeadFoundInFile: Bool = false,
    structure:
      @escaping @Sendable (ModelConfiguration) throws(FormatError) -> TransformerStructure
  ) {
    self.modelType = modelType
    self.className = className
    self.ggufName = ggufName
    self.keys = keys + (tokenHead == nil ? [] : ConfigurationKey.labels)
    self.tensors = tensors
    self.derivedTensors = derivedTensors
    self.isPublishedWithoutHead = isPublishedWithoutHead
    self.otherHeads = otherHeads
    self.formerNames = formerNames
    self.embeddingCopies = embeddingCopies
    self.isHeadFoundInFile = isHeadFoundInFile
    self.tokenHead = tokenHead.map { TensorName($0, "cls.output", .head) }
    guard tokenHead != nil else {
      self.structure = structure
      return
    }
    self.structure = { configuration throws(FormatError) in
      var result = try structure(configuration)
      if configuration.classifierKind == .tokens { result.head = .classification(.init()) }
      return result
    }
  }
}

extension Architecture: Hashable, CustomStringConvertible {
  /// Architectures are told apart by their `model_type`.
  public static func == (a: Architecture, b: Architecture) -> Bool { a.modelType == b.modelType }
  /// By ``modelType``.
  public func hash(into hasher: inout Hasher) { hasher.combine(modelType) }
  /// ``modelType``.
  public var description: String { modelType }
}

// MARK: - The registry

extension Architecture {
  private static let builtIn = [
    llama, mistral, ministral, mixtral, gptOSS, qwen2, qwen3, qwen3MoE, smolLM3, gemma, gemma2,
    gemma3, gemma4, olmo2, olmoe, granite, cohere, cohere2, phi, phi3, starCoder2, stableLM, gpt2,
    gptJ, gptNeoX, opt, bert, roberta, xlmRoberta, distilBERT, gemma3Vision, gemma4Vision,
    // Of those that share a name in GGUF files the first is meant: Ministral 3 as a part of Mistral 3.
    mistral3, ministral3, qwen2VL, qwen25VL, bloom, falcon, gptNeo, modernBERT, t5, mt5,
  ]
  private static let registered = Locked<[Architecture]>([])

  /// The architectures that are known, the library's own first.
  public static var all: [Architecture] { builtIn + registered.withLock { $0 } }

  /// Makes an architecture known to this process. One that is registered under a name a second time
  /// replaces the first. Traps for the name of an architecture of the library's own.
  public static func register(_ architecture: Architecture) {
    require(
      !builtIn.contains(architecture),
      "Architecture.register(_:) of '\(architecture)', which the library has; choose another "
        + "modelType")
    registered.withLock { known in
      known.removeAll { $0 == architecture }
      known.append(architecture)
    }
  }

  /// The architecture of a `model_type`; nil if it is not known.
  public init?(modelType: String) {
    guard let known = Self.all.first(where: { $0.modelType == modelType }) else { return nil }
    self = known
  }

  /// The architecture that GGUF files call `name`; nil if it is not known. Of several that share a
  /// name, as Llama and Mistral do, the first.
  ///
  /// - Parameter hasExperts: whether the file's model is a mixture of experts; nil: either.
  package init?(ggufName name: String, hasExperts: Bool? = nil) {
    let known = Self.all.first {
      $0.ggufName == name && (hasExperts ?? $0.hasExperts) == $0.hasExperts
    }
    guard let known else { return nil }
    self = known
  }

  /// What GGUF files call the architectures that they are read of.
  package static var ggufNames: [String] { Array(Set(all.compactMap(\.ggufName))).sorted() }

  /// Whether models have experts, in some layers at least.
  package var hasExperts: Bool { tensors.contains { $0.role == "ffn_gate_inp" } }
}

// MARK: - What checkpoints call a model's parts

extension Architecture {
  /// The path of the token embeddings, whose table a tied head shares.
  package var embeddingPath: String { path(of: "token_embd") ?? "" }
  /// The path of the output head.
  package var headPath: String { path(of: "output") ?? "lm_head" }
  /// What precedes the names of all parameters but the head's, and is missing in checkpoints of the
  /// body alone, as "model.".
  package var bodyPrefix: String {
    embeddingPath.split(separator: ".").dropLast().first.map { "\($0)." } ?? ""
  }

  /// The path of the module of this role; "{}" in it stands for a block's number.
  package func path(of role: String) -> String? { module(of: role)?.path }

  /// The module of this role.
  package func module(of role: String) -> TensorName? {
    tensors.first { $0.role == role } ?? (tokenHead?.role == role ? tokenHead : nil)
  }

  /// The parameter that a checkpoint's tensor is.
  ///
  /// - Parameter isBody: whether the checkpoint is that of the body alone, whose names lack
  ///   ``bodyPrefix``.
  package func parameterName(ofTensor name: String, isBody: Bool) -> String {
    var result = isBody ? bodyPrefix + name : textPart?.nameInModel(name) ?? name
    for (former, current) in formerNames where result.hasSuffix(former) {
      result = result.dropLast(former.count) + current
    }
    return result
  }

  /// Whether a parameter belongs to a head that the structure leaves out.
  package func isOfOtherHead(_ name: String) -> Bool { otherHeads.contains { name.hasPrefix($0) } }

  /// Whether a tensor that is no parameter follows from the configuration.
  package func isDerived(_ name: String) -> Bool { derivedTensors.contains { name.hasSuffix($0) } }
}
