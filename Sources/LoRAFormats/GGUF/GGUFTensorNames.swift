package import LoRATensor

/// What GGUF files call the modules of a Hugging Face model, and how they lay them out.
///
/// ```swift
/// let names = GGUFTensorNames(architecture: "llama")
/// names?.tensorName(ofParameter: "model.layers.3.mlp.up_proj.weight")  // "blk.3.ffn_up.weight"
/// names?.parameterPath(ofTensor: "token_embd.weight")          // "model.embed_tokens.weight"
/// ```
///
/// Source: `gguf.tensor_mapping` of gguf-py and llama.cpp's `convert_hf_to_gguf.py`.
package struct GGUFTensorNames: Sendable, Hashable {
  /// What a module is to an adapter.
  package enum Role: Sendable, Hashable {
    /// A linear layer of a block, whose input llama.cpp multiplies by an adapter's factors too.
    case projection
    /// The table of token embeddings.
    case embedding
    /// The output head.
    case head
    /// A norm, a table of positions: llama.cpp adds no adapter to it.
    case other
  }

  /// The order of a tensor's rows in a file.
  package enum RowOrder: Sendable, Hashable {
    /// As in Hugging Face's checkpoints.
    case same
    /// In each query head, the pairs that rotary embedding turns lie side by side instead of half a
    /// head apart.
    case queryHeads
    /// The same in each key head.
    case keyHeads
  }

  /// One module, or one in every block: "{}" stands for the block's number.
  package struct Row: Sendable, Hashable {
    /// The module's path in Hugging Face's model.
    package let path: String
    /// The tensor's name in a file, without ".weight" and ".bias".
    package let name: String
    /// What the module is to an adapter.
    package let role: Role
    /// The order of the rows in a file.
    package let order: RowOrder
    /// Whether Hugging Face's checkpoint has the weight as [in, out] (GPT-2), files as [out, in].
    package let isTransposed: Bool

    fileprivate init(
      _ path: String, _ name: String, _ role: Role = .other, _ order: RowOrder = .same,
      isTransposed: Bool = false
    ) {
      self.path = path
      self.name = name
      self.role = role
      self.order = order
      self.isTransposed = isTransposed
    }
  }

  /// The architecture as files name it.
  package let architecture: String
  /// The modules.
  package let rows: [Row]

  /// The names of an architecture that `general.architecture` names; nil if it is not known.
  package init?(architecture: String) {
    guard let rows = Self.tables[architecture] else { return nil }
    self.architecture = architecture
    self.rows = rows
  }

  /// The architectures with known names.
  package static var architectures: [String] { tables.keys.sorted() }

  /// What files call the architecture that a `config.json` names in `model_type`; nil if it is not
  /// known.
  package static func architecture(modelType: String) -> String? {
    ["llama": "llama", "mistral": "llama", "qwen2": "qwen2", "gpt2": "gpt2"][modelType]
  }

  private static let tables: [String: [Row]] = [
    "llama": llama(.queryHeads, .keyHeads),
    "qwen2": llama(.same, .same),
    "gpt2": gpt2,
  ]

  /// The layout of the Llama family.
  private static func llama(_ query: RowOrder, _ key: RowOrder) -> [Row] {
    [
      Row("model.embed_tokens", "token_embd", .embedding),
      Row("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
      Row("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", .projection, query),
      Row("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", .projection, key),
      Row("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", .projection),
      Row("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", .projection),
      Row("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
      Row("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", .projection),
      Row("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up", .projection),
      Row("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", .projection),
      Row("model.norm", "output_norm"),
      Row("lm_head", "output", .head),
    ]
  }

  private static let gpt2 = [
    Row("transformer.wte", "token_embd", .embedding),
    Row("transformer.wpe", "position_embd"),
    Row("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
    Row("transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv", .projection, isTransposed: true),
    Row("transformer.h.{}.attn.c_proj", "blk.{}.attn_output", .projection, isTransposed: true),
    Row("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
    Row("transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up", .projection, isTransposed: true),
    Row("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down", .projection, isTransposed: true),
    Row("transformer.ln_f", "output_norm"),
    Row("lm_head", "output", .head),
  ]
}

// MARK: - Looking up

extension GGUFTensorNames {
  /// The row of the module at `path` in Hugging Face's model, and the module's name in files; nil if
  /// it has none.
  package func module(atPath path: String) -> (row: Row, name: String)? {
    // The checkpoints of GPT-2 itself leave the outermost module out.
    for path in [path, "transformer." + path] {
      for row in rows {
        if let name = Self.translated(path, from: row.path, to: row.name) { return (row, name) }
      }
    }
    return nil
  }

  /// The row of what files call `name` (without ".weight" and ".bias"), and the module's path in
  /// Hugging Face's model; nil if there is none.
  package func module(named name: String) -> (row: Row, path: String)? {
    for row in rows {
      if let path = Self.translated(name, from: row.name, to: row.path) { return (row, path) }
    }
    return nil
  }

  /// The name in files of the parameter at `path`, as in "model.norm.weight"; nil if it has none.
  package func tensorName(ofParameter path: String) -> String? {
    guard let (stem, leaf) = Self.split(path), let name = module(atPath: stem)?.name else {
      return nil
    }
    return name + leaf
  }

  /// The path in Hugging Face's model of what files call `name`; nil if there is none.
  package func parameterPath(ofTensor name: String) -> String? {
    guard let (stem, leaf) = Self.split(name), let path = module(named: stem)?.path else {
      return nil
    }
    return path + leaf
  }

  private static func split(_ name: String) -> (stem: String, leaf: String)? {
    for leaf in [".weight", ".bias"] where name.hasSuffix(leaf) {
      return (String(name.dropLast(leaf.count)), leaf)
    }
    return nil
  }

  /// `text` in the terms of pattern `target` if it matches `pattern`.
  private static func translated(
    _ text: String, from pattern: String, to target: String
  ) -> String? {
    let parts = pattern.split(separator: "{}", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return text == pattern ? target : nil }
    guard text.utf8.count > parts[0].utf8.count + parts[1].utf8.count,
      text.hasPrefix(parts[0]), text.hasSuffix(parts[1])
    else { return nil }
    let number = text.dropFirst(parts[0].count).dropLast(parts[1].count)
    guard number.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      number == "0" || number.first != "0"
    else { return nil }
    return target.replacing("{}", with: number)
  }
}

// MARK: - The order of rows

extension GGUFTensorNames.RowOrder {
  /// For each row of a tensor in a file, which row of Hugging Face's it is; nil if the rows do not
  /// divide into heads of pairs. `heads` is the number of query or of key heads.
  ///
  /// In a head of size d, row 2 i + j of the file is row i + j d / 2 of Hugging Face's.
  package static func checkpointRows(count: Int, heads: Int) -> [Int]? {
    guard heads > 0, count % heads == 0, (count / heads) % 2 == 0 else { return nil }
    let size = count / heads
    return (0..<count).map { row in
      let (head, place) = (row / size, row % size)
      return head * size + place / 2 + (place % 2) * (size / 2)
    }
  }

  /// For each row of Hugging Face's tensor, which row of the file's it is: the inverse of
  /// ``checkpointRows(count:heads:)``.
  package static func fileRows(count: Int, heads: Int) -> [Int]? {
    guard let rows = checkpointRows(count: count, heads: heads) else { return nil }
    var inverse = rows
    for (row, source) in rows.enumerated() { inverse[source] = row }
    return inverse
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
