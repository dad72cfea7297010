public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Bottleneck adapters: small networks beside the parts of every block, `up(activation(down(x)))`, which
/// are added to what the parts compute.
///
/// ```swift
/// try model.inject(Bottleneck.houlsby(reductionFactor: 16), named: "support")
/// try model.inject(Bottleneck.pfeiffer(), named: "legal")
/// ```
///
/// Trains `width * (2 * hiddenSize + 1) + hiddenSize` numbers a network. It is no change of a weight, so
/// it can't be merged; detached, the base is what it was. Written by
/// `AdapterFile.write(as: .adapters, ...)` for the `adapters` package.
///
/// Source: Houlsby et al., *Parameter-efficient transfer learning for NLP*, 2019; Pfeiffer et al.,
/// *AdapterHub: a framework for adapting transformers*, 2020; He et al., *Towards a unified view of
/// parameter-efficient transfer learning*, 2022. A fresh network is He's: down as a linear layer of
/// PyTorch's, up at zero.
public struct Bottleneck: BlockAdapterMethod, Hashable, Codable {
  /// What a network reads.
  public enum Input: String, Sendable, Hashable, Codable {
    /// The output of the part that it stands behind.
    case output
    /// That output added to what the block adds it to, normed where the block norms sums.
    case sum
    /// What the block adds the output to.
    case residual
  }

  /// How many times the hidden size is the width of a network; below 1 it is wider.
  public var reductionFactor: Double
  /// Whether networks stand behind the attention.
  public var followsAttention: Bool
  /// Whether networks stand behind the feed-forward networks.
  public var followsFeedForward: Bool
  /// What they read.
  public var input: Input
  /// The activation between down and up.
  public var activation: Activation
  /// What their outputs are multiplied by.
  public var scale: Float
  /// The probability that an element of a network's output is dropped while training.
  public var dropout: Float

  /// Creates a recipe. Values are checked when it is used.
  public init(
    reductionFactor: Double = 16, followsAttention: Bool, followsFeedForward: Bool, input: Input,
    activation: Activation = .relu, scale: Float = 1, dropout: Float = 0
  ) {
    self.reductionFactor = reductionFactor
    self.followsAttention = followsAttention
    self.followsFeedForward = followsFeedForward
    self.input = input
    self.activation = activation
    self.scale = scale
    self.dropout = dropout
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      followsAttention: try values.decode(Bool.self, forKey: .followsAttention),
      followsFeedForward: try values.decode(Bool.self, forKey: .followsFeedForward),
      input: try values.decode(Input.self, forKey: .input))
    try values.read(&reductionFactor, .reductionFactor)
    try values.read(&activation, .activation)
    try values.read(&scale, .scale)
    try values.read(&dropout, .dropout)
  }

  /// Behind attention and feed-forward network, before their outputs are added (`double_seq_bn`).
  public static func houlsby(reductionFactor: Double = 16) -> Bottleneck {
    Bottleneck(
      reductionFactor: reductionFactor, followsAttention: true, followsFeedForward: true,
      input: .output, activation: .silu)
  }

  /// Behind the feed-forward network alone, on the sum (`seq_bn`).
  public static func pfeiffer(reductionFactor: Double = 16) -> Bottleneck {
    Bottleneck(
      reductionFactor: reductionFactor, followsAttention: false, followsFeedForward: true,
      input: .sum)
  }

  /// Beside the feed-forward network (`par_bn`).
  public static func parallel(reductionFactor: Double = 2) -> Bottleneck {
    Bottleneck(
      reductionFactor: reductionFactor, followsAttention: false, followsFeedForward: true,
      input: .residual, scale: 4)
  }

  /// A fresh adapter.
  public func makeAdapter(
    for block: any AdaptableBlock, using random: inout SeededRandom
  ) throws(AdapterError) -> BottleneckAdapter {
    let size = block.hiddenSize
    try AdapterError.demand(
      followsAttention || followsFeedForward, "followsAttention", false,
      "a network behind the attention, the feed-forward network or both")
    try AdapterError.demand(
      reductionFactor > 0 && Double(size) / reductionFactor <= 0x1p20, "reductionFactor",
      reductionFactor, "a number above 0 with a width of at most 1048576")
    try AdapterError.demand(scale.isFinite && scale != 0, "scale", scale, "a finite number but 0")
    try AdapterError.demand((0..<1).contains(dropout), "dropout", dropout, "0 or more and below 1")
    try AdapterError.demand(
      activation.fileName != nil, "activation", activation, "one of \(Activation.knownFileNames)")
    // As the package has it: at least one.
    let width = max(1, Int(Double(size) / reductionFactor))
    var demand = AdapterDemand()
    demand.add(rank: width, inputs: size, outputs: size, pairs: 2)
    try demand.check(limit: nil)
    func network() -> BottleneckAdapter.Network {
      // He's initialization with a slope of the root of 5, PyTorch's of a linear layer.
      let bound = 1 / Float(size).squareRoot()
      return BottleneckAdapter.Network(
        down: Parameter(random.uniform([width, size], in: -bound..<bound)),
        downBias: Parameter(.zeros([width])), up: Parameter(.zeros([size, width])),
        upBias: Parameter(.zeros([size])))
    }
    return BottleneckAdapter(
      attention: followsAttention ? network() : nil,
      feedForward: followsFeedForward ? network() : nil, input: input, activation: activation,
      scale: scale, dropoutRate: dropout, dropoutStream: random.stream)
  }
}

/// The networks of ``Bottleneck`` in one block.
public final class BottleneckAdapter: LinearAdapter {
  /// One network: `up(activation(down(x)))`.
  public struct Network: Sendable {
    /// `[width, hiddenSize]`.
    public let down: Parameter
    /// `[width]`.
    public let downBias: Parameter
    /// `[hiddenSize, width]`.
    public let up: Parameter
    /// `[hiddenSize]`.
    public let upBias: Parameter

    /// Creates a network of its parameters. Traps if they do not fit each other.
    public init(down: Parameter, downBias: Parameter, up: Parameter, upBias: Parameter) {
      require(
        down.shape.count == 2 && up.shape == [down.shape[1], down.shape[0]]
          && downBias.shape == [down.shape[0]] && upBias.shape == [down.shape[1]],
        "a network of \(down.shape), \(downBias.shape), \(up.shape) and \(upBias.shape)")
      (self.down, self.downBias, self.up, self.upBias) = (down, downBias, up, upBias)
    }

    func callAsFunction(_ x: Variable, _ activation: Activation) -> Variable {
      x.linear(weight: Variable(down), bias: Variable(downBias))(activation)
        .linear(weight: Variable(up), bias: Variable(upBias))
    }
  }

  /// The networks behind the block's parts.
  public let networks: [BlockEffect.Part: Network]
  /// What they read.
  public let input: Bottleneck.Input
  /// The activation between down and up.
  public let activation: Activation
  /// What their outputs are multiplied by.
  public let scale: Float
  /// The probability that an element of a network's output is dropped while training.
  public let dropoutRate: Float
  private let dropoutStream: UInt64

  /// Creates an adapter of its networks. Traps if there is none, or they are for hidden states of
  /// different sizes.
  public init(
    attention: Network?, feedForward: Network?, input: Bottleneck.Input, activation: Activation,
    scale: Float = 1, dropoutRate: Float = 0, dropoutStream: UInt64 = 0
  ) {
    var networks: [BlockEffect.Part: Network] = [:]
    networks[.attention] = attention
    networks[.feedForward] = feedForward
    require(
      Set(networks.values.map { $0.up.shape[0] }).count == 1,
      "networks for hidden states of \(networks.values.map { $0.up.shape[0] })")
    self.networks = networks
    (self.input, self.activation, self.scale) = (input, activation, scale)
    (self.dropoutRate, self.dropoutStream) = (dropoutRate, dropoutStream)
  }

  /// The parameters of the networks, by part.
  public var parameters: Named<Parameter> {
    Named(
      BlockEffect.Part.allCases.flatMap { part -> [(String, Parameter)] in
        guard let network = networks[part] else { return [] }
        let name = part == .attention ? "attention" : "feed_forward"
        return [
          ("\(name).down.weight", network.down), ("\(name).down.bias", network.downBias),
          ("\(name).up.weight", network.up), ("\(name).up.bias", network.upBias),
        ]
      })
  }

  /// The networks as data.
  public var change: (any LayerChange)? {
    func data(_ part: BlockEffect.Part) -> BottleneckChange.Network? {
      networks[part].map {
        BottleneckChange.Network(
          down: $0.down.value, downBias: $0.downBias.value, up: $0.up.value, upBias: $0.upBias.value
        )
      }
    }
    guard let name = activation.fileName else { return nil }
    return BottleneckChange(
      attention: data(.attention), feedForward: data(.feedForward), input: .init(input),
      activation: name, scale: Double("\(scale)") ?? Double(scale))
  }

  /// What the networks make of what they read.
  public var effect: AdapterEffect {
    let (networks, input, activation, scale) = (networks, input, activation, scale)
    let (rate, stream) = (dropoutRate, dropoutStream)
    return .block(
      BlockEffect(
        hiddenSize: networks.values.first?.up.shape[0], parts: Set(networks.keys)
      ) { part, inputs in
        guard let network = networks[part] else { return nil }
        let x =
          switch input {
          case .output: inputs.output
          case .sum: inputs.sum
          case .residual: inputs.residual
          }
        let y = network(x, activation)
        let scaled = scale == 1 ? y : y.scaled(by: scale)
        // A stream for each part.
        let own = part == .attention ? stream : stream &+ 1
        guard rate > 0, let random = Dropout.random(stream: own) else { return scaled }
        return scaled.dropout(rate: rate, random: random)
      })
  }

  /// What each network reads, unless the block keeps it anyway, and its inside before and behind the
  /// activation.
  public var memory: AdapterMemory {
    let sizes = networks.values.map { (width: $0.down.shape[0], size: $0.down.shape[1]) }
    return AdapterMemory(
      rank: sizes.reduce(0) { $0 + $1.width },
      keptWidth: sizes.reduce(0) { $0 + (input == .residual ? 0 : $1.size) + 2 * $1.width })
  }
}

// MARK: - In files

extension BottleneckChange.Input {
  fileprivate init(_ input: Bottleneck.Input) {
    self =
      switch input {
      case .output: .output
      case .sum: .sum
      case .residual: .residual
      }
  }

  fileprivate var recipe: Bottleneck.Input {
    switch self {
    case .output: .output
    case .sum: .sum
    case .residual: .residual
    }
  }
}

extension BottleneckChange: AttachableChange {
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    func network(_ data: Network?) -> BottleneckAdapter.Network? {
      data.map {
        BottleneckAdapter.Network(
          down: Parameter($0.down, isTrainable: place.isTrainable),
          downBias: Parameter($0.downBias, isTrainable: place.isTrainable),
          up: Parameter($0.up, isTrainable: place.isTrainable),
          upBias: Parameter($0.upBias, isTrainable: place.isTrainable))
      }
    }
    guard let activation = Activation(fileName: activation) else {
      throw .unsupported(
        layer: place.layer,
        reason: "its activation is '\(activation)'; supported are \(Activation.knownFileNames)")
    }
    return BottleneckAdapter(
      attention: network(attention), feedForward: network(feedForward), input: input.recipe,
      activation: activation, scale: Float(scale),
      dropoutRate: place.dropout, dropoutStream: place.dropoutStream)
  }
}
