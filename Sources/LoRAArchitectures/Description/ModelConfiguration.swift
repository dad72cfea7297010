public import LoRATensor

/// The sizes and options of a transformer, as a `config.json` or a GGUF file gives them.
///
/// What a file calls them, and what absent keys mean, is the ``Architecture``'s. Both generations are
/// read: `torch_dtype`, `rope_theta`, `rope_scaling` (transformers 4) and `dtype`, `rope_parameters`,
/// `layer_types` (transformers 5).
public struct ModelConfiguration: Sendable, Hashable {
  /// The architecture.
  public let architecture: Architecture
  /// The classes that the checkpoint was saved from, as in "LlamaForCausalLM"; may be empty.
  public var classNames: [String] = []
  /// The extent of the residual stream.
  public var hiddenSize: Int
  /// The extent between the feed-forward projections.
  public var intermediateSize: Int
  /// The number of blocks.
  public var layerCount: Int
  /// The number of query heads.
  public var headCount: Int
  /// The number of key and value heads; divides `headCount`.
  public var keyValueHeadCount: Int
  /// The extent of one head; even.
  public var headSize: Int
  /// The number of token ids, as many as the embedding has rows.
  public var vocabularySize: Int
  /// What is added to the mean square, or to GPT-2's variance, under a norm's root.
  public var normEpsilon: Double
  /// Whether the output head is the embedding.
  public var tiesWordEmbeddings: Bool
  /// The activation of the feed-forward networks by its name in files, as in "silu".
  public var hiddenActivation = "silu"
  /// The longest sequence that the model was made for.
  public var maximumPositions: Int
  /// The rotary position embedding; without meaning for an architecture that has none.
  public var rotary: RotaryConfiguration
  /// That of the layers with a window, where it is another; nil: the same.
  public var windowRotary: RotaryConfiguration?
  /// The options of the architecture's own, by their keys.
  var options: [String: Option] = [:]
  /// How many positions each layer sees, itself included, in the order of the layers; nil: all.
  public var slidingWindows: [Int?]
  /// The type that the weights are said to be stored in; nil if the file does not say.
  public var storedType: DType?
  /// The token that begins a text.
  public var bosTokenID: Int?
  /// The tokens that end a text.
  public var eosTokenIDs: [Int]
  /// The token that fills batches up.
  public var padTokenID: Int?
  /// What `text_config` calls a text part whose keys are not those of its architecture.
  var textPartType: String?
  /// The token that stands between a source, which an encoder reads, and the target that follows from it;
  /// nil for a model that reads one text.
  public var decoderStartTokenID: Int?
  /// What a classifier tells apart, in the order of its logits; empty for other models.
  public var labels: [String] = []

  /// The longest sequence that can be computed: the model's, or less where the rotary embedding of a
  /// longer one would be another.
  package var longestSequence: Int {
    min(maximumPositions, architecture.hasKey(of: \.rotary) ? rotary.longestSequence ?? .max : .max)
  }

  /// The value of an option of the architecture's own.
  enum Option: Sendable, Hashable {
    case flag(Bool)
    case number(Double)
    case numbers([Double])
    case text(String)
  }

  /// The word that the option under `key` is, as "cls"; nil for one that the architecture does not have.
  public subscript(text key: String) -> String? {
    get {
      guard case .text(let value) = options[key] else { return nil }
      return value
    }
    set { options[key] = newValue.map { .text($0) } }
  }

  /// Whether the option under `key` is on, as "attention_bias". False for one that the architecture
  /// does not have.
  public subscript(flag key: String) -> Bool {
    get { options[key] == .flag(true) }
    set { options[key] = .flag(newValue) }
  }

  /// The number of the option under `key`; nil for one that is switched off or that the architecture
  /// does not have.
  public subscript(number key: String) -> Double? {
    get {
      guard case .number(let value) = options[key] else { return nil }
      return value
    }
    set { options[key] = newValue.map { .number($0) } }
  }

  /// The numbers of the option under `key`, one a layer; empty for one that the architecture does not
  /// have.
  public subscript(numbers key: String) -> [Double] {
    get {
      guard case .numbers(let values) = options[key] else { return [] }
      return values
    }
    set { options[key] = .numbers(newValue) }
  }

  /// Creates a configuration without windows, untied, with the options and the activation that are the
  /// architecture's rule.
  public init(
    architecture: Architecture = .llama, hiddenSize: Int, intermediateSize: Int, layerCount: Int,
    headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int? = nil, vocabularySize: Int,
    normEpsilon: Double = 1e-6, tiesWordEmbeddings: Bool = false, maximumPositions: Int = 2048,
    rotary: RotaryConfiguration = RotaryConfiguration(), storedType: DType? = .float32,
    bosTokenID: Int? = nil, eosTokenIDs: [Int] = []
  ) {
    self.architecture = architecture
    self.hiddenSize = hiddenSize
    self.intermediateSize = intermediateSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount ?? headCount
    self.headSize = headSize ?? hiddenSize / max(headCount, 1)
    self.vocabularySize = vocabularySize
    self.normEpsilon = normEpsilon
    self.tiesWordEmbeddings = tiesWordEmbeddings
    self.maximumPositions = maximumPositions
    self.rotary = rotary
    slidingWindows = Array(repeating: nil, count: layerCount)
    self.storedType = storedType
    self.bosTokenID = bosTokenID
    self.eosTokenIDs = eosTokenIDs
    for key in architecture.keys { key.setDefault(&self) }
  }

  /// A configuration that a file's keys will fill.
  init(_ architecture: Architecture) {
    self.init(
      architecture: architecture, hiddenSize: 0, intermediateSize: 0, layerCount: 0, headCount: 0,
      vocabularySize: 0, storedType: nil)
  }
}
