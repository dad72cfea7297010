/// What a transformer computes: its embedding, its blocks and its head, as values. Sizes are the
/// configuration's, names the architecture's; LoRAModels makes layers of it.
public struct TransformerStructure: Sendable, Hashable {
  /// How tokens become vectors.
  public var embedding: Embedding
  /// The blocks, from the input on.
  public var blocks: [Block]
  /// What reads the source that the blocks' cross attention sees; nil for a model of one stack.
  public var encoder: Encoder?
  /// The norm after the last block ("output_norm"); nil for none.
  public var norm: Norm?
  /// What is made of the hidden states.
  public var head: Head
  /// Whether the layer that makes the logits of the next token has a bias.
  public var headBias: Bool
  /// What the logits of the next token are multiplied by; nil: nothing.
  public var logitScale: Float?
  /// What logits l are capped at, c: they become `c tanh(l / c)`; nil for none.
  public var logitSoftCap: Float?

  /// Creates a structure from its parts.
  package init(
    embedding: Embedding = Embedding(), encoder: Encoder? = nil, blocks: [Block],
    norm: Norm? = .rms, head: Head = .nextToken, headBias: Bool = false, logitScale: Float? = nil,
    logitSoftCap: Float? = nil
  ) {
    self.embedding = embedding
    self.encoder = encoder
    self.blocks = blocks
    self.norm = norm
    self.head = head
    self.headBias = headBias
    self.logitScale = logitScale
    self.logitSoftCap = logitSoftCap
  }

  /// Creates a structure with a block for each of the configuration's layers.
  public init(
    _ configuration: ModelConfiguration, embedding: Embedding = Embedding(), norm: Norm? = .rms,
    head: Head = .nextToken, headBias: Bool = false, logitScale: Float? = nil,
    logitSoftCap: Float? = nil, block: (_ layer: Int) -> Block
  ) {
    self.init(
      embedding: embedding, blocks: (0..<configuration.layerCount).map(block), norm: norm,
      head: head, headBias: headBias, logitScale: logitScale, logitSoftCap: logitSoftCap)
  }

  /// A stack that reads a source: behind the model's embedding, blocks of its own and a norm. Its modules
  /// have their roles behind "enc.", as "enc.attn_q" and "enc.output_norm".
  public struct Encoder: Sendable, Hashable {
    /// The blocks, from the input on.
    public var blocks: [Block]
    /// The norm after the last block; nil for none.
    public var norm: Norm?

    /// Creates a stack from its parts.
    public init(blocks: [Block], norm: Norm? = .rms) {
      self.blocks = blocks
      self.norm = norm
    }
  }

  /// What is made of the hidden states.
  public enum Head: Sendable, Hashable {
    /// The logits of the next token ("output"), or those of the embedding's table.
    case nextToken
    /// The logits of labels, of a sequence or of each token.
    case classification(Classification)
    /// Nothing: an encoder.
    case none
  }

  /// What makes logits of labels of hidden states: one layer ("cls.output"), or two.
  public struct Classification: Sendable, Hashable {
    /// Which of a sequence's hidden states is classified.
    public enum Pooling: Sendable, Hashable {
      /// That of the first token.
      case first
      /// That of the last token.
      case last
      /// The mean of all tokens'.
      case mean
    }

    /// Which of a sequence's hidden states is classified; nil: each, in a classifier of tokens.
    public var pooling: Pooling?
    /// The activation, by its name in files, behind a layer that comes first ("cls"); nil if there is
    /// no such layer.
    public var activation: String?
    /// Whether the layer that makes the logits has a bias.
    public var bias: Bool
    /// Whether the layer that comes first has one.
    public var denseBias: Bool
    /// The norm behind the activation ("cls.norm"); nil for none.
    public var norm: Norm?
    /// The role of the layer that makes the logits: another where classifiers of one architecture name it in
    /// two ways (RoBERTa).
    public var outputRole: String

    /// Creates a head from its options.
    public init(
      pooling: Pooling? = nil, activation: String? = nil, bias: Bool = true,
      denseBias: Bool = true, norm: Norm? = nil, outputRole: String = "cls.output"
    ) {
      self.pooling = pooling
      self.activation = activation
      self.bias = bias
      self.denseBias = denseBias
      self.norm = norm
      self.outputRole = outputRole
    }

    /// The roles of its modules, the output layer's last.
    var roles: [String] {
      (activation == nil ? [] : ["cls"]) + (norm == nil ? [] : ["cls.norm"]) + [outputRole]
    }
  }

  /// A normalization; its epsilon is the configuration's.
  public enum Norm: Sendable, Hashable {
    /// By the root of the mean square, with a weight.
    case rms
    /// The same, with a weight that is stored minus one (Gemma).
    case rmsPlusOne
    /// By mean and variance, with a weight and a bias.
    case layer
    /// The same, with a weight alone.
    case layerWithoutBias
  }

  /// How tokens become vectors ("token_embd").
  public struct Embedding: Sendable, Hashable {
    /// Whether each position has a learned vector, which is added ("position_embd").
    public var learnsPositions: Bool
    /// How many rows of that table precede the first position's (OPT, RoBERTa).
    public var positionOffset: Int
    /// What the tokens' vectors are multiplied by; nil: nothing.
    public var scale: Float?
    /// The number of types of tokens, as of a first and a second text, each with a learned vector that
    /// is added ("token_types"); nil for none.
    public var typeCount: Int?
    /// The norm of the sum ("token_embd_norm"); nil for none.
    public var norm: Norm?
    /// The size of a token's vector where it is not the hidden size: a layer leads from it into the first
    /// block ("project_in"), and one back to it before the head ("project_out"). Nil: the hidden size.
    public var size: Int?
    /// What every block reads of the tokens beside the hidden states; nil: nothing.
    public var blockInputs: BlockInputs?

    /// A vector of each token for each block (Gemma 4): that of a second table ("per_layer_token_embd"),
    /// and the norm ("per_layer_proj_norm") of what a layer ("per_layer_model_proj") makes of the token's
    /// vector, both scaled and added up.
    ///
    /// In the block a gate reads the hidden states ("inp_gate"); its activation times this vector leads back
    /// to them ("per_layer_proj"), and is normalized ("post_per_layer_norm") and added.
    public struct BlockInputs: Sendable, Hashable {
      /// The size of a block's vector.
      public var size: Int
      /// The number of rows of the table: as many as there are tokens, or more.
      public var vocabularySize: Int
      /// The gate's activation, by its name in files.
      public var activation: String

      /// Creates a description from its parts.
      public init(size: Int, vocabularySize: Int, activation: String) {
        self.size = size
        self.vocabularySize = vocabularySize
        self.activation = activation
      }
    }

    /// Creates an embedding from its options.
    public init(
      learnsPositions: Bool = false, positionOffset: Int = 0, scale: Float? = nil,
      typeCount: Int? = nil, norm: Norm? = nil, size: Int? = nil, blockInputs: BlockInputs? = nil
    ) {
      self.blockInputs = blockInputs
      self.size = size
      self.learnsPositions = learnsPositions
      self.positionOffset = positionOffset
      self.scale = scale
      self.typeCount = typeCount
      self.norm = norm
    }
  }

  /// Attention and a feed-forward network, each added to its input.
  public struct Block: Sendable, Hashable {
    /// Where the block's norms are.
    public enum NormPlacement: Sendable, Hashable {
      /// Before attention and network ("attn_norm", "ffn_norm").
      case before
      /// After them, before the sum ("post_attention_norm", "post_ffw_norm").
      case after
      /// Both.
      case beforeAndAfter
      /// After the sums ("attn_output_norm", "layer_output_norm"), as in the first transformers.
      case ofSums
    }

    /// What attention and network read and add to.
    public enum Arrangement: Sendable, Hashable {
      /// The network reads the sum that the attention is part of.
      case sequential
      /// Both read the block's input, and both are added to it; each behind its own norm.
      case parallel
      /// The same, behind one norm ("attn_norm").
      case parallelBehindOneNorm
    }

    /// The norms of the block.
    public var norm: Norm
    /// Where they are.
    public var norms: NormPlacement
    /// How attention and network follow each other.
    public var arrangement: Arrangement
    /// The attention.
    public var attention: Attention
    /// The attention to the source behind it; nil for none.
    public var crossAttention: CrossAttention?
    /// The feed-forward network.
    public var feedForward: FeedForward
    /// What the outputs of attention and network are multiplied by before they are added; nil: nothing.
    public var residualScale: Float?
    /// Whether there is a norm before the attention where ``norms`` says so: ModernBERT's first block has
    /// none.
    public var normsAttention: Bool
    /// The role of the norm before the attention: another where blocks of one architecture name it in two
    /// ways (Falcon).
    public var attentionNormRole: String
    /// The same of the norm before the network.
    public var feedForwardNormRole: String
    /// Whether what the block makes is multiplied by a number that the checkpoint has
    /// ("layer_output_scale").
    public var hasOutputScale: Bool

    /// Creates a block from its parts.
    public init(
      attention: Attention, crossAttention: CrossAttention? = nil, feedForward: FeedForward,
      norm: Norm = .rms,
      norms: NormPlacement = .before, arrangement: Arrangement = .sequential,
      residualScale: Float? = nil, normsAttention: Bool = true,
      attentionNormRole: String = "attn_norm", feedForwardNormRole: String = "ffn_norm",
      hasOutputScale: Bool = false
    ) {
      self.hasOutputScale = hasOutputScale
      self.attentionNormRole = attentionNormRole
      self.feedForwardNormRole = feedForwardNormRole
      self.residualScale = residualScale
      self.normsAttention = normsAttention
      self.norm = norm
      self.norms = norms
      self.arrangement = arrangement
      self.attention = attention
      self.crossAttention = crossAttention
      self.feedForward = feedForward
    }
  }

  /// Self-attention with grouped heads.
  public struct Attention: Sendable, Hashable {
    /// How queries, keys and values are projected.
    public enum Projections: Sendable, Hashable {
      /// Each by a layer of its own ("attn_q", "attn_k", "attn_v").
      case separate
      /// Queries and keys; values are the keys as they were before norm and positions.
      case keysAsValues
      /// Queries alone: keys and values are those of an earlier block, by its number, whose heads are as
      /// many and as large.
      case queries(keysOf: Int)
      /// By one layer ("attn_qkv"), whose outputs are all queries, all keys, all values.
      case fused
      /// By one layer, whose outputs are, for each key head, the queries that share it, its key and its
      /// value (GPT-NeoX, BLOOM, Falcon).
      case fusedByHead
    }

    /// How queries, keys and values are projected.
    public var projections: Projections
    /// Whether these projections have biases.
    public var bias: Bool
    /// Whether the output's projection ("attn_output") has one.
    public var outputBias: Bool
    /// The rotary embedding of queries and keys; nil for none.
    public var rotary: RotaryConfiguration?
    /// The part of each head that is rotated, from its first element on.
    public var rotaryFraction: Double
    /// Whether the pairs that rotary embedding turns lie side by side instead of half of them apart.
    public var rotatesNeighbours: Bool
    /// Whether a position sees only those up to itself, as in a language model; if not, an encoder's,
    /// those on both sides.
    public var isCausal: Bool
    /// How many positions to a side are seen, the own included; nil: all.
    public var window: Int?
    /// What scores are multiplied by; nil: one over the root of the head's size.
    public var scale: Float?
    /// What scaled scores s are capped at, c: they become `c tanh(s / c)`; nil for none.
    public var softCap: Float?
    /// ALiBi's slope of each head: of each score, slope times the distance of its key is subtracted; empty
    /// for none.
    public var slopes: [Float]
    /// A bias of scores by distance, which the blocks of a stack share ("attn_rel_b" of its first); nil
    /// for none.
    public var distanceBias: DistanceBias?
    /// How queries and keys are normalized before they get their positions ("attn_q_norm",
    /// "attn_k_norm"); nil: not.
    public var headNorm: HeadNorm?
    /// Whether each head has a score of its own that takes part in the softmax and has no value
    /// ("attn_sinks").
    public var hasSinks: Bool
    /// Whether each head's values are divided by the root of their mean square.
    public var normsValues: Bool
    /// The size of a head; nil: the configuration's.
    public var headSize: Int?
    /// The number of key heads; nil: the configuration's.
    public var keyHeadCount: Int?

    /// A learned bias of each head for each bucket of distances: one for every short distance, fewer and
    /// fewer for longer ones, by their logarithm.
    public struct DistanceBias: Sendable, Hashable {
      /// The number of buckets; half of them are for either side where both are seen.
      public var buckets: Int
      /// The distance from which on all share a bucket.
      public var maximumDistance: Int

      /// Creates a description from its numbers.
      public init(buckets: Int, maximumDistance: Int) {
        self.buckets = buckets
        self.maximumDistance = maximumDistance
      }
    }

    /// A norm of queries and keys.
    public enum HeadNorm: Sendable, Hashable {
      /// Of each head, with one weight of a head's size.
      case perHead(Norm)
      /// Of all heads together, with a weight of their size.
      case ofAllHeads(Norm)
      /// Of each head, with a weight for each: rows of one matrix (Command R+).
      case rowPerHead
      /// The same, each a module of its own, "norms.0" (StableLM 2 12B).
      case modulePerHead
    }

    /// Creates an attention from its options.
    public init(
      projections: Projections = .separate, bias: Bool = false, outputBias: Bool = false,
      rotary: RotaryConfiguration? = nil, rotaryFraction: Double? = nil,
      rotatesNeighbours: Bool = false, isCausal: Bool = true,
      window: Int? = nil, scale: Float? = nil, softCap: Float? = nil, slopes: [Float] = [],
      distanceBias: DistanceBias? = nil,
      headNorm: HeadNorm? = nil, normsValues: Bool = false, headSize: Int? = nil,
      keyHeadCount: Int? = nil, hasSinks: Bool = false
    ) {
      self.hasSinks = hasSinks
      self.normsValues = normsValues
      self.headSize = headSize
      self.keyHeadCount = keyHeadCount
      self.distanceBias = distanceBias
      self.slopes = slopes
      self.projections = projections
      self.bias = bias
      self.outputBias = outputBias
      self.rotary = rotary
      self.rotaryFraction = rotaryFraction ?? rotary?.sizeFraction ?? 1
      self.rotatesNeighbours = rotatesNeighbours
      self.isCausal = isCausal
      self.window = window
      self.scale = scale
      self.softCap = softCap
      self.headNorm = headNorm
    }
  }

  /// Attention of a sequence to a source, which an encoder has read ("cross_attn_q", "cross_attn_k",
  /// "cross_attn_v", "cross_attn_o"), behind a norm of its own ("cross_attn_norm"), with the heads of the
  /// blocks' own attention. Its projections have no biases.
  public struct CrossAttention: Sendable, Hashable {
    /// What scores are multiplied by; nil: one over the root of the head's size.
    public var scale: Float?

    /// Creates an attention from its options.
    public init(scale: Float? = nil) { self.scale = scale }
  }

  /// A feed-forward network.
  public struct FeedForward: Sendable, Hashable {
    /// Whether it is `down(activation(gate(x)) * up(x))`, not `down(activation(up(x)))`
    /// ("ffn_gate", "ffn_up", "ffn_down").
    public var isGated: Bool
    /// The activation by its name in files.
    public var activation: String
    /// Whether its layers have biases.
    public var bias: Bool
    /// Whether gate and up are one layer ("ffn_up"), whose outputs are first the gate's.
    public var isFused: Bool
    /// The role of the layer that raises without a gate: another where an architecture names it in two ways
    /// (T5).
    public var upRole = "ffn_up"
    /// The networks that share the work in the place of one; nil: there is one, as large as the
    /// configuration says.
    public var experts: Experts?
    /// The extent between its layers; nil: the configuration's.
    public var size: Int?
    /// The limits of a fused gate whose outputs are gates and ups in turn (gpt-oss); nil: the activation.
    public var clamp: Clamp?

    /// A gate of the form `(up + 1) gate sigmoid(alpha gate)`.
    public struct Clamp: Sendable, Hashable {
      /// What the sigmoid's gate is multiplied by.
      public var alpha: Float
      /// The largest gate, and the largest up on both sides.
      public var limit: Float

      /// Creates a description from its parts.
      public init(alpha: Float, limit: Float) {
        self.alpha = alpha
        self.limit = limit
      }
    }

    /// Many networks of one shape, of which a router chooses a few for each token
    /// ("ffn_gate_inp"; "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", and "ffn_gate_up_exps" for
    /// what an adapter adds to gate and up together).
    ///
    /// The output is the sum of the chosen networks' outputs, each times its weight.
    public struct Experts: Sendable, Hashable {
      /// How the router's logits become weights.
      public enum Weighting: Sendable, Hashable {
        /// The softmax over all experts, and of it the largest.
        case softmaxOfAll
        /// The same, divided by their sum.
        case softmaxOfAllNormalized
        /// The softmax over the largest logits alone.
        case softmaxOfChosen
      }

      /// How many there are.
      public var count: Int
      /// How many of them each token passes through.
      public var active: Int
      /// The extent between an expert's projections.
      public var size: Int
      /// How the router's logits become weights.
      public var weighting: Weighting
      /// Whether checkpoints have one tensor of each layer for all experts, `[experts, in, out]`
      /// ("ffn_gate_up_exps", "ffn_down_exps"). Their layers, and the router, are then parameters of the
      /// block, which adapters leave as they are.
      public var isStacked: Bool

      /// Creates a mixture from its options.
      public init(
        count: Int, active: Int, size: Int, weighting: Weighting, isStacked: Bool = false
      ) {
        self.isStacked = isStacked
        self.count = count
        self.active = active
        self.size = size
        self.weighting = weighting
      }
    }

    /// `down(activation(gate(x)) * up(x))`.
    public static func gated(
      _ activation: String, bias: Bool = false, isFused: Bool = false, size: Int? = nil
    ) -> FeedForward {
      FeedForward(isGated: true, activation: activation, bias: bias, isFused: isFused, size: size)
    }

    /// Experts of the form `down(activation(gate(x)) * up(x))`.
    public static func mixture(_ activation: String, of experts: Experts) -> FeedForward {
      FeedForward(
        isGated: true, activation: activation, bias: false, isFused: false, experts: experts)
    }

    /// Experts of the form `down(clamp(gate and up of x))`, whose layers have biases and are stacked in
    /// checkpoints.
    public static func mixture(clamp: Clamp, of experts: Experts) -> FeedForward {
      FeedForward(
        isGated: true, activation: "silu", bias: true, isFused: true, experts: experts, clamp: clamp
      )
    }

    /// `down(activation(up(x)))`.
    public static func plain(_ activation: String, bias: Bool = false) -> FeedForward {
      FeedForward(isGated: false, activation: activation, bias: bias, isFused: false)
    }
  }
}
