import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

extension ModelConfiguration {
  /// Builds the model that the architecture's structure describes, asking `source` for each parameter
  /// under its checkpoint name.
  func makeTransformer(_ source: ParameterSource) throws -> any TransformerModel {
    let structure = try architecture.structure(self)
    let builder = TransformerBuilder(configuration: self, source: source)
    let embedding = try builder.embedding(structure.embedding)
    let encoder = try structure.encoder.map { stack in
      TransformerBody(
        embedding: embedding,
        blocks: try stack.blocks.enumerated().map {
          try builder.block($1, index: $0, stack: TransformerBuilder.encoder)
        },
        norm: try stack.norm.map {
          try builder.norm(TransformerBuilder.encoder + "output_norm", $0)
        },
        outputScale: nil, projection: nil)
    }
    if let encoder, structure.blocks.isEmpty {
      var modules: [String: any Module] = ["token_embd": embedding.tokens]
      modules[TransformerBuilder.encoder + "output_norm"] = encoder.norm
      return TransformerEncoder(
        configuration: self, body: encoder,
        children: builder.children(modules, encoder: encoder.blocks))
    }
    try checkSharedKeys(of: structure)
    let inputs = structure.embedding.blockInputs
    let blockInputs = try inputs.map { try builder.blockInputs($0) }
    let body = TransformerBody(
      embedding: embedding,
      blocks: try structure.blocks.enumerated().map {
        try builder.block($1, index: $0, inputs: inputs)
      },
      norm: try structure.norm.map { try builder.norm("output_norm", $0) },
      outputScale: structure.head == .nextToken ? structure.logitScale : nil,
      projection: try structure.embedding.size.map {
        try builder.linear("project_out", inputs: hiddenSize, outputs: $0, bias: false)
      }, blockInputs: blockInputs)
    var modules: [String: any Module] = ["token_embd": embedding.tokens]
    modules["position_embd"] = embedding.positions
    modules["token_types"] = embedding.types
    modules["token_embd_norm"] = embedding.norm
    modules["project_in"] = embedding.projection
    modules["project_out"] = body.projection
    modules["output_norm"] = body.norm
    modules["per_layer_token_embd"] = blockInputs?.tokens
    modules["per_layer_model_proj"] = blockInputs?.projection
    modules["per_layer_proj_norm"] = blockInputs?.norm
    modules[TransformerBuilder.encoder + "output_norm"] = encoder?.norm
    switch structure.head {
    case .nextToken:
      let head: any LinearLayer =
        tiesWordEmbeddings
        ? TiedHead(
          table: embedding.tokens.weight,
          bias: structure.headBias
            ? try source.parameter("\(architecture.headPath).bias", [vocabularySize]) : nil)
        : try builder.linear(
          "output", inputs: structure.embedding.size ?? hiddenSize, outputs: vocabularySize,
          bias: structure.headBias)
      modules["output"] = head
      if let encoder {
        return TransformerEncoderDecoder(
          configuration: self, encoder: encoder, body: body, head: head,
          targetStart: try validTargetStart(),
          children: builder.children(modules, body.blocks, encoder: encoder.blocks))
      }
      return Transformer(
        configuration: self, body: body, head: head, logitSoftCap: structure.logitSoftCap,
        children: builder.children(modules, body.blocks))
    case .classification(let classification):
      let head = try builder.head(classification)
      modules["cls"] = head.dense?.layer
      modules["cls.norm"] = head.norm
      modules[classification.outputRole] = head.output
      let children = builder.children(modules, body.blocks)
      return classification.pooling == nil
        ? TransformerTokenClassifier(
          configuration: self, body: body, head: head, children: children)
        : TransformerClassifier(configuration: self, body: body, head: head, children: children)
    case .none:
      return TransformerEncoder(
        configuration: self, body: body, children: builder.children(modules, body.blocks))
    }
  }

  /// The token that begins a target. It must not end one too: it would not be found behind a source.
  private func validTargetStart() throws(FormatError) -> Int {
    guard let start = decoderStartTokenID, start < vocabularySize, !eosTokenIDs.contains(start)
    else {
      throw FormatError(
        .unsupported, file: "config.json", key: "decoder_start_token_id",
        "it is \(decoderStartTokenID.map { "\($0)" } ?? "missing")",
        remedy: "supported is a token of the vocabulary that ends no text (T5: 0)")
    }
    return start
  }
}

extension ModelConfiguration {
  /// Throws unless blocks that read the keys of others name an earlier one that has its own, and heads like
  /// theirs.
  private func checkSharedKeys(of structure: TransformerStructure) throws {
    for (index, block) in structure.blocks.enumerated() {
      guard case .queries(let source) = block.attention.projections else { continue }
      let other = structure.blocks.indices.contains(source) ? structure.blocks[source] : nil
      var isShared = false
      if case .queries = other?.attention.projections { isShared = true }
      guard source < index, let other, !isShared,
        other.attention.headSize == block.attention.headSize,
        other.attention.keyHeadCount == block.attention.keyHeadCount
      else {
        throw FormatError(
          .invalidValue, file: "config.json", subject: "block \(index)",
          problem: "it reads the keys of block \(source), whose heads are not like its own",
          remedy: "the configuration is damaged, or of a model that does not exist")
      }
    }
  }
}
