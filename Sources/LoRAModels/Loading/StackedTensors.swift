import CLoRAKernels
import LoRAArchitectures
import LoRAAutograd
package import LoRAFiles
import LoRAFormats
import LoRATensor

// Tensors that checkpoints have for all experts of a layer, `[experts, in, out]` and biases `[experts, out]`,
// of which a model has a parameter for each expert, `[out, in]` and `[out]`, under the stack's name and the
// expert's number.

extension Architecture {
  /// The stack that the parameter `name` is part of, and its number there; nil for one of its own.
  func stack(of name: String) -> (name: String, expert: Int)? {
    guard let dot = name.lastIndex(of: "."), let expert = Int(name[name.index(after: dot)...])
    else { return nil }
    let stack = String(name[..<dot])
    let weight = stack.hasSuffix("_bias") ? String(stack.dropLast("_bias".count)) : stack
    let isOne = tensors.contains {
      ["ffn_gate_up_exps", "ffn_down_exps"].contains($0.role) && $0.kind == .other
        && TensorName.numbers(in: weight, of: $0.path) != nil
    }
    return isOne ? (stack, expert) : nil
  }
}

extension ModelDirectory {
  /// The names of the blocks and the scales of a stack that is stored in MXFP4.
  static func quantizedNames(ofStack name: String) -> [String] {
    [name + "_blocks", name + "_scales"]
  }

  /// Expert `expert` of the stack `name`, `[out, in]` or `[out]`, and the names of the tensors that were
  /// read.
  ///
  /// - Parameter count: how many experts there are.
  func part(
    ofStack name: String, expert: Int, of count: Int, shape: Shape
  ) throws -> (tensor: Tensor, names: [String]) {
    let quantized = Self.quantizedNames(ofStack: name)
    guard entry(named: quantized[0]) != nil else {
      let stack = try tensor(named: name)
      let stored = shape.count == 1 ? shape : Shape(shape.dimensions.reversed())
      try check(stack, name, Shape([count] + stored.dimensions))
      let part = stack[row: expert]
      if shape.count == 1 { return (part, [name]) }
      let transposed = part.layoutTransposed()
      part.releaseMappedPages()
      return (transposed, [name])
    }
    let (blocks, scales) = (try tensor(named: quantized[0]), try tensor(named: quantized[1]))
    guard shape.count == 2, shape[1] % 32 == 0 else {
      throw FormatError(
        .invalidValue, file: path, subject: "tensor '\(quantized[0])'",
        problem: "MXFP4 has blocks of 32 numbers, and config.json makes \(shape) of it",
        remedy: "the configuration and the weights are of different models")
    }
    let perRow = shape[1] / 32
    try check(blocks, quantized[0], [count, shape[0], perRow, 16], .uint8)
    try check(scales, quantized[1], [count, shape[0], perRow], .uint8)
    let (bytes, exponents) = (blocks[row: expert], scales[row: expert])
    let numbers = bytes.withUnsafeBytes { bytes in
      exponents.withUnsafeBytes { exponents in
        Tensor(shape: shape, dtype: .bfloat16) { memory in
          guard let from = bytes.baseAddress, let scale = exponents.baseAddress,
            let to = memory.baseAddress
          else { return }
          lk_mxfp4_to_bf16(
            shape[0] * perRow, from.assumingMemoryBound(to: UInt8.self),
            scale.assumingMemoryBound(to: UInt8.self), to.assumingMemoryBound(to: UInt16.self))
        }
      }
    }
    bytes.releaseMappedPages()
    return (numbers, quantized)
  }

  private func check(
    _ tensor: Tensor, _ name: String, _ shape: Shape, _ type: DType? = nil
  ) throws {
    guard tensor.shape == shape, type == nil || tensor.dtype == type else {
      throw FormatError(
        .shapeMismatch, file: path, subject: "tensor '\(name)'",
        problem: "config.json makes it \(type.map { "\($0) " } ?? "")\(shape), the file has "
          + "\(tensor.dtype) \(tensor.shape)",
        remedy: "the configuration and the weights are of different models")
    }
  }
}

extension Architecture {
  /// `values` with the experts' in the stacks that files have.
  func stacked(_ values: [(name: String, tensor: Tensor)]) -> [(name: String, tensor: Tensor)] {
    var result: [(name: String, tensor: Tensor)] = []
    var stacks: [String: [Tensor]] = [:]
    for (name, value) in values {
      guard let stack = stack(of: name)?.name else {
        result.append((name, value))
        continue
      }
      // What was quantized can't be turned.
      let plain = value.dtype.isQuantized ? value.converted(to: .float32) : value
      let stored = plain.shape.count == 2 ? plain.layoutTransposed() : plain
      if stacks[stack] == nil { result.append((stack, stored)) }
      stacks[stack, default: []].append(stored)
    }
    return result.map { name, tensor in
      guard let parts = stacks[name] else { return (name, tensor) }
      let whole = Tensor.concatenated(parts)
      return (name, whole.reshaped(to: Shape([parts.count] + tensor.shape.dimensions)))
    }
  }
}

extension PretrainedModel {
  /// The same without stacks that the file has in MXFP4, which stay as they are. Throws if these were
  /// trained.
  func stacked(
    _ values: [(name: String, tensor: Tensor)]
  ) throws -> [(name: String, tensor: Tensor)] {
    let architecture = configuration.architecture
    guard let directory else { return architecture.stacked(values) }
    let trained = Set(model.namedParameters().filter(\.parameter.isTrainable).map(\.path))
    let kept = try values.filter { value in
      guard let stack = architecture.stack(of: value.name)?.name,
        let blocks = ModelDirectory.quantizedNames(ofStack: stack).first,
        directory.entry(named: blocks) != nil
      else { return true }
      if trained.contains(value.name) { try checkWholeIsWritable() }
      return false
    }
    return architecture.stacked(kept)
  }

  /// Throws if the model could be trained whole, and not be written then: a part of it is MXFP4.
  package func checkWholeIsWritable() throws(FormatError) {
    let architecture = configuration.architecture
    guard let directory,
      let blocks = directory.tensorNames.first(where: { name in
        name.hasSuffix("_blocks")
          && architecture.stack(of: String(name.dropLast("_blocks".count)) + ".0") != nil
      })
    else { return }
    throw FormatError(
      .unsupported, file: directory.path, tensor: blocks,
      "it is MXFP4, which trained weights can't be written as",
      remedy: "train an adapter, or the model's unquantized weights")
  }
}
